//! Makes valid MIL programs from bytes, in the manner of wasm-smith.
//!
//! Bytes go in, as a fuzzer or a random generator gives them; a program comes out that [`verify`](anemone::verify)
//! accepts, with inputs to run it on. It is made call by call: an op and an opset are drawn, arguments are proposed by
//! what the op table says of the parameters and by hints for ops whose arguments depend on each other, and inference
//! decides. A call is taken if its meaning gives results, too, so that later calls know the shapes and values that they
//! build on, and a program seldom refuses to run.
//!
//! ```
//! use anemone::bundle::Weights;
//! let case = anemone_smith::case_of_seed(7, &anemone_smith::Limits::default());
//! let report = anemone::verify::verify(&case.program, &Weights::none());
//! assert!(report.verified.is_some(), "{}", report.diagnostics);
//! ```

#![forbid(unsafe_code)]

mod builder;
mod control;
mod dice;
mod draft;
mod hints;
pub mod judge;
mod sensitive;
mod spoil;

use anemone::mil::op::Op;
use anemone::mil::{Name, Opset, Program, Version};
use anemone::text;
use anemone::types::Tensor;
use arbitrary::{Arbitrary, Unstructured};

pub use spoil::spoiled;

use builder::Builder;
use dice::Dice;

/// A program, and inputs to run it on.
#[derive(Clone, Debug)]
pub struct Case {
    /// The program.
    pub program: Program,
    /// The inputs of each function, in the order of [`Program::functions`].
    pub inputs: Vec<Vec<(Name, Tensor)>>,
}

/// How large programs may become.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The most functions.
    pub functions: usize,
    /// The most calls of a function, those of nested blocks not counted.
    pub calls: usize,
    /// The most elements of a tensor.
    pub elements: u64,
    /// Whether Core ML's packages have a form for the program: no call is taken from another opset than its function's,
    /// no tensor is a buffer, and inputs and results are of dtypes that Core ML's arrays have.
    pub packable: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { functions: 2, calls: 12, elements: 1 << 11, packable: false }
    }
}

impl Case {
    /// The inputs of a function, as an engine takes them.
    pub fn inputs_of(&self, function: usize) -> Vec<(&str, Tensor)> {
        self.inputs[function].iter().map(|(name, t)| (&**name, t.clone())).collect()
    }

    /// The program as text, behind lines that state the inputs of its first function as `corpus/` has them.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (name, tensor) in self.inputs.first().into_iter().flatten() {
            let numbers: Vec<String> = tensor.to_f64s().iter().map(f64::to_string).collect();
            text += &format!("// run with {} {name} = {}\n", tensor.ty(), numbers.join(", "));
        }
        text + &text::print(&self.program)
    }
}

impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(case(u, &Limits::default()))
    }
}

/// The program that these bytes stand for. When they end, it ends soon.
pub fn case(u: &mut Unstructured<'_>, limits: &Limits) -> Case {
    let mut dice = Dice::new(u);
    let version = dice.one(&[Version::V1_3, Version::V1_0]);
    let functions = 1 + if dice.chance(15) { dice.below(limits.functions) } else { 0 };
    let mut case = Case {
        program: Program { version, attributes: Vec::new(), functions: Vec::new() },
        inputs: Vec::new(),
    };
    for i in 0..functions {
        let name = if i == 0 { Name::from("main") } else { Name::from(format!("also_{i}")) };
        let opset = dice.one(&[Opset::Ios18, Opset::Ios17, Opset::Ios16, Opset::Ios15, Opset::Ios26]);
        let mut builder = Builder::new(&mut dice, opset, limits);
        control::fill(&mut builder);
        let (function, inputs) = builder.finish(name);
        case.program.functions.push(function);
        case.inputs.push(inputs);
    }
    case
}

/// The program of a seed: as [`case`], from bytes that the seed stands for.
pub fn case_of_seed(seed: u64, limits: &Limits) -> Case {
    case(&mut Unstructured::new(&bytes_of(seed, 1 << 13)), limits)
}

/// A program of one call of this op, all of whose tensors that need not be constant are inputs, and whose results are
/// all results of the program. `None` when the arguments that these bytes propose are refused.
pub fn one_call(u: &mut Unstructured<'_>, op: &'static Op, opset: Opset, limits: &Limits) -> Option<Case> {
    let mut dice = Dice::new(u);
    let mut builder = Builder::new(&mut dice, opset, limits);
    builder.alone = true;
    if !control::call(&mut builder, op) {
        return None;
    }
    let (function, inputs) = builder.finish("main".into());
    let program = Program { version: Version::V1_3, attributes: Vec::new(), functions: vec![function] };
    Some(Case { program, inputs: vec![inputs] })
}

/// As many bytes as wanted, the same for the same seed.
pub fn bytes_of(seed: u64, length: usize) -> Vec<u8> {
    let mut numbers = dice::Numbers::new(seed);
    (0..length).map(|_| numbers.below(256) as u8).collect()
}
