//! No program makes verification or the engines panic, and a verified program runs or says why not.
#![no_main]

use anemone::bundle::Weights;
use anemone::device::{self, Engine, Options};
use anemone::types::{Tensor, Type};
use anemone::{text, verify};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let Ok(program) = text::parse(input) else { return };
    let report = verify::verify(&program, &Weights::none());
    assert_eq!(report.verified.is_none(), report.diagnostics.has_errors());
    let Some(verified) = report.verified else { return };
    for function in verified.functions() {
        let options = Options { threads: 1, memory: 1 << 20, turns: 100 };
        for engine in Engine::ALL {
            let Ok(model) = device::load(function, engine, &options) else { continue };
            let Ok(states) = model.new_states() else { continue };
            let mut inputs = Vec::new();
            for f in model.inputs() {
                let Type::Tensor(t) = &f.ty else { break };
                let shape: Vec<usize> = t.shape.iter().map(|d| d.known().unwrap_or(2) as usize).collect();
                // Inputs count against the memory of the harness, not of the run.
                if shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).is_none_or(|n| n > 1 << 16) {
                    break;
                }
                let Ok(zeros) = Tensor::zeros(t.dtype, &shape) else { break };
                inputs.push((&*f.name, zeros));
            }
            if inputs.len() == model.inputs().len() {
                let _ = model.run(&inputs, &states);
            }
        }
    }
});
