//! One call: its op, its arguments, its results.

use super::function::{Walk, too_large, unknown_op, unknown_opset};
use super::{Body, Content, Input, Step, Value, ValueId};
use crate::mil::op::{Arg, Args, Control, Default, Edition, Fault, Kind, Meaning, Op, Parameter, Slot};
use crate::mil::{self, Binding, BlobRef, Call, Opset};
use crate::ops;
use crate::source::{Diagnostic, Severity, Span, codes, suggest};
use crate::types::{DType, Datum, MAX_ELEMENTS, Tensor, Type};

/// An argument as it was found: the parameter it is for, its values, and where it stands.
struct Given {
    param: usize,
    values: Vec<(ValueId, Span)>,
    /// Whether it is written with parentheses.
    many: bool,
    span: Span,
}

/// The call was refused, and why has been reported.
pub(crate) struct Refused;

/// A call whose arguments fit its op.
pub(crate) struct Checked {
    op: &'static Op,
    opset: Opset,
    edition: &'static Edition,
    inputs: Vec<Input>,
    blocks: Vec<Body>,
    /// What the op gives.
    pub(crate) types: Vec<Type>,
}

impl Walk {
    /// Checks a call and binds its results. Constants, and calls that are refused, give no step.
    pub(crate) fn call(&mut self, call: &Call) -> Option<Step> {
        self.checked(call).unwrap_or_else(|Refused| {
            // The results exist all the same, with their declared types, so that one fault does not cause others.
            for o in &call.outputs {
                let id = self.bind(o, o.ty.clone(), Content::Computed);
                self.refused.insert(id);
            }
            None
        })
    }

    fn checked(&mut self, call: &Call) -> Result<Option<Step>, Refused> {
        if call.op == "const" {
            return self.constant(call);
        }
        let checked = self.check(call)?;
        self.results(call, checked).map(Some)
    }

    /// Checks the arguments of a call, and infers the types of its results.
    pub(crate) fn check(&mut self, call: &Call) -> Result<Checked, Refused> {
        let opset = match &call.opset {
            None => self.opset,
            Some(name) => match name.known() {
                Some(opset) => opset,
                None => {
                    self.resolve_all(call);
                    self.diagnostics.push(unknown_opset(name, call.op_span));
                    return Err(Refused);
                }
            },
        };
        let Some(op) = ops::find(&call.op) else {
            self.resolve_all(call);
            self.diagnostics.push(unknown_op(call));
            return Err(Refused);
        };
        let Some(edition) = op.edition(opset) else {
            self.resolve_all(call);
            self.too_new(
                Diagnostic::new(
                    &codes::OPSET_TOO_OLD,
                    format!("`{}` came with {}, and the function is of {opset}", op.name, op.since()),
                )
                .at(call.op_span, format!("needs {}", op.since()))
                .help(format!("declare the function as `<{}>`", op.since())),
            );
            return Err(Refused);
        };
        let mut sound = true;
        let given = self.arguments(call, op, edition, opset, &mut sound);
        self.missing(call, op, edition, &given, &mut sound);
        let doubtful = given.iter().flat_map(|g| &g.values).any(|v| self.doubtful.contains(&v.0));
        if !doubtful {
            for g in &given {
                self.argument(op, &edition.params[g.param], g, &mut sound);
            }
            self.domains(op, edition, &given, &mut sound);
        }
        if doubtful || !sound {
            // What its blocks should take and give is not known; what is in them can be checked.
            call.blocks.iter().for_each(|block| drop(self.nested(block)));
            return Err(Refused);
        }

        let inputs: Vec<Input> = (0..edition.params.len())
            .map(|i| match given.iter().find(|g| g.param == i) {
                None => Input::Absent,
                Some(g) if g.many || edition.params[i].kind == Kind::Tuple => {
                    Input::Many(g.values.iter().map(|v| v.0).collect())
                }
                Some(g) => g.values.first().map_or(Input::Absent, |v| Input::One(v.0)),
            })
            .collect();
        let blocks = self.blocks(call, op, edition, &inputs, &mut sound);
        if !sound {
            return Err(Refused);
        }
        let types = match self.infer(op, opset, edition, &inputs, call) {
            Ok(types) => types,
            Err(fault) => {
                self.refuse(fault, call, op, edition, &given);
                return Err(Refused);
            }
        };
        Ok(Checked { op, opset, edition, inputs, blocks, types })
    }

    /// Binds the results of a call that was checked.
    pub(crate) fn results(&mut self, call: &Call, checked: Checked) -> Result<Step, Refused> {
        let Checked { op, opset, edition, inputs, blocks, types } = checked;
        if types.len() != call.outputs.len() {
            self.diagnostics.push(
                Diagnostic::new(
                    &codes::RESULT_COUNT,
                    format!(
                        "`{}` gives {}, and {} bound",
                        op.name,
                        count(types.len(), "result"),
                        match call.outputs.len() {
                            1 => "1 is".to_string(),
                            n => format!("{n} are"),
                        }
                    ),
                )
                .at(
                    call.outputs.get(types.len()).map_or(call.op_span, |o| o.span),
                    match call.outputs.len() > types.len() {
                        true => "one too many".to_string(),
                        false => format!("gives {}", count(types.len(), "result")),
                    },
                )
                .help(format!(
                    "write {} before `=`",
                    if types.is_empty() { "nothing".to_string() } else { count(types.len(), "typed name") }
                )),
            );
            return Err(Refused);
        }
        // An open dimension may turn out not to fit, though the result is known if it does.
        let known = inputs.iter().flat_map(Input::values).all(|v| self.values[v.index()].ty.is_known());
        let certain = known && types.iter().all(|t| t.is_known()) && blocks.is_empty();
        let constexpr = op.name.starts_with("constexpr_");
        let mut outputs = Vec::with_capacity(types.len());
        for (o, inferred) in call.outputs.iter().zip(types) {
            let fits = o.ty.fits(&inferred);
            // Of one that is too large that is said when it is bound.
            if !fits && !too_large(&o.ty) {
                self.diagnostics.push(
                    Diagnostic::new(
                        &codes::DECLARED_TYPE,
                        format!(
                            "`{}` is declared as `{}`, and `{}` gives `{inferred}`",
                            o.name, o.ty, op.name
                        ),
                    )
                    .at(o.ty_span, "declared here")
                    .at(call.op_span, format!("gives `{inferred}`"))
                    .help(format!("declare it as `{inferred}`")),
                );
            }
            let ty = if fits { inferred.or(&o.ty) } else { o.ty.clone() };
            let id = self.bind(o, ty, if constexpr { Content::Constexpr } else { Content::Computed });
            if !fits {
                self.doubtful.insert(id);
            }
            outputs.push(id);
        }
        Ok(Step { op, opset, edition, inputs, outputs, certain, blocks, span: call.op_span })
    }

    /// Looks up the names of a call whose op is not known, so that they count as used, and checks its blocks.
    fn resolve_all(&mut self, call: &Call) {
        for a in &call.arguments {
            for o in a.binding.operands() {
                if let mil::Operand::Name(u) = o {
                    self.resolve(u);
                }
            }
        }
        self.tell_early();
        for block in &call.blocks {
            self.nested(block);
        }
    }

    /// A `const`: its value is bound, and there is no step.
    fn constant(&mut self, call: &Call) -> Result<Option<Step>, Refused> {
        let [output] = call.outputs.as_slice() else {
            self.diagnostics.push(
                Diagnostic::new(
                    &codes::RESULT_COUNT,
                    match call.outputs.len() {
                        0 => "`const` gives 1 result, and none is bound".to_string(),
                        n => format!("`const` gives 1 result, and {n} are bound"),
                    },
                )
                .at(
                    call.outputs.get(1).map_or(call.op_span, |o| o.span),
                    if call.outputs.is_empty() { "gives 1 result" } else { "one too many" },
                )
                .help("write 1 typed name before `=`"),
            );
            return Err(Refused);
        };
        let val = call.attribute("val").map(|a| (&a.value, a.value_span)).or_else(|| {
            match call.argument("val").map(|a| &a.binding) {
                Some(Binding::One(mil::Operand::Value(v, span))) => Some((v, *span)),
                _ => None,
            }
        });
        let Some((value, span)) = val else {
            self.diagnostics.push(
                Diagnostic::new(
                    &codes::CONST_WITHOUT_VALUE,
                    format!("the const `{}` has no value", output.name),
                )
                .at(call.op_span, "no `val`")
                .help(format!(
                    "write `const()[name = string(\"{0}\"), val = {1}(…)]`",
                    output.name, output.ty
                )),
            );
            return Err(Refused);
        };
        let ty = value.ty();
        if output.ty.fits(&ty) {
            let errors = self.diagnostics.errors();
            let content = self.literal(value, span);
            let wrong = self.diagnostics.errors() > errors;
            let id = self.bind(output, ty.or(&output.ty), content);
            self.written_at.insert(id, span);
            if wrong {
                self.doubtful.insert(id);
            }
            return Ok(None);
        }
        if let Some(filled) = self.filled(value, &output.ty) {
            self.diagnostics.push(
                Diagnostic::new(
                    &codes::CONST_FILLED,
                    format!("one number fills the tensor `{}`", output.name),
                )
                .at(span, format!("a `{ty}` for a `{}`", output.ty))
                .help("write all numbers, or put the tensor into a weight file"),
            );
            self.bind(output, output.ty.clone(), Content::Constant(filled.into()));
            return Ok(None);
        }
        self.diagnostics.push(
            Diagnostic::new(
                &codes::DECLARED_TYPE,
                format!("`{}` is declared as `{}`, and its value is `{ty}`", output.name, output.ty),
            )
            .at(output.ty_span, "declared here")
            .at(span, format!("a `{ty}`"))
            .help(format!("declare it as `{ty}`")),
        );
        let id = self.bind(output, output.ty.clone(), Content::Computed);
        self.doubtful.insert(id);
        Ok(None)
    }

    /// The tensor of this type that a scalar literal of its dtype fills, if it is of a size that a text may ask for.
    fn filled(&mut self, value: &mil::Value, ty: &Type) -> Option<Tensor> {
        let (scalar, ty) = (value.to_tensor()?, ty.as_tensor()?);
        let shape = ty.shape.known()?;
        if scalar.rank() > 0 || scalar.dtype() != ty.dtype {
            return None;
        }
        self.fillable = self.fillable.checked_sub(ty.shape.elements()?)?;
        scalar.pick(&shape, std::iter::repeat(0)).ok()
    }

    /// The value of a literal; a tensor in a weight file is looked up there.
    fn literal(&mut self, value: &mil::Value, span: Span) -> Content {
        match value {
            mil::Value::Blob(blob) => self.blob(blob, span),
            mil::Value::List(ty, items) => {
                let Type::List { item, .. } = ty else { return Content::Constexpr };
                let items = items.iter().map(mil::Value::to_tensor).collect();
                Content::Constant(Datum::List { item: item.clone(), items })
            }
            mil::Value::Dict(_, pairs) => Content::Constant(Datum::Dict(
                pairs.iter().filter_map(|(k, v)| Some((k.to_tensor()?, v.to_tensor()?))).collect(),
            )),
            // No op takes a tuple as one value; the literal is kept by the program and has no meaning here.
            mil::Value::Tuple(..) => Content::Constexpr,
            _ => match value.to_tensor() {
                Some(t) => Content::Constant(t.into()),
                None => Content::Constexpr,
            },
        }
    }

    fn blob(&mut self, blob: &BlobRef, span: Span) -> Content {
        if blob.ty.shape.extent() > MAX_ELEMENTS {
            // Whoever binds the weight reports it.
            return Content::Missing(blob.clone());
        }
        match self.weights.get(blob) {
            Ok(tensor) => Content::Constant(tensor.into()),
            Err(d) => {
                // Of a file that is not there, one warning is enough.
                let said = d.severity == Severity::Warning
                    && self.diagnostics.iter().any(|e| e.code == d.code && e.message == d.message);
                if !said {
                    self.diagnostics.push(d.at(span, "refers to it"));
                }
                Content::Missing(blob.clone())
            }
        }
    }

    /// The value of a literal that stands where an argument does.
    fn written(&mut self, value: &mil::Value, span: Span) -> ValueId {
        self.holdable("a literal", &value.ty(), span);
        let errors = self.diagnostics.errors();
        let content = self.literal(value, span);
        let id = self.add(value.ty(), content, span);
        if self.diagnostics.errors() > errors {
            self.doubtful.insert(id);
        }
        id
    }

    /// Finds the parameter of each argument and resolves its values.
    fn arguments(
        &mut self,
        call: &Call,
        op: &'static Op,
        edition: &'static Edition,
        opset: Opset,
        sound: &mut bool,
    ) -> Vec<Given> {
        let mut given = Vec::with_capacity(call.arguments.len());
        for a in &call.arguments {
            let mut values = Vec::with_capacity(1);
            for o in a.binding.operands() {
                match o {
                    mil::Operand::Name(u) => match self.resolve(u) {
                        Some(id) => values.push((id, u.span)),
                        None => *sound = false,
                    },
                    mil::Operand::Value(v, span) => {
                        values.push((self.written(v, *span), *span));
                    }
                }
            }
            let span = a.binding.operands().iter().fold(a.span, |s, o| s.to(o.span()));
            match edition.params.iter().position(|p| p.name == &*a.name) {
                Some(param) => {
                    let many = matches!(a.binding, Binding::Many(_));
                    given.push(Given { param, values, many, span });
                }
                None => {
                    *sound = false;
                    self.unknown_parameter(&a.name, a.span, op, edition, opset);
                }
            }
        }
        self.tell_early();
        if edition.in_attributes {
            for a in &call.attributes {
                let Some(param) = edition.params.iter().position(|p| p.name == &*a.name) else { continue };
                let id = self.written(&a.value, a.value_span);
                given.push(Given {
                    param,
                    values: vec![(id, a.value_span)],
                    many: false,
                    span: a.value_span,
                });
            }
        }
        given
    }

    fn unknown_parameter(
        &mut self,
        name: &str,
        span: Span,
        op: &'static Op,
        edition: &Edition,
        opset: Opset,
    ) {
        if let Some(later) =
            op.editions.iter().find(|e| e.since > opset && e.params.iter().any(|p| p.name == name))
        {
            self.too_new(
                Diagnostic::new(
                    &codes::OPSET_TOO_OLD,
                    format!(
                        "`{name}` of `{}` came with {}, and the call is of {opset}",
                        op.name, later.since
                    ),
                )
                .at(span, format!("needs {}", later.since))
                .help(format!("declare the function as `<{}>`, or leave `{name}` out", later.since)),
            );
            return;
        }
        let d =
            Diagnostic::new(&codes::UNKNOWN_PARAMETER, format!("`{}` has no parameter `{name}`", op.name))
                .at(span, "not a parameter of this op");
        let names: Vec<_> = edition.params.iter().map(|p| p.name).collect();
        let d = d.note(match names.as_slice() {
            [] => format!("`{}` takes no arguments", op.name),
            names => format!("its parameters are `{}`", names.join("`, `")),
        });
        self.diagnostics.push(match suggest(name, names.iter().copied()) {
            Some(near) => d.help(format!("did you mean `{near}`?")),
            None => d,
        });
    }

    /// Says which required parameters are not given.
    fn missing(&mut self, call: &Call, op: &Op, edition: &Edition, given: &[Given], sound: &mut bool) {
        let mut names = Vec::new();
        for (i, p) in edition.params.iter().enumerate() {
            if p.default != Default::Required || given.iter().any(|g| g.param == i) {
                continue;
            }
            // A misspelt argument has already been reported, and is what is missing.
            let misspelt = call.arguments.iter().any(|a| {
                edition.params.iter().all(|q| q.name != &*a.name) && suggest(&a.name, [p.name]).is_some()
            });
            *sound = false;
            if !misspelt {
                names.push(p.name);
            }
        }
        let all = |each: fn(&&str) -> String| {
            let words: Vec<String> = names.iter().map(each).collect();
            match words.split_last() {
                Some((last, first @ [_, ..])) => format!("{} and {last}", first.join(", ")),
                _ => words.concat(),
            }
        };
        if !names.is_empty() {
            let quoted = all(|n| format!("`{n}`"));
            let are = if names.len() == 1 { "is" } else { "are" };
            let brackets = if edition.in_attributes { "square brackets" } else { "parentheses" };
            self.diagnostics.push(
                Diagnostic::new(&codes::MISSING_PARAMETER, format!("`{}` needs {quoted}", op.name))
                    .at(call.op_span, format!("{quoted} {are} not given"))
                    .help(format!("add {} in the {brackets}", all(|n| format!("`{n} = …`")))),
            );
        }
    }

    /// Checks kind, dtype and constness of one argument.
    fn argument(&mut self, op: &Op, p: &Parameter, g: &Given, sound: &mut bool) {
        if g.many && p.kind != Kind::Tuple && p.kind != Kind::Any && g.values.len() != 1 {
            *sound = false;
            self.diagnostics.push(
                Diagnostic::new(
                    &codes::WRONG_KIND,
                    format!(
                        "`{}` of `{}` takes one value, and {} are given",
                        p.name,
                        op.name,
                        g.values.len()
                    ),
                )
                .at(g.span, "several values")
                .help("give one value; `concat` and `stack` make one of several"),
            );
            return;
        }
        for &(id, span) in &g.values {
            let value = &self.values[id.index()];
            let fits = match p.kind {
                Kind::Tensor => matches!(value.ty, Type::Tensor(_)),
                // A constant list of strings is written as a list or as a tensor.
                Kind::List => matches!(value.ty, Type::List { .. } | Type::Tensor(_)),
                Kind::State => matches!(value.ty, Type::State(_)),
                Kind::Tuple | Kind::Any => true,
            };
            if !fits {
                *sound = false;
                let (wanted, help) = match (p.kind, &value.ty) {
                    (Kind::Tensor, Type::State(_)) => {
                        ("a tensor", Some(format!("read it first: `read_state(input = {})`", value.name)))
                    }
                    (Kind::List, _) => ("a list", None),
                    (Kind::State, _) => ("a state", None),
                    _ => ("a tensor", None),
                };
                let mut d = Diagnostic::new(
                    &codes::WRONG_KIND,
                    format!("`{}` of `{}` must be {wanted}, and is `{}`", p.name, op.name, value.ty),
                )
                .at(span, format!("a `{}`", value.ty));
                d.help = help;
                self.fault_of(id, d, true);
                continue;
            }
            if let (Kind::Tensor, Type::Tensor(t)) = (p.kind, &value.ty)
                && !p.dtypes.contains(t.dtype)
            {
                *sound = false;
                let literal = value.name.is_empty();
                let newer = op.editions.iter().find(|e| {
                    e.params.iter().any(|q| q.name == p.name && q.dtypes.contains(t.dtype))
                        && e.since > self.opset
                });
                let help = match newer {
                    Some(e) => format!("`{}` takes {} from {} on", p.name, t.dtype, e.since),
                    None if literal => format!("write it as {}", p.dtypes),
                    None => format!("cast it to {} first", p.dtypes),
                };
                let d = Diagnostic::new(
                    &codes::WRONG_DTYPE,
                    format!("`{}` of `{}` takes {}, and is {}", p.name, op.name, p.dtypes, t.dtype),
                )
                .at(span, format!("a `{}`", value.ty))
                .help(help);
                self.fault_of(id, d, true);
                continue;
            }
            if p.constant && !value.content.is_constant() {
                *sound = false;
                if self.refused.contains(&id) {
                    continue;
                }
                let d = Diagnostic::new(
                    &codes::NOT_CONSTANT,
                    format!("`{}` of `{}` must be known when the program is compiled", p.name, op.name),
                )
                .at(span, "computed when the program runs")
                .help("bind it to a `const`");
                self.diagnostics.push(d);
            }
        }
    }

    /// Parameters of one domain must have one dtype.
    fn domains(&mut self, op: &Op, edition: &Edition, given: &[Given], sound: &mut bool) {
        if !*sound {
            return;
        }
        let mut first: Vec<(char, DType, usize, Span)> = Vec::new();
        for g in given {
            let p = &edition.params[g.param];
            if p.domain == ' ' {
                continue;
            }
            for &(id, span) in &g.values {
                let Type::Tensor(t) = &self.values[id.index()].ty else { continue };
                match first.iter().find(|f| f.0 == p.domain) {
                    None => first.push((p.domain, t.dtype, g.param, span)),
                    Some(&(_, dtype, ..)) if dtype == t.dtype => {}
                    Some(&(_, dtype, other, other_span)) => {
                        *sound = false;
                        let other = edition.params[other].name;
                        self.diagnostics.push(
                            Diagnostic::new(
                                &codes::DTYPE_MISMATCH,
                                format!(
                                    "`{}` and `{other}` of `{}` must have the same dtype, and are {} and {dtype}",
                                    p.name, op.name, t.dtype
                                ),
                            )
                            .at(span, t.dtype.name())
                            .at(other_span, dtype.name())
                            .help("cast one of the two"),
                        );
                        return;
                    }
                }
            }
        }
    }

    /// Checks the blocks of a control-flow op; other ops have none.
    fn blocks(
        &mut self,
        call: &Call,
        op: &Op,
        edition: &Edition,
        inputs: &[Input],
        sound: &mut bool,
    ) -> Vec<Body> {
        let control = match op.meaning {
            Meaning::Control(c) => Some(c),
            _ => None,
        };
        let wanted = if control.is_some() { 2 } else { 0 };
        if call.blocks.len() != wanted {
            *sound = false;
            self.diagnostics.push(
                Diagnostic::new(
                    &codes::BLOCK_COUNT,
                    format!("`{}` has {}, and needs {wanted}", op.name, count(call.blocks.len(), "block")),
                )
                .at(call.op_span, format!("has {}", count(call.blocks.len(), "block")))
                .help(match control {
                    Some(Control::Cond) => "give a block for true and one for false",
                    Some(Control::While) => "give a block for the condition and one for the body",
                    None => "remove the blocks; only `cond` and `while_loop` have them",
                }),
            );
            for block in &call.blocks {
                self.nested(block);
            }
            return Vec::new();
        }
        let Some(control) = control else { return Vec::new() };
        // The types that the blocks take: none, or those of the loop's variables.
        let variables: Vec<Type> = match control {
            Control::Cond => Vec::new(),
            Control::While => {
                let i = edition.params.iter().position(|p| p.name == "loop_vars");
                let ids = i.map_or(&[][..], |i| inputs[i].values());
                ids.iter().map(|v| self.values[v.index()].ty.clone()).collect()
            }
        };
        let results: Vec<Type> = call.outputs.iter().map(|o| o.ty.clone()).collect();
        let boolean = [Type::scalar(DType::Bool)];
        let mut bodies = Vec::with_capacity(2);
        for (i, block) in call.blocks.iter().enumerate() {
            let (what, wanted) = match (control, i) {
                (Control::Cond, 0) => ("block for true", &results[..]),
                (Control::Cond, _) => ("block for false", &results[..]),
                (Control::While, 0) => ("condition", &boolean[..]),
                (Control::While, _) => ("body", &results[..]),
            };
            if block.params.len() != variables.len() {
                *sound = false;
                // The first that is too many, or the last that is there.
                let at = block.params.get(variables.len()).or(block.params.last());
                self.block_type(
                    at.map_or(call.op_span, |p| p.span),
                    format!("the {what} has {}", count(block.params.len(), "parameter")),
                    format!("the {what} of `{}` takes {}", op.name, count(variables.len(), "parameter")),
                );
            }
            for (p, ty) in block.params.iter().zip(&variables) {
                if !p.ty.fits(ty) {
                    *sound = false;
                    self.block_type(
                        p.ty_span,
                        "declared here".to_string(),
                        format!(
                            "`{}` is declared as `{}`, and the variable of the loop is `{ty}`",
                            p.name, p.ty
                        ),
                    );
                }
            }
            // A loop's variable may change its unknown dimensions from turn to turn: the declared types hold.
            let body = self.nested(block);
            let is_condition = control == Control::While && i == 0;
            let found: Vec<&Type> = body.outputs.iter().map(|o| &self.values[o.index()].ty).collect();
            // Core ML also takes a tensor of one bool as a condition: converted GRUs have one.
            let one_bool = |t: &Type| {
                t.as_tensor()
                    .is_some_and(|t| t.dtype == DType::Bool && t.shape.elements().is_none_or(|n| n == 1))
            };
            let fits = found.len() == wanted.len()
                && found.iter().zip(wanted).all(|(a, b)| a.fits(b) || is_condition && one_bool(a));
            let doubtful = body.outputs.iter().any(|o| self.doubtful.contains(o));
            if !fits && !doubtful && body.outputs.len() == block.outputs.len() {
                *sound = false;
                let (found, wanted) = (list(found), list(wanted));
                self.block_type(
                    block.span,
                    format!("gives {found}"),
                    format!("the {what} of `{}` must give {wanted}, and gives {found}", op.name),
                );
            }
            bodies.push(body);
        }
        bodies
    }

    fn block_type(&mut self, span: Span, label: String, message: String) {
        self.diagnostics.push(Diagnostic::new(&codes::BLOCK_TYPE, message).at(span, label));
    }

    /// The types of the results, from the types and known values of the arguments.
    fn infer(
        &self,
        op: &'static Op,
        opset: Opset,
        edition: &'static Edition,
        inputs: &[Input],
        call: &Call,
    ) -> Result<Vec<Type>, Fault> {
        let arg = |id: &ValueId| {
            let v = &self.values[id.index()];
            let value = match &v.content {
                Content::Constant(d) => Some(d),
                _ => None,
            };
            Arg { ty: &v.ty, value }
        };
        let slots = inputs
            .iter()
            .map(|i| match i {
                Input::Absent => Slot::Absent,
                Input::One(v) => Slot::One(arg(v)),
                Input::Many(v) => Slot::Many(v.iter().map(arg).collect()),
            })
            .collect();
        let declared: Vec<Type> = call.outputs.iter().map(|o| o.ty.clone()).collect();
        (op.infer)(&Args { op, opset, edition, slots, declared: &declared, after: &[], unmade: &[] })
    }

    /// Reports a fault at the argument that it names.
    fn refuse(&mut self, fault: Fault, call: &Call, op: &Op, edition: &Edition, given: &[Given]) {
        let too_large = |o: &mil::Param| {
            o.ty.as_tensor().and_then(|t| t.shape.elements()).is_some_and(|n| n > MAX_ELEMENTS)
        };
        if fault.code == &codes::TENSOR_TOO_LARGE && call.outputs.iter().any(too_large) {
            // The declared type is reported when the result is bound.
            return;
        }
        if fault.code == &codes::NOT_CONSTANT
            && given.iter().flat_map(|g| &g.values).any(|v| self.refused.contains(&v.0))
        {
            // It may have been a constant, and why it is not has been reported.
            return;
        }
        let place = |param: Option<&str>| {
            let g = given.iter().find(|g| Some(edition.params[g.param].name) == param)?;
            let span = g.values.iter().map(|v| v.1).reduce(Span::to).unwrap_or(g.span);
            Some((span, list(g.values.iter().map(|v| shown(&self.values[v.0.index()])))))
        };
        let mut d = Diagnostic::new(fault.code, fault.message);
        d.help = fault.help;
        d = match place(fault.param) {
            Some((span, what)) => d.at(span, format!("`{}` is {what}", fault.param.unwrap_or_default())),
            None => d.at(call.op_span, format!("in this `{}`", op.name)),
        };
        if let Some((span, what)) = place(fault.other) {
            d = d.at(span, format!("`{}` is {what}", fault.other.unwrap_or_default()));
        }
        let at = given.iter().find(|g| Some(edition.params[g.param].name) == fault.param);
        match at.map(|g| g.values.as_slice()) {
            Some(&[(id, _)]) => {
                // Where the result has as many dimensions as the tensor that is given, an axis or a list that does not fit
                // the tensor does not fit the result either, and is what is wrong.
                let rank = |ty: &Type| ty.as_tensor().map(|t| t.rank());
                let tensor = given
                    .iter()
                    .flat_map(|g| &g.values)
                    .find(|v| !self.values[v.0.index()].content.is_constant());
                let before = tensor.and_then(|v| rank(&self.values[v.0.index()].ty));
                let relation = [&codes::INDEX_OUT_OF_RANGE, &codes::SHAPE_MISMATCH, &codes::WRONG_RANK]
                    .contains(&d.code);
                let same = before.is_some() && before == call.outputs.first().and_then(|o| rank(&o.ty));
                let of_itself = d.code == &codes::BAD_VALUE || relation && same;
                self.fault_of(id, d, of_itself);
            }
            _ => self.diagnostics.push(d),
        }
    }
}

/// What to show of a value: the value itself if it is a short constant that says how and not how much, else its type.
fn shown(value: &Value) -> String {
    const FEW: usize = 8;
    let Content::Constant(Datum::Tensor(t)) = &value.content else { return value.ty.to_string() };
    let items: Vec<String> = match t.as_strings() {
        _ if t.len() > FEW || t.dtype().is_float() => return value.ty.to_string(),
        Some(strings) => strings.iter().map(|s| format!("\"{s}\"")).collect(),
        None if t.dtype() == DType::Bool => t.to_i64s().iter().map(|&v| (v != 0).to_string()).collect(),
        None => t.to_i64s().iter().map(i64::to_string).collect(),
    };
    match t.rank() {
        0 => items.concat(),
        1 => format!("[{}]", items.join(", ")),
        _ => value.ty.to_string(),
    }
}

/// `int32`, `fp16`, or the word for none.
fn list<T: std::fmt::Display>(types: impl IntoIterator<Item = T>) -> String {
    let types: Vec<_> = types.into_iter().map(|t| format!("`{t}`")).collect();
    if types.is_empty() { "nothing".to_string() } else { types.join(", ") }
}

/// `1 block`, `2 blocks`.
fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}
