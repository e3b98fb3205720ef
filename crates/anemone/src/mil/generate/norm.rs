//! The root mean square norm, and its gradient.

use super::{EPSILON, built, of_channels, parts, program, refused};
use crate::graph::{Built, Graph, Tensor};
use crate::source::{Diagnostics, codes};
use crate::types::DType;

/// `y = w * x / sqrt(mean(x²) + epsilon)` over the channels of each place, for numbers of any size.
///
/// Input `x` and output `y` are `[1, channels, 1, places]`, `weights` are `[channels]`. Everything is divided by the largest
/// magnitude of the place before it is squared, so that no square leaves fp16; [`final_rms_norm`] has fewer steps.
///
/// ```
/// use anemone::{Chip, Client, mil::generate};
/// let built = generate::rms_norm(2, 1, generate::EPSILON, &[1.0, 2.0])?;
/// let client = Client::software(Chip::M4);
/// let mut model = client.compile_program(&built.program, &built.weights, &Default::default())?;
/// model.write_input_f32("x", &[3.0, 3.0])?;
/// model.eval()?;
/// let mut y = [0.0; 2];
/// model.read_output_f32(0, &mut y)?;
/// assert!((y[0] - 1.0).abs() < 2e-3 && (y[1] - 2.0).abs() < 4e-3, "{y:?}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn rms_norm(channels: usize, places: usize, epsilon: f64, weights: &[f32]) -> Result<Built, Diagnostics> {
    if !(0.0..=65504.0).contains(&epsilon) {
        let message =
            format!("an epsilon of {epsilon} is not one that fp16 holds and that can be added to a square");
        return Err(refused(&codes::VALUE_RANGE, message));
    }
    program("x", channels, places, "y", |g, x| {
        // The smallest normal number of fp16 keeps the quotient finite where everything is 0.
        let root = epsilon.sqrt().max(2f64.powi(-14));
        let size = g.absolute(x);
        let size = g.reduce_max(size, 1);
        let size = g.maximum(size, root);
        let scaled = g.division(x, size);
        let squares = g.square(scaled);
        let mean = g.reduce_mean(squares, 1);
        // epsilon / size², of factors that do not vanish.
        let small = g.real_div(epsilon.sqrt(), size);
        let small = g.square(small);
        let mean = g.addition(mean, small);
        let factor = g.pow(mean, -0.5);
        let normal = g.multiplication(scaled, factor);
        let w = of_channels(g, weights, channels);
        g.multiplication(normal, w)
    })
}

/// 1 over the root of the mean of squares, in each place: `[1, 1, 1, seq]`.
pub(super) fn reciprocal_rms(g: &mut Graph, x: Tensor) -> Tensor {
    let squares = g.multiplication(x, x);
    let mean = g.reduce_mean(squares, 1);
    let mean = g.add(mean, EPSILON);
    g.pow(mean, -0.5)
}

/// The norm with these weights, one for each channel.
pub(super) fn normed(g: &mut Graph, x: Tensor, weights: &[f32], channels: usize) -> Tensor {
    let w = of_channels(g, weights, channels);
    normal(g, x, w)
}

/// The norm with weights that are a tensor.
fn normal(g: &mut Graph, x: Tensor, w: Tensor) -> Tensor {
    let factor = reciprocal_rms(g, x);
    let y = g.multiplication(x, factor);
    g.multiplication(y, w)
}

/// `y = w * x / sqrt(mean(x²) + 1e-5)` over the channels of each place.
///
/// Input `x` and output `y` are `[1, dim, 1, seq]`, `weights` are `[dim]`. Magnitudes stay below 255, whose square fp16
/// holds.
///
/// ```
/// use anemone::{Chip, Client, mil::generate};
/// let built = generate::final_rms_norm(2, 1, &[1.0, 2.0])?;
/// let client = Client::software(Chip::M4);
/// let mut model = client.compile_program(&built.program, &built.weights, &Default::default())?;
/// model.write_input_f32("x", &[3.0, 3.0])?;
/// model.eval()?;
/// let mut y = [0.0; 2];
/// model.read_output_f32(0, &mut y)?;
/// assert!((y[0] - 1.0).abs() < 2e-3 && (y[1] - 2.0).abs() < 4e-3, "{y:?}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn final_rms_norm(dim: usize, seq: usize, weights: &[f32]) -> Result<Built, Diagnostics> {
    program("x", dim, seq, "y", |g, x| normed(g, x, weights, dim))
}

/// [`final_rms_norm`] with weights that are given when the program runs.
///
/// Inputs `x [1, dim, 1, seq]` and `w [1, dim, 1, 1]`, output `y [1, dim, 1, seq]`.
///
/// ```
/// use anemone::{Chip, Client, mil::generate};
/// let built = generate::final_rms_norm_dynamic(2, 1)?;
/// let client = Client::software(Chip::M4);
/// let mut model = client.compile_program(&built.program, &built.weights, &Default::default())?;
/// model.write_input_f32("x", &[3.0, 3.0])?;
/// model.write_input_f32("w", &[1.0, 2.0])?;
/// model.eval()?;
/// let mut y = [0.0; 2];
/// model.read_output_f32(0, &mut y)?;
/// assert!((y[0] - 1.0).abs() < 2e-3 && (y[1] - 2.0).abs() < 4e-3, "{y:?}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn final_rms_norm_dynamic(dim: usize, seq: usize) -> Result<Built, Diagnostics> {
    let mut g = Graph::new();
    let x = g.input("x", DType::Fp16, &[1, dim, 1, seq]);
    let w = g.input("w", DType::Fp16, &[1, dim, 1, 1]);
    let y = normal(&mut g, x, w);
    g.output("y", y);
    built(&g)
}

/// The gradient of [`final_rms_norm`] by its input: `dx = r * (w * dy - x * r² * mean(w * dy * x))`, with
/// `r = 1 / sqrt(mean(x²) + 1e-5)`.
///
/// Input `dy_x [1, 2 * dim, 1, seq]` is `dy` and behind it `x`, by channels; output `dx` is `[1, dim, 1, seq]`. The
/// gradient by the weights is a sum that is left to the caller: `dw = Σ dy * x * r` over all places.
///
/// ```
/// use anemone::{Chip, Client, mil::generate};
/// let built = generate::rms_norm_backward(2, 1, &[1.0, 1.0])?;
/// // What does not change the direction of `x` does not change its norm.
/// let client = Client::software(Chip::M4);
/// let mut model = client.compile_program(&built.program, &built.weights, &Default::default())?;
/// model.write_input_f32("dy_x", &[1.0, 1.0, 3.0, 3.0])?;
/// model.eval()?;
/// let mut dx = [0.0; 2];
/// model.read_output_f32(0, &mut dx)?;
/// assert!(dx.iter().all(|d| d.abs() < 1e-2), "{dx:?}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn rms_norm_backward(dim: usize, seq: usize, weights: &[f32]) -> Result<Built, Diagnostics> {
    program("dy_x", dim.saturating_mul(2), seq, "dx", |g, both| {
        let w = of_channels(g, weights, dim);
        gradient(g, both, w, dim, seq)
    })
}

/// [`rms_norm_backward`] with weights that are given when the program runs.
///
/// Inputs `dy_x [1, 2 * dim, 1, seq]` and `w [1, dim, 1, 1]`, output `dx [1, dim, 1, seq]`.
///
/// ```
/// use anemone::mil::generate;
/// let built = generate::rms_norm_backward_dynamic(2, 3)?;
/// let shapes: Vec<String> = built.verified.main().outputs().map(|v| v.ty.to_string()).collect();
/// assert_eq!(shapes, ["tensor<fp16, [1, 2, 1, 3]>"]);
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[track_caller]
pub fn rms_norm_backward_dynamic(dim: usize, seq: usize) -> Result<Built, Diagnostics> {
    let mut g = Graph::new();
    let both = g.input("dy_x", DType::Fp16, &[1, dim.saturating_mul(2), 1, seq]);
    let w = g.input("w", DType::Fp16, &[1, dim, 1, 1]);
    let dx = gradient(&mut g, both, w, dim, seq);
    g.output("dx", dx);
    built(&g)
}

fn gradient(g: &mut Graph, both: Tensor, w: Tensor, dim: usize, seq: usize) -> Tensor {
    let [dy, x] = parts(g, both, [dim, dim], seq);
    let r = reciprocal_rms(g, x);
    // With x * r in the place of x, nothing is squared a second time.
    let normal = g.multiplication(x, r);
    let dy = g.multiplication(dy, w);
    let along = g.multiplication(dy, normal);
    let along = g.reduce_mean(along, 1);
    let back = g.multiplication(normal, along);
    let across = g.subtraction(dy, back);
    g.multiplication(across, r)
}
