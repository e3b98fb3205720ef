//! The builder: the door for programs that are written in Rust.
//!
//! A [`Graph`] is a function that is being written. Its methods add an op each and give a [`Tensor`], a handle of the
//! result. [`Graph::build`] makes a program of it.
//!
//! ```
//! use anemone::{Graph, Shape, device, types};
//! let mut g = Graph::new();
//! let x = g.placeholder(Shape::spatial(2, 1, 64));
//! let y = g.inner_product(x, &[1.0, 1.0, 1.0, -1.0], 2, 2);
//! let y = g.relu(y);
//! let built = g.build()?;
//!
//! let model = device::load(built.verified.main(), device::Engine::Reference, &device::Options::default())?;
//! let x = types::Tensor::from_f64s(types::DType::Fp16, &[1, 2, 1, 64], &[0.5; 128])?;
//! let outputs = model.run(&[("input_0", x)], &model.new_states()?)?;
//! assert_eq!(&*outputs[0].0, "output_0");
//! assert_eq!(outputs[0].1.as_tensor().unwrap().to_f64s(), [[1.0; 64], [0.0; 64]].concat());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Names of methods
//!
//! There is a method for each op of MIL, under MIL's name: required parameters in the order of the op table, then, where
//! the op has optional ones, a last argument that [`with!`](crate::with) writes, or `()`. `placeholder`, `inner_product`,
//! `addition`, `convolution_2d` and others are the names and forms of the crate `ane`, for four dimensions of fp16. Where
//! it gives MIL's name to another form, MIL's form has `mil_` before it: `linear` is `alpha * x + beta`, and `mil_linear`
//! is MIL's `linear`.
//!
//! # Faults
//!
//! Every call is checked at once by what checks programs of all doors. A wrong one is noted as a diagnostic that points
//! at the line that called, and gives a handle that stands for nothing; [`Graph::build`] gives back all of them. Nothing
//! panics.
//!
//! # Inputs and outputs
//!
//! Inputs that get no name are `input_0`, `input_1`, …, and outputs `output_0`, …; the eleventh and later have a letter
//! before the number (`input_a10`), so that the order of their names, in which the hardware takes them, is the order in
//! which they were made. The outputs are those that [`Graph::output`] names. If it names none, they are the results that
//! nothing reads, in the order they were made: those of each op of which no result is read.

mod arg;
mod blocks;
mod build;
mod call;
mod compressed;
mod constants;
pub mod families;
mod handle;
mod named;
#[rustfmt::skip]
mod ops;

pub use arg::{Arg, Options};
pub use build::{Built, build};
pub use handle::{Shape, Tensor, Tensors};
pub use named::{Convolution2dDescriptor, ConvolutionTranspose2dDescriptor, PadFillMode, PadMode};

use std::collections::HashSet;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::bundle::Weights;
use crate::mil::{self, Name, Opset};
use crate::source::{Diagnostic, Diagnostics, Span, codes};
use crate::types::{DType, Dim, Type};
use crate::verify::{self, Walk};
use handle::ValueOf;

/// A function that is being written: see the [module](self).
///
/// A graph knows its opset, whose ops and parameters it has, and what is wrong so far:
///
/// ```
/// use anemone::{Graph, Shape, mil::Opset};
/// let mut g = Graph::with_opset(Opset::Ios17);
/// let x = g.placeholder(Shape::spatial(1, 1, 64));
/// g.add(x, [1.0, 2.0]); // 64 and 2 numbers do not go together
/// assert_eq!((g.opset(), g.diagnostics().errors()), (Opset::Ios17, 1));
/// let message = g.build().unwrap_err().to_string();
/// assert!(message.contains("graph/mod.rs") || message.contains("add"), "{message}");
/// ```
pub struct Graph {
    /// Tells handles of this graph from those of others.
    id: u64,
    opset: Opset,
    walk: Walk,
    values: Vec<Value>,
    /// The calls of the function, or of the block that is being written.
    calls: Vec<mil::Call>,
    /// The blocks that are being written, outermost first, by their numbers; the function itself is 0.
    blocks: Vec<u32>,
    /// How many blocks there were.
    block_count: u32,
    /// How many names the walk was given.
    name_count: u32,
    /// The inputs and states.
    params: Vec<mil::Param>,
    /// The outputs that have a name.
    outputs: Vec<Output>,
    /// The names that the caller gave.
    names: HashSet<Name>,
    diagnostics: Diagnostics,
    /// The lines that called: the span of a value is a number of these, counted from 1.
    places: Vec<&'static Location<'static>>,
    /// How many elements of constants may still be written as one number.
    fillable: u64,
}

/// A value of a graph.
struct Value {
    /// Its name in the walk. One that starts with `%` is for the walk alone.
    name: Name,
    ty: Type,
    /// Where it was made.
    span: Span,
    /// The block that it was made in.
    block: u32,
    origin: Origin,
}

/// What a value comes from.
enum Origin {
    /// It is an input or state.
    Input,
    /// It is a constant.
    Constant(mil::Value),
    /// A call gives it.
    Call,
}

/// An output that has a name.
struct Output {
    name: Name,
    value: usize,
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Graph")
            .field("opset", &self.opset)
            .field("values", &self.values.len())
            .field("diagnostics", &self.diagnostics)
            .finish_non_exhaustive()
    }
}

impl Default for Graph {
    fn default() -> Self {
        Self::new()
    }
}

impl Graph {
    /// An empty function of the opset iOS 18.
    pub fn new() -> Self {
        Self::with_opset(Opset::Ios18)
    }

    /// An empty function of this opset: its ops and parameters are those that the opset has.
    pub fn with_opset(opset: Opset) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            opset,
            walk: Walk::new(opset, Weights::none()),
            values: Vec::new(),
            calls: Vec::new(),
            blocks: vec![0],
            block_count: 0,
            name_count: 0,
            params: Vec::new(),
            outputs: Vec::new(),
            names: HashSet::new(),
            diagnostics: Diagnostics::default(),
            places: Vec::new(),
            fillable: verify::FILLABLE,
        }
    }

    /// The opset.
    pub fn opset(&self) -> Opset {
        self.opset
    }

    /// What is wrong so far, and what is doubtful.
    pub fn diagnostics(&self) -> &Diagnostics {
        &self.diagnostics
    }

    /// The type of a value; `None` of a handle that stands for nothing here.
    pub fn type_of(&self, tensor: Tensor) -> Option<&Type> {
        match tensor.value {
            ValueOf::Value(i) if tensor.graph == self.id => self.values.get(i as usize).map(|v| &v.ty),
            _ => None,
        }
    }

    /// An input of fp16.
    ///
    /// Engines have a least width, of which the sources of today's figures disagree (64, 32 or 16): it is for the engine
    /// that compiles the program to refuse less, and not for the program.
    #[track_caller]
    pub fn placeholder(&mut self, shape: Shape) -> Tensor {
        let at = self.place();
        let ty = Type::tensor(DType::Fp16, &shape.dims()[..]);
        let inputs = self.params.iter().filter(|p| !matches!(p.ty, Type::State(_))).count();
        self.parameter(numbered("input", inputs), ty, at)
    }

    /// An input of any dtype and number of dimensions.
    ///
    /// ```
    /// use anemone::{Graph, types::DType};
    /// let mut g = Graph::new();
    /// let tokens = g.input("tokens", DType::Int32, &[1, 128]);
    /// assert_eq!(g.type_of(tokens).unwrap().to_string(), "tensor<int32, [1, 128]>");
    /// ```
    #[track_caller]
    pub fn input(&mut self, name: &str, dtype: DType, dims: &[usize]) -> Tensor {
        let at = self.place();
        self.parameter(name.into(), Type::tensor(dtype, dims), at)
    }

    /// A variable of fp16 that outlives a run. [`Graph::read_state`] gives its value, [`Graph::write_state`] sets it.
    #[track_caller]
    pub fn state(&mut self, name: &str, dims: &[usize]) -> Tensor {
        let at = self.place();
        self.parameter(name.into(), Type::State(Box::new(Type::tensor(DType::Fp16, dims))), at)
    }

    /// Makes a value an output of this name.
    ///
    /// ```
    /// use anemone::{Graph, Shape};
    /// let mut g = Graph::new();
    /// let x = g.placeholder(Shape::spatial(4, 1, 64));
    /// let y = g.relu(x);
    /// g.output("positive", y);
    /// let built = g.build()?;
    /// assert_eq!(built.verified.main().outputs().next().unwrap().name, "positive");
    /// # Ok::<(), anemone::source::Diagnostics>(())
    /// ```
    #[track_caller]
    pub fn output(&mut self, name: &str, tensor: Tensor) {
        let at = self.place();
        let name = Name::from(name);
        let Some(value) = self.resolve(tensor, "an output", at) else { return };
        if self.in_a_block("an output", at) {
            return;
        }
        if !matches!(self.values[value].ty, Type::Tensor(_)) {
            let message = format!(
                "the output `{name}` is `{}`, and only tensors leave a function",
                self.values[value].ty
            );
            return self.refuse(Diagnostic::new(&codes::WRONG_KIND, message), at, "this output");
        }
        if self.take_name(&name, at) {
            self.outputs.push(Output { name, value });
        }
    }

    /// Adds an input or state.
    fn parameter(&mut self, name: Name, ty: Type, at: Span) -> Tensor {
        if self.in_a_block("an input", at) || !self.take_name(&name, at) {
            return self.refused();
        }
        let param = mil::Param { name, ty, span: at, ty_span: at };
        self.walk.bind(&param, param.ty.clone(), verify::Content::Computed);
        if self.report(at, "this input") {
            return self.refused();
        }
        let tensor = self.value(param.name.clone(), param.ty.clone(), at, Origin::Input);
        self.params.push(param);
        tensor
    }

    /// Refuses what belongs to a function while a block of it is being written.
    fn in_a_block(&mut self, what: &str, at: Span) -> bool {
        let inside = self.blocks.len() > 1;
        if inside {
            let message = format!("{what} is made inside of a block, and belongs to the function");
            let d = Diagnostic::new(&codes::BLOCK_TYPE, message).help("make it outside of the closure");
            self.refuse(d, at, "inside of a block");
        }
        inside
    }

    /// Notes that the caller gave this name, which must be one of MIL's and new.
    fn take_name(&mut self, name: &Name, at: Span) -> bool {
        if !is_name(name) {
            let message = format!("`{name}` is not a name of MIL");
            let d = Diagnostic::new(&codes::UNEXPECTED_CHARACTER, message).help(NAMES);
            self.refuse(d, at, "this name");
        } else if !self.names.insert(name.clone()) {
            let message = format!("`{name}` is defined twice");
            let d = Diagnostic::new(&codes::DUPLICATE_NAME, message).help("give one of the two another name");
            self.refuse(d, at, "defined again");
        } else {
            return true;
        }
        false
    }

    /// Adds a value.
    fn value(&mut self, name: Name, ty: Type, span: Span, origin: Origin) -> Tensor {
        let shape = match &ty {
            Type::Tensor(t) => match t.shape[..] {
                [Dim::Known(n), Dim::Known(c), Dim::Known(h), Dim::Known(w)] => {
                    Some(Shape::from([n, c, h, w].map(|d| d as usize)))
                }
                _ => None,
            },
            _ => None,
        };
        let number = self.values.len() as u32;
        let block = self.blocks.last().copied().unwrap_or_default();
        self.values.push(Value { name, ty, span, block, origin });
        Tensor { graph: self.id, value: ValueOf::Value(number), shape }
    }

    /// The handle that a refused call gives.
    fn refused(&self) -> Tensor {
        debug_assert!(self.diagnostics.has_errors(), "what is refused is reported");
        Tensor { graph: self.id, value: ValueOf::Refused, shape: None }
    }

    /// The line that called the method of the builder that called this.
    #[track_caller]
    fn place(&mut self) -> Span {
        let location = Location::caller();
        if self.places.last() != Some(&location) {
            self.places.push(location);
        }
        let number = self.places.len();
        Span::new(number, number)
    }
}

/// How names are made.
const NAMES: &str = "use letters, digits and `_`, and no digit first";

/// Whether this can be the name of a function, input or output.
fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// `input_0`, …, `input_9`, `input_a10`, …, `input_b100`, …: the order of the names is that of the numbers.
fn numbered(what: &str, number: usize) -> Name {
    let digits = number.to_string();
    match digits.len() {
        1 => format!("{what}_{digits}").into(),
        n => format!("{what}_{}{digits}", char::from(b'a' + (n - 2) as u8)).into(),
    }
}
