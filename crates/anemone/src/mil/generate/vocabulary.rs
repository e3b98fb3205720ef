//! What stands at the vocabulary: logits, their gradient, and probabilities.

use super::{program, turned};
use crate::graph::Built;
use crate::source::Diagnostics;

/// Logits: `y = embed · x`.
///
/// Input `x [1, dim, 1, seq]`, output `y [1, vocab, 1, seq]`; `embed` is the table of embeddings, `[vocab, dim]`.
#[track_caller]
pub fn classifier_forward(dim: usize, vocab: usize, seq: usize, embed: &[f32]) -> Result<Built, Diagnostics> {
    program("x", dim, seq, "y", |g, x| g.inner_product(x, embed, dim, vocab))
}

/// The gradient of [`classifier_forward`] by its input: `dx = embedᵀ · dl`.
///
/// Input `dl [1, vocab, 1, seq]`, output `dx [1, dim, 1, seq]`; `embed` as there.
#[track_caller]
pub fn classifier_backward(
    dim: usize,
    vocab: usize,
    seq: usize,
    embed: &[f32],
) -> Result<Built, Diagnostics> {
    program("dl", vocab, seq, "dx", |g, dl| turned(g, dl, embed, dim, vocab))
}

/// Probabilities: softmax over the channels of each place.
///
/// Input `x` and output `y` are `[1, vocab, 1, seq]`.
#[track_caller]
pub fn softmax_vocab(vocab: usize, seq: usize) -> Result<Built, Diagnostics> {
    program("x", vocab, seq, "y", |g, x| g.soft_max(x, 1))
}
