//! States.

use super::built;
use crate::graph::{Built, Graph};
use crate::source::Diagnostics;
use crate::types::DType;

/// What a state of this name holds: output `y`, of its shape. It has no inputs.
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
