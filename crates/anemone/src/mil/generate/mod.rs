//! Programs that language models are made of, ready to be compiled: convolutions, products, norms, attention, feed-forward
//! layers and what stands at the vocabulary, forward and backward.
//!
//! Each function writes one program with the [builder](crate::graph) and gives it with its weights. Activations are fp16,
//! `[1, channels, 1, seq]`: a token in each column. Weights of dense layers are `[out, in]`, row by row, as PyTorch's
//! `nn.Linear` has them, and are rounded once to fp16; the programs of gradients take the same matrices as those forward,
//! and turn them. `docs/generate.md` lists all programs with their formulas.
//!
//! ```
//! use anemone::{Chip, Client, CompileOptions, mil::generate};
//! let built = generate::final_rms_norm(4, 32, &[1.0, 1.0, 1.0, 2.0])?;
//! let client = Client::software(Chip::M4);
//! let mut model = client.compile_program(&built.program, &built.weights, &CompileOptions::default())?;
//! model.write_input_f32("x", &[3.0; 128])?;
//! model.eval()?;
//! let mut y = [0.0; 128];
//! model.read_output_f32("y", &mut y)?;
//! assert_eq!((y[0], y[127]), (1.0, 2.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Errors
//!
//! Numbers and weights that do not fit together are diagnostics at the line that called, as those of
//! [`Graph::build`]; the functions below do not say so again.

mod attention;
mod ffn;
mod norm;
mod product;
mod state;
mod vocabulary;
pub mod weights;

pub use attention::{
    QkvWeights, gqa_expand, qkv_backward, qkv_forward_rms, sdpa, sdpa_apply_forward, sdpa_backward_1,
    sdpa_backward_2, sdpa_forward, sdpa_forward_taps,
};
pub use ffn::{
    FfnWeights, ffn_backward, ffn_backward_relu2, ffn_forward, ffn_forward_relu2, ffn_forward_rms,
    ffn_forward_rms_relu2, ffn_forward_taps, ffn_forward_taps_relu2,
};
pub use norm::{
    final_rms_norm, final_rms_norm_dynamic, rms_norm, rms_norm_backward, rms_norm_backward_dynamic,
};
pub use product::{
    conv, conv_dynamic_fp16, conv_fp16, conv_fp16_io, conv_fp32, dynamic_matmul, identity, identity_fp16_io,
    matmul, scale_fp16_io,
};
pub use state::{read_state, update_state};
pub use vocabulary::{classifier_backward, classifier_forward, softmax_vocab};

use std::panic::Location;

use crate::error::Error;
use crate::graph::{Built, Graph, Shape, Tensor};
use crate::source::{Code, Diagnostic, Diagnostics, codes};
use crate::types::DType;

/// What the norms without a parameter for it add to the mean of squares.
///
/// ```
/// use anemone::mil::generate;
/// // A norm of zeros is no division by zero.
/// assert!(generate::EPSILON > 0.0);
/// ```
pub const EPSILON: f64 = 1e-5;

/// A program of one input and one output.
#[track_caller]
fn program(
    name: &str,
    channels: usize,
    seq: usize,
    result: &str,
    write: impl FnOnce(&mut Graph, Tensor) -> Tensor,
) -> Result<Built, Diagnostics> {
    program_on(Graph::new(), name, channels, seq, result, write)
}

/// A program of one input and one output, in the opset of an empty graph.
#[track_caller]
fn program_on(
    mut g: Graph,
    name: &str,
    channels: usize,
    seq: usize,
    result: &str,
    write: impl FnOnce(&mut Graph, Tensor) -> Tensor,
) -> Result<Built, Diagnostics> {
    let x = g.input(name, DType::Fp16, &[1, channels, 1, seq]);
    let y = write(&mut g, x);
    g.output(result, y);
    built(&g)
}

/// The program of a graph. What is wrong with it is said of the line that asked for the program, and not of those that
/// wrote it.
#[track_caller]
fn built(g: &Graph) -> Result<Built, Diagnostics> {
    let here = Location::caller();
    g.build().map_err(|wrong| {
        let mut moved = Diagnostics::default();
        for mut d in wrong {
            d.labels.clear();
            moved.push(d.at_rust(here, "asked for here"));
        }
        moved
    })
}

/// Cuts a tensor into parts of so many channels each.
fn parts<const N: usize>(g: &mut Graph, x: Tensor, channels: [usize; N], seq: usize) -> [Tensor; N] {
    let mut first = 0usize;
    channels.map(|c| {
        let part = g.slice(x, [0, first, 0, 0], [1, c, 1, seq]);
        first = first.saturating_add(c);
        part
    })
}

/// A dense layer of weights `[out, in]` the other way: `y[i] = Σ w[o, i] * x[o]`.
fn turned(g: &mut Graph, x: Tensor, w: &[f32], inputs: usize, outputs: usize) -> Tensor {
    match w.len() == inputs.saturating_mul(outputs) {
        true => g.inner_product(x, &transpose(w, inputs), outputs, inputs),
        // Refused, with the number that was given.
        false => g.inner_product(x, w, outputs, inputs),
    }
}

/// Turns a matrix of so many columns.
fn transpose(w: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|c| w.iter().skip(c).step_by(columns.max(1)).copied()).collect()
}

/// A factor for each channel.
fn of_channels(g: &mut Graph, w: &[f32], channels: usize) -> Tensor {
    g.constant(w, Shape::channels(channels))
}

/// Weights that were made, if they are not too many.
#[track_caller]
fn made(weights: Result<Vec<f32>, Error>) -> Result<Vec<f32>, Diagnostics> {
    match weights {
        Ok(weights) => Ok(weights),
        Err(e) => Err(refused(&codes::TENSOR_TOO_LARGE, e.to_string())),
    }
}

#[track_caller]
fn refused(code: &'static Code, message: String) -> Diagnostics {
    Diagnostic::new(code, message).at_rust(Location::caller(), "asked for here").into()
}
