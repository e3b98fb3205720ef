//! One kernel for all 28 layers of a model: compiled once, run 28 times, with the weights of each layer put into its input.
//!
//! This is how the crate `rane` describes dynamic weights. `cargo run --example one_kernel_many_layers` runs it.
#![allow(clippy::print_stdout)]

use anemone::driver::{Program, Source, Surface};
use anemone::fp16::{f32_to_fp16, fp16_to_f32};
use anemone::{Client, Error};

const LAYERS: usize = 28;
const CHANNELS: usize = 32;
const SEQUENCE: usize = 32;

pub(crate) fn main() -> Result<(), Error> {
    let client = Client::open()?;
    let source = Source::matmul(CHANNELS, CHANNELS, SEQUENCE);
    let mut kernel = Program::compile_on(&client, &source, &[])?;
    kernel.load()?;

    let input = Surface::with_shape(CHANNELS, SEQUENCE + CHANNELS)?;
    let output = Surface::with_shape(CHANNELS, SEQUENCE)?;
    input.write(|numbers| {
        for (c, row) in numbers.chunks_exact_mut(SEQUENCE + CHANNELS).enumerate() {
            (0..SEQUENCE).for_each(|s| row[s] = f32_to_fp16((c * SEQUENCE + s) as f32));
        }
    });
    for layer in 0..LAYERS {
        if layer > 0 {
            // The activations are what the layer before has given.
            output.read(|given| input.write(|taken| copy_rows(given, taken)));
        }
        input.write(|numbers| stage(numbers, layer));
        kernel.run(&input, &output)?;
    }

    // Each layer moves the channels on by its number.
    let moved = (0..LAYERS).sum::<usize>() % CHANNELS;
    let y = output.read(|numbers| numbers.iter().map(|&n| fp16_to_f32(n)).collect::<Vec<_>>());
    for (o, row) in y.chunks_exact(SEQUENCE).enumerate() {
        let from = (o + CHANNELS - moved) % CHANNELS;
        assert!(row.iter().enumerate().all(|(s, &y)| y == (from * SEQUENCE + s) as f32));
    }
    assert_eq!(client.compile_count(), 1);
    println!("{LAYERS} layers, compiled {} time", client.compile_count());
    Ok(())
}

/// Writes the weights of a layer behind the activations: channel `c` goes to channel `c + layer`.
fn stage(numbers: &mut [u16], layer: usize) {
    for (c, row) in numbers.chunks_exact_mut(SEQUENCE + CHANNELS).enumerate() {
        row[SEQUENCE..].fill(0);
        row[SEQUENCE + (c + layer) % CHANNELS] = f32_to_fp16(1.0);
    }
}

fn copy_rows(given: &[u16], taken: &mut [u16]) {
    for (from, to) in given.chunks_exact(SEQUENCE).zip(taken.chunks_exact_mut(SEQUENCE + CHANNELS)) {
        to[..SEQUENCE].copy_from_slice(from);
    }
}
