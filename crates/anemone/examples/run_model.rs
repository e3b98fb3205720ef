//! Opens a model, checks it, loads it and runs it on a picture.
//!
//! `cargo run --example run_model [MODEL]`, where MODEL takes one picture of 8 by 8 pixels. Without it the
//! model of `examples/models` is taken, which tells handwritten digits apart.
#![allow(clippy::print_stdout)]

use anemone::source::render;
use anemone::types::{DType, Tensor};
use anemone::{bundle, device, verify};

/// A three, written by hand: how dark each pixel is, from 0 to 16.
const THREE: [[f64; 8]; 8] = [
    [0., 0., 15., 16., 13., 6., 0., 0.],
    [0., 0., 12., 12., 14., 13., 0., 0.],
    [0., 0., 0., 0., 11., 9., 0., 0.],
    [0., 0., 1., 11., 15., 2., 0., 0.],
    [0., 0., 8., 16., 16., 12., 1., 0.],
    [0., 1., 8., 4., 9., 16., 3., 0.],
    [0., 5., 14., 7., 10., 15., 1., 0.],
    [0., 2., 12., 16., 14., 6., 0., 0.],
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    run(&std::env::args().nth(1).unwrap_or_else(|| DIGITS.into()))
}

/// A model that tells handwritten digits apart.
pub(crate) const DIGITS: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/models/digits.mlpackage");

pub(crate) fn run(path: &str) -> Result<(), Box<dyn std::error::Error>> {
    // MIL text, a package and a compiled model are opened in the same way.
    let bundle = bundle::open(path)?;

    // Only a verified program is run. What is wrong with one is data: here it is drawn for people.
    let report = verify::verify(&bundle.program, &bundle.weights);
    for diagnostic in report.diagnostics.iter() {
        println!("{}\n", render(diagnostic, bundle.source.as_ref(), false));
    }
    let verified = report.verified.ok_or(report.diagnostics)?;

    // Loading does once what does not depend on the inputs; the model can then run as often as wanted.
    let model = device::load(verified.main(), device::Engine::Cpu, &device::Options::default())?;
    let [input] = model.inputs() else { return Err("the model does not take one picture".into()) };
    println!("{path} takes `{}` of type `{}`", input.name, input.ty);

    let picture = Tensor::from_f64s(DType::Fp16, &[1, 1, 8, 8], THREE.as_flattened())?;
    let outputs = model.run(&[(input.name.as_str(), picture)], &model.new_states()?)?;

    for row in THREE {
        println!("    {}", row.map(|dark| [" ", "░", "▒", "▓", "█"][dark as usize / 4]).concat());
    }
    for (name, value) in outputs {
        let Some(tensor) = value.as_tensor() else { continue };
        println!("{name} of type `{}`:", tensor.ty());
        for (digit, p) in tensor.to_f64s().into_iter().enumerate() {
            println!("    {digit}  {p:.4}  {}", "#".repeat((p * 40.0).round() as usize));
        }
    }
    Ok(())
}
