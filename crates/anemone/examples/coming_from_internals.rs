//! The listings of the guide to the engine's internals: describe, compile, load, make surfaces and a request, evaluate, and
//! compare what came out with what the processor computes.
//!
//! `cargo run --example coming_from_internals` runs it. There they are messages to private classes,
//! whose selectors stand beside the calls; `docs/coming-from-internals.md` has all of them, and the four functions of C.
#![allow(clippy::print_stdout)]

use anemone::{Client, CompileOptions, Error, QualityOfService, Surface};
use half::f16;

/// `x` through a dense layer and GELU: a text as that guide has it, with the shape `[1, C, 1, S]`.
const MIL: &str = r#"program(1.0) {
    func main<ios18>(tensor<fp16, [1, 64, 1, 32]> x) {
        tensor<fp16, [1, 64, 1, 32]> twice = add(x = x, y = x);
        tensor<string, []> mode = const()[name = tensor<string, []>("mode"), val = tensor<string, []>("EXACT")];
        tensor<fp16, [1, 64, 1, 32]> y = gelu(x = twice, mode = mode);
    } -> (y);
}"#;

pub(crate) fn main() -> Result<(), Error> {
    // dlopen; the classes are looked up and compared.
    let client = Client::open()?;

    // modelWithMILText:weights:optionsPlist:, compileWithQoS:, loadWithQoS:
    let model = client.compile(CompileOptions {
        mil_text: MIL.into(),
        qos: QualityOfService::Default.value(), // 21
        ..CompileOptions::default()
    })?;

    // IOSurfaces, and requestWithInputs:inputIndices:outputs:outputIndices:weightsBuffer:perfStats:procedureIndex:
    let input = Surface::for_layout(&model.input_layout("x")?)?;
    let output = Surface::for_layout(&model.output_layout("y")?)?;
    let mut request = model.bind(&[&input], &[&output])?;
    input.write(|numbers| {
        for (i, n) in numbers.iter_mut().enumerate() {
            *n = f16::from_f32((i % 41) as f32 / 10.0 - 2.0).to_bits();
        }
    });

    // evaluateWithQoS:options:request:error:
    request.run()?;

    // IOSurfaceLock to read, compare, IOSurfaceUnlock.
    let furthest = input.read(|x| {
        output.read(|y| {
            let of = |n: &u16| f16::from_bits(*n).to_f64();
            x.iter().zip(y).map(|(x, y)| (gelu(2.0 * of(x)) - of(y)).abs()).fold(0.0, f64::max)
        })
    });
    println!("at most {furthest:.6} from what the processor computes");
    // Magnitudes below 4 are rounded to steps of 1/512: half of one, and what the engine's own way may add.
    assert!(furthest < 1.0 / 512.0);
    Ok(())
}

/// `x` times the share of a normal distribution below it, which is summed up here.
fn gelu(x: f64) -> f64 {
    let steps = 2000;
    let width = x / f64::from(steps);
    let density = |t: f64| (-t * t / 2.0).exp() / std::f64::consts::TAU.sqrt();
    let below: f64 = (0..steps).map(|i| density((f64::from(i) + 0.5) * width) * width).sum();
    x * (0.5 + below)
}
