//! Convolutions and matrix products.

use super::{built, made, program, program_on, weights};
use crate::graph::{Built, Graph, Shape};
use crate::mil::Opset;
use crate::source::{Diagnostics, codes};
use crate::types::{self, DType};
use crate::with;

/// A dense layer on fp32 numbers, computed in fp16: `y[o] = Σ w[o, i] * x[i]` in each place.
///
/// Input `x [1, inputs, 1, places]` and output `y [1, outputs, 1, places]` are fp32; `weights` are `[outputs, inputs]`.
///
/// ```
/// use anemone::{Chip, Client, mil::generate};
/// let built = generate::conv(2, 1, 3, &[1.0, -1.0])?;
/// let client = Client::software(Chip::M4);
/// let mut model = client.compile_program(&built.program, &built.weights, &Default::default())?;
/// model.write_input_f32("x", &[5.0, 6.0, 7.0, 1.0, 2.0, 4.0])?;
/// model.eval()?;
/// let mut y = [0.0; 3];
/// model.read_output_f32(0, &mut y)?;
/// assert_eq!(y, [4.0, 4.0, 3.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn conv(inputs: usize, outputs: usize, places: usize, weights: &[f32]) -> Result<Built, Diagnostics> {
    let mut g = Graph::new();
    let x = g.input("x", DType::Fp32, &[1, inputs, 1, places]);
    let x = g.cast(x, DType::Fp16);
    let y = g.inner_product(x, weights, inputs, outputs);
    let y = g.cast(y, DType::Fp32);
    g.output("y", y);
    built(&g)
}

/// A dense layer with fp32 numbers and weights, computed in fp32: as [`conv`] without a rounding.
///
/// The engine computes in fp16; this is for comparisons with it.
///
/// ```
/// use anemone::{Chip, Client, mil::generate};
/// let built = generate::conv_fp32(2, 1, 3, &[1.0, -1.0])?;
/// let client = Client::software(Chip::M4);
/// let mut model = client.compile_program(&built.program, &built.weights, &Default::default())?;
/// model.write_input_f32("x", &[5.0, 6.0, 7.0, 1.0, 2.0, 4.0])?;
/// model.eval()?;
/// let mut y = [0.0; 3];
/// model.read_output_f32(0, &mut y)?;
/// assert_eq!(y, [4.0, 4.0, 3.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn conv_fp32(
    inputs: usize,
    outputs: usize,
    places: usize,
    weights: &[f32],
) -> Result<Built, Diagnostics> {
    let mut g = Graph::new();
    let x = g.input("x", DType::Fp32, &[1, inputs, 1, places]);
    match types::Tensor::from_slice(&[outputs, inputs, 1, 1], weights) {
        Ok(w) => {
            let w = g.constant_tensor(w);
            let y = g.conv(x, w, ());
            g.output("y", y);
        }
        Err(e) => return Err(super::refused(&codes::SHAPE_MISMATCH, e.to_string())),
    }
    built(&g)
}

/// A dense layer on fp16 numbers: `y[o] = Σ w[o, i] * x[i]` in each place.
///
/// Input `x [1, inputs, 1, places]`, output `y [1, outputs, 1, places]`; `weights` are `[outputs, inputs]`.
///
/// ```
/// use anemone::{Chip, Client, mil::generate};
/// let built = generate::conv_fp16_io(2, 1, 3, &[1.0, -1.0])?;
/// let client = Client::software(Chip::M4);
/// let mut model = client.compile_program(&built.program, &built.weights, &Default::default())?;
/// model.write_input_f32("x", &[5.0, 6.0, 7.0, 1.0, 2.0, 4.0])?;
/// model.eval()?;
/// let mut y = [0.0; 3];
/// model.read_output_f32(0, &mut y)?;
/// assert_eq!(y, [4.0, 4.0, 3.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn conv_fp16_io(
    inputs: usize,
    outputs: usize,
    places: usize,
    weights: &[f32],
) -> Result<Built, Diagnostics> {
    program("x", inputs, places, "y", |g, x| g.inner_product(x, weights, inputs, outputs))
}

/// The same program as [`conv_fp16_io`]; the Go package has both names.
///
/// ```
/// use anemone::{Chip, Client, mil::generate};
/// let built = generate::conv_fp16(2, 1, 3, &[1.0, -1.0])?;
/// let client = Client::software(Chip::M4);
/// let mut model = client.compile_program(&built.program, &built.weights, &Default::default())?;
/// model.write_input_f32("x", &[5.0, 6.0, 7.0, 1.0, 2.0, 4.0])?;
/// model.eval()?;
/// let mut y = [0.0; 3];
/// model.read_output_f32(0, &mut y)?;
/// assert_eq!(y, [4.0, 4.0, 3.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn conv_fp16(
    inputs: usize,
    outputs: usize,
    places: usize,
    weights: &[f32],
) -> Result<Built, Diagnostics> {
    conv_fp16_io(inputs, outputs, places, weights)
}

/// A dense layer on fp16 numbers whose weights are an input: `y[o] = Σ w[o, i] * x[i]` in each place.
///
/// Inputs `x [1, inputs, 1, places]` and `w [outputs, inputs, 1, 1]`, output `y [1, outputs, 1, places]`. Of hardware it is
/// disputed whether it takes such weights; [`dynamic_matmul`] is what it is known to take.
///
/// ```
/// use anemone::{Chip, Client, mil::generate};
/// let built = generate::conv_dynamic_fp16(2, 1, 1)?;
/// let client = Client::software(Chip::M4);
/// let mut model = client.compile_program(&built.program, &built.weights, &Default::default())?;
/// model.write_input_f32("x", &[5.0, 1.0])?;
/// model.write_input_f32("w", &[1.0, -1.0])?;
/// model.eval()?;
/// let mut y = [0.0; 1];
/// model.read_output_f32(0, &mut y)?;
/// assert_eq!(y, [4.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn conv_dynamic_fp16(inputs: usize, outputs: usize, places: usize) -> Result<Built, Diagnostics> {
    let mut g = Graph::new();
    let x = g.input("x", DType::Fp16, &[1, inputs, 1, places]);
    let w = g.input("w", DType::Fp16, &[outputs, inputs, 1, 1]);
    let y = g.convolution_2d_1x1_dynamic(x, w);
    g.output("y", y);
    built(&g)
}

/// `x · wᵀ` for fp32 matrices whose rows lie in columns: the same program as [`conv`].
///
/// ```
/// use anemone::{Chip, Client, mil::generate};
/// let built = generate::matmul(2, 1, 3, &[1.0, -1.0])?;
/// let client = Client::software(Chip::M4);
/// let mut model = client.compile_program(&built.program, &built.weights, &Default::default())?;
/// model.write_input_f32("x", &[5.0, 6.0, 7.0, 1.0, 2.0, 4.0])?;
/// model.eval()?;
/// let mut y = [0.0; 3];
/// model.read_output_f32(0, &mut y)?;
/// assert_eq!(y, [4.0, 4.0, 3.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn matmul(inputs: usize, outputs: usize, batch: usize, weights: &[f32]) -> Result<Built, Diagnostics> {
    conv(inputs, outputs, batch, weights)
}

/// What goes in comes out, rounded to fp16: [`conv`] with ones on the diagonal.
///
/// Input `x` and output `y` are `[1, channels, 1, places]`, fp32.
///
/// ```
/// use anemone::{Chip, Client, mil::generate};
/// let built = generate::identity(1, 2)?;
/// let client = Client::software(Chip::M4);
/// let mut model = client.compile_program(&built.program, &built.weights, &Default::default())?;
/// model.write_input_f32("x", &[0.5, 2.0])?;
/// model.eval()?;
/// let mut y = [0.0; 2];
/// model.read_output_f32(0, &mut y)?;
/// assert_eq!(y, [0.5, 2.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn identity(channels: usize, places: usize) -> Result<Built, Diagnostics> {
    conv(channels, channels, places, &diagonal(channels)?)
}

/// What goes in comes out: [`conv_fp16_io`] with ones on the diagonal.
///
/// Input `x` and output `y` are `[1, channels, 1, places]`.
///
/// ```
/// use anemone::{Chip, Client, mil::generate};
/// let built = generate::identity_fp16_io(1, 2)?;
/// let client = Client::software(Chip::M4);
/// let mut model = client.compile_program(&built.program, &built.weights, &Default::default())?;
/// model.write_input_f32("x", &[0.5, 2.0])?;
/// model.eval()?;
/// let mut y = [0.0; 2];
/// model.read_output_f32(0, &mut y)?;
/// assert_eq!(y, [0.5, 2.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn identity_fp16_io(channels: usize, places: usize) -> Result<Built, Diagnostics> {
    conv_fp16_io(channels, channels, places, &diagonal(channels)?)
}

#[track_caller]
fn diagonal(channels: usize) -> Result<Vec<f32>, Diagnostics> {
    made(weights::identity(channels))
}

/// `y = factor * x`, as a convolution of one channel.
///
/// Input `x` and output `y` are `[1, 1, 1, places]`.
///
/// ```
/// use anemone::{Chip, Client, mil::generate};
/// let built = generate::scale_fp16_io(2, 3.0)?;
/// let client = Client::software(Chip::M4);
/// let mut model = client.compile_program(&built.program, &built.weights, &Default::default())?;
/// model.write_input_f32("x", &[0.5, 2.0])?;
/// model.eval()?;
/// let mut y = [0.0; 2];
/// model.read_output_f32(0, &mut y)?;
/// assert_eq!(y, [1.5, 6.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn scale_fp16_io(places: usize, factor: f32) -> Result<Built, Diagnostics> {
    program("x", 1, places, "y", |g, x| {
        let w = g.constant(&[factor], Shape::channels(1));
        g.conv(x, w, with! {})
    })
}

/// `y = x · w` with weights that are given when the program runs.
///
/// The input `x` is `[1, inputs, 1, batch + outputs]`: in channel `c` first the number `c` of each row of the left matrix
/// `[batch, inputs]`, then row `c` of the right one, `[inputs, outputs]`. The output `y` is `[1, outputs, 1, batch]`, a row
/// of the product in each column. [`DynamicMatmul`](crate::dynamic_matmul::DynamicMatmul) runs it.
///
/// ```
/// use anemone::{Chip, Client, CompileOptions, mil::generate};
/// let built = generate::dynamic_matmul(2, 1, 32)?;
/// let client = Client::software(Chip::M4);
/// let mut model = client.compile_program(&built.program, &built.weights, &CompileOptions::default())?;
/// let x = [vec![3.0; 32], vec![10.0], vec![4.0; 32], vec![0.5]].concat(); // 32 rows of [3, 4], and [10, 0.5]
/// model.write_input_f32("x", &x)?;
/// model.eval()?;
/// let mut y = [0.0; 32];
/// model.read_output_f32("y", &mut y)?;
/// assert_eq!(y, [32.0; 32]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn dynamic_matmul(inputs: usize, outputs: usize, batch: usize) -> Result<Built, Diagnostics> {
    // In the opset that all generations take, and so in the older dialect (source: maderix/ANE).
    let g = Graph::with_opset(Opset::Ios16);
    program_on(g, "x", inputs, batch.saturating_add(outputs), "y", |g, x| {
        let rows = g.slice(x, [0; 4], [1, inputs, 1, batch]);
        let weights = g.slice(x, [0, 0, 0, batch], [1, inputs, 1, outputs]);
        let rows = g.reshape(rows, [1, 1, inputs, batch]);
        let weights = g.reshape(weights, [1, 1, inputs, outputs]);
        let rows = g.transpose(rows, [0, 1, 3, 2]);
        let product = g.matrix_multiplication(rows, weights, false, false);
        let columns = g.transpose(product, [0, 1, 3, 2]);
        g.reshape(columns, [1, outputs, 1, batch])
    })
}
