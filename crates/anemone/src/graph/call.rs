//! One call of the builder: it goes through the gate, and what the gate says is said of the line that called.

use super::arg::{Content, Wanted};
use super::handle::ValueOf;
use super::{Arg, Graph, Options, Origin, Tensor, Tensors};
use crate::mil::op::Edition;
use crate::mil::{self, Argument, Attribute, Binding, Call, Name, Operand, Param, Use};
use crate::ops;
use crate::source::{Diagnostic, Label, Place, Severity, Span, codes};
use crate::types::Type;

impl Graph {
    /// Calls an op by its name, with all its arguments by theirs.
    ///
    /// It is what every method comes down to, and for programs that have ops as data. A number that the op takes as a
    /// constant gets the dtype that the op wants.
    ///
    /// ```
    /// use anemone::{Graph, Shape, with};
    /// let mut g = Graph::new();
    /// let x = g.placeholder(Shape::spatial(8, 1, 64));
    /// let y = g.op("pow", with! { x: x, y: 2 })[0];
    /// assert_eq!(y.shape(), x.shape());
    /// ```
    #[track_caller]
    pub fn op(&mut self, name: &str, arguments: impl Into<Options>) -> Tensors {
        let at = self.place();
        self.call(at, name, arguments.into().into_vec())
    }

    /// Calls an op; the results of a refused call stand for nothing.
    pub(super) fn call(&mut self, at: Span, op: &str, given: Vec<(Name, Arg)>) -> Tensors {
        let results = self.checked(at, op, given);
        self.tensors(results)
    }

    /// The results of a call, or of one that was refused.
    pub(super) fn tensors(&self, results: Option<Vec<Tensor>>) -> Tensors {
        match results {
            Some(all) => {
                Tensors { all, rest: Tensor { graph: self.id, value: ValueOf::Missing, shape: None } }
            }
            None => Tensors { all: Vec::new(), rest: self.refused() },
        }
    }

    /// As [`Graph::call`], of an op with one result.
    pub(super) fn one(&mut self, at: Span, op: &str, given: Options) -> Tensor {
        self.call(at, op, given.into_vec()).first()
    }

    fn checked(&mut self, at: Span, op: &str, given: Vec<(Name, Arg)>) -> Option<Vec<Tensor>> {
        let edition = ops::find(op).and_then(|op| op.edition(self.opset));
        let mut call = empty_call(op, at);
        if !self.bind_arguments(&mut call, edition, given) {
            return None;
        }
        let checked = self.walk.check(&call);
        let label = format!("in this `{op}`");
        if self.report(at, &label) {
            return None;
        }
        let checked = checked.ok()?;
        call.outputs = self.results(op, &checked.types, at);
        let step = self.walk.results(&call, checked);
        if self.report(at, &label) || step.is_err() {
            return None;
        }
        Some(self.keep(call))
    }

    /// Results of these types, with names for the walk; the program gets its names when it is built.
    pub(super) fn results(&mut self, op: &str, types: &[Type], at: Span) -> Vec<Param> {
        let name = self.fresh(op);
        let name = |i| if types.len() == 1 { name.clone() } else { format!("{name}_{i}").into() };
        let param = |(i, ty): (usize, &Type)| Param { name: name(i), ty: ty.clone(), span: at, ty_span: at };
        types.iter().enumerate().map(param).collect()
    }

    /// A name for the walk that nothing has.
    pub(super) fn fresh(&mut self, op: &str) -> Name {
        let number = self.name_count;
        self.name_count += 1;
        format!("%{op}_{number}").into()
    }

    /// Adds a call that was checked.
    pub(super) fn keep(&mut self, call: Call) -> Vec<Tensor> {
        let outputs = call.outputs.clone();
        self.calls.push(call);
        outputs.into_iter().map(|o| self.value(o.name, o.ty, o.span, Origin::Call)).collect()
    }

    /// Makes arguments of what is given; `false` if one of them stands for nothing or cannot be made.
    pub(super) fn bind_arguments(
        &mut self,
        call: &mut Call,
        edition: Option<&Edition>,
        given: Vec<(Name, Arg)>,
    ) -> bool {
        let at = call.span;
        let op = call.op.clone();
        let param = |name: &Name| edition.and_then(|e| e.params.iter().find(|p| p.name == &**name));
        let mut tensors = Vec::new();
        for (i, (name, Arg(content))) in given.iter().enumerate() {
            if given[..i].iter().any(|(other, _)| other == name) {
                let message = format!("`{name}` of `{op}` is given twice");
                self.refuse(Diagnostic::new(&codes::DUPLICATE_ARGUMENT, message), at, "in this call");
                return false;
            }
            let handles = match content {
                Content::One(t) => std::slice::from_ref(t),
                Content::Many(t) => t,
                _ => &[],
            };
            for &handle in handles {
                let Some(value) = self.resolve(handle, &format!("`{name}` of `{op}`"), at) else {
                    return false;
                };
                if let Type::Tensor(t) = &self.values[value].ty {
                    tensors.push((param(name), t.dtype));
                }
            }
        }
        // Numbers that must agree with each other, and have no tensor to agree with, are floats if one of them is.
        for (name, Arg(content)) in &given {
            if let (Content::Floats(..), Some(p)) = (content, param(name)) {
                let dtype = Wanted { param: Some(p), edition, tensors: &tensors }.float();
                tensors.push((Some(p), dtype));
            }
        }
        let mut sound = true;
        for (name, Arg(content)) in &given {
            let wanted = Wanted { param: param(name), edition, tensors: &tensors };
            let binding = match content {
                Content::Absent => continue,
                Content::One(t) if wanted.in_attributes() => match self.constant_of(*t) {
                    Some(value) => Binding::One(Operand::Value(value, at)),
                    None => Binding::One(Operand::Name(self.used(*t))),
                },
                Content::One(t) => Binding::One(Operand::Name(self.used(*t))),
                Content::Many(t) => Binding::Many(t.iter().map(|&t| Operand::Name(self.used(t))).collect()),
                literal => {
                    let (values, many, doubts) = wanted.values(literal);
                    for doubt in doubts {
                        let mut d = Diagnostic::new(doubt.code, doubt.message);
                        d.help = doubt.help.map(str::to_string);
                        sound &= d.severity != Severity::Error;
                        self.refuse(d, at, &format!("in this `{op}`"));
                    }
                    let mut values = values.into_iter().map(|v| Operand::Value(v, at));
                    match many {
                        true => Binding::Many(values.collect()),
                        false => match values.next() {
                            Some(value) => Binding::One(value),
                            None => continue,
                        },
                    }
                }
            };
            match binding {
                Binding::One(Operand::Value(value, span)) if wanted.in_attributes() => {
                    call.attributes.push(Attribute { name: name.clone(), value, span, value_span: span });
                }
                binding => call.arguments.push(Argument { name: name.clone(), binding, span: at }),
            }
        }
        sound
    }

    /// The literal that a value is, if it is a constant.
    pub(super) fn constant_of(&self, tensor: Tensor) -> Option<mil::Value> {
        let ValueOf::Value(number) = tensor.value else { return None };
        match &self.values.get(number as usize).filter(|_| tensor.graph == self.id)?.origin {
            Origin::Constant(value) => Some(value.clone()),
            Origin::Input | Origin::Call => None,
        }
    }

    /// A use of a value that was resolved.
    pub(super) fn used(&self, tensor: Tensor) -> Use {
        let (name, span) = match tensor.value {
            ValueOf::Value(number) => {
                let value = &self.values[number as usize];
                (value.name.clone(), value.span)
            }
            ValueOf::Refused | ValueOf::Missing => (Name::from(""), Span::default()),
        };
        Use { name, span }
    }

    /// The number of the value that a handle stands for; why it stands for none is reported, unless that was done when
    /// it was made.
    pub(super) fn resolve(&mut self, tensor: Tensor, what: &str, at: Span) -> Option<usize> {
        let d = match tensor.value {
            _ if tensor.graph != self.id => {
                Diagnostic::new(&codes::UNDEFINED_NAME, format!("{what} is a tensor of another graph"))
                    .help("make it in this graph; only what a run gives can go from graph to graph")
            }
            ValueOf::Value(number) => {
                if self.blocks.contains(&self.values[number as usize].block) {
                    return Some(number as usize);
                }
                Diagnostic::new(&codes::UNDEFINED_NAME, format!("{what} was made in a block that has ended"))
                    .help("let the block give it back: what its closure returns are results of the op")
            }
            ValueOf::Refused => return None,
            ValueOf::Missing => {
                Diagnostic::new(&codes::RESULT_COUNT, format!("{what} is a result that its op does not have"))
                    .help("ask `Tensors::len` how many there are")
            }
        };
        self.refuse(d, at, "used here");
        None
    }

    /// Keeps a diagnostic of the builder itself.
    pub(super) fn refuse(&mut self, d: Diagnostic, at: Span, label: &str) {
        let at = self.location(at);
        self.diagnostics.push(match at {
            Some(location) => d.at_rust(location, label),
            None => d,
        });
    }

    /// Keeps what the walk has found since it was last asked: whether an error is among it.
    pub(super) fn report(&mut self, at: Span, label: &str) -> bool {
        let found = std::mem::take(&mut self.walk.diagnostics);
        let errors = found.has_errors();
        // One number that stands for a whole constant is how the builder writes one.
        for d in found.into_iter().filter(|d| d.code != &codes::CONST_FILLED) {
            let relocated = self.relocated(d, at, label);
            self.diagnostics.push(relocated);
        }
        errors
    }

    /// The diagnostic with lines of the caller's program in the place of spans: the line that called first, then those
    /// where its arguments were made.
    fn relocated(&self, mut d: Diagnostic, at: Span, label: &str) -> Diagnostic {
        let labels = std::mem::take(&mut d.labels);
        let (mut here, elsewhere): (Vec<Label>, Vec<Label>) =
            labels.into_iter().partition(|l| l.place == Place::Text(at));
        if here.is_empty() {
            here.push(Label { place: Place::Text(at), text: label.to_string() });
        }
        here.extend(elsewhere);
        for mut label in here {
            if let Place::Text(span) = label.place {
                let Some(location) = self.location(span) else { continue };
                label.place = Place::Rust(location);
            }
            d.labels.push(label);
        }
        d
    }

    pub(super) fn location(&self, at: Span) -> Option<&'static std::panic::Location<'static>> {
        self.places.get((at.start as usize).checked_sub(1)?).copied()
    }
}

/// A call of an op, without anything.
pub(super) fn empty_call(op: &str, at: Span) -> Call {
    Call {
        op: op.into(),
        opset: None,
        outputs: Vec::new(),
        arguments: Vec::new(),
        attributes: Vec::new(),
        blocks: Vec::new(),
        span: at,
        op_span: at,
    }
}
