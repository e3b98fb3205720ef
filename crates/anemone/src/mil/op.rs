//! The contract of an op: what a row of the op table says.
//!
//! An [`Op`] is data and a few functions. It has one [`Edition`] for each opset in which its parameters changed.
//! [`Op::infer`] gives the types of its results from the types (and, where they are known, the values) of its
//! arguments; [`Op::meaning`] is its meaning, in plain loops; [`Op::fast`] computes the same with the kernels.
//! All three read their arguments through [`Args`].
//!
//! ```
//! use anemone::ops;
//! let softmax = ops::find("softmax").unwrap();
//! let params: Vec<_> = softmax.editions[0].params.iter().map(|p| p.name).collect();
//! assert_eq!((params, softmax.fast.has_kernels()), (vec!["x", "axis"], true));
//! ```

mod prepared;
mod view;

use std::cell::Cell;

pub(crate) use prepared::recycled;
pub use prepared::{Parts, Prepared, Reader, Run};
pub use view::View;

use anemone_kernels::binary::Binary;
use anemone_kernels::math::Unary;

use super::Opset;
use crate::source::{Code, codes};
use crate::types::{DType, DTypes, Datum, Tensor, TensorError, TensorType, Type};

/// A row of the op table: all that anemone knows about one op.
///
/// ```
/// use anemone::{mil::Opset, ops};
/// let conv = ops::find("conv").unwrap();
/// assert_eq!((conv.name, conv.since(), conv.has_meaning()), ("conv", Opset::Ios15, true));
/// let edition = conv.edition(Opset::Ios18).unwrap();
/// assert!(edition.params.iter().any(|p| p.name == "dilations"));
/// ```
pub struct Op {
    /// MIL's name.
    pub name: &'static str,
    /// What it computes, in one line.
    pub summary: &'static str,
    /// Its parameters, one edition for each opset in which they changed, oldest first.
    pub editions: &'static [Edition],
    /// How many results it has.
    pub results: Results,
    /// The types of the results. It is total: it may refuse, and never panics.
    pub infer: Infer,
    /// The meaning: plain loops, sums carried in f64, each result rounded once to its dtype.
    pub meaning: Meaning,
    /// How an engine that wants to be fast computes it.
    pub fast: Fast,
    /// How far the kernels may be from the meaning.
    pub tolerance: Tolerance,
    /// The scalar function of an elementwise op, which `infer`, `meaning` and `fast` of the family read.
    pub scalar: Scalar,
}

/// Gives the types of the results from the arguments.
///
/// ```
/// use anemone::mil::op::Infer;
/// use anemone::types::Type;
/// // The result is of the type of `x`.
/// let infer: Infer = |args| Ok(vec![Type::Tensor(args.ty("x")?.clone())]);
/// # drop(infer);
/// ```
pub type Infer = fn(&Args<'_>) -> Result<Vec<Type>, Fault>;

/// Computes the results, whose types (as far as they are known before) `infer` gave.
///
/// ```
/// use anemone::mil::op::Compute;
/// // The result is `x`.
/// let meaning: Compute = |args, _types| Ok(vec![args.tensor("x")?.clone().into()]);
/// # drop(meaning);
/// ```
pub type Compute = fn(&Args<'_>, &[Type]) -> Result<Vec<Datum>, Fault>;

/// Prepares the kernels for a step; `None` where this case has no fast way, and the meaning is used.
///
/// The types of arguments and results are known in every dimension. Constant arguments have values; of the others the
/// kernel reads the elements when it runs, by a [`Reader`].
///
/// ```
/// use anemone::mil::op::{Prepare, Prepared};
/// // The result is 0, whatever the argument is.
/// let prepare: Prepare = |_args, _types| Ok(Some(Prepared::sure(|run| run.write::<u8>(0).fill(0))));
/// # drop(prepare);
/// ```
pub type Prepare = fn(&Args<'_>, &[Type]) -> Result<Option<Prepared>, Fault>;

/// Prepares the making of parts of a constant; `None` where only all of it can be made.
///
/// ```
/// use anemone::mil::op::{Parts, PrepareParts};
/// // A constant of zeros.
/// let zeros: PrepareParts = |_args| Ok(Some(Parts::new(|_start, to: &mut [u8]| to.fill(0))));
/// # drop(zeros);
/// ```
pub type PrepareParts = fn(&Args<'_>) -> Result<Option<Parts>, Fault>;

/// Gives each result as a view of the first argument; `None` where what it shows is known only at run time.
///
/// ```
/// use anemone::mil::op::{View, Views};
/// // The first element.
/// let first: Views = |_args| Ok(Some(vec![View::new(vec![1], 0, vec![1], vec![1])]));
/// # drop(first);
/// ```
pub type Views = fn(&Args<'_>) -> Result<Option<Vec<View>>, Fault>;

/// How an engine that wants to be fast computes an op.
///
/// ```
/// use anemone::{mil::op::{Access, Fast}, ops};
/// let conv = ops::find("conv").unwrap().fast;
/// assert!(conv.has_kernels() && conv.prepare().is_some());
/// // Of a write into a cache only what changes is written, where the cache is not needed as it was.
/// assert!(matches!(ops::find("slice_update").unwrap().fast, Fast::Updating(_)));
/// assert!(matches!(ops::find("read_state").unwrap().fast, Fast::State(Access::Read)));
/// ```
#[derive(Clone, Copy)]
pub enum Fast {
    /// With kernels that are prepared once.
    Prepared(Prepare),
    /// With kernels that are prepared once, and also do what comes [after](Args::after) before they write.
    Finishing(Prepare),
    /// As `Finishing`, of a layer of planes, which has other kernels for tensors whose channels lie last.
    Planes(Prepare, ChannelsLast),
    /// With kernels that are prepared once, and read arguments that are [views](Args::view) where they lie, as far as
    /// strides lead them.
    Strided(Prepare),
    /// With kernels that are prepared once, which copy a view of the first argument; its readers may do with the [view](Views)
    /// alone.
    Viewing(Prepare, Views),
    /// With kernels that are prepared once, and find the elements of their first argument in their only result, of which
    /// they write what changes. They refuse before they have written.
    Updating(Prepare),
    /// With kernels that are prepared once; the result is a constant that can also be made part by part, by who reads it.
    InParts(Prepare, PrepareParts),
    /// Its only result has the elements of its first argument, which need not be moved.
    Alias,
    /// By reading or setting a state, for which elements are moved only where a value is still needed that the state does
    /// not hold any more.
    State(Access),
    /// By its meaning, which is as fast as it gets: the op only names or shares values, so that no element is copied
    /// (`list_read`); it gives one number (`list_length`), or as many as it finds (`non_zero`); it takes items of lists
    /// apart or puts them together (`list_gather`); or it runs blocks, whose steps are fast by themselves (`cond`).
    Meaning,
}

impl Fast {
    /// Whether it has kernels.
    pub fn has_kernels(self) -> bool {
        self.prepare().is_some()
    }

    /// What prepares its kernels. [`Op::prepared`] prepares those that need nothing in their results.
    pub fn prepare(self) -> Option<Prepare> {
        match self {
            Fast::Prepared(prepare)
            | Fast::Finishing(prepare)
            | Fast::Planes(prepare, _)
            | Fast::Strided(prepare)
            | Fast::Viewing(prepare, _)
            | Fast::Updating(prepare)
            | Fast::InParts(prepare, _) => Some(prepare),
            Fast::Alias | Fast::State(_) | Fast::Meaning => None,
        }
    }
}

/// The kernels of a layer for tensors whose channels lie last: `[batch, height, width, channels]`. The first argument and the
/// result lie so, and what the kernels read for what comes [after](Args::after); types say the shapes that the op knows.
///
/// ```
/// use anemone::{mil::op::Fast, ops};
/// assert!(matches!(ops::find("conv").unwrap().fast, Fast::Planes(..)));
/// ```
#[derive(Clone, Copy)]
pub struct ChannelsLast {
    /// What this case is, if they compute it.
    pub layer: fn(&Args<'_>, &[Type]) -> Option<Layer>,
    /// Prepares them.
    pub prepare: Prepare,
    /// Prepares those of a [product](Layer::Product) of a single sample whose first argument lies with its channels first.
    pub enter: Prepare,
}

/// What a layer of planes comes down to.
///
/// ```
/// use anemone::mil::op::Layer;
/// // Multiplications for each place of a plane.
/// let products = |layer, inputs: usize, outputs, window| match layer {
///     Layer::Product => inputs * outputs,
///     Layer::Depthwise => outputs * window,
/// };
/// assert_eq!(products(Layer::Product, 32, 64, 1), 2048);
/// assert_eq!(products(Layer::Depthwise, 64, 64, 3 * 3), 576);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// A product of the channels of each place with all weights: a pointwise convolution.
    Product,
    /// Each channel is convolved by itself.
    Depthwise,
}

/// What an op does with a state.
///
/// ```
/// use anemone::{mil::op::{Access, Fast}, ops};
/// let of = |op| match ops::find(op).unwrap().fast { Fast::State(access) => access, _ => panic!() };
/// let ops = ["read_state", "write_state", "coreml_update_state"];
/// assert_eq!(ops.map(of), [Access::Read, Access::Write, Access::Update]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Its result is what the state, its only argument, holds.
    Read,
    /// Sets the state, its first argument, to its second one, and has no result.
    Write,
    /// Sets the state, its first argument, to its second one, which is its result too.
    Update,
}

/// What an op means.
///
/// ```
/// use anemone::{mil::op::Meaning, ops};
/// assert!(matches!(ops::find("relu").unwrap().meaning, Meaning::Compute(_)));
/// assert!(matches!(ops::find("cond").unwrap().meaning, Meaning::Control(_)));
/// ```
#[derive(Clone, Copy)]
pub enum Meaning {
    /// A function of its arguments.
    Compute(Compute),
    /// A meaning that engines carry out themselves, since it runs blocks.
    Control(Control),
    /// None yet: programs with this op can be checked, not run.
    Missing,
}

/// The ops that run blocks.
///
/// ```
/// use anemone::{mil::op::{Control, Meaning}, ops};
/// let Meaning::Control(control) = ops::find("while_loop").unwrap().meaning else { panic!() };
/// assert_eq!(control, Control::While);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// `cond`: runs the first block if `pred` is true, else the second.
    Cond,
    /// `while_loop`: runs the second block on `loop_vars` as long as the first gives true.
    While,
}

/// The scalar function of an elementwise op.
///
/// ```
/// use anemone::{mil::op::Scalar, ops};
/// let Scalar::Binary(floats, ints) = ops::find("sub").unwrap().scalar else { panic!() };
/// assert_eq!((floats(1.5, 2.0), ints(7, 9)), (-0.5, -2));
/// ```
#[derive(Clone, Copy)]
pub enum Scalar {
    /// The op is not elementwise.
    None,
    /// Of `x`.
    Unary(fn(f64) -> f64),
    /// Of `x` and `y`, on floats and on whole numbers.
    Binary(fn(f64, f64) -> f64, fn(i64, i64) -> i64),
    /// A comparison of `x` and `y`, on floats and on whole numbers.
    Compare(fn(f64, f64) -> bool, fn(i64, i64) -> bool),
    /// Of the bools `x` and `y`.
    Logical(fn(bool, bool) -> bool),
}

/// How many results an op has.
///
/// ```
/// use anemone::{mil::op::Results, ops};
/// assert!(matches!(ops::find("relu").unwrap().results, Results::Exactly(1)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Results {
    /// As many.
    Exactly(usize),
    /// As many as inference says.
    Inferred,
}

/// How far the fast way may be from the meaning; `device::compare::agree` decides.
///
/// ```
/// use anemone::mil::op::Tolerance;
/// assert!(matches!(anemone::ops::find("relu").unwrap().tolerance, Tolerance::Exact));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tolerance {
    /// The same bits.
    Exact,
    /// So many units in the last place of each result.
    Ulp(u32),
    /// So many times the epsilon of the dtype, relative to the largest magnitude of the result: sums of many terms.
    Sum(u32),
}

/// The parameters of an op as of one opset.
///
/// ```
/// use anemone::{mil::Opset, ops};
/// // An op has an edition for each opset in which its parameters changed.
/// let [old, new] = [Opset::Ios15, Opset::Ios17].map(|o| ops::find("gather").unwrap().edition(o).unwrap());
/// assert!(new.params.len() > old.params.len());
/// ```
#[derive(Debug)]
pub struct Edition {
    /// The first opset that has them.
    pub since: Opset,
    /// The parameters, in the order of the documentation.
    pub params: &'static [Parameter],
    /// Whether programs write the arguments as attributes: the `constexpr_` ops of iOS 16.
    pub in_attributes: bool,
}

/// What a parameter is.
///
/// ```
/// use anemone::{mil::{Opset, op::Kind}, ops};
/// let relu = ops::find("relu").unwrap().edition(Opset::Ios18).unwrap();
/// assert!(matches!(relu.params[0].kind, Kind::Tensor));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A tensor or scalar.
    Tensor,
    /// Several tensors.
    Tuple,
    /// A list.
    List,
    /// A state.
    State,
    /// Anything.
    Any,
}

/// What a parameter is when it is not given.
///
/// ```
/// use anemone::{mil::{Opset, op::Default}, ops};
/// let edition = ops::find("leaky_relu").unwrap().edition(Opset::Ios18).unwrap();
/// let parameter = |name| edition.params.iter().find(|p| p.name == name).unwrap();
/// assert_eq!(parameter("x").default, Default::Required);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Default {
    /// It must be given.
    Required,
    /// The op knows: nothing, or something that depends on the other arguments.
    Absent,
    /// This number.
    Int(i64),
    /// This number, in the dtype of `x`.
    Float(f64),
    /// This bool.
    Bool(bool),
    /// This string.
    Str(&'static str),
    /// These numbers.
    Ints(&'static [i64]),
}

/// A parameter of an op.
///
/// ```
/// use anemone::{mil::Opset, ops};
/// let gelu = ops::find("gelu").unwrap().edition(Opset::Ios18).unwrap();
/// let names: Vec<_> = gelu.params.iter().map(|p| p.name).collect();
/// assert_eq!(names, ["x", "mode"]);
/// ```
///
/// A row of the op table writes it so:
///
/// ```
/// use anemone::mil::op::{Default, Kind, Parameter};
/// use anemone::types::{DType, DTypes};
/// const X: Parameter = Parameter::tensor("x", &[DType::Fp16, DType::Fp32]).domain('T');
/// const AXIS: Parameter = Parameter::tensor("axis", &[DType::Int32]).constant().or(Default::Int(-1));
/// const STATE: Parameter = Parameter::new("input", Kind::State, DTypes::ANY);
/// assert_eq!((X.domain, AXIS.default, STATE.kind), ('T', Default::Int(-1), Kind::State));
/// ```
#[derive(Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The dtypes that it takes.
    pub dtypes: DTypes,
    /// Parameters with the same letter must have the same dtype; a space is none.
    pub domain: char,
    /// Whether its value must be known when the program is compiled.
    pub constant: bool,
    /// What it is when it is not given.
    pub default: Default,
}

impl Parameter {
    /// A required tensor of any of these dtypes.
    pub const fn tensor(name: &'static str, dtypes: &[DType]) -> Self {
        Self::new(name, Kind::Tensor, DTypes::of(dtypes))
    }

    /// A required parameter of this kind.
    pub const fn new(name: &'static str, kind: Kind, dtypes: DTypes) -> Self {
        Self { name, kind, dtypes, domain: ' ', constant: false, default: Default::Required }
    }

    /// Must have the same dtype as the others of this letter.
    #[must_use]
    pub const fn domain(mut self, letter: char) -> Self {
        self.domain = letter;
        self
    }

    /// Must be known when the program is compiled.
    #[must_use]
    pub const fn constant(mut self) -> Self {
        self.constant = true;
        self
    }

    /// Need not be given.
    #[must_use]
    pub const fn or(mut self, default: Default) -> Self {
        self.default = default;
        self
    }
}

impl Op {
    /// Computes the results with the kernels, of arguments that all have values; `None` where this case has no fast way.
    ///
    /// ```
    /// use anemone::mil::op::{Arg, Args, Slot};
    /// use anemone::{mil::Opset, ops, types::{Datum, Tensor}};
    /// let op = ops::find("relu").unwrap();
    /// let x = Datum::from(Tensor::from_slice(&[2], &[-1.0f32, 2.0])?);
    /// let (ty, edition) = (x.ty(), op.edition(Opset::Ios18).unwrap());
    /// let slots = vec![Slot::One(Arg { ty: &ty, value: Some(&x) })];
    /// let args = Args { op, opset: Opset::Ios18, edition, slots, declared: &[], after: &[], unmade: &[] };
    /// let y = op.fast_results(&args, &[ty.clone()], 1).unwrap().expect("it has kernels");
    /// assert_eq!(y[0].as_tensor().unwrap().to_f64s(), [0.0, 2.0]);
    /// assert!(op.prepared(&args, &[ty.clone()]).unwrap().is_some());
    /// # Ok::<(), anemone::types::TensorError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Why the op refuses the arguments.
    pub fn fast_results(
        &self,
        args: &Args<'_>,
        types: &[Type],
        threads: usize,
    ) -> Result<Option<Vec<Datum>>, Fault> {
        self.prepared(args, types)?.map(|p| p.results(&[], types, threads)).transpose()
    }

    /// Prepares the kernels for a step; `None` where this case has no fast way. They write all of their results.
    ///
    /// # Errors
    ///
    /// As [`Op::fast_results`], and `not-constant` where the kernels need a value that is not known yet.
    pub fn prepared(&self, args: &Args<'_>, types: &[Type]) -> Result<Option<Prepared>, Fault> {
        let Some(prepare) = self.fast.prepare() else { return Ok(None) };
        let prepared = prepare(args, types)?;
        let first = args.edition.params.first().and_then(|p| args.opt_reader(p.name));
        Ok(match (self.fast, first) {
            (Fast::Updating(_), Some(first)) => prepared.map(|p| p.copying(first)),
            _ => prepared,
        })
    }

    /// The first opset that has the op.
    pub fn since(&self) -> Opset {
        self.editions[0].since
    }

    /// The parameters as of this opset, if the op existed then.
    pub fn edition(&self, opset: Opset) -> Option<&'static Edition> {
        self.editions.iter().rev().find(|e| e.since <= opset)
    }

    /// Whether anemone can compute it.
    pub fn has_meaning(&self) -> bool {
        !matches!(self.meaning, Meaning::Missing)
    }
}

impl std::fmt::Debug for Op {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Op({})", self.name)
    }
}

/// Why a call is refused: what is wrong with which parameter. Verification makes a
/// [`Diagnostic`](crate::source::Diagnostic) of it, an engine an error.
///
/// ```
/// use anemone::{mil::Opset, ops, types::{DType, Tensor}};
/// let [x, y] = [&[2, 3][..], &[2, 4]].map(|shape| Tensor::zeros(DType::Fp16, shape).unwrap());
/// let add = ops::find("add").unwrap();
/// let fault = ops::evaluate(add, Opset::Ios18, &[("x", x.into()), ("y", y.into())]).unwrap_err();
/// assert_eq!(fault.code.name, "shape-mismatch");
/// ```
///
/// It is put together as it is found out:
///
/// ```
/// use anemone::{mil::op::Fault, source::codes};
/// let fault = Fault::of("update", &codes::SHAPE_MISMATCH, "`update` has 3 rows, and the slice has 2")
///     .against("x")
///     .help("give it the rows of the slice");
/// assert_eq!((fault.param, fault.other), (Some("update"), Some("x")));
/// assert_eq!(Fault::new(&codes::RUN_LIMIT, "too many turns").param, None);
/// ```
#[derive(Clone, Debug)]
pub struct Fault {
    /// The kind.
    pub code: &'static Code,
    /// The parameter at fault; `None` is the call as a whole.
    pub param: Option<&'static str>,
    /// A second parameter that the first disagrees with.
    pub other: Option<&'static str>,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl Fault {
    /// A fault of the call as a whole.
    pub fn new(code: &'static Code, message: impl Into<String>) -> Self {
        Self { code, param: None, other: None, message: message.into(), help: None }
    }

    /// A fault of this parameter.
    pub fn of(param: &'static str, code: &'static Code, message: impl Into<String>) -> Self {
        Self { param: Some(param), ..Self::new(code, message) }
    }

    /// Names a second parameter that the first disagrees with.
    #[must_use]
    pub fn against(mut self, other: &'static str) -> Self {
        self.other = Some(other);
        self
    }

    /// Sets the help.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code.name, self.message)
    }
}

impl From<TensorError> for Fault {
    fn from(e: TensorError) -> Self {
        let code = match e {
            TensorError::TooLarge { .. } => &codes::TENSOR_TOO_LARGE,
            TensorError::Length { .. } => &codes::SHAPE_MISMATCH,
        };
        Fault::new(code, e.to_string())
    }
}

/// One argument: its type and, when it is known, its value.
///
/// ```
/// use anemone::mil::op::Args;
/// /// Whether an argument is known before the run.
/// fn is_known(args: &Args<'_>, name: &str) -> bool {
///     args.arg(name).is_some_and(|arg| arg.value.is_some())
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Arg<'a> {
    /// The type.
    pub ty: &'a Type,
    /// The value: always known when the program runs, and known for constants before.
    pub value: Option<&'a Datum>,
}

/// What a parameter is bound to in one call.
///
/// ```
/// use anemone::mil::op::{Arg, Slot};
/// use anemone::types::{DType, Type};
/// let ty = Type::tensor(DType::Fp16, &[1, 4][..]);
/// // `concat` has a parameter to which several arguments are bound.
/// let values = Slot::Many(vec![Arg { ty: &ty, value: None }; 2]);
/// assert!(matches!(values, Slot::Many(all) if all.len() == 2));
/// ```
#[derive(Clone)]
pub enum Slot<'a> {
    /// Nothing: its default applies.
    Absent,
    /// One argument.
    One(Arg<'a>),
    /// Several arguments.
    Many(Vec<Arg<'a>>),
}

/// The arguments of one call, by the names of the op's parameters.
///
/// ```
/// use anemone::mil::op::{Args, Fault};
/// /// The axis of an op, counted from the front.
/// fn axis(args: &Args<'_>) -> Result<usize, Fault> {
///     let rank = args.ty("x")?.rank();
///     args.normal_axis("axis", args.int("axis").unwrap_or(-1), rank)
/// }
/// ```
///
/// What a row of the op table asks of a call:
///
/// ```
/// use anemone::mil::op::{Arg, Args, Reader, Slot};
/// use anemone::{mil::Opset, ops, types::{DType, Datum, Tensor, Type}};
/// // gelu(x = …, mode = "EXACT"), and avg_pool's axis is not given.
/// let op = ops::find("gelu").unwrap();
/// let (x, mode) = (Type::tensor(DType::Fp16, &[2, 3][..]), Datum::from(Tensor::string("EXACT")));
/// let (mode_type, edition) = (mode.ty(), op.edition(Opset::Ios18).unwrap());
/// let slots = vec![
///     Slot::One(Arg { ty: &x, value: None }),
///     Slot::One(Arg { ty: &mode_type, value: Some(&mode) }),
/// ];
/// let args = Args { op, opset: Opset::Ios18, edition, slots, declared: &[], after: &[], unmade: &[] };
/// assert!(args.has("x") && !args.has("axes"));
/// assert!(args.value("mode").is_some() && args.bool("x").is_none() && args.ints("x").is_none());
/// assert_eq!((args.str("mode"), args.float("mode"), args.many("x").len()), (Some("EXACT"), None, 1));
/// assert_eq!(args.opt_ty("x").unwrap().to_string(), "tensor<fp16, [2, 3]>");
/// // A kernel finds x where it is given, before all others, and the mode in a constant.
/// assert!(matches!(args.reader("x").unwrap(), Reader::Given(0)));
/// assert!(matches!(args.opt_reader("mode"), Some(Reader::Constant(_))));
/// assert_eq!(args.readers("x").count(), 1);
/// ```
#[derive(Clone)]
pub struct Args<'a> {
    /// The op.
    pub op: &'static Op,
    /// The opset that the call is taken from.
    pub opset: Opset,
    /// The parameters as of that opset.
    pub edition: &'static Edition,
    /// What each parameter is bound to, in the order of the edition.
    pub slots: Vec<Slot<'a>>,
    /// The declared types of the results.
    pub declared: &'a [Type],
    /// What the kernel does with its only result before it writes it.
    pub after: &'a [After],
    /// Arguments that nobody has made; a kernel takes their [parts](Args::parts) or the [view](Args::view), or it cannot have
    /// them.
    pub unmade: &'a [Unmade<'a>],
}

/// An argument that nobody has made.
///
/// ```
/// use anemone::mil::op::{Args, Fault, Parts};
/// /// The weights of a layer, made part by part, if they are stored so.
/// fn weights(args: &Args<'_>) -> Result<Option<Parts>, Fault> {
///     let parts = args.parts("weight")?;
///     assert!(parts.is_none() || args.unmade.iter().any(|unmade| unmade.taken.get()));
///     Ok(parts)
/// }
/// ```
#[derive(Clone)]
pub struct Unmade<'a> {
    /// The number of the parameter.
    pub param: usize,
    /// How a kernel can have it all the same.
    pub from: Source<'a>,
    /// Whether it was taken.
    pub taken: Cell<bool>,
}

/// What there is in the place of an argument that nobody has made.
///
/// ```
/// use anemone::mil::op::{Args, Source, View};
/// let turned = View::new(vec![3, 2], 0, vec![3, 2], vec![1, 3]);
/// assert!(matches!(Source::View(&turned), Source::View(view) if view.matrices(&[3, 2]).is_some()));
/// /// Where the rows of `x` start, if it is a view, and how far apart its elements are.
/// fn rows(args: &Args<'_>) -> Option<(Vec<usize>, [usize; 2])> {
///     args.view("x", |view| view.matrices(&[3, 2]))
/// }
/// ```
#[derive(Clone)]
pub enum Source<'a> {
    /// The arguments of the op that would [make](Fast::InParts) this constant.
    Parts(Args<'a>),
    /// The tensor that it is a view of, which the kernel is given for it.
    View(&'a View),
}

/// An elementwise op that follows another one, whose kernel does it too; each rounds, so that no bit changes.
///
/// ```
/// use anemone::mil::op::After;
/// use anemone_kernels::{binary::Binary, math::Unary};
/// // A residual, which the kernel of a layer is given behind x, weight and bias, and an activation.
/// let after = [After::Binary { f: Binary::Add, other: 3, swapped: false }, After::Unary(Unary::Relu)];
/// assert_ne!(after[0], after[1]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum After {
    /// A function of the result.
    Unary(Unary),
    /// The result times a function of itself.
    Gate(Unary),
    /// A function of the result and of another tensor of its shape.
    Binary {
        /// The function.
        f: Binary,
        /// Where the other tensor is among what the kernel is given when it runs.
        other: usize,
        /// Whether the other tensor is the first argument.
        swapped: bool,
    },
}

/// The most ops that one kernel does after its own.
pub(crate) const MOST_AFTER: usize = 8;

impl<'a> Args<'a> {
    fn index(&self, param: &str) -> Option<usize> {
        self.edition.params.iter().position(|p| p.name == param)
    }

    fn slot(&self, param: &str) -> Option<&Slot<'a>> {
        self.index(param).and_then(|i| self.slots.get(i))
    }

    /// Whether the parameter is given.
    pub fn has(&self, param: &str) -> bool {
        matches!(self.slot(param), Some(Slot::One(_) | Slot::Many(_)))
    }

    /// The one argument of this parameter, if it is given.
    pub fn arg(&self, param: &str) -> Option<Arg<'a>> {
        match self.slot(param)? {
            Slot::One(a) => Some(*a),
            Slot::Many(many) => many.first().copied(),
            Slot::Absent => None,
        }
    }

    /// All arguments of this parameter: none, one or several.
    pub fn many(&self, param: &str) -> &[Arg<'a>] {
        match self.slot(param) {
            Some(Slot::One(a)) => std::slice::from_ref(a),
            Some(Slot::Many(many)) => many,
            _ => &[],
        }
    }

    /// The type of a tensor argument.
    ///
    /// # Errors
    ///
    /// `missing-parameter` when it is not given, `wrong-kind` when it is not a tensor.
    pub fn ty(&self, param: &'static str) -> Result<&'a TensorType, Fault> {
        match self.arg(param) {
            Some(a) => a.ty.as_tensor().ok_or_else(|| {
                Fault::of(
                    param,
                    &codes::WRONG_KIND,
                    format!("`{param}` of `{}` must be a tensor", self.op.name),
                )
            }),
            None => Err(Fault::of(
                param,
                &codes::MISSING_PARAMETER,
                format!("`{}` needs `{param}`", self.op.name),
            )),
        }
    }

    /// The type of a tensor argument that need not be given.
    pub fn opt_ty(&self, param: &'static str) -> Option<&'a TensorType> {
        self.arg(param).and_then(|a| a.ty.as_tensor())
    }

    /// Where a kernel will find the elements of a tensor argument.
    ///
    /// # Errors
    ///
    /// As [`Args::ty`].
    pub fn reader(&self, param: &'static str) -> Result<Reader, Fault> {
        self.ty(param)?;
        Ok(self.readers(param).next().expect("it is given"))
    }

    /// [`Args::reader`] of an argument that need not be given.
    pub fn opt_reader(&self, param: &'static str) -> Option<Reader> {
        self.readers(param).next()
    }

    /// Where a kernel will find the elements of all arguments of a parameter.
    pub fn readers(&self, param: &'static str) -> impl Iterator<Item = Reader> {
        let index = self.index(param).unwrap_or(self.slots.len());
        let of = |slot: &'_ Slot<'a>| match slot {
            Slot::Absent => 0,
            Slot::One(_) => 1,
            Slot::Many(many) => many.len(),
        };
        let before: usize = self.slots.iter().take(index).map(of).sum();
        self.many(param).iter().enumerate().map(move |(i, arg)| match arg.value.and_then(Datum::as_tensor) {
            Some(tensor) => Reader::Constant(tensor.clone()),
            None => Reader::Given(before + i),
        })
    }

    /// What makes the parts of an argument that is not [made](Args::unmade); nothing for others.
    ///
    /// # Errors
    ///
    /// What the op refuses that would make it.
    pub fn parts(&self, param: &str) -> Result<Option<Parts>, Fault> {
        let Some(Unmade { from: Source::Parts(by), taken, .. }) = self.not_made(param) else {
            return Ok(None);
        };
        let Fast::InParts(_, prepare) = by.op.fast else { return Ok(None) };
        let parts = prepare(by)?;
        taken.set(parts.is_some());
        Ok(parts)
    }

    /// What a function makes of the view that an argument is, which is then [not made](Args::unmade); nothing for others,
    /// and where the function gives nothing.
    pub fn view<R>(&self, param: &str, take: impl FnOnce(&View) -> Option<R>) -> Option<R> {
        let Unmade { from: Source::View(view), taken, .. } = self.not_made(param)? else { return None };
        let found = take(view);
        taken.set(found.is_some());
        found
    }

    fn not_made(&self, param: &str) -> Option<&'a Unmade<'a>> {
        let index = self.index(param);
        self.unmade.iter().find(|unmade| Some(unmade.param) == index)
    }

    /// The value of a tensor argument, when it is given and known.
    pub fn value(&self, param: &'static str) -> Option<&'a Tensor> {
        self.arg(param)?.value?.as_tensor()
    }

    /// The value of a tensor argument.
    ///
    /// # Errors
    ///
    /// As [`Args::ty`], or `not-constant` when the value is not known.
    pub fn tensor(&self, param: &'static str) -> Result<&'a Tensor, Fault> {
        self.ty(param)?;
        self.value(param).ok_or_else(|| self.unknown(param))
    }

    fn unknown(&self, param: &'static str) -> Fault {
        Fault::of(
            param,
            &codes::NOT_CONSTANT,
            format!("`{param}` of `{}` must be known when the program is compiled", self.op.name),
        )
    }

    /// The numbers of an argument: its value, or its default. `None` when there is no default, or when the value is
    /// not known before the program runs.
    pub fn ints(&self, param: &'static str) -> Option<Vec<i64>> {
        if self.has(param) {
            return self.value(param).map(Tensor::to_i64s);
        }
        match self.edition.params[self.index(param)?].default {
            Default::Int(i) => Some(vec![i]),
            Default::Ints(i) => Some(i.to_vec()),
            Default::Bool(b) => Some(vec![i64::from(b)]),
            _ => None,
        }
    }

    /// The first number of [`Args::ints`].
    pub fn int(&self, param: &'static str) -> Option<i64> {
        self.ints(param)?.first().copied()
    }

    /// The bool of an argument: its value or default.
    pub fn bool(&self, param: &'static str) -> Option<bool> {
        self.int(param).map(|i| i != 0)
    }

    /// The number of an argument: its value or default.
    pub fn float(&self, param: &'static str) -> Option<f64> {
        if self.has(param) {
            return self.value(param)?.to_f64s().first().copied();
        }
        match self.edition.params[self.index(param)?].default {
            Default::Float(f) => Some(f),
            Default::Int(i) => Some(i as f64),
            _ => None,
        }
    }

    /// The string of an argument: its value or default.
    pub fn str(&self, param: &'static str) -> Option<&'a str> {
        if self.has(param) {
            return self.value(param)?.as_strings()?.first().map(|s| &**s);
        }
        match self.edition.params[self.index(param)?].default {
            Default::Str(s) => Some(s),
            _ => None,
        }
    }

    /// An axis of a tensor of this rank, counted from the front; negative ones count from the back.
    ///
    /// # Errors
    ///
    /// `index-out-of-range`.
    pub fn normal_axis(&self, param: &'static str, axis: i64, rank: usize) -> Result<usize, Fault> {
        let r = rank as i64;
        if (-r..r).contains(&axis) {
            return Ok(axis.rem_euclid(r) as usize);
        }
        Err(Fault::of(
            param,
            &codes::INDEX_OUT_OF_RANGE,
            format!("`{param}` of `{}` is {axis}, but the tensor has {rank} dimensions", self.op.name),
        )
        .help(if rank == 0 {
            "a scalar has no axes".to_string()
        } else {
            format!("use -{r} to {}", r - 1)
        }))
    }
}
