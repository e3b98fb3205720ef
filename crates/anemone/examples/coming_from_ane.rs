//! The sample of the crate `ane`: only the `use` line is another one, and there are numbers to compute with.
//!
//! `cargo run --example coming_from_ane` runs it on the engine that there is; off a Mac that is the software engine.
//! `docs/coming-from-ane.md` goes through the rest of that crate.
#![allow(clippy::print_stdout)]

use anemone::{Error, Graph, NSQualityOfService, Shape, TensorData};

pub(crate) fn main() -> Result<(), Error> {
    let (in_ch, out_ch, width) = (3, 2, 64);
    let (shape, out_shape) = (Shape::spatial(in_ch, 1, width), Shape::spatial(out_ch, 1, width));
    let weights = [1.0, 2.0, 3.0, 0.5, -1.0, 0.0]; // [out, in], row by row

    let mut g = Graph::new();
    let x = g.placeholder(shape);
    let y = g.inner_product(x, &weights, in_ch, out_ch);
    let exe = g.compile(NSQualityOfService::UserInteractive)?;

    let input = TensorData::new(shape);
    let output = TensorData::new(out_shape);
    input.copy_from_f32(&numbers(in_ch * width));
    exe.run(&[&input], &[&output])?;
    let data = output.as_f32_slice();

    assert_eq!(y.shape(), Some(out_shape));
    let x = numbers(in_ch * width);
    for o in 0..out_ch {
        for s in 0..width {
            let sum: f32 = (0..in_ch).map(|c| weights[o * in_ch + c] * x[c * width + s]).sum();
            assert_eq!(data[o * width + s], sum);
        }
    }
    println!("{:?} …", &data[..4]);
    // What is read is locked, and nothing runs on it.
    drop(data);

    // Requests that are made once: the same tensors each time, with other numbers in them.
    for round in 1..=3 {
        input.write_f32_at(0, round as f32);
        exe.run_cached(&[&input], &[&output])?;
        assert_eq!(output.read_f32()[0], round as f32 + 2.0 * x[width] + 3.0 * x[2 * width]);
    }
    let nanoseconds = exe.run_cached_with_stats(&[&input], &[&output])?;
    exe.run_cached_direct(&[&input], &[&output])?;
    println!("the engine took {nanoseconds} ns");
    Ok(())
}

/// Numbers that fp16 holds, as it holds their sums.
fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i % 7) as f32 - 3.0).collect()
}
