//! Program, function, block, call.

use super::{Name, OpsetName, Value};
use crate::source::Span;
use crate::types::Type;

/// The version of the text form, which follows the specification version of the file a program came from.
///
/// ```
/// use anemone::{mil::Version, text};
/// assert_eq!(text::parse("program(1.0) { func main<ios15>(fp16 x) { } -> (x); }")?.version, Version::V1_0);
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
///
/// ```
/// use anemone::mil::Version;
/// assert_eq!(anemone::text::parse("program(1.3) { }")?.version.as_str(), "1.3");
/// # let _: Option<Version> = None;
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// `program(1.0)`: specification versions 6 to 8. Scalars are `tensor<int32, []>(1)`.
    V1_0,
    /// `program(1.3)`: specification versions 9 and later. Scalars are `int32(1)`.
    V1_3,
}

impl Version {
    /// The version as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Version::V1_0 => "1.0",
            Version::V1_3 => "1.3",
        }
    }
}

/// A program.
///
/// ```
/// # let text = "program(1.3) { func main<ios18>(fp16 x) {
/// #     fp16 y = add(x = x, y = fp16(1))[name = string(\"a\")]; } -> (y); }";
/// let program = anemone::text::parse(text)?;
/// assert_eq!(program.version, anemone::mil::Version::V1_3);
/// assert_eq!(program.function("main").unwrap().body.calls.len(), 1);
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// The version of the text form.
    pub version: Version,
    /// What is said of the program as a whole: `buildInfo`.
    pub attributes: Vec<Attribute>,
    /// The functions.
    pub functions: Vec<Function>,
}

impl Program {
    /// The function of this name.
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|f| f.name == name)
    }
}

/// A function: an entry point of a program.
///
/// ```
/// # let text = "program(1.3) { func main<ios18>(fp16 x) {
/// #     fp16 y = add(x = x, y = fp16(1))[name = string(\"a\")]; } -> (y); }";
/// let program = anemone::text::parse(text)?;
/// let main = program.function("main").unwrap();
/// assert_eq!((main.opset.as_str(), main.params.len(), main.body.outputs.len()), ("ios18", 1, 1));
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// Its name; `main` where there is only one.
    pub name: Name,
    /// The vocabulary that its calls are taken from.
    pub opset: OpsetName,
    /// Its inputs and states.
    pub params: Vec<Param>,
    /// What is said of it, such as `FlexibleShapeInformation`.
    pub attributes: Vec<Attribute>,
    /// Its statements and results.
    pub body: Block,
    /// Where it stands in the text: from `func` to its name.
    pub span: Span,
    /// Where its opset stands in the text.
    pub opset_span: Span,
}

/// A name that is bound here, with its type: a parameter, or a result of a call.
///
/// ```
/// # let text = "program(1.3) { func main<ios18>(fp16 x) {
/// #     fp16 y = add(x = x, y = fp16(1))[name = string(\"a\")]; } -> (y); }";
/// let program = anemone::text::parse(text)?;
/// let x = &program.functions[0].params[0];
/// assert_eq!((x.name.as_str(), x.ty.to_string()), ("x", "fp16".into()));
/// assert_eq!((x.span.of(text), x.ty_span.of(text)), ("x", "fp16"));
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// The name.
    pub name: Name,
    /// Its declared type.
    pub ty: Type,
    /// Where the name stands in the text.
    pub span: Span,
    /// Where the type stands in the text.
    pub ty_span: Span,
}

/// Statements, and the names of what they result in.
///
/// ```
/// # let text = "program(1.3) { func main<ios18>(fp16 x) {
/// #     fp16 y = add(x = x, y = fp16(1))[name = string(\"a\")]; } -> (y); }";
/// let program = anemone::text::parse(text)?;
/// let body = &program.functions[0].body;
/// assert_eq!((body.calls.len(), body.outputs[0].name.as_str()), (1, "y"));
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    /// What the op around the block binds before it runs; none for the block of a function.
    pub params: Vec<Param>,
    /// The statements, in order.
    pub calls: Vec<Call>,
    /// The results.
    pub outputs: Vec<Use>,
    /// What is said of the block.
    pub attributes: Vec<Attribute>,
    /// Where its results stand in the text.
    pub span: Span,
}

/// A statement: one use of an op.
///
/// ```
/// # let text = "program(1.3) { func main<ios18>(fp16 x) {
/// #     fp16 y = add(x = x, y = fp16(1))[name = string(\"a\")]; } -> (y); }";
/// let program = anemone::text::parse(text)?;
/// let call = &program.functions[0].body.calls[0];
/// assert_eq!((call.op.as_str(), call.outputs[0].name.as_str()), ("add", "y"));
/// assert!(call.argument("y").is_some() && call.argument("z").is_none());
/// assert_eq!(call.attribute("name").unwrap().value.as_str(), Some("a"));
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The name of the op.
    pub op: Name,
    /// The opset of this one op, where it differs from the function's: `gru<ios17>(…)`.
    pub opset: Option<OpsetName>,
    /// The names of its results.
    pub outputs: Vec<Param>,
    /// Its arguments.
    pub arguments: Vec<Argument>,
    /// What else is said of it: `name`, the `val` of a const, all inputs of the `constexpr_` ops of iOS 16.
    pub attributes: Vec<Attribute>,
    /// The blocks of a control-flow op.
    pub blocks: Vec<Block>,
    /// Where the statement stands in the text.
    pub span: Span,
    /// Where the name of the op stands in the text.
    pub op_span: Span,
}

impl Call {
    /// The argument of this name.
    pub fn argument(&self, name: &str) -> Option<&Argument> {
        self.arguments.iter().find(|a| a.name == name)
    }

    /// The attribute of this name.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|a| a.name == name)
    }
}

/// A named argument of a call.
///
/// ```
/// # let text = "program(1.3) { func main<ios18>(fp16 x) {
/// #     fp16 y = add(x = x, y = fp16(1))[name = string(\"a\")]; } -> (y); }";
/// let program = anemone::text::parse(text)?;
/// let argument = program.functions[0].body.calls[0].argument("y").unwrap();
/// assert_eq!((argument.name.as_str(), argument.binding.operands().len()), ("y", 1));
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Argument {
    /// The name of the parameter.
    pub name: Name,
    /// What it is bound to.
    pub binding: Binding,
    /// Where the name stands in the text.
    pub span: Span,
}

/// What an argument is bound to.
///
/// ```
/// # let text = "program(1.3) { func main<ios18>(fp16 x) {
/// #     fp16 y = add(x = x, y = fp16(1))[name = string(\"a\")]; } -> (y); }";
/// let program = anemone::text::parse(text)?;
/// use anemone::mil::{Binding, Operand, Value};
/// let one = &mut anemone::text::parse(text)?.functions[0].body.calls[0].arguments[1];
/// one.binding = Binding::One(Operand::Value(Value::string("anything"), Default::default()));
/// assert!(matches!(&one.binding, Binding::One(Operand::Value(v, _)) if v.as_str() == Some("anything")));
/// # drop(program);
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
///
/// ```
/// use anemone::mil::{Binding, Operand};
/// let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) { tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
/// let program = anemone::text::parse(text)?;
/// let binding: &Binding = &program.functions[0].body.calls[0].arguments[0].binding;
/// let operand: &Operand = &binding.operands()[0];
/// assert_eq!(operand.span().of(text), "x");
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Binding {
    /// One value: `x = a`.
    One(Operand),
    /// Several: `values = (a, b)`.
    Many(Vec<Operand>),
}

impl Binding {
    /// The operands: one or several.
    pub fn operands(&self) -> &[Operand] {
        match self {
            Binding::One(o) => std::slice::from_ref(o),
            Binding::Many(o) => o,
        }
    }
}

/// A name that is used, or a literal.
///
/// ```
/// # let text = "program(1.3) { func main<ios18>(fp16 x) {
/// #     fp16 y = add(x = x, y = fp16(1))[name = string(\"a\")]; } -> (y); }";
/// let program = anemone::text::parse(text)?;
/// use anemone::mil::Operand;
/// let call = &program.functions[0].body.calls[0];
/// let of = |name| &call.argument(name).unwrap().binding.operands()[0];
/// assert!(matches!(of("x"), Operand::Name(used) if used.name == "x"));
/// assert!(matches!(of("y"), Operand::Value(..)));
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// What this name is bound to.
    Name(Use),
    /// A literal, and where it stands in the text.
    Value(Value, Span),
}

impl Operand {
    /// Where the operand stands in the text.
    pub fn span(&self) -> Span {
        match self {
            Operand::Name(u) => u.span,
            Operand::Value(_, span) => *span,
        }
    }
}

/// A place where a name is used.
///
/// ```
/// # let text = "program(1.3) { func main<ios18>(fp16 x) {
/// #     fp16 y = add(x = x, y = fp16(1))[name = string(\"a\")]; } -> (y); }";
/// let program = anemone::text::parse(text)?;
/// let used = &program.functions[0].body.outputs[0];
/// assert_eq!((used.name.as_str(), used.span.of(text)), ("y", "y"));
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Use {
    /// The name.
    pub name: Name,
    /// Where it stands in the text.
    pub span: Span,
}

/// A named literal in square brackets.
///
/// ```
/// # let text = "program(1.3) { func main<ios18>(fp16 x) {
/// #     fp16 y = add(x = x, y = fp16(1))[name = string(\"a\")]; } -> (y); }";
/// let program = anemone::text::parse(text)?;
/// use anemone::mil::{Attribute, Value};
/// let call = &program.functions[0].body.calls[0];
/// let renamed = Attribute::new("name", Value::string("b"));
/// assert_ne!(call.attributes[0].value, renamed.value);
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// The name.
    pub name: Name,
    /// The literal.
    pub value: Value,
    /// Where the name stands in the text.
    pub span: Span,
    /// Where the literal stands in the text.
    pub value_span: Span,
}

impl Attribute {
    /// An attribute that stands in no text.
    pub fn new(name: impl Into<Name>, value: Value) -> Self {
        Self { name: name.into(), value, span: Span::default(), value_span: Span::default() }
    }
}
