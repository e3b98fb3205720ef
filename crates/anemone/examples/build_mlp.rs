//! A perceptron of two layers, written with `Graph`, run and saved.
//!
//! `cargo run --example build_mlp` runs it on the software engine and prints what the columns give.
#![allow(clippy::print_stdout)]

use anemone::device::{self, Engine, Options};
use anemone::types::{DType, Tensor};
use anemone::{Graph, Shape, bundle};

/// Features that go in, units of the hidden layer, classes that come out.
const SIZES: [usize; 3] = [16, 32, 4];
/// How many samples go through at once: they lie along the width.
const SAMPLES: usize = 64;

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [features, hidden, classes] = SIZES;
    let mut g = Graph::new();
    let x = g.placeholder(Shape::spatial(features, 1, SAMPLES));
    let h = g.inner_product(x, &weights(hidden * features), features, hidden);
    let bias = g.constant(&weights(hidden), Shape::channels(hidden));
    let h = g.addition(h, bias);
    let h = g.relu(h);
    let y = g.inner_product(h, &weights(classes * hidden), hidden, classes);
    let y = g.soft_max(y, 1);
    g.output("probabilities", y);
    let built = g.build()?;

    let model = device::load(built.verified.main(), Engine::Cpu, &Options::default())?;
    let x: Vec<f64> = (0..features * SAMPLES).map(|i| (i as f64 * 0.37).sin()).collect();
    let x = Tensor::from_f64s(DType::Fp16, &[1, features, 1, SAMPLES], &x)?;
    let outputs = model.run(&[("input_0", x)], &model.new_states()?)?;
    let probabilities = outputs[0].1.as_tensor().ok_or("the result is a tensor")?.to_f64s();
    for sample in 0..3 {
        let shown: Vec<String> =
            (0..classes).map(|c| format!("{:.3}", probabilities[c * SAMPLES + sample])).collect();
        println!("sample {sample}: {}", shown.join(" "));
    }
    let sums = (0..SAMPLES).map(|s| (0..classes).map(|c| probabilities[c * SAMPLES + s]).sum::<f64>());
    assert!(sums.into_iter().all(|sum| (sum - 1.0).abs() < 2e-3), "each column sums to 1");

    let path = std::env::temp_dir().join("anemone-mlp.mlpackage");
    let written = bundle::write_mlpackage(&built.bundle(), &path)?;
    println!("saved as {}", written.path.display());
    Ok(())
}

/// Numbers that look like weights.
fn weights(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919 % 1000) as f32 / 1000.0 - 0.5) * 0.5).collect()
}
