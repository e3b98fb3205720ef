//! What plans allocate when they run again: nothing.

#[path = "../golden/calls.rs"]
mod calls;
#[path = "../golden/vectors.rs"]
mod vectors;

use std::collections::BTreeMap;

use super::allocations::above;
use anemone::bundle::Weights;
use anemone::device::{self, Engine, Options};
use anemone::mil::Opset;
use anemone::plan::Plan;
use anemone::types::Tensor;
use anemone::{ops, verify};
use calls::{Inputs, program_of};
use vectors::{files, lines, named, tensor};

/// Whether the second run of a plan on this thread allocates.
fn goes_on(plan: &Plan, inputs: &[&[u8]]) -> bool {
    let mut arena = plan.arena();
    let mut outputs: Vec<Tensor> = plan
        .outputs()
        .iter()
        .map(|io| Tensor::zeros(io.ty.dtype, &io.ty.shape.known().unwrap()).unwrap())
        .collect();
    let mut outputs: Vec<&mut [u8]> = outputs.iter_mut().map(|t| t.bytes_mut().unwrap()).collect();
    let mut run = || plan.run(&mut arena, inputs, &mut outputs, &mut [], 1).unwrap();
    run();
    above(run).1 > 0
}

/// Every golden vector as a plan, with its arguments as inputs and as constants: the second run allocates nothing.
#[test]
fn a_second_run_allocates_nothing() {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in files("vectors", "tsv") {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let op = ops::find(name).unwrap();
        for (_, cells) in lines(&path) {
            let arrow = cells.iter().position(|c| c == "->").unwrap();
            let opset = Opset::from_name(&cells[0]).unwrap();
            let results: Vec<Tensor> = cells[arrow + 1..].iter().map(|c| tensor(c)).collect();
            for inputs in [Inputs::All, Inputs::First] {
                let arguments = named(&cells[4..arrow]);
                let (program, given) = program_of(op, opset, &arguments, &results, inputs).unwrap();
                let verified = verify::verify(&program, &Weights::none()).verified.unwrap();
                let model = device::load(verified.main(), Engine::Cpu, &Options::default()).unwrap();
                let Some(plan) = model.plan() else { continue };
                let given: Vec<&[u8]> = given.iter().map(|(_, t)| t.bytes()).collect();
                if goes_on(plan, &given) {
                    found.entry(name.into()).or_default().push(cells[3].to_string());
                }
            }
        }
    }
    assert!(found.is_empty(), "these allocate: {found:#?}");
}
