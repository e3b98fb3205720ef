//! Products with matrices that are given when they run, and layers that are kept: every test runs on the software engine,
//! and on the hardware's path over a stand-in for Apple's side.

mod dynamic_matmul;
mod linear;
#[path = "../ane/software.rs"]
mod software;

use anemone::device::Engine;
use anemone::{Client, chip::Chip};
use anemone_apple::fake::Fake;
use half::f16;

/// Runs a test on each engine.
fn on_each_engine(test: impl Fn(&Client)) {
    test(&Client::software(Chip::M4));
    let fake = Fake::new(software::machine(Engine::Cpu));
    test(&Client::over(&fake.open().unwrap()));
    fake.finish().check();
}

/// Whole numbers from -4 to 4, whose products and sums fp16 holds.
fn numbers(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7 + i / 5 * seed + seed * 3) % 9) as f32 - 4.0).collect()
}

/// `x [rows, inner] · w [inner, columns]`, in f64, rounded to fp16.
fn product(x: &[f32], w: &[f32], [rows, inner, columns]: [usize; 3]) -> Vec<f32> {
    let mut y = Vec::new();
    for r in 0..rows {
        for c in 0..columns {
            let sum: f64 =
                (0..inner).map(|i| f64::from(x[r * inner + i]) * f64::from(w[i * columns + c])).sum();
            y.push(f16::from_f64(sum).to_f32());
        }
    }
    y
}

/// A matrix of so many columns, turned.
fn transposed(x: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|c| x.iter().skip(c).step_by(columns.max(1)).copied()).collect()
}
