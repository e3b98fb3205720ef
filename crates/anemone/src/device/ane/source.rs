//! A program in the form that the system's compiler takes.
//!
//! What is known of that form, from working programs: `buildInfo` must be there; every argument is a name, and so a
//! literal is a `const` of its own; every statement has a `name`; shapes are fixed. Blocks and states are not known to
//! work on this path.

use std::collections::{BTreeMap, HashSet};

use super::super::Feature;
use crate::bundle::{WeightFile, Weights};
use crate::mil::{
    Argument, Attribute, Binding, Block, Call, Function, Name, Operand, Param, Program, Use, Value,
};
use crate::source::{Diagnostic, Diagnostics, Span, codes};
use crate::text;
use crate::types::{DType, Type};
use crate::verify::{self, Verified};

/// A program in the form that the system's compiler takes: text, and the weight files that it names.
///
/// ```
/// use anemone::{Graph, Shape, device::ane};
/// let mut g = Graph::new();
/// let x = g.placeholder(Shape::spatial(4, 1, 64));
/// g.leaky_relu(x, 0.5);
/// let built = g.build()?;
/// let source = ane::Source::of(&built.program, &built.verified, &built.weights)?;
/// assert!(source.text().starts_with("program(") && source.text().contains("buildInfo"));
/// assert_eq!(source.weights().count(), 0);
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[derive(Debug)]
pub struct Source {
    text: String,
    weights: BTreeMap<String, WeightFile>,
    functions: Vec<Interface>,
}

/// What a function takes and gives.
#[derive(Clone, Debug)]
pub(super) struct Interface {
    pub(super) name: Name,
    pub(super) inputs: Vec<Feature>,
    pub(super) outputs: Vec<Feature>,
}

impl Interface {
    /// That of a function.
    pub(super) fn of(function: &verify::Function) -> Self {
        let feature = |v: &verify::Value| Feature { name: v.name.clone(), ty: v.ty.clone() };
        Self {
            name: function.name.clone(),
            inputs: function.inputs().map(feature).collect(),
            outputs: function.outputs().map(feature).collect(),
        }
    }
}

/// The attribute of a program that the system's compiler does not go without.
const BUILD_INFO: &str = "buildInfo";

/// What `buildInfo` says where a program says nothing. The compiler wants the keys; it does not compare the versions
/// (source: skyfallsin's field guide).
const BUILD_INFO_PAIRS: [(&str, &str); 4] = [
    ("coremlc-component-MIL", "3510.2.1"),
    ("coremlc-version", "3505.4.1"),
    ("coremltools-component-milinternal", ""),
    ("coremltools-version", "9.0"),
];

/// The dtypes of which surfaces are known.
const DTYPES: [DType; 5] = [DType::Fp16, DType::Fp32, DType::Int8, DType::UInt8, DType::Int32];

impl Source {
    /// Makes the form of a verified program.
    ///
    /// # Errors
    ///
    /// `not-for-ane` for each thing that the path to the engine is not known to take; `blob-missing` and others for
    /// a weight file that cannot be read.
    pub fn of(program: &Program, verified: &Verified, weights: &Weights) -> Result<Self, Diagnostics> {
        let mut wrong = Diagnostics::default();
        let mut program = program.clone();
        let functions = interfaces(&program, verified, &mut wrong);
        for f in &mut program.functions {
            plain_function(f, &mut wrong);
        }
        let given = program.attributes.iter().position(|a| {
            a.name == BUILD_INFO && matches!(&a.value, Value::Dict(_, pairs) if !pairs.is_empty())
        });
        if given.is_none() {
            program.attributes.retain(|a| a.name != BUILD_INFO);
            program.attributes.push(Attribute::new(BUILD_INFO, build_info()));
        }
        let mut files = BTreeMap::new();
        for blob in crate::bundle::blobs(&program) {
            if files.contains_key(&*blob.path) {
                continue;
            }
            match weights.bytes(&blob.path) {
                Ok(bytes) => drop(files.insert(blob.path.to_string(), bytes)),
                // Without its weights a program cannot be compiled, although it can be checked.
                Err(d) => wrong.push(d.fatal()),
            }
        }
        if wrong.has_errors() {
            return Err(wrong);
        }
        Ok(Self { text: text::print(&program), weights: files, functions })
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The weight files, by the path that the text gives them.
    pub fn weights(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.weights.iter().map(|(path, bytes)| (path.as_str(), &**bytes))
    }

    pub(super) fn functions(&self) -> &[Interface] {
        &self.functions
    }
}

fn build_info() -> Value {
    let string = Type::scalar(DType::String);
    let pairs = BUILD_INFO_PAIRS.map(|(k, v)| (Value::string(k), Value::string(v)));
    Value::Dict(Type::Dict(Box::new(string.clone()), Box::new(string)), pairs.to_vec())
}

fn not_for_ane(message: String, span: Span, label: &str, help: &str) -> Diagnostic {
    Diagnostic::new(&codes::NOT_FOR_ANE, message).at(span, label).help(help)
}

/// What the functions take and give; what the engine does not take is noted.
fn interfaces(program: &Program, verified: &Verified, wrong: &mut Diagnostics) -> Vec<Interface> {
    let mut check = |what: &str, name: &Name, ty: &Type, span: Span| {
        let (message, help) = match ty {
            Type::Tensor(t) if !DTYPES.contains(&t.dtype) => (
                format!("the {what} `{name}` is `{ty}`, of which no surface is known"),
                "cast it to fp16, fp32, int8, uint8 or int32 inside of the program",
            ),
            Type::Tensor(t) if t.rank() > 4 => (
                format!("the {what} `{name}` has {} dimensions, and a surface holds 4", t.rank()),
                "reshape it to batch, channel, height and width",
            ),
            Type::Tensor(t) if t.shape.known().is_none() => (
                format!("the {what} `{name}` is `{ty}`, and the engine takes fixed shapes only"),
                "write a function for each shape that is needed",
            ),
            Type::Tensor(t) if t.shape.elements() == Some(0) => {
                (format!("the {what} `{name}` is `{ty}`, which is empty"), "leave it out")
            }
            Type::Tensor(_) => return,
            Type::State(_) => (
                format!("`{name}` is a state, which is not known to work on the direct path"),
                "give the function an input and an output in its place",
            ),
            _ => {
                (format!("the {what} `{name}` is `{ty}`, and only tensors are known to work"), "use tensors")
            }
        };
        wrong.push(not_for_ane(message, span, "this type", help));
    };
    program
        .functions
        .iter()
        .zip(verified.functions())
        .map(|(written, function)| {
            for (param, id) in written.params.iter().zip(&function.params) {
                check("input", &param.name, &function.value(*id).ty, param.ty_span);
            }
            for (output, used) in function.outputs().zip(&written.body.outputs) {
                check("output", &output.name, &output.ty, used.span);
            }
            Interface::of(function)
        })
        .collect()
}

/// Gives every literal of a function a `const`, and every statement a `name`.
fn plain_function(f: &mut Function, wrong: &mut Diagnostics) {
    let mut names: HashSet<Name> = f.params.iter().map(|p| p.name.clone()).collect();
    names.extend(f.body.calls.iter().flat_map(|c| &c.outputs).map(|o| o.name.clone()));
    let Block { calls, .. } = &mut f.body;
    let mut plain = Vec::with_capacity(calls.len());
    for mut call in std::mem::take(calls) {
        if !call.blocks.is_empty() {
            wrong.push(not_for_ane(
                format!("`{}` runs blocks, which the engine does not take", call.op),
                call.op_span,
                "this op",
                "unroll the loop, or choose between results with `select`",
            ));
            continue;
        }
        let result = call.outputs.first().map_or_else(|| call.op.clone(), |o| o.name.clone());
        for argument in &mut call.arguments {
            let Argument { name, binding, .. } = argument;
            let operands = match binding {
                Binding::One(o) => std::slice::from_mut(o),
                Binding::Many(o) => o,
            };
            for operand in operands {
                if let Operand::Value(value, span) = operand {
                    let constant = fresh(&mut names, &format!("{result}_{name}"));
                    plain.push(constant_call(constant.clone(), value.clone(), *span));
                    *operand = Operand::Name(Use { name: constant, span: *span });
                }
            }
        }
        if call.attribute("name").is_none() {
            call.attributes.push(Attribute::new("name", Value::string(&*result)));
        }
        plain.push(call);
    }
    *calls = plain;
}

/// A name like this one that the function does not have yet.
fn fresh(names: &mut HashSet<Name>, like: &str) -> Name {
    let mut name = Name::from(like);
    let mut n = 0;
    while !names.insert(name.clone()) {
        n += 1;
        name = format!("{like}_{n}").into();
    }
    name
}

fn constant_call(name: Name, value: Value, span: Span) -> Call {
    let output = Param { name: name.clone(), ty: value.ty(), span, ty_span: span };
    Call {
        op: "const".into(),
        opset: None,
        outputs: vec![output],
        arguments: Vec::new(),
        attributes: vec![Attribute::new("val", value), Attribute::new("name", Value::string(&*name))],
        blocks: Vec::new(),
        span,
        op_span: span,
    }
}
