//! The gate: a [`Program`] goes in, and a [`Verified`] one comes out, or the reasons why not.
//!
//! What a verified program promises, and what therefore no engine checks again:
//!
//! - every name is bound exactly once, before its first use, in a block that the use can see;
//! - every op is in the op table and in the function's opset; every parameter is one that the op has, every
//!   required one is given, and each is of a kind and dtype that the op takes;
//! - parameters that must be known when the program is compiled are constants;
//! - the shapes of the arguments fit together, and the declared type of each result is the type that the op gives:
//!   equal, but for dimensions that are not known before the program runs;
//! - the blocks of a control-flow op take and give what the op around them needs;
//! - no tensor has more than [`MAX_ELEMENTS`](crate::types::MAX_ELEMENTS) elements;
//! - a weight that is there has the dtype and the size that the program says. A weight file that is missing is a
//!   warning: the program can be checked without it, and not run.
//!
//! Faults are collected; one call that is refused does not hide the next, since its results keep their declared
//! types.
//!
//! ```
//! use anemone::{bundle::Weights, text, verify};
//! let program = text::parse(
//!     "program(1.3) { func main<ios18>(tensor<fp16, [2]> x, tensor<fp16, [3]> z) {
//!         tensor<fp16, [2]> y = add(x = x, y = z); } -> (y); }",
//! )?;
//! let report = verify::verify(&program, &Weights::none());
//! assert!(report.verified.is_none() && report.diagnostics.to_string().contains("shape-mismatch"));
//! # Ok::<(), anemone::source::Diagnostics>(())
//! ```

mod call;
mod function;

pub(crate) use function::{FILLABLE, Walk};

use crate::bundle::Weights;
use crate::mil::op::{Arg, Args, Edition, Op, Slot};
use crate::mil::{BlobRef, Name, Opset, Program};
use crate::source::{Diagnostic, Diagnostics, Span, codes};
use crate::types::{Datum, Tensor, Type};

/// What verification found.
///
/// ```
/// # let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) {
/// #     tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
/// use anemone::{bundle::Weights, text, verify};
/// let report = verify::verify(&text::parse(text)?, &Weights::none());
/// assert!(report.verified.is_some() && report.diagnostics.is_empty());
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[derive(Debug)]
pub struct Report {
    /// The program, if nothing is wrong with it.
    pub verified: Option<Verified>,
    /// Errors, warnings and notes, in the order of the text.
    pub diagnostics: Diagnostics,
}

/// A program that passed verification: names are resolved, types are known as far as they can be before it runs.
///
/// ```
/// # let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) {
/// #     tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
/// use anemone::{bundle::Weights, text, verify};
/// let report = verify::verify(&text::parse(text)?, &Weights::none());
/// let verified = report.verified.ok_or(report.diagnostics)?;
/// assert_eq!(verified.main().name, "main");
/// assert!(verified.function("prefill").is_none());
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
///
/// ```
/// # use anemone::{bundle::Weights, text, verify};
/// # let text = "program(1.3) { func main<ios18>(tensor<fp16, [1, 64, 1, 64]> x) {
/// #     tensor<fp16, [1, 64, 1, 64]> y = relu(x = x); } -> (y); }";
/// # let verified = verify::verify(&text::parse(text)?, &Weights::none()).verified.unwrap();
///
/// let verified: verify::Verified = verified;
/// assert_eq!(verified.functions().len(), 1);
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[derive(Clone, Debug)]
pub struct Verified {
    functions: Vec<Function>,
}

impl Verified {
    /// The functions.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// The function of this name.
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|f| f.name == name)
    }

    /// The function that runs when none is named: `main`, or the first.
    pub fn main(&self) -> &Function {
        self.function("main").unwrap_or(&self.functions[0])
    }
}

/// The number of a value in its function.
///
/// ```
/// # let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) {
/// #     tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
/// use anemone::{bundle::Weights, text, verify};
/// let report = verify::verify(&text::parse(text)?, &Weights::none());
/// let verified = report.verified.ok_or(report.diagnostics)?;
/// let main = verified.main();
/// let id = main.body.outputs[0];
/// assert_eq!(main.values[id.index()].name, main.value(id).name);
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(u32);

impl ValueId {
    /// The position in [`Function::values`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A verified function.
///
/// ```
/// # let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) {
/// #     tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
/// use anemone::{bundle::Weights, text, verify};
/// let report = verify::verify(&text::parse(text)?, &Weights::none());
/// let verified = report.verified.ok_or(report.diagnostics)?;
/// let main = verified.main();
/// let names: Vec<&str> = main.inputs().chain(main.outputs()).map(|v| v.name.as_str()).collect();
/// assert_eq!((names, main.steps()), (vec!["x", "y"], 1));
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
///
/// ```
/// # use anemone::{bundle::Weights, text, verify};
/// # let text = "program(1.3) { func main<ios18>(tensor<fp16, [1, 64, 1, 64]> x) {
/// #     tensor<fp16, [1, 64, 1, 64]> y = relu(x = x); } -> (y); }";
/// # let verified = verify::verify(&text::parse(text)?, &Weights::none()).verified.unwrap();
///
/// let function: &verify::Function = verified.main();
/// assert!(function.states().next().is_none());
/// assert_eq!(function.value(function.params[0]).name.as_str(), "x");
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: Name,
    /// Its opset.
    pub opset: Opset,
    /// Every value that it binds, in its nested blocks too.
    pub values: Vec<Value>,
    /// Its inputs and states, in the order they are declared.
    pub params: Vec<ValueId>,
    /// Its steps and results.
    pub body: Body,
}

impl Function {
    /// A value.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.index()]
    }

    /// The inputs: the parameters that are not states.
    pub fn inputs(&self) -> impl Iterator<Item = &Value> {
        self.params.iter().map(|&p| self.value(p)).filter(|v| !matches!(v.ty, Type::State(_)))
    }

    /// The states: variables that outlive a run.
    pub fn states(&self) -> impl Iterator<Item = &Value> {
        self.params.iter().map(|&p| self.value(p)).filter(|v| matches!(v.ty, Type::State(_)))
    }

    /// The results.
    pub fn outputs(&self) -> impl Iterator<Item = &Value> {
        self.body.outputs.iter().map(|&o| self.value(o))
    }

    /// Adds a constant without a name.
    pub(crate) fn add_constant(&mut self, tensor: Tensor) -> ValueId {
        let id = ValueId(self.values.len() as u32);
        let (ty, content) = (tensor.ty().into(), Content::Constant(tensor.into()));
        self.values.push(Value { name: "".into(), ty, content });
        id
    }

    /// How many steps there are, those of nested blocks included.
    pub fn steps(&self) -> usize {
        fn count(body: &Body) -> usize {
            body.steps.iter().map(|s| 1 + s.blocks.iter().map(count).sum::<usize>()).sum()
        }
        count(&self.body)
    }
}

/// A value of a function.
///
/// ```
/// # let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) {
/// #     tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
/// use anemone::{bundle::Weights, text, verify};
/// let report = verify::verify(&text::parse(text)?, &Weights::none());
/// let verified = report.verified.ok_or(report.diagnostics)?;
/// let main = verified.main();
/// let x = main.value(main.params[0]);
/// assert_eq!((x.name.as_str(), x.ty.to_string()), ("x", "tensor<fp16, [4]>".into()));
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[derive(Clone, Debug)]
pub struct Value {
    /// Its name; empty for a literal that stands in an argument.
    pub name: Name,
    /// Its type: what is declared and what is inferred, together.
    pub ty: Type,
    /// What it is.
    pub content: Content,
}

/// What a value is.
///
/// ```
/// # let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) {
/// #     tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
/// use anemone::{bundle::Weights, text, verify};
/// let report = verify::verify(&text::parse(text)?, &Weights::none());
/// let verified = report.verified.ok_or(report.diagnostics)?;
/// use anemone::verify::Content;
/// let main = verified.main();
/// let output = main.value(main.body.outputs[0]);
/// assert!(matches!(output.content, Content::Computed) && !output.content.is_constant());
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[derive(Clone, Debug)]
pub enum Content {
    /// A parameter, or the result of a step.
    Computed,
    /// The result of a `constexpr_` op: it does not depend on the inputs.
    Constexpr,
    /// A constant.
    Constant(Datum),
    /// A constant whose weight file is not there.
    Missing(BlobRef),
}

impl Content {
    /// Whether the value is known when the program is compiled.
    pub fn is_constant(&self) -> bool {
        !matches!(self, Content::Computed)
    }
}

/// A verified block.
///
/// ```
/// # let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) {
/// #     tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
/// use anemone::{bundle::Weights, text, verify};
/// let report = verify::verify(&text::parse(text)?, &Weights::none());
/// let verified = report.verified.ok_or(report.diagnostics)?;
/// let main = verified.main();
/// assert_eq!((main.body.steps.len(), &main.body.outputs), (1, &main.body.steps[0].outputs));
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Body {
    /// What the op around the block binds before it runs.
    pub params: Vec<ValueId>,
    /// The steps, in order. Constants are not steps.
    pub steps: Vec<Step>,
    /// The results.
    pub outputs: Vec<ValueId>,
}

/// A verified call.
///
/// ```
/// # let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) {
/// #     tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
/// use anemone::{bundle::Weights, text, verify};
/// let report = verify::verify(&text::parse(text)?, &Weights::none());
/// let verified = report.verified.ok_or(report.diagnostics)?;
/// let step = &verified.main().body.steps[0];
/// assert_eq!((step.op.name, step.span.of(text)), ("relu", "relu"));
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
///
/// An engine asks it for its arguments, and for all that it reads:
///
/// ```
/// # let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) {
/// #     tensor<fp16, [4]> y = add(x = x, y = fp16(1)); } -> (y); }";
/// use anemone::{bundle::Weights, mil::op::Arg, text, verify};
/// let verified = verify::verify(&text::parse(text)?, &Weights::none()).verified.unwrap();
/// let main = &verified.functions()[0];
/// let step = &main.body.steps[0];
/// let mut read = Vec::new();
/// step.reads(|value| read.push(value));
/// let args = step.args(&[], |value| Arg { ty: &main.value(value).ty, value: None });
/// assert_eq!((read.len(), args.ty("x").unwrap().to_string()), (2, "tensor<fp16, [4]>".to_string()));
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[derive(Clone, Debug)]
pub struct Step {
    /// The op.
    pub op: &'static Op,
    /// The opset that it is taken from.
    pub opset: Opset,
    /// Its parameters as of that opset.
    pub edition: &'static Edition,
    /// What each parameter is bound to, in the order of the edition.
    pub inputs: Vec<Input>,
    /// Its results.
    pub outputs: Vec<ValueId>,
    /// Whether the op alone tells the types of its results, from arguments whose types are fully known. If not,
    /// dimensions are open or only declared: an engine must infer again whether the arguments fit, and compare what it
    /// gets with what is declared.
    pub certain: bool,
    /// Its blocks, for a control-flow op.
    pub blocks: Vec<Body>,
    /// Where the name of the op stands in the text.
    pub span: Span,
}

impl Step {
    /// The arguments of the op, each as `arg` gives it; `declared` are the types of the results.
    pub fn args<'a>(&self, declared: &'a [Type], arg: impl Fn(ValueId) -> Arg<'a>) -> Args<'a> {
        let slot = |input: &Input| match input {
            Input::Absent => Slot::Absent,
            Input::One(v) => Slot::One(arg(*v)),
            Input::Many(v) => Slot::Many(v.iter().map(|&v| arg(v)).collect()),
        };
        let slots = self.inputs.iter().map(slot).collect();
        Args {
            op: self.op,
            opset: self.opset,
            edition: self.edition,
            slots,
            declared,
            after: &[],
            unmade: &[],
        }
    }

    /// Every value that the step reads, those that its blocks read from outside included.
    pub fn reads(&self, mut each: impl FnMut(ValueId)) {
        fn block(body: &Body, each: &mut dyn FnMut(ValueId)) {
            for s in &body.steps {
                step(s, each);
            }
            body.outputs.iter().for_each(|&o| each(o));
        }
        fn step(s: &Step, each: &mut dyn FnMut(ValueId)) {
            for i in &s.inputs {
                i.values().iter().for_each(|&v| each(v));
            }
            s.blocks.iter().for_each(|b| block(b, each));
        }
        step(self, &mut each);
    }
}

/// What a parameter is bound to.
///
/// ```
/// # let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) {
/// #     tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
/// use anemone::{bundle::Weights, text, verify};
/// let report = verify::verify(&text::parse(text)?, &Weights::none());
/// let verified = report.verified.ok_or(report.diagnostics)?;
/// let main = verified.main();
/// assert_eq!(main.body.steps[0].inputs[0].values(), [main.params[0]]);
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Nothing.
    Absent,
    /// One value.
    One(ValueId),
    /// Several values.
    Many(Vec<ValueId>),
}

impl Input {
    /// The values: none, one or several.
    pub fn values(&self) -> &[ValueId] {
        match self {
            Input::Absent => &[],
            Input::One(v) => std::slice::from_ref(v),
            Input::Many(v) => v,
        }
    }
}

/// Verifies a program, with the weights that it refers to.
///
/// ```
/// use anemone::{bundle::Weights, text, verify};
/// let program = text::parse(
///     "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) { tensor<fp16, [4]> y = relu(x = x); } -> (y); }",
/// )?;
/// let report = verify::verify(&program, &Weights::none());
/// assert!(report.verified.is_some() && report.diagnostics.is_empty());
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
pub fn verify(program: &Program, weights: &Weights) -> Report {
    let mut diagnostics = Diagnostics::default();
    if program.functions.is_empty() {
        diagnostics.push(
            Diagnostic::new(&codes::NO_FUNCTION, "the program has no function")
                .help("add `func main<ios18>(…) { … } -> (…);`"),
        );
    }
    let mut functions: Vec<Function> = Vec::new();
    for (i, f) in program.functions.iter().enumerate() {
        if let Some(first) = program.functions[..i].iter().find(|g| g.name == f.name) {
            diagnostics.push(
                Diagnostic::new(
                    &codes::DUPLICATE_FUNCTION,
                    format!("the function `{}` is defined twice", f.name),
                )
                .at(f.span, "defined again")
                .at(first.span, "first defined here")
                .help("give one of the two another name"),
            );
        }
        functions.extend(function::check(f, weights, &mut diagnostics));
    }
    let verified = (!diagnostics.has_errors()).then_some(Verified { functions });
    diagnostics.sort();
    Report { verified, diagnostics }
}
