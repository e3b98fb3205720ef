//! The life of a kernel as the specification of the crate `rane` has it: a text is compiled, loaded, run and unloaded.
//!
//! `cargo run --example coming_from_rane` runs it; `docs/coming-from-rane.md` says what became of each call.
#![allow(clippy::print_stdout)]

use anemone::Error;
use anemone::blob::pack_weights;
use anemone::driver::{Program, Source, Surface};
use anemone::fp16::{cast_f16_f32, cast_f32_f16, f32_to_fp16, fp16_to_f32};

pub(crate) fn main() -> Result<(), Error> {
    matrix_in_the_input()?;
    weights_in_a_blob()
}

/// Weights and activations in one surface: `[1, IC, 1, SEQ + OC]`.
fn matrix_in_the_input() -> Result<(), Error> {
    let (ic, oc, seq) = (64, 128, 32);
    let source = Source::matmul(ic, oc, seq);
    assert_eq!(source.input_shape(), (ic, seq + oc));
    assert_eq!(source.output_shape(), (oc, seq));
    assert_eq!(source.input_size(), ic * (seq + oc) * 2); // channels × spatial × 2
    assert_eq!(source.output_size(), oc * seq * 2);
    assert!(source.as_str().starts_with("program("));

    let mut program = Program::compile(&source, &[])?;
    program.load()?;

    let x = |c: usize, s: usize| ((c + s) % 5) as f32 - 2.0;
    let w = |c: usize, o: usize| ((c * 3 + o) % 4) as f32 - 1.0;
    let input = Surface::with_shape(ic, seq + oc)?;
    let output = Surface::new(source.output_size())?;
    assert_eq!((input.size(), output.size()), (source.input_size(), source.output_size()));
    assert_ne!(input.id(), output.id());
    input.write(|numbers| {
        for (c, row) in numbers.chunks_exact_mut(seq + oc).enumerate() {
            let (activations, weights) = row.split_at_mut(seq);
            cast_f32_f16(activations, &(0..seq).map(|s| x(c, s)).collect::<Vec<_>>());
            cast_f32_f16(weights, &(0..oc).map(|o| w(c, o)).collect::<Vec<_>>());
        }
    });
    program.run(&input, &output)?;

    let mut y = vec![0.0; oc * seq];
    output.read(|numbers| cast_f16_f32(&mut y, numbers));
    for o in 0..oc {
        for s in 0..seq {
            assert_eq!(y[o * seq + s], (0..ic).map(|c| x(c, s) * w(c, o)).sum::<f32>());
        }
    }
    println!("matmul: {:?} …", &y[..4]);

    // A surface is used again: other data, the same kernel.
    input.write(|numbers| numbers.fill(f32_to_fp16(1.0)));
    program.run(&input, &output)?;
    assert_eq!(output.read(|numbers| fp16_to_f32(numbers[0])), ic as f32);

    // As often as one likes; dropping it does the same.
    program.unload()?;
    program.unload()
}

/// A text of one's own, with weights in a file: a convolution of 1 by 1 is a dense layer.
fn weights_in_a_blob() -> Result<(), Error> {
    let weights: Vec<u16> = [1.0, 1.0, 1.0, -1.0].map(f32_to_fp16).to_vec();
    let blob = pack_weights(&weights);
    let word = |at: usize| u32::from_le_bytes(blob[at..at + 4].try_into().expect("four bytes"));
    assert_eq!([word(0), word(4)], [1, 2]);
    assert_eq!([word(0x40), word(0x44), word(0x48), word(0x50)], [0xDEAD_BEEF, 1, 8, 128]);
    assert_eq!(blob[0x80..0x82], weights[0].to_le_bytes());

    let text = r#"program(1.3) {
        func main<ios18>(tensor<fp16, [1, 2, 1, 64]> x) {
            tensor<fp16, [2, 2, 1, 1]> w = const()[name = string("w"), val = tensor<fp16, [2, 2, 1, 1]>(
                BLOBFILE(path = string("@model_path/weights/w.bin"), offset = uint64(64)))];
            tensor<fp16, [1, 2, 1, 64]> y = conv(x = x, weight = w);
        } -> (y);
    }"#;
    let source = Source::from_text(text, 2, 64, 2, 64);
    let mut program = Program::compile(&source, &[("@model_path/weights/w.bin", &blob)])?;
    program.load()?;
    let (input, output) = (Surface::with_shape(2, 64)?, Surface::with_shape(2, 64)?);
    input.write(|numbers| {
        numbers[..64].fill(f32_to_fp16(3.0));
        numbers[64..].fill(f32_to_fp16(1.0));
    });
    program.run(&input, &output)?;
    let [sum, difference] = output.read(|numbers| [numbers[0], numbers[64]]).map(fp16_to_f32);
    println!("conv: {sum} and {difference}");
    assert_eq!([sum, difference], [4.0, 2.0]);
    Ok(())
}
