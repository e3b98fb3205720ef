//! States.

use super::built;
use crate::graph::{Built, Graph};
use crate::source::Diagnostics;
use crate::types::DType;

/// What a state of this name holds: output `y`, of its shape. It has no inputs.
///
/// ```
/// use anemone::{Chip, Client, mil::generate};
/// let built = generate::read_state("cache", [1, 1, 1, 2])?;
/// let client = Client::software(Chip::M4);
/// let mut model = client.compile_program(&built.program, &built.weights, &Default::default())?;
/// model.eval()?;
/// let mut y = [0.0; 2];
/// model.read_output_f32(0, &mut y)?;
/// assert_eq!(y, [0.0, 0.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn read_state(name: &str, shape: [usize; 4]) -> Result<Built, Diagnostics> {
    let mut g = Graph::new();
    let state = g.state(name, &shape);
    let y = g.read_state(state);
    g.output("y", y);
    built(&g)
}

/// Sets a state of this name to the input `value`, and gives what it holds then: output `y`. All are of this shape.
///
/// The program writes and then reads, which is what Core ML makes of `coreml_update_state`, an op that no program that is
/// stored has.
///
/// ```
/// use anemone::{Chip, Client, mil::generate};
/// let built = generate::update_state("cache", [1, 1, 1, 2])?;
/// let client = Client::software(Chip::M4);
/// let mut model = client.compile_program(&built.program, &built.weights, &Default::default())?;
/// model.write_input_f32("value", &[3.0, 4.0])?;
/// model.eval()?;
/// let mut y = [0.0; 2];
/// model.read_output_f32(0, &mut y)?;
/// assert_eq!(y, [3.0, 4.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn update_state(name: &str, shape: [usize; 4]) -> Result<Built, Diagnostics> {
    let mut g = Graph::new();
    let value = g.input("value", DType::Fp16, &shape);
    let state = g.state(name, &shape);
    g.write_state(state, value);
    let y = g.read_state(state);
    g.output("y", y);
    built(&g)
}
