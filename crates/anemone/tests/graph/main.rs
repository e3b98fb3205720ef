//! The builder: every method, every fault, and what a graph becomes.

mod faults;
mod forms;
#[rustfmt::skip]
mod methods;
mod named;
mod programs;
mod random;
mod vectors;

use anemone::device::{self, Engine, Options};
use anemone::graph::Built;
use anemone::types::{self, DType};
use anemone::{Graph, Shape, Tensor};

/// A tensor of fp16.
fn halves(dims: &[usize], values: &[f64]) -> types::Tensor {
    types::Tensor::from_f64s(DType::Fp16, dims, values).unwrap()
}

/// The program of a graph that must be right.
#[track_caller]
fn built(g: &Graph) -> Built {
    g.build().unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// What the reference engine gives of the function `main`.
#[track_caller]
fn run(built: &Built, inputs: &[(&str, types::Tensor)]) -> Vec<(String, types::Tensor)> {
    let model = device::load(built.verified.main(), Engine::Reference, &Options::default()).unwrap();
    let outputs = model.run(inputs, &model.new_states().unwrap()).unwrap();
    outputs.into_iter().map(|(name, v)| (name.to_string(), v.as_tensor().unwrap().clone())).collect()
}

/// A graph with inputs of these shapes.
fn graph<const N: usize>(shapes: [[usize; 4]; N]) -> (Graph, [Tensor; N]) {
    let mut g = Graph::new();
    let tensors = shapes.map(|s| g.placeholder(Shape::from(s)));
    (g, tensors)
}
