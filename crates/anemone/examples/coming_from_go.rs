//! The sample of the Go package `ane`, call for call: open, compile, write, evaluate, read.
//!
//! `cargo run --example coming_from_go` runs it; `docs/coming-from-go.md` says what became of the other calls.
#![allow(clippy::print_stdout)]

use anemone::blob::pack_weights;
use anemone::fp16::f32_to_fp16;
use anemone::{Client, CompileOptions, Error, ModelType};

const MIL_TEXT: &str = r#"program(1.3) {
    func main<ios18>(tensor<fp16, [1, 3, 1, 5]> x) {
        tensor<fp16, [2, 3, 1, 1]> w = const()[name = string("w"), val = tensor<fp16, [2, 3, 1, 1]>(
            BLOBFILE(path = string("@model_path/weights/weight.bin"), offset = uint64(64)))];
        tensor<fp16, [1, 2, 1, 5]> y = conv(x = x, weight = w);
    } -> (y);
}"#;

pub(crate) fn main() -> Result<(), Error> {
    let blob = pack_weights(&[1.0, 1.0, 1.0, 1.0, 0.0, -1.0].map(f32_to_fp16));
    let input: Vec<f32> = (0u8..15).map(f32::from).collect();
    let mut output = [0.0; 10];

    let c = Client::open()?;

    let (mut m, stats) = c.compile_with_stats(CompileOptions {
        mil_text: MIL_TEXT.into(),
        weight_blob: blob,
        model_type: ModelType::Mil,
        ..CompileOptions::default()
    })?;

    m.write_input_f32(0, &input)?;
    m.eval()?;
    m.read_output_f32(0, &mut output)?;

    println!("{output:?}\n{stats}");
    assert_eq!(output, [15.0, 18.0, 21.0, 24.0, 27.0, -10.0, -10.0, -10.0, -10.0, -10.0]);

    // What that package says of the layout: rows of 64 bytes, sizes with and without them.
    let layout = m.input_layout(0)?;
    assert_eq!((layout.channels, layout.width, layout.row_stride), (3, 5, 64));
    assert_eq!((layout.alloc_size(), layout.logical_bytes(), layout.logical_elements()), (3 * 64, 30, 15));
    assert_eq!(m.input_alloc_size(0)?, layout.alloc_size());
    let mut raw = vec![0; layout.alloc_size()];
    raw[layout.offset(1, 0, 2)..][..2].copy_from_slice(&f32_to_fp16(7.0).to_le_bytes());
    m.write_input(0, &raw)?;
    m.eval()?;
    m.read_output_f32("y", &mut output)?;
    assert_eq!((output[2], output.iter().sum::<f32>()), (7.0, 7.0));

    assert!(stats.available());
    assert_eq!(c.compile_count(), 1);
    Ok(())
}
