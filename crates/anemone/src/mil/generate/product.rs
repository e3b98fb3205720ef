//! Convolutions and matrix products.

use crate::graph::{Built, Graph};
use crate::source::Diagnostics;
use crate::types::DType;

/// A convolution with a kernel of one element, `y[o] = Σ w[o, i] * x[i]` in each place, with fp16 inputs and outputs.
///
/// The input `x` is `[1, inputs, 1, places]`, the output `y` `[1, outputs, 1, places]`; the weights are `[outputs,
/// inputs]`, row by row.
///
/// # Errors
///
/// What is wrong with the numbers, as [`Graph::build`].
#[track_caller]
pub fn conv_fp16_io(
    inputs: usize,
    outputs: usize,
    places: usize,
    weights: &[f32],
) -> Result<Built, Diagnostics> {
    let mut g = Graph::new();
    let x = g.input("x", DType::Fp16, &[1, inputs, 1, places]);
    let y = g.inner_product(x, weights, inputs, outputs);
    g.output("y", y);
    g.build()
}

/// `y = x · w` with weights that are given when the program runs.
///
/// The input `x` is `[1, inputs, 1, batch + outputs]`: in channel `c` first the number `c` of each row of `x`, then row
/// `c` of `w [inputs, outputs]`. The output `y` is `[1, outputs, 1, batch]`, a row of the product in each column.
///
/// ```
/// use anemone::{Chip, Client, CompileOptions, mil::generate};
/// let built = generate::dynamic_matmul(2, 1, 32)?;
/// let mut model = Client::software(Chip::M4).compile_program(&built.program, &built.weights, &CompileOptions::default())?;
/// let x = [vec![3.0; 32], vec![10.0], vec![4.0; 32], vec![0.5]].concat(); // x = [3, 4] in each of 32 rows, w = [10, 0.5]
/// model.write_input_f32("x", &x)?;
/// model.eval()?;
/// let mut y = [0.0; 32];
/// model.read_output_f32("y", &mut y)?;
/// assert_eq!(y, [32.0; 32]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// What is wrong with the numbers, as [`Graph::build`].
#[track_caller]
pub fn dynamic_matmul(inputs: usize, outputs: usize, batch: usize) -> Result<Built, Diagnostics> {
    let mut g = Graph::new();
    let x = g.input("x", DType::Fp16, &[1, inputs, 1, batch.saturating_add(outputs)]);
    let rows = g.slice(x, [0; 4], [1, inputs, 1, batch]);
    let weights = g.slice(x, [0, 0, 0, batch], [1, inputs, 1, outputs]);
    let rows = g.reshape(rows, [1, 1, inputs, batch]);
    let weights = g.reshape(weights, [1, 1, inputs, outputs]);
    let rows = g.transpose(rows, [0, 1, 3, 2]);
    let product = g.matrix_multiplication(rows, weights, false, false);
    let columns = g.transpose(product, [0, 1, 3, 2]);
    let y = g.reshape(columns, [1, outputs, 1, batch]);
    g.output("y", y);
    g.build()
}
