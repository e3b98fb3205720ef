//! A block of a transformer, written with `Graph` for the engine: the model's dimension in the channels, the sequence along
//! the width.
//!
//! `cargo run --example build_transformer` runs it on both software engines and says how far they are apart.
#![allow(clippy::print_stdout)]

use anemone::device::{self, Engine, Options};
use anemone::types::{self, DType};
use anemone::{Graph, Shape, Tensor, with};

/// The model's dimension, attention heads, and the length of the sequence.
const MODEL: usize = 64;
const HEADS: usize = 4;
const SEQUENCE: usize = 64;

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut g = Graph::new();
    let x = g.placeholder(Shape::spatial(MODEL, 1, SEQUENCE));
    let y = block(&mut g, x);
    g.output("y", y);
    let built = g.build()?;
    println!("{} statements", built.program.functions[0].body.calls.len());

    let x: Vec<f64> = (0..MODEL * SEQUENCE).map(|i| (i as f64 * 0.61).sin()).collect();
    let x = types::Tensor::from_f64s(DType::Fp16, &[1, MODEL, 1, SEQUENCE], &x)?;
    let mut results = Vec::new();
    for engine in Engine::ALL {
        let model = device::load(built.verified.main(), engine, &Options::default())?;
        let outputs = model.run(&[("input_0", x.clone())], &model.new_states()?)?;
        results.push(outputs[0].1.as_tensor().ok_or("the result is a tensor")?.to_f64s());
    }
    let apart = results[0].iter().zip(&results[1]).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    println!("the engines are {apart:.4} apart at most");
    assert!(apart < 0.05);
    Ok(())
}

/// Attention and a feed-forward layer, each after a norm and beside what it adds to.
fn block(g: &mut Graph, x: Tensor) -> Tensor {
    let normed = norm(g, x);
    let attended = attention(g, normed);
    let x = g.addition(x, attended);
    let normed = norm(g, x);
    let wide = g.inner_product(normed, &weights(4 * MODEL * MODEL, 5), MODEL, 4 * MODEL);
    let wide = g.gelu(wide, ());
    let narrow = g.inner_product(wide, &weights(4 * MODEL * MODEL, 6), 4 * MODEL, MODEL);
    g.addition(x, narrow)
}

fn norm(g: &mut Graph, x: Tensor) -> Tensor {
    let ones = vec![1.0f32; MODEL];
    let normed = g.layer_norm(x, with! { axes: [1], epsilon: 1e-5 });
    let gain = g.constant(&ones, Shape::channels(MODEL));
    g.multiplication(normed, gain)
}

/// Each element of the sequence looks at itself and what came before it.
fn attention(g: &mut Graph, x: Tensor) -> Tensor {
    let size = MODEL / HEADS;
    let [q, k, v] = [1, 2, 3].map(|seed| {
        let projected = g.inner_product(x, &weights(MODEL * MODEL, seed), MODEL, MODEL);
        // [1, heads, size, sequence]
        g.reshape(projected, Shape::spatial(HEADS, size, SEQUENCE))
    });
    let scores = g.matrix_multiplication(q, k, true, false);
    let scores = g.mul(scores, 1.0 / (size as f64).sqrt());
    let mask: Vec<f32> =
        (0..SEQUENCE * SEQUENCE).map(|i| if i % SEQUENCE > i / SEQUENCE { -1e4 } else { 0.0 }).collect();
    let mask = g.constant(&mask, Shape::spatial(1, SEQUENCE, SEQUENCE));
    let scores = g.addition(scores, mask);
    let weighed = g.soft_max(scores, -1);
    // [1, heads, size, sequence] again: values times transposed weights.
    let mixed = g.matrix_multiplication(v, weighed, false, true);
    let mixed = g.reshape(mixed, Shape::spatial(MODEL, 1, SEQUENCE));
    g.inner_product(mixed, &weights(MODEL * MODEL, 4), MODEL, MODEL)
}

/// Numbers that look like weights.
fn weights(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| (((i + seed * 101) * 7919 % 1009) as f32 / 1009.0 - 0.5) * 0.2).collect()
}
