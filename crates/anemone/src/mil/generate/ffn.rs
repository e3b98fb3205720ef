//! Feed-forward layers and their gradients.

use super::norm::normed;
use super::{parts, program, turned};
use crate::graph::{Built, Graph, Tensor};
use crate::source::Diagnostics;

/// The weights of a gated feed-forward layer, `w2 · (silu(w1 · x) * (w3 · x))`.
///
/// ```
/// use anemone::{Chip, Client, mil::generate};
/// let (w1, w2, w3) = ([1.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0]);
/// let weights = generate::FfnWeights { w1: &w1, w2: &w2, w3: &w3 };
/// let built = generate::ffn_forward(2, 2, 1, &weights)?;
/// let client = Client::software(Chip::M4);
/// let mut model = client.compile_program(&built.program, &built.weights, &Default::default())?;
/// model.write_input_f32("x", &[4.0, 0.0])?;
/// model.eval()?;
/// let mut y = [0.0; 2];
/// model.read_output_f32(0, &mut y)?;
/// assert!((y[0] - 4.0 * 4.0 / (1.0 + (-4.0f32).exp())).abs() < 0.05 && y[1] == 0.0, "{y:?}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FfnWeights<'a> {
    /// The gate: `[hidden, dim]`.
    pub w1: &'a [f32],
    /// Back again: `[dim, hidden]`.
    pub w2: &'a [f32],
    /// What is gated: `[hidden, dim]`.
    pub w3: &'a [f32],
}

/// The results of a gated layer: `[y, h1, h3]`.
fn gated(g: &mut Graph, x: Tensor, dim: usize, hidden: usize, w: &FfnWeights<'_>) -> [Tensor; 3] {
    let h1 = g.inner_product(x, w.w1, dim, hidden);
    let h3 = g.inner_product(x, w.w3, dim, hidden);
    let gate = g.sigmoid(h1);
    let silu = g.multiplication(h1, gate);
    let h = g.multiplication(silu, h3);
    [g.inner_product(h, w.w2, hidden, dim), h1, h3]
}

/// `y = w2 · (silu(w1 · x) * (w3 · x))`.
///
/// Input `x` and output `y` are `[1, dim, 1, seq]`.
///
/// ```
/// use anemone::mil::generate;
/// let w = [0.5; 8]; // [hidden, dim], and [dim, hidden]
/// let weights = generate::FfnWeights { w1: &w, w2: &w, w3: &w };
/// let built = generate::ffn_forward(2, 4, 3, &weights)?;
/// let shapes: Vec<String> = built.verified.main().outputs().map(|v| v.ty.to_string()).collect();
/// assert_eq!(shapes, ["tensor<fp16, [1, 2, 1, 3]>"]);
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[track_caller]
pub fn ffn_forward(
    dim: usize,
    hidden: usize,
    seq: usize,
    weights: &FfnWeights<'_>,
) -> Result<Built, Diagnostics> {
    program("x", dim, seq, "y", |g, x| gated(g, x, dim, hidden, weights)[0])
}

/// [`ffn_forward`] of the norm of `x`: `y = ffn(rms_norm(x))`, with `norm [dim]`. Nothing is added to `x`.
///
/// ```
/// use anemone::mil::generate;
/// let w = [0.5; 8]; // [hidden, dim], and [dim, hidden]
/// let weights = generate::FfnWeights { w1: &w, w2: &w, w3: &w };
/// let built = generate::ffn_forward_rms(2, 4, 3, &[1.0, 1.0], &weights)?;
/// let shapes: Vec<String> = built.verified.main().outputs().map(|v| v.ty.to_string()).collect();
/// assert_eq!(shapes, ["tensor<fp16, [1, 2, 1, 3]>"]);
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[track_caller]
pub fn ffn_forward_rms(
    dim: usize,
    hidden: usize,
    seq: usize,
    norm: &[f32],
    weights: &FfnWeights<'_>,
) -> Result<Built, Diagnostics> {
    program("x", dim, seq, "y", |g, x| {
        let x = normed(g, x, norm, dim);
        gated(g, x, dim, hidden, weights)[0]
    })
}

/// [`ffn_forward_rms`] with what its gradient needs: the output `out [1, dim + 2 * hidden, 1, seq]` is `y`, `h1 = w1 · n`
/// and `h3 = w3 · n`, one behind the other by channels, where `n` is the norm of `x`.
///
/// ```
/// use anemone::mil::generate;
/// let w = [0.5; 8]; // [hidden, dim], and [dim, hidden]
/// let weights = generate::FfnWeights { w1: &w, w2: &w, w3: &w };
/// let built = generate::ffn_forward_taps(2, 4, 3, &[1.0, 1.0], &weights)?;
/// let shapes: Vec<String> = built.verified.main().outputs().map(|v| v.ty.to_string()).collect();
/// assert_eq!(shapes, ["tensor<fp16, [1, 10, 1, 3]>"]);
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[track_caller]
pub fn ffn_forward_taps(
    dim: usize,
    hidden: usize,
    seq: usize,
    norm: &[f32],
    weights: &FfnWeights<'_>,
) -> Result<Built, Diagnostics> {
    program("x", dim, seq, "out", |g, x| {
        let x = normed(g, x, norm, dim);
        let all = gated(g, x, dim, hidden, weights);
        g.concat(&all, 1)
    })
}

/// The gradient of [`ffn_forward`]: of `dy`, `h1` and `h3` it makes `dx`, `dh1` and `dh3`.
///
/// ```text
/// dh  = w2ᵀ · dy        s = sigmoid(h1)
/// dh1 = dh * h3 * s * (1 + h1 * (1 - s))
/// dh3 = dh * h1 * s
/// dx  = w1ᵀ · dh1 + w3ᵀ · dh3
/// ```
///
/// Input `x [1, dim + 2 * hidden, 1, seq]` is `dy`, `h1`, `h3` by channels, output `out` of the same shape `dx`, `dh1`,
/// `dh3`. The weights are those of the forward program.
///
/// ```
/// use anemone::mil::generate;
/// let w = [0.5; 8]; // [hidden, dim], and [dim, hidden]
/// let weights = generate::FfnWeights { w1: &w, w2: &w, w3: &w };
/// let built = generate::ffn_backward(2, 4, 3, &weights)?;
/// let shapes: Vec<String> = built.verified.main().outputs().map(|v| v.ty.to_string()).collect();
/// assert_eq!(shapes, ["tensor<fp16, [1, 10, 1, 3]>"]); // dx, dh1, dh3
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[track_caller]
pub fn ffn_backward(
    dim: usize,
    hidden: usize,
    seq: usize,
    weights: &FfnWeights<'_>,
) -> Result<Built, Diagnostics> {
    let FfnWeights { w1, w2, w3 } = *weights;
    program("x", hidden.saturating_mul(2).saturating_add(dim), seq, "out", |g, x| {
        let [dy, h1, h3] = parts(g, x, [dim, hidden, hidden], seq);
        let dh = turned(g, dy, w2, hidden, dim);
        let s = g.sigmoid(h1);
        let rest = g.sub(1.0, s);
        let rest = g.multiplication(h1, rest);
        let slope = g.add(rest, 1.0);
        let slope = g.multiplication(s, slope);
        let dh1 = g.multiplication(dh, h3);
        let dh1 = g.multiplication(dh1, slope);
        let silu = g.multiplication(h1, s);
        let dh3 = g.multiplication(dh, silu);
        let dx1 = turned(g, dh1, w1, dim, hidden);
        let dx3 = turned(g, dh3, w3, dim, hidden);
        let dx = g.addition(dx1, dx3);
        g.concat(&[dx, dh1, dh3], 1)
    })
}

/// The results of a layer with a squared rectifier: `[y, h1]`.
fn squared(g: &mut Graph, x: Tensor, dim: usize, hidden: usize, [w1, w2]: [&[f32]; 2]) -> [Tensor; 2] {
    let h1 = g.inner_product(x, w1, dim, hidden);
    let h = g.relu(h1);
    let h = g.multiplication(h, h);
    [g.inner_product(h, w2, hidden, dim), h1]
}

/// `y = w2 · relu(w1 · x)²`.
///
/// Input `x` and output `y` are `[1, dim, 1, seq]`; `w1` is `[hidden, dim]`, `w2` `[dim, hidden]`.
///
/// ```
/// use anemone::{Chip, Client, mil::generate};
/// let built = generate::ffn_forward_relu2(1, 2, 1, &[1.0, -1.0], &[1.0, 10.0])?;
/// let client = Client::software(Chip::M4);
/// let mut model = client.compile_program(&built.program, &built.weights, &Default::default())?;
/// model.write_input_f32("x", &[3.0])?;
/// model.eval()?;
/// let mut y = [0.0; 1];
/// model.read_output_f32(0, &mut y)?;
/// assert_eq!(y, [9.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn ffn_forward_relu2(
    dim: usize,
    hidden: usize,
    seq: usize,
    w1: &[f32],
    w2: &[f32],
) -> Result<Built, Diagnostics> {
    program("x", dim, seq, "y", |g, x| squared(g, x, dim, hidden, [w1, w2])[0])
}

/// [`ffn_forward_relu2`] of the norm of `x`, with `norm [dim]`. Nothing is added to `x`.
///
/// ```
/// use anemone::mil::generate;
/// let built = generate::ffn_forward_rms_relu2(2, 4, 3, &[1.0, 1.0], &[0.5; 8], &[0.5; 8])?;
/// let shapes: Vec<String> = built.verified.main().outputs().map(|v| v.ty.to_string()).collect();
/// assert_eq!(shapes, ["tensor<fp16, [1, 2, 1, 3]>"]);
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[track_caller]
pub fn ffn_forward_rms_relu2(
    dim: usize,
    hidden: usize,
    seq: usize,
    norm: &[f32],
    w1: &[f32],
    w2: &[f32],
) -> Result<Built, Diagnostics> {
    program("x", dim, seq, "y", |g, x| {
        let x = normed(g, x, norm, dim);
        squared(g, x, dim, hidden, [w1, w2])[0]
    })
}

/// [`ffn_forward_rms_relu2`] with what its gradient needs: the output `out [1, dim + hidden, 1, seq]` is `y` and behind it
/// `h1 = w1 · n`, by channels, where `n` is the norm of `x`.
///
/// ```
/// use anemone::{Chip, Client, mil::generate};
/// let built = generate::ffn_forward_taps_relu2(1, 1, 1, &[1.0], &[2.0], &[3.0])?;
/// let client = Client::software(Chip::M4);
/// let mut model = client.compile_program(&built.program, &built.weights, &Default::default())?;
/// model.write_input_f32("x", &[3.0])?;
/// model.eval()?;
/// let mut out = [0.0; 2];
/// model.read_output_f32(0, &mut out)?; // y, then what it was squared of
/// assert!((out[0] - 12.0).abs() < 0.1 && (out[1] - 2.0).abs() < 0.01, "{out:?}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn ffn_forward_taps_relu2(
    dim: usize,
    hidden: usize,
    seq: usize,
    norm: &[f32],
    w1: &[f32],
    w2: &[f32],
) -> Result<Built, Diagnostics> {
    program("x", dim, seq, "out", |g, x| {
        let x = normed(g, x, norm, dim);
        let all = squared(g, x, dim, hidden, [w1, w2]);
        g.concat(&all, 1)
    })
}

/// The gradient of [`ffn_forward_relu2`]: of `dy` and `h1` it makes `dx = w1ᵀ · dh1` and `dh1 = 2 * relu(h1) * (w2ᵀ · dy)`.
///
/// Input `x [1, dim + hidden, 1, seq]` is `dy` and `h1` by channels, output `out` of the same shape `dx` and `dh1`. The
/// weights are those of the forward program.
///
/// ```
/// use anemone::mil::generate;
/// let built = generate::ffn_backward_relu2(2, 4, 3, &[0.5; 8], &[0.5; 8])?;
/// let shapes: Vec<String> = built.verified.main().outputs().map(|v| v.ty.to_string()).collect();
/// assert_eq!(shapes, ["tensor<fp16, [1, 6, 1, 3]>"]);
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[track_caller]
pub fn ffn_backward_relu2(
    dim: usize,
    hidden: usize,
    seq: usize,
    w1: &[f32],
    w2: &[f32],
) -> Result<Built, Diagnostics> {
    program("x", dim.saturating_add(hidden), seq, "out", |g, x| {
        let [dy, h1] = parts(g, x, [dim, hidden], seq);
        let dh = turned(g, dy, w2, hidden, dim);
        let slope = g.relu(h1);
        let slope = g.mul(slope, 2.0);
        let dh1 = g.multiplication(dh, slope);
        let dx = turned(g, dh1, w1, dim, hidden);
        g.concat(&[dx, dh1], 1)
    })
}
