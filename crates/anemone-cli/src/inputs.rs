//! The inputs of a run: from files, or from a seed.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anemone::bundle::FeatureKind;
use anemone::mil::Value;
use anemone::source::suggest;
use anemone::types::{DType, Dim, Tensor, Type};
use anemone::verify::Function;

use crate::failure::Failure;
use crate::model::Model;
use crate::npy;
use crate::terminal::Terminal;

/// The most elements of an input that are made from a seed: hostile programs ask for more.
const MAX_SEEDED: u64 = 1 << 28;

/// `NAME=FILE.npy`.
#[derive(Clone, Debug)]
pub(crate) struct NamedFile {
    pub(crate) name: String,
    pub(crate) file: PathBuf,
}

impl std::str::FromStr for NamedFile {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        match s.split_once('=') {
            Some((name, file)) if !name.is_empty() && !file.is_empty() => {
                Ok(Self { name: name.to_string(), file: PathBuf::from(file) })
            }
            _ => Err("it is not of the form NAME=FILE.npy".into()),
        }
    }
}

/// What is run, and on what.
#[derive(clap::Args)]
pub(crate) struct RunArgs {
    /// A .mil file, a .mlmodelc or .mlpackage folder, or - for MIL text on the standard input
    #[arg(value_name = "PATH")]
    pub(crate) path: String,
    /// The function [default: the model's default, `main`, or the first]
    #[arg(short, long, value_name = "FUNCTION")]
    pub(crate) function: Option<String>,
    /// An input; those that are not given are seeded random
    #[arg(short, long = "input", value_name = "NAME=FILE.npy")]
    inputs: Vec<NamedFile>,
    /// The seed of the inputs that are not given
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
}

impl RunArgs {
    /// Every input of a function: from its file, or made from the seed.
    pub(crate) fn gather(&self, model: &Model, function: &Function) -> Result<Vec<Input>, Failure> {
        gather(model, function, &self.inputs, self.seed)
    }
}

/// How often a run is timed.
#[derive(clap::Args)]
pub(crate) struct TimedArgs {
    /// How many runs to time [default: as many as take a second, at least 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    iters: Option<u32>,
}

impl TimedArgs {
    /// Calls `once` a few times, and then as often as is asked for, or for a second: what it gives then.
    pub(crate) fn repeat<T, E>(
        &self,
        terminal: &mut Terminal,
        mut once: impl FnMut() -> Result<T, E>,
    ) -> Result<Vec<T>, E> {
        const WHOLE: Duration = Duration::from_secs(1);
        const FEWEST: usize = 5;
        const MOST: usize = 100_000;
        let progress = terminal.progress("timing", self.iters.map(u64::from));
        // The caches, the clock of the processor and the threads need a few runs to be as they stay.
        let start = Instant::now();
        for _ in 0..3 {
            once()?;
            if start.elapsed() > WHOLE / 4 {
                break;
            }
        }
        let (mut all, start) = (Vec::new(), Instant::now());
        loop {
            let done = match self.iters {
                Some(n) => all.len() >= n as usize,
                None => all.len() >= MOST || (all.len() >= FEWEST && start.elapsed() >= WHOLE),
            };
            if done {
                return Ok(all);
            }
            all.push(once()?);
            progress.step();
        }
    }
}

/// An input of a run.
pub(crate) struct Input {
    pub(crate) name: String,
    pub(crate) tensor: Tensor,
    /// The file it came from; none if it is made from the seed.
    pub(crate) file: Option<PathBuf>,
    /// The dtype of the file, where it is another than the program's.
    pub(crate) converted_from: Option<DType>,
}

/// What an input or state of a function holds.
fn held(ty: &Type) -> Option<(DType, &[Dim])> {
    match ty {
        Type::Tensor(t) => Some((t.dtype, &t.shape)),
        Type::Buffer(b) => Some((b.dtype, &b.shape)),
        Type::State(t) => held(t),
        _ => None,
    }
}

/// Reads an input of a function from a file.
pub(crate) fn from_file(function: &Function, name: &str, file: &Path) -> Result<Input, Failure> {
    let Some(input) = function.inputs().find(|v| v.name == *name) else {
        let names: Vec<&str> = function.inputs().map(|v| &*v.name).collect();
        return Err(Failure::world(match suggest(name, names.iter().copied()) {
            Some(near) => format!("`{}` has no input `{name}`; did you mean `{near}`?", function.name),
            None => format!("`{}` has no input `{name}`; it has `{}`", function.name, names.join("`, `")),
        }));
    };
    let tensor = npy::read(file)?;
    let refuse = |why: String| {
        let ty = tensor.ty();
        Failure::world(format!(
            "`{}` holds `{ty}`, and the input `{name}` is `{}`: {why}",
            file.display(),
            input.ty
        ))
    };
    let Some((dtype, shape)) = held(&input.ty) else {
        return Err(refuse("an input of this kind cannot be read from a file".into()));
    };
    let fits = shape.len() == tensor.rank()
        && shape.iter().zip(tensor.shape()).all(|(want, &have)| want.fits(Dim::from(have)));
    if !fits {
        return Err(refuse("the shapes differ; save the array in the shape of the input".into()));
    }
    let converted_from = (tensor.dtype() != dtype).then_some(tensor.dtype());
    let converted = convert(&tensor, dtype).map_err(refuse)?;
    Ok(Input { name: name.to_string(), tensor: converted, file: Some(file.to_path_buf()), converted_from })
}

/// The tensor in another dtype. Floats are rounded; everything else must keep its value.
fn convert(tensor: &Tensor, dtype: DType) -> Result<Tensor, String> {
    let from = tensor.dtype();
    if from == dtype {
        return Ok(tensor.clone());
    }
    let failed = |e: anemone::types::TensorError| e.to_string();
    if from == DType::String || dtype == DType::String {
        return Err("strings and numbers are not converted into each other".into());
    }
    if from.is_float() && dtype.is_float() {
        return Tensor::from_f64s(dtype, tensor.shape(), &tensor.to_f64s()).map_err(failed);
    }
    let lost = |i: usize| {
        let at = anemone::device::compare::position(tensor.shape(), i);
        format!("the value {} at {at:?} is not one of {dtype}", crate::statistics::element(tensor, i))
    };
    if from.is_float() || dtype.is_float() {
        let values = tensor.to_f64s();
        let converted = Tensor::from_f64s(dtype, tensor.shape(), &values).map_err(failed)?;
        let back = converted.to_f64s();
        return match values.iter().zip(&back).position(|(a, b)| a != b) {
            Some(i) => Err(lost(i)),
            None => Ok(converted),
        };
    }
    let values = tensor.to_i64s();
    let converted = Tensor::from_i64s(dtype, tensor.shape(), &values).map_err(failed)?;
    let back = converted.to_i64s();
    // A uint64 above the range of i64 reads as negative, as do its bits in an int64.
    let wraps = |v: i64| v < 0 && (from == DType::UInt64) != (dtype == DType::UInt64);
    match values.iter().zip(&back).position(|(&a, &b)| a != b || wraps(a)) {
        Some(i) => Err(lost(i)),
        None => Ok(converted),
    }
}

/// Makes every input of a function that no file gives.
pub(crate) fn gather(
    model: &Model,
    function: &Function,
    files: &[NamedFile],
    seed: u64,
) -> Result<Vec<Input>, Failure> {
    let mut inputs: Vec<Input> =
        files.iter().map(|f| from_file(function, &f.name, &f.file)).collect::<Result<_, _>>()?;
    for value in function.inputs() {
        if inputs.iter().any(|i| value.name == *i.name) {
            continue;
        }
        let name = value.name.to_string();
        let Some((dtype, shape)) = held(&value.ty) else {
            return Err(Failure::world(format!("the input `{name}` of type `{}` must be given", value.ty)));
        };
        let shape = default_shape(model, function, &name, shape);
        let elements = shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d as u64));
        if elements.is_none_or(|n| n > MAX_SEEDED) {
            return Err(Failure::program(format!(
                "the input `{name}` of shape {shape:?} is too large to be made from a seed; give it with `-i {name}=FILE.npy`"
            )));
        }
        let tensor = seeded(model, function, &name, dtype, &shape, seed)
            .map_err(|e| Failure::program(format!("the input `{name}` cannot be made: {e}")))?;
        inputs.push(Input { name, tensor, file: None, converted_from: None });
    }
    Ok(inputs)
}

/// What the model's description says of an input.
fn described<'m>(model: &'m Model, function: &Function, input: &str) -> Option<&'m FeatureKind> {
    let description = model.description.as_ref()?;
    let interface = match description.functions.as_slice() {
        [one] => one,
        _ => description.function(&function.name)?,
    };
    interface.inputs.iter().find(|f| f.name == input).map(|f| &f.kind)
}

/// The shape of an input: as the program says, where it leaves dimensions open as the model's description says, and
/// else 1.
fn default_shape(model: &Model, function: &Function, input: &str, shape: &[Dim]) -> Vec<usize> {
    let described = match described(model, function, input) {
        Some(FeatureKind::Array(a)) => Some(a.shape.clone()),
        Some(FeatureKind::Image(i)) => Some([&[1; 2][..], &[i.height, i.width]].concat()),
        _ => None,
    };
    let fits = |s: &Vec<u64>| s.len() == shape.len();
    let default = described.filter(fits).or_else(|| stated_shape(model, function, input).filter(fits));
    let open = |i: usize| default.as_ref().map_or(1, |d| d[i]);
    let number = |(i, d): (usize, &Dim)| usize::try_from(d.known().unwrap_or_else(|| open(i)));
    shape.iter().enumerate().map(|d| number(d).unwrap_or(usize::MAX)).collect()
}

/// The default shape that the program itself states: `FlexibleShapeInformation`.
fn stated_shape(model: &Model, function: &Function, input: &str) -> Option<Vec<u64>> {
    let function = model.program.function(&function.name)?;
    let attribute = function.attributes.iter().find(|a| a.name == "FlexibleShapeInformation")?;
    let Value::Tuple(_, parts) = &attribute.value else { return None };
    parts.iter().find_map(|part| {
        let Value::Tuple(_, pair) = part else { return None };
        let [name, Value::Dict(_, shapes)] = pair.as_slice() else { return None };
        if name.as_str() != Some("DefaultShapes") {
            return None;
        }
        let (_, shape) = shapes.iter().find(|(k, _)| k.as_str() == Some(input))?;
        shape.to_tensor()?.to_i64s().into_iter().map(|n| u64::try_from(n).ok()).collect()
    })
}

/// Random elements that depend on the seed and the name only: see the help of `run`.
fn seeded(
    model: &Model,
    function: &Function,
    name: &str,
    dtype: DType,
    shape: &[usize],
    seed: u64,
) -> Result<Tensor, anemone::types::TensorError> {
    if dtype == DType::String {
        return Tensor::zeros(dtype, shape);
    }
    let image = matches!(described(model, function, name), Some(FeatureKind::Image(_)));
    let mut random = SplitMix64::new(seed, name);
    let elements: usize = shape.iter().product();
    let values: Vec<f64> = (0..elements)
        .map(|_| {
            let bits = random.next();
            if image {
                (bits >> 56) as f64
            } else if dtype.is_float() {
                // Many models take magnitudes and probabilities, of which the logarithm or root is taken.
                (bits >> 40) as f64 / f64::from(1 << 24)
            } else {
                (bits >> 63) as f64
            }
        })
        .collect();
    Tensor::from_f64s(dtype, shape, &values)
}

/// The generator of Steele, Lea and Flood: a counter, and a hash of it.
struct SplitMix64(u64);

impl SplitMix64 {
    /// A stream for each seed and name: the name is hashed with FNV-1a.
    fn new(seed: u64, name: &str) -> Self {
        let hash = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        Self(seed ^ hash)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_gives_the_published_numbers() {
        // The first numbers of SplitMix64 from the state 1234567.
        let mut random = SplitMix64(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn numbers_are_converted_when_they_keep_their_value() {
        let check = |from: Tensor, to: DType, ok: bool| {
            assert_eq!(convert(&from, to).is_ok(), ok, "{from:?} to {to}");
        };
        let f32s = |v: f64| Tensor::scalar(DType::Fp32, v);
        check(Tensor::scalar(DType::Int64, 7.0), DType::Int32, true);
        check(Tensor::scalar(DType::Int64, 3e9), DType::Int32, false);
        check(Tensor::from_slice(&[], &[u64::MAX]).unwrap(), DType::Int64, false);
        check(Tensor::from_slice(&[], &[-1i64]).unwrap(), DType::UInt64, false);
        check(f32s(2.0), DType::Int32, true);
        check(f32s(2.5), DType::Int32, false);
        check(f32s(f64::NAN), DType::Int32, false);
        check(f32s(0.1), DType::Fp16, true);
        check(Tensor::scalar(DType::Int32, 2049.0), DType::Fp16, false);
        check(Tensor::scalar(DType::Int32, 1.0), DType::Bool, true);
        check(Tensor::scalar(DType::Int32, 2.0), DType::Bool, false);
        check(Tensor::string("a"), DType::Int32, false);
    }

    #[test]
    fn a_named_file_needs_both_parts() {
        assert!("x=a.npy".parse::<NamedFile>().is_ok());
        for bad in ["x", "=a.npy", "x="] {
            assert!(bad.parse::<NamedFile>().is_err());
        }
    }
}
