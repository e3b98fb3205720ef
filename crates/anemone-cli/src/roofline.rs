//! What machines can do at most, and where steps are below that, as a picture: both axes grow by powers of ten.

use std::fmt::Write;

use crate::page::{WIDTH, text};

/// What a machine can do at most.
pub(crate) struct Roof {
    pub(crate) gflops: f64,
    pub(crate) gb_s: f64,
    pub(crate) colour: &'static str,
}

/// A step, or a whole call.
pub(crate) struct Dot {
    /// Operations for each byte.
    pub(crate) intensity: f64,
    pub(crate) gflops: f64,
    pub(crate) colour: &'static str,
    /// Whether it is the whole call.
    pub(crate) whole: bool,
    /// What is said of it under the pointer.
    pub(crate) title: String,
}

const HEIGHT: f64 = 300.0;
/// Powers of ten: of operations a byte, and of GFLOP/s.
const X: (f64, f64) = (-1.0, 5.0);
const Y: (f64, f64) = (-1.0, 5.0);

fn x(intensity: f64) -> f64 {
    (intensity.max(1e-9).log10().clamp(X.0, X.1) - X.0) / (X.1 - X.0) * WIDTH
}

fn y(gflops: f64) -> f64 {
    HEIGHT - (gflops.max(1e-9).log10().clamp(Y.0, Y.1) - Y.0) / (Y.1 - Y.0) * HEIGHT
}

/// The picture, with what stands below it.
pub(crate) fn picture(roofs: &[Roof], dots: &[Dot], caption: &str) -> String {
    let mut picture = format!(
        "<figure><svg viewBox=\"-60 -10 {} {}\" role=\"img\" aria-label=\"Roofline\">",
        WIDTH + 90.0,
        HEIGHT + 50.0
    );
    for power in X.0 as i32..=X.1 as i32 {
        let at = x(10f64.powi(power));
        let _ = write!(
            picture,
            "<path class=\"edge\" d=\"M{at} 0 V{HEIGHT}\"/><text x=\"{at}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            HEIGHT + 18.0,
            10f64.powi(power)
        );
    }
    for power in Y.0 as i32..=Y.1 as i32 {
        let at = y(10f64.powi(power));
        let _ = write!(
            picture,
            "<path class=\"edge\" d=\"M0 {at} H{WIDTH}\"/><text x=\"-8\" y=\"{}\" text-anchor=\"end\">{}</text>",
            at + 4.0,
            10f64.powi(power)
        );
    }
    for roof in roofs {
        let least = |intensity: f64| (roof.gb_s * intensity).min(roof.gflops);
        let ridge = roof.gflops / roof.gb_s.max(1e-9);
        let _ = write!(picture, "<path class=\"roof\" d=\"M");
        for (i, at) in [10f64.powf(X.0), ridge, 10f64.powf(X.1)].into_iter().enumerate() {
            let _ = write!(picture, "{}{} {}", if i > 0 { " L" } else { "" }, x(at), y(least(at)));
        }
        let _ = write!(picture, "\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>", roof.colour);
    }
    for dot in dots {
        let form = match dot.whole {
            true => {
                format!("class=\"call\" r=\"7\" fill=\"none\" stroke=\"{}\" stroke-width=\"3\"", dot.colour)
            }
            false => format!("class=\"step\" r=\"4\" fill=\"{}\" fill-opacity=\".6\"", dot.colour),
        };
        let _ = write!(
            picture,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" {form}><title>{}</title></circle>",
            x(dot.intensity),
            y(dot.gflops),
            text(&dot.title)
        );
    }
    let _ = write!(
        picture,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">operations for each byte</text><text x=\"8\" y=\"16\">GFLOP/s</text>\
         </svg><figcaption>{}</figcaption></figure>",
        WIDTH,
        HEIGHT + 36.0,
        text(caption)
    );
    picture
}
