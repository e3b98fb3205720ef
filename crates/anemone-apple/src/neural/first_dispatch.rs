//! A first dispatch: a small program whose results are known.
//!
//! An engine that is out of order may give zeros and say nothing. Nothing at the border can tell those from results; a
//! program of which they cannot be the result can.

use std::time::{Duration, Instant};

use super::attributes::Symbol;
use super::model::{Model, Program};
use super::options::QualityOfService;
use crate::error::Error;
use crate::framework::Framework;

/// The program of a first dispatch: `y = 2·x + 1`, in fp16.
///
/// It has two ops that every engine is known to have, rows that fill the multiple of 64 bytes that they take, and no
/// weights.
pub static FIRST_DISPATCH: Program<'static> = Program {
    text: r#"program(1.3)
[buildInfo = dict<string, string>({{"coremlc-component-MIL", "3510.2.1"}, {"coremlc-version", "3505.4.1"}, {"coremltools-component-milinternal", ""}, {"coremltools-version", "9.0"}})]
{
    func main<ios18>(tensor<fp16, [1, 16, 1, 64]> x) {
            fp16 two = const()[name = string("two"), val = fp16(0x1p+1)];
            tensor<fp16, [1, 16, 1, 64]> doubled = mul(x = x, y = two)[name = string("doubled")];
            fp16 one = const()[name = string("one"), val = fp16(0x1p+0)];
            tensor<fp16, [1, 16, 1, 64]> y = add(x = doubled, y = one)[name = string("y")];
        } -> (y);
}
"#,
    weights: &[],
};

/// How many elements the input and the output of [`FIRST_DISPATCH`] have.
const ELEMENTS: usize = 16 * 64;

/// An input of [`FIRST_DISPATCH`] and its output, as the bits of fp16 numbers: whole ones, so that every engine computes
/// the same, and no zero among the results.
fn first_dispatch_values() -> (Vec<u16>, Vec<u16>) {
    let x = || (0..ELEMENTS as i32).map(|i| i % 61 - 30);
    (x().map(fp16).collect(), x().map(|x| fp16(2 * x + 1)).collect())
}

/// The bits of a small whole number in fp16.
fn fp16(n: i32) -> u16 {
    let sign = if n < 0 { 0x8000 } else { 0 };
    let magnitude = n.unsigned_abs();
    // Below 2048 the leading one and what follows it fit the eleven bits of the significand.
    debug_assert!(magnitude < 2048);
    let Some(exponent) = magnitude.checked_ilog2() else { return sign };
    sign | ((exponent as u16 + 15) << 10) | ((magnitude << (10 - exponent)) as u16 & 0x3ff)
}

/// What a first dispatch took.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// use anemone_apple::neural::{FirstDispatch, first_dispatch};
/// let FirstDispatch { cached, .. } = first_dispatch(&framework, std::time::Duration::from_secs(60))?;
/// assert!(!cached, "it was not in the system's cache");
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FirstDispatch {
    /// Whether the system's cache had the program.
    pub cached: bool,
    /// Describing and compiling.
    pub compile: Duration,
    /// Loading.
    pub load: Duration,
    /// Running.
    pub run: Duration,
}

/// Compiles, loads and runs [`FIRST_DISPATCH`], and compares what comes out with what must. It is compiled also when the
/// cache has it, so that the compiler is heard.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// let took = anemone_apple::neural::first_dispatch(&framework, std::time::Duration::from_secs(60))?;
/// println!("compiled in {:?}, run in {:?}", took.compile, took.run);
/// # Ok::<(), anemone_apple::Error>(())
/// ```
///
/// # Errors
///
/// What [`Model::compile_anew`], [`Model::load`] and [`Request::run_within`](super::Request::run_within) report, and
/// [`Error::Unexpected`] when the results are not those of the program.
pub fn first_dispatch(framework: &Framework, patience: Duration) -> Result<FirstDispatch, Error> {
    let quality = QualityOfService::Default;
    let begin = Instant::now();
    let described = Model::describe(framework, &FIRST_DISPATCH)?;
    let cached = described.is_cached().unwrap_or(false);
    let compiled = described.compile_anew(quality)?;
    let compile = begin.elapsed();
    let begin = Instant::now();
    let model = compiled.load(quality)?;
    let load = begin.elapsed();
    let procedure = &model.attributes().procedures[0];
    let ([x], [y]) = (procedure.inputs.as_slice(), procedure.outputs.as_slice()) else {
        return Err(unexpected("a program with other inputs and outputs"));
    };
    if [x, y].iter().any(|s| s.elements() != ELEMENTS || s.element_bytes != 2) {
        return Err(unexpected("a program with other tensors"));
    }
    let (input, expected) = first_dispatch_values();
    let (source, sink) = (model.surface(x)?, model.surface(y)?);
    {
        let mut bytes = source.write()?;
        for (at, value) in places(x).zip(&input) {
            bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
    }
    let request = model.request("main", &[(x.name.as_str(), &source)], &[(y.name.as_str(), &sink)])?;
    let begin = Instant::now();
    let request = request.run_within(patience)?;
    let run = begin.elapsed();
    drop(request);
    let bytes = sink.read()?;
    let found: Vec<u16> = places(y).map(|at| u16::from_le_bytes([bytes[at], bytes[at + 1]])).collect();
    let wrong = found.iter().zip(&expected).filter(|(f, e)| f != e).count();
    match wrong {
        0 => Ok(FirstDispatch { cached, compile, load, run }),
        _ if found.iter().all(|&f| f & 0x7fff == 0) => {
            Err(unexpected("zeros, and nothing that says why: the program was not run"))
        }
        n => Err(unexpected(&format!("{n} wrong results of {ELEMENTS}"))),
    }
}

/// Where the elements of a symbol lie in its surface, in row-major order.
fn places(symbol: &Symbol) -> impl Iterator<Item = usize> + '_ {
    let (rows, columns) = (symbol.height, symbol.width);
    (0..symbol.elements()).map(move |i| {
        let (row, column) = (i / columns, i % columns);
        let (plane, row) = (row / rows, row % rows);
        let (batch, channel) = (plane / symbol.channels, plane % symbol.channels);
        batch * symbol.batch_stride
            + channel * symbol.plane_stride
            + row * symbol.row_stride
            + column * symbol.element_bytes
    })
}

fn unexpected(gave: &str) -> Error {
    Error::Unexpected { message: "the first dispatch", gave: gave.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_have_the_bits_of_fp16() {
        for (n, bits) in
            [(0, 0), (1, 0x3c00), (-1, 0xbc00), (2, 0x4000), (3, 0x4200), (61, 0x53a0), (2047, 0x67ff)]
        {
            assert_eq!(fp16(n), bits, "{n}");
        }
        assert!(first_dispatch_values().1.iter().all(|&y| y != 0));
    }
}
