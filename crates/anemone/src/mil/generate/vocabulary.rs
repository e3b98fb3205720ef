//! What stands at the vocabulary: logits, their gradient, and probabilities.

use super::{program, turned};
use crate::graph::Built;
use crate::source::Diagnostics;

/// Logits: `y = embed · x`.
///
/// Input `x [1, dim, 1, seq]`, output `y [1, vocab, 1, seq]`; `embed` is the table of embeddings, `[vocab, dim]`.
///
/// ```
/// use anemone::{Chip, Client, mil::generate};
/// let built = generate::classifier_forward(2, 3, 1, &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0])?;
/// let client = Client::software(Chip::M4);
/// let mut model = client.compile_program(&built.program, &built.weights, &Default::default())?;
/// model.write_input_f32("x", &[5.0, 2.0])?;
/// model.eval()?;
/// let mut y = [0.0; 3];
/// model.read_output_f32(0, &mut y)?;
/// assert_eq!(y, [5.0, 2.0, 7.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn classifier_forward(dim: usize, vocab: usize, seq: usize, embed: &[f32]) -> Result<Built, Diagnostics> {
    program("x", dim, seq, "y", |g, x| g.inner_product(x, embed, dim, vocab))
}

/// The gradient of [`classifier_forward`] by its input: `dx = embedᵀ · dl`.
///
/// Input `dl [1, vocab, 1, seq]`, output `dx [1, dim, 1, seq]`; `embed` as there.
///
/// ```
/// use anemone::{Chip, Client, mil::generate};
/// let built = generate::classifier_backward(2, 3, 1, &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0])?;
/// let client = Client::software(Chip::M4);
/// let mut model = client.compile_program(&built.program, &built.weights, &Default::default())?;
/// model.write_input_f32("dl", &[1.0, 2.0, 3.0])?;
/// model.eval()?;
/// let mut y = [0.0; 2];
/// model.read_output_f32(0, &mut y)?;
/// assert_eq!(y, [4.0, 5.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
///
/// ```
/// use anemone::{Chip, Client, mil::generate};
/// let built = generate::softmax_vocab(4, 1)?;
/// let client = Client::software(Chip::M4);
/// let mut model = client.compile_program(&built.program, &built.weights, &Default::default())?;
/// model.write_input_f32("x", &[1.0; 4])?;
/// model.eval()?;
/// let mut y = [0.0; 4];
/// model.read_output_f32(0, &mut y)?;
/// assert_eq!(y, [0.25; 4]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn softmax_vocab(vocab: usize, seq: usize) -> Result<Built, Diagnostics> {
    program("x", vocab, seq, "y", |g, x| g.soft_max(x, 1))
}
