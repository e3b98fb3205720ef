// What the examples of `graph::families` share.

use anemone::device::{self, Engine, Options};
pub use anemone::types::{self, DType};
pub use anemone::{Graph, Tensor};

/// A constant of fp32.
pub fn of(g: &mut Graph, dims: &[usize], numbers: &[f32]) -> Tensor {
    g.constant_tensor(types::Tensor::from_slice(dims, numbers).unwrap())
}

/// A constant of int32.
pub fn ints(g: &mut Graph, dims: &[usize], numbers: &[i32]) -> Tensor {
    g.constant_tensor(types::Tensor::from_slice(dims, numbers).unwrap())
}

/// A constant of bools.
pub fn bools(g: &mut Graph, numbers: &[bool]) -> Tensor {
    g.constant_tensor(types::Tensor::from_bools(&[numbers.len()], numbers).unwrap())
}

/// A constant tensor of any dtype, for arguments whose numbers Rust has no type for.
pub fn packed(dtype: DType, dims: &[usize], numbers: &[i64]) -> types::Tensor {
    types::Tensor::from_i64s(dtype, dims, numbers).unwrap()
}

/// The numbers of each result that nothing reads, in the order in which they were made, rounded to three places.
pub fn run(g: &Graph) -> Vec<Vec<f64>> {
    let built = g.build().unwrap_or_else(|d| panic!("{d}"));
    let model = device::load(built.verified.main(), Engine::Reference, &Options::default()).unwrap();
    let outputs = model.run(&[], &model.new_states().unwrap()).unwrap();
    let rounded = |v: f64| (v * 1e3).round() / 1e3;
    let numbers = |y: &types::Datum| y.as_tensor().unwrap().to_f64s().into_iter().map(rounded).collect();
    outputs.iter().map(|(_, y)| numbers(y)).collect()
}
