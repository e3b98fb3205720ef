//! From a graph to a program.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::io::{self, Cursor};
use std::panic::Location;

use super::call::empty_call;
use super::constants::INLINE;
use super::{Graph, NAMES, Origin, is_name, numbered};
use crate::blob;
use crate::bundle::{Bundle, Weights};
use crate::mil::op::Kind;
use crate::mil::{
    Argument, Attribute, Binding, BlobRef, Block, Call, Function, Name, Operand, Opset, Param, Program, Use,
    Value, Version,
};
use crate::ops;
use crate::source::{Diagnostic, Diagnostics, Span, codes};
use crate::text;
use crate::types::{DType, Tensor, Type};
use crate::verify::{Verified, verify};

/// Where the weights of a built program lie.
const WEIGHTS: &str = "@model_path/weights/weight.bin";
/// Where constants lie that the program writes as one number, once they are spelled out.
const FILLED: &str = "@model_path/weights/filled.bin";

/// A program that was written in Rust, ready to be run, compiled, printed and saved.
///
/// ```
/// use anemone::{Graph, Shape};
/// let mut g = Graph::new();
/// let x = g.placeholder(Shape::spatial(2, 1, 64));
/// g.relu(x);
/// let built = g.build()?;
/// assert!(built.text().contains("relu") && built.warnings.is_empty());
/// assert_eq!(built.verified.main().steps(), built.program.functions[0].body.calls.len());
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[derive(Clone)]
pub struct Built {
    /// The program. Inputs and outputs are in the order in which they were made or named.
    pub program: Program,
    /// Its weights, in memory: constants of ten and more elements.
    pub weights: Weights,
    /// The program as engines take it.
    pub verified: Verified,
    /// What is doubtful in it.
    pub warnings: Diagnostics,
}

/// The text of the program.
impl std::fmt::Debug for Built {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text())
    }
}

impl Built {
    /// The program as MIL text. The same graph gives the same text.
    pub fn text(&self) -> String {
        text::print(&self.program)
    }

    /// The program as a bundle, to be [written](crate::bundle::write_mlpackage) as a package, compiled model or text.
    ///
    /// Constants that the program writes as one number have all their elements there: Core ML is not known to take the
    /// short form.
    ///
    /// ```
    /// use anemone::{Graph, Shape, bundle};
    /// let mut g = Graph::new();
    /// let x = g.placeholder(Shape::spatial(2, 1, 64));
    /// g.inner_product(x, &[1.0; 10], 2, 5);
    /// let folder = std::env::temp_dir().join("anemone-built.mlpackage");
    /// bundle::write_mlpackage(&g.build()?.bundle(), &folder)?;
    /// assert_eq!(bundle::open(&folder)?.program.functions[0].params[0].name, "input_0");
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bundle(&self) -> Bundle {
        let mut program = self.program.clone();
        match spell_out(&mut program, &self.weights) {
            Ok(()) => Bundle::new(program, self.weights.clone()),
            // Memory takes every byte, and every dtype of a constant has a place in a weight file or in the text.
            Err(_) => Bundle::new(self.program.clone(), self.weights.clone()),
        }
    }
}

impl Graph {
    /// Makes a program with this one function, `main`.
    ///
    /// Constants that nothing reads are left out, and so are ops whose results lead to no output: of these a warning
    /// tells.
    ///
    /// # Errors
    ///
    /// Everything that was wrong with the calls that wrote the graph, each at its line; `no-output` when no op was called.
    #[track_caller]
    pub fn build(&self) -> Result<Built, Diagnostics> {
        build(&[("main", self)])
    }
}

/// Makes a program of several functions, each of which a graph wrote. Equal weights are stored once.
///
/// ```
/// use anemone::{Graph, Shape, graph};
/// let step = |width| {
///     let mut g = Graph::new();
///     let x = g.placeholder(Shape::spatial(4, 1, width));
///     g.inner_product(x, &[0.5; 16], 4, 4);
///     g
/// };
/// let built = graph::build(&[("prefill", &step(128)), ("decode", &step(64))])?;
/// assert_eq!(built.program.functions.len(), 2);
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
///
/// # Errors
///
/// As [`Graph::build`], for all graphs; `duplicate-function` and `no-function`.
#[track_caller]
pub fn build(functions: &[(&str, &Graph)]) -> Result<Built, Diagnostics> {
    let caller = Location::caller();
    let mut warnings = Diagnostics::default();
    for (_, graph) in functions {
        warnings.append(graph.diagnostics.clone());
    }
    let mut program = Program { version: Version::V1_0, attributes: Vec::new(), functions: Vec::new() };
    for (name, graph) in functions {
        if graph.opset >= Opset::Ios18 {
            program.version = Version::V1_3;
        }
        if !is_name(name) {
            let message = format!("`{name}` is not a name of MIL");
            let d = Diagnostic::new(&codes::UNEXPECTED_CHARACTER, message);
            warnings.push(d.at_rust(caller, "the name of a function").help(NAMES));
        } else if !graph.diagnostics.has_errors() {
            program.functions.extend(Writing::new(graph).function(name, caller, &mut warnings));
        }
    }
    if warnings.has_errors() {
        return Err(warnings);
    }
    let weights = place(&mut program)
        .map_err(|e| Diagnostics::from(Diagnostic::new(&codes::BLOB_SIZE, e.to_string())))?;
    // The calls were checked one by one; the gate says of the whole what it says of any program.
    let report = verify(&program, &weights);
    match report.verified {
        Some(verified) => Ok(Built { program, weights, verified, warnings }),
        None => Err(report.diagnostics),
    }
}

/// A graph on its way to a function.
struct Writing<'a> {
    graph: &'a Graph,
    /// The numbers of the values.
    numbers: HashMap<&'a str, usize>,
}

impl<'a> Writing<'a> {
    fn new(graph: &'a Graph) -> Self {
        let numbers = graph.values.iter().enumerate().map(|(i, v)| (&*v.name, i)).collect();
        Self { graph, numbers }
    }

    fn function(
        &self,
        name: &str,
        caller: &'static Location<'static>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Function> {
        let graph = self.graph;
        let outputs = self.outputs();
        if outputs.is_empty() {
            let message = format!("the function `{name}` returns nothing");
            diagnostics.push(
                Diagnostic::new(&codes::NO_OUTPUT, message)
                    .at_rust(caller, "no op has a result here")
                    .help("call an op, or name an output"),
            );
            return None;
        }
        let live = self.live(&outputs, diagnostics);
        let (mut names, copied) = self.names(&outputs);
        let mut calls = Vec::with_capacity(graph.calls.len());
        for (call, _) in graph.calls.iter().zip(live).filter(|(_, live)| *live) {
            let mut call = call.clone();
            self.rename(&mut call, &mut names);
            calls.push(call);
        }
        for (name, value) in copied {
            calls.push(copy(name, &names.of[value], graph.values[value].ty.clone()));
        }
        let results = outputs.into_iter().map(|(name, _)| used(name));
        let params = graph.params.iter().map(|p| param(p.name.clone(), p.ty.clone())).collect();
        Some(Function {
            name: name.into(),
            opset: graph.opset.into(),
            params,
            attributes: Vec::new(),
            body: Block { calls, outputs: results.collect(), ..Block::default() },
            span: Span::default(),
            opset_span: Span::default(),
        })
    }

    /// Calls `each` with the number of every value that a call reads.
    fn reads(&self, call: &Call, each: &mut dyn FnMut(usize)) {
        for operand in call.arguments.iter().flat_map(|a| a.binding.operands()) {
            if let Operand::Name(u) = operand
                && let Some(&number) = self.numbers.get(&*u.name)
            {
                each(number);
            }
        }
        for block in &call.blocks {
            block.calls.iter().for_each(|c| self.reads(c, each));
            block.outputs.iter().filter_map(|u| self.numbers.get(&*u.name)).for_each(|&number| each(number));
        }
    }

    /// The names and numbers of the values that the function gives.
    fn outputs(&self) -> Vec<(Name, usize)> {
        let graph = self.graph;
        if !graph.outputs.is_empty() {
            return graph.outputs.iter().map(|o| (o.name.clone(), o.value)).collect();
        }
        let mut read = vec![false; graph.values.len()];
        for call in &graph.calls {
            self.reads(call, &mut |v| read[v] = true);
        }
        let mut outputs = Vec::new();
        for call in graph.calls.iter().filter(|c| !is_constant(c) && !touches_state(c)) {
            let results: Vec<usize> = call.outputs.iter().map(|o| self.numbers[&*o.name]).collect();
            if results.iter().any(|&v| read[v]) {
                continue;
            }
            outputs.extend(results.into_iter().filter(|&v| matches!(graph.values[v].ty, Type::Tensor(_))));
        }
        let mut names = Fresh(graph.names.clone());
        outputs.into_iter().enumerate().map(|(i, v)| (names.fresh(&numbered("output", i)), v)).collect()
    }

    /// Which calls the function needs. Warnings tell of those that it does not need, constants aside, and of inputs that
    /// nothing reads.
    fn live(&self, outputs: &[(Name, usize)], diagnostics: &mut Diagnostics) -> Vec<bool> {
        let graph = self.graph;
        let mut needed = vec![false; graph.values.len()];
        outputs.iter().for_each(|(_, v)| needed[*v] = true);
        let mut warn = |code, message: String, at, label, help| {
            let d = Diagnostic::new(code, message).help(help);
            diagnostics.push(match graph.location(at) {
                Some(location) => d.at_rust(location, label),
                None => d,
            });
        };
        let mut live = vec![false; graph.calls.len()];
        for (i, call) in graph.calls.iter().enumerate().rev() {
            live[i] = writes_state(call) || call.outputs.iter().any(|o| needed[self.numbers[&*o.name]]);
            if live[i] {
                self.reads(call, &mut |v| needed[v] = true);
            } else if !is_constant(call) {
                let message = format!("`{}` is computed and leads to no output", call.op);
                let help = "remove the call, or name an output";
                warn(&codes::UNUSED_VALUE, message, call.span, "left out of the program", help);
            }
        }
        for param in graph.params.iter().filter(|p| !needed[self.numbers[&*p.name]]) {
            let message = format!("the parameter `{}` is not used", param.name);
            warn(&codes::UNUSED_PARAMETER, message, param.span, "never read", "remove it, or use it");
        }
        live
    }

    /// The names of all values, and the outputs that are to be copies: of inputs, constants and values that are an
    /// output already.
    fn names(&self, outputs: &[(Name, usize)]) -> (Naming, Vec<(Name, usize)>) {
        let graph = self.graph;
        let mut taken = graph.names.clone();
        taken.extend(outputs.iter().map(|o| o.0.clone()));
        let mut given: HashMap<usize, Name> = HashMap::new();
        let mut copied = Vec::new();
        for (name, value) in outputs {
            let computed = matches!(graph.values[*value].origin, Origin::Call);
            if !computed || given.contains_key(value) {
                copied.push((name.clone(), *value));
            } else {
                given.insert(*value, name.clone());
            }
        }
        let mut fresh = Fresh(taken);
        let of = graph.values.iter().enumerate().map(|(i, v)| {
            match (given.remove(&i), v.name.strip_prefix('%')) {
                (Some(name), _) => name,
                (None, None) => v.name.clone(),
                (None, Some(rest)) => fresh.fresh(rest),
            }
        });
        let of = of.collect();
        (Naming { of, fresh }, copied)
    }

    /// Gives a call its names, and takes its places away.
    fn rename(&self, call: &mut Call, names: &mut Naming) {
        let name =
            |old: &Name| self.numbers.get(&**old).map_or_else(|| old.clone(), |&n| names.of[n].clone());
        call.span = Span::default();
        call.op_span = Span::default();
        call.outputs.iter_mut().for_each(|o| *o = param(name(&o.name), o.ty.clone()));
        for a in &mut call.attributes {
            (a.span, a.value_span) = (Span::default(), Span::default());
        }
        for a in &mut call.arguments {
            a.span = Span::default();
            for operand in operands(&mut a.binding) {
                match operand {
                    Operand::Name(u) => *u = used(name(&u.name)),
                    Operand::Value(_, span) => *span = Span::default(),
                }
            }
        }
        for block in &mut call.blocks {
            block.span = Span::default();
            block.params.iter_mut().for_each(|p| *p = param(name(&p.name), p.ty.clone()));
            block.outputs.iter_mut().for_each(|u| *u = used(name(&u.name)));
        }
        let shown = match call.outputs.first() {
            Some(o) => o.name.clone(),
            None => names.fresh.fresh(&call.op),
        };
        call.attributes.push(Attribute::new("name", Value::string(&*shown)));
        for block in &mut call.blocks {
            block.calls.iter_mut().for_each(|c| self.rename(c, names));
        }
    }
}

/// The names of the values of a function.
struct Naming {
    of: Vec<Name>,
    fresh: Fresh,
}

/// Names that are taken.
struct Fresh(HashSet<Name>);

impl Fresh {
    /// A name like this one that was not taken, and now is.
    fn fresh(&mut self, like: &str) -> Name {
        let mut name = Name::from(like);
        while !self.0.insert(name.clone()) {
            name = format!("{name}_").into();
        }
        name
    }
}

fn param(name: Name, ty: Type) -> Param {
    Param { name, ty, span: Span::default(), ty_span: Span::default() }
}

fn used(name: Name) -> Use {
    Use { name, span: Span::default() }
}

fn operands(binding: &mut Binding) -> &mut [Operand] {
    match binding {
        Binding::One(o) => std::slice::from_mut(o),
        Binding::Many(o) => o,
    }
}

/// `name = identity(x = of)`.
fn copy(name: Name, of: &Name, ty: Type) -> Call {
    let x = Binding::One(Operand::Name(used(of.clone())));
    Call {
        attributes: vec![Attribute::new("name", Value::string(&*name))],
        outputs: vec![param(name, ty)],
        arguments: vec![Argument { name: "x".into(), binding: x, span: Span::default() }],
        ..empty_call("identity", Span::default())
    }
}

/// Whether a call gives what is known when the program is compiled, so that one that nothing reads is no fault.
fn is_constant(call: &Call) -> bool {
    call.op == "const" || call.op.starts_with("constexpr_")
}

fn touches_state(call: &Call) -> bool {
    ops::find(&call.op)
        .is_some_and(|op| op.editions.iter().any(|e| e.params.iter().any(|p| p.kind == Kind::State)))
}

/// Whether a call has an effect besides its results.
fn writes_state(call: &Call) -> bool {
    touches_state(call) && call.op != "read_state"
        || call.blocks.iter().flat_map(|b| &b.calls).any(writes_state)
}

/// The elements of a tensor, whatever its shape.
struct Stored(Tensor);

impl PartialEq for Stored {
    fn eq(&self, other: &Self) -> bool {
        self.0.dtype() == other.0.dtype()
            && self.0.len() == other.0.len()
            && self.0.bytes() == other.0.bytes()
    }
}

impl Eq for Stored {}

impl Hash for Stored {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.bytes().hash(state);
    }
}

/// The constants of a program on their way to a weight file.
struct Placing {
    /// The path of the file.
    path: &'static str,
    writer: blob::Writer<Cursor<Vec<u8>>>,
    offsets: HashMap<Stored, u64>,
    /// Whether the file format is one in which whole numbers of 16 and 32 bits lie in weight files.
    newer: bool,
}

/// Puts large constants into a weight file. Equal bytes are stored once.
fn place(program: &mut Program) -> io::Result<Weights> {
    let mut placing = Placing::new(WEIGHTS, program)?;
    for function in &mut program.functions {
        placing.calls(&mut function.body.calls)?;
    }
    let weights = Weights::none();
    placing.finish(&weights)?;
    Ok(weights)
}

/// Puts all elements of the constants that are written as one number into a weight file of their own.
fn spell_out(program: &mut Program, weights: &Weights) -> io::Result<()> {
    fn all(calls: &mut [Call], placing: &mut Placing) -> io::Result<()> {
        for call in calls {
            if let Some(full) = filled(call)
                && let Some(val) = call.attributes.iter_mut().find(|a| a.name == "val")
            {
                val.value = full.into();
                placing.value(&mut val.value)?;
            }
            call.blocks.iter_mut().try_for_each(|b| all(&mut b.calls, placing))?;
        }
        Ok(())
    }
    let mut placing = Placing::new(FILLED, program)?;
    for function in &mut program.functions {
        all(&mut function.body.calls, &mut placing)?;
    }
    placing.finish(weights)
}

/// All elements of a constant that is written as one number.
fn filled(call: &Call) -> Option<Tensor> {
    let number = call.attribute("val").filter(|_| call.op == "const")?.value.to_tensor()?;
    let shape = call.outputs.first()?.ty.as_tensor()?.shape.known()?;
    if number.rank() > 0 || shape.is_empty() {
        return None;
    }
    number.pick(&shape, std::iter::repeat_n(0, shape.iter().product())).ok()
}

impl Placing {
    fn new(path: &'static str, program: &Program) -> io::Result<Self> {
        let writer = blob::Writer::new(Cursor::new(Vec::new()))?;
        Ok(Self { path, writer, offsets: HashMap::new(), newer: program.version == Version::V1_3 })
    }

    /// Adds the file, if there is something in it.
    fn finish(self, weights: &Weights) -> io::Result<()> {
        if !self.offsets.is_empty() {
            let file = self.writer.finish()?.into_inner();
            weights.insert(self.path, file).map_err(|d| io::Error::other(d.to_string()))?;
        }
        Ok(())
    }

    fn calls(&mut self, calls: &mut [Call]) -> io::Result<()> {
        for call in calls {
            call.attributes.iter_mut().try_for_each(|a| self.value(&mut a.value))?;
            for operand in call.arguments.iter_mut().flat_map(|a| operands(&mut a.binding)) {
                if let Operand::Value(value, _) = operand {
                    self.value(value)?;
                }
            }
            call.blocks.iter_mut().try_for_each(|b| self.calls(&mut b.calls))?;
        }
        Ok(())
    }

    fn value(&mut self, value: &mut Value) -> io::Result<()> {
        let Value::Tensor(tensor) = value else { return Ok(()) };
        if tensor.len() < INLINE || !self.takes(tensor.dtype()) {
            return Ok(());
        }
        let ty = tensor.ty();
        let offset = match self.offsets.entry(Stored(tensor.clone())) {
            Entry::Occupied(stored) => *stored.get(),
            Entry::Vacant(new) => *new.insert(self.writer.append(tensor)?),
        };
        *value = Value::Blob(BlobRef { ty, path: self.path.into(), offset });
        Ok(())
    }

    /// Whether coremltools puts tensors of this dtype into the weight file.
    fn takes(&self, dtype: DType) -> bool {
        match dtype {
            DType::Int16 | DType::UInt16 | DType::Int32 | DType::UInt32 => self.newer,
            DType::Bool => false,
            d => blob::code_of(d).is_some(),
        }
    }
}
