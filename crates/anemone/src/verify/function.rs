//! Names and blocks: the walk over a function.

use std::collections::{HashMap, HashSet};

use super::{Body, Content, Function, Value, ValueId};
use crate::bundle::Weights;
use crate::mil::{self, Block, Call, Name, Operand, Opset, OpsetName, Param, Use};
use crate::ops;
use crate::source::{Diagnostic, Diagnostics, Span, codes, suggest};
use crate::types::{Datum, MAX_ELEMENTS, Type};

/// Checks one function. It is given back unless its opset is unknown.
pub(super) fn check(f: &mil::Function, weights: &Weights, diagnostics: &mut Diagnostics) -> Option<Function> {
    let Some(opset) = f.opset.known() else {
        diagnostics.push(unknown_opset(&f.opset, f.opset_span));
        return None;
    };
    let mut walk = Walk::new(opset, weights.clone());
    walk.diagnostics = std::mem::take(diagnostics);
    walk.collect(&f.body);
    let params: Vec<_> = f.params.iter().map(|p| walk.bind(p, p.ty.clone(), Content::Computed)).collect();
    let body = walk.block(&f.body);
    if f.body.outputs.is_empty() {
        walk.diagnostics.push(
            Diagnostic::new(&codes::NO_OUTPUT, format!("the function `{}` returns nothing", f.name))
                .at(f.body.span, "no results")
                .help("name the results: `} -> (y);`"),
        );
    }
    for (i, o) in f.body.outputs.iter().enumerate() {
        if let Some(first) = f.body.outputs[..i].iter().find(|p| p.name == o.name) {
            walk.diagnostics.push(
                Diagnostic::new(
                    &codes::DUPLICATE_OUTPUT,
                    format!("the function `{}` returns `{}` twice", f.name, o.name),
                )
                .at(o.span, "returned again")
                .at(first.span, "first returned here")
                .help("return it once, or return a copy: `identity(x = …)`"),
            );
        }
    }
    for (p, id) in f.params.iter().zip(&params) {
        if walk.uses[id.index()] == 0 {
            walk.diagnostics.push(
                Diagnostic::new(&codes::UNUSED_PARAMETER, format!("the parameter `{}` is not used", p.name))
                    .at(p.span, "never read")
                    .help("remove it, or use it"),
            );
        }
    }
    walk.unused(&f.body);
    *diagnostics = walk.diagnostics;
    Some(Function { name: f.name.clone(), opset, values: walk.values, params, body })
}

/// Says that an opset is not known.
pub(super) fn unknown_opset(opset: &OpsetName, span: Span) -> Diagnostic {
    let known: Vec<_> = Opset::ALL.iter().map(|o| o.name()).collect();
    let nearest = suggest(opset.as_str(), known.iter().copied()).unwrap_or("ios18");
    Diagnostic::new(&codes::UNKNOWN_OPSET, format!("there is no opset `{}`", opset.as_str()))
        .at(span, "not an opset that anemone knows")
        .note(format!("the opsets are {}", known.join(", ")))
        .help(format!("did you mean `{nearest}`?"))
}

/// Says that the op set has no op of this name.
pub(super) fn unknown_op(call: &Call) -> Diagnostic {
    if let Some(op) = ops::lowered(&call.op) {
        let message = format!("`{}` is an op inside coremltools, which no written program holds", op.name);
        return Diagnostic::new(&codes::UNKNOWN_OP, message)
            .at(call.op_span, "not an op of MIL")
            .help(format!("write what coremltools makes of it: {}", op.becomes));
    }
    let d = Diagnostic::new(&codes::UNKNOWN_OP, format!("there is no op `{}`", call.op))
        .at(call.op_span, "not an op of MIL");
    match suggest(&call.op.to_lowercase(), ops::all().map(|o| o.name)) {
        Some(near) => d.help(format!("did you mean `{near}`?")),
        None => d.help("`anemone ops` lists the ops"),
    }
}

/// Whether a value is a short constant that says how something is done and not how much of it: an axis, a mode, a list of strides.
pub(super) fn says_how(value: &Value) -> bool {
    const FEW: usize = 8;
    match &value.content {
        Content::Constant(Datum::Tensor(t)) => t.len() <= FEW && (t.rank() == 0 || !t.dtype().is_float()),
        _ => false,
    }
}

/// Whether a tensor or state of this type is larger than any engine holds.
pub(super) fn too_large(ty: &Type) -> bool {
    let tensor = match ty {
        Type::State(t) => t.as_tensor(),
        _ => ty.as_tensor(),
    };
    tensor.is_some_and(|t| t.shape.extent() > MAX_ELEMENTS)
}

/// How many elements one number each may fill in a function: a short text must not take gigabytes.
pub(crate) const FILLABLE: u64 = 1 << 26;

/// A fault of a constant.
#[derive(Clone, Copy)]
struct Faulty {
    /// Its position in the diagnostics.
    at: usize,
    /// How many uses of the constant it has been found for.
    uses: u32,
    /// Whether for each of them the value is what is wrong, and not what it is used for.
    of_itself: bool,
}

/// The state of the walk over one function: over a whole one here, call by call in the builder.
pub(crate) struct Walk {
    pub(super) opset: Opset,
    pub(super) weights: Weights,
    /// What was found so far.
    pub(crate) diagnostics: Diagnostics,
    pub(super) values: Vec<Value>,
    /// Where each value is bound.
    bound: Vec<Span>,
    /// How often each value is used.
    uses: Vec<u32>,
    /// What each name means here.
    scope: HashMap<Name, ValueId>,
    /// The names that the open blocks have bound, to forget at their ends.
    undo: Vec<Name>,
    /// Every name that the function binds anywhere, to tell "not yet" from "never".
    later: HashMap<Name, Span>,
    /// How often each name is used in the whole function.
    named: HashMap<Name, u32>,
    /// Where the value of a constant is written that has a name.
    pub(super) written_at: HashMap<ValueId, Span>,
    /// Where names are bound that are used too early, and so are not unused.
    early: HashSet<Span>,
    /// The results of calls that were refused, of which nothing is known but what is declared.
    pub(super) refused: HashSet<ValueId>,
    /// Values that are declared as one type and are another: which is meant is not known, and what is done with them is not
    /// held against either.
    pub(super) doubtful: HashSet<ValueId>,
    /// Faults of constants, and names that nothing defines, by their positions in `diagnostics`: each is one fault,
    /// however often the constant or the name is used.
    faulty: HashMap<(ValueId, &'static str), Faulty>,
    undefined: HashMap<Name, usize>,
    /// The first op or parameter that the opset of the function does not have, by its position in `diagnostics`.
    too_new: Option<usize>,
    /// Names that the call that is looked at uses too early: where they stand, and where they are bound.
    too_early: Vec<(Name, Span, Span)>,
    /// How many elements of constants may still be filled with one number.
    pub(super) fillable: u64,
}

impl Walk {
    /// A walk that has seen nothing of its function yet.
    pub(crate) fn new(opset: Opset, weights: Weights) -> Self {
        Self {
            opset,
            weights,
            diagnostics: Diagnostics::default(),
            values: Vec::new(),
            bound: Vec::new(),
            uses: Vec::new(),
            scope: HashMap::new(),
            undo: Vec::new(),
            later: HashMap::new(),
            named: HashMap::new(),
            written_at: HashMap::new(),
            early: HashSet::new(),
            refused: HashSet::new(),
            doubtful: HashSet::new(),
            faulty: HashMap::new(),
            undefined: HashMap::new(),
            too_new: None,
            too_early: Vec::new(),
            fillable: FILLABLE,
        }
    }

    fn collect(&mut self, block: &Block) {
        for call in &block.calls {
            for o in &call.outputs {
                self.later.entry(o.name.clone()).or_insert(o.span);
            }
            let operands = call.arguments.iter().flat_map(|a| a.binding.operands());
            for name in operands.filter_map(|o| if let Operand::Name(u) = o { Some(&u.name) } else { None }) {
                *self.named.entry(name.clone()).or_default() += 1;
            }
            for b in &call.blocks {
                self.collect(b);
            }
        }
    }

    /// Where the value of a constant is written that says how and not how much, when it is wrong for so many uses and there
    /// are no others: there it is wrong, and not where it is used.
    fn own_value(&self, id: ValueId, uses: u32) -> Option<Span> {
        let value = &self.values[id.index()];
        let all = self.named.get(&value.name) == Some(&uses);
        self.written_at.get(&id).copied().filter(|_| all && says_how(value))
    }

    /// Adds a value that has no name: a literal in an argument.
    pub(super) fn add(&mut self, ty: Type, content: Content, span: Span) -> ValueId {
        let id = ValueId(self.values.len() as u32);
        self.values.push(Value { name: Name::from(""), ty, content });
        self.bound.push(span);
        self.uses.push(0);
        id
    }

    /// Refuses a tensor or state that is larger than any engine holds.
    pub(super) fn holdable(&mut self, what: &str, ty: &Type, span: Span) {
        if too_large(ty) {
            self.diagnostics.push(
                Diagnostic::new(&codes::TENSOR_TOO_LARGE, format!("{what} of type `{ty}` is too large"))
                    .at(span, "more than 2^40 elements"),
            );
        }
    }

    /// Binds a name to a new value.
    pub(crate) fn bind(&mut self, param: &Param, ty: Type, content: Content) -> ValueId {
        self.holdable(&format!("`{}`", param.name), &ty, param.ty_span);
        let id = self.add(ty, content, param.span);
        self.values[id.index()].name = param.name.clone();
        if let Some(first) = self.scope.get(&param.name) {
            let first = self.bound[first.index()];
            self.diagnostics.push(
                Diagnostic::new(&codes::DUPLICATE_NAME, format!("`{}` is defined twice", param.name))
                    .at(param.span, "defined again")
                    .at(first, "first defined here")
                    .help("give one of the two another name; a name is bound once"),
            );
            // Nobody can use it, which is not a second fault.
            self.uses[id.index()] += 1;
        } else {
            self.scope.insert(param.name.clone(), id);
            self.undo.push(param.name.clone());
        }
        id
    }

    /// The value that a name means here. Who has looked up all names of a call reports what is [too early](Self::tell_early).
    pub(super) fn resolve(&mut self, u: &Use) -> Option<ValueId> {
        if let Some(&id) = self.scope.get(&u.name) {
            self.uses[id.index()] += 1;
            return Some(id);
        }
        if let Some(&span) = self.later.get(&u.name) {
            self.early.insert(span);
            self.too_early.push((u.name.clone(), u.span, span));
            return None;
        }
        let code = &codes::UNDEFINED_NAME;
        if let Some(&i) = self.undefined.get(&u.name)
            && self.diagnostics.also(i, code, u.span, "nor is it here")
        {
            return None;
        }
        self.undefined.insert(u.name.clone(), self.diagnostics.next());
        let d = Diagnostic::new(code, format!("nothing defines `{}`", u.name)).at(u.span, "not defined");
        self.diagnostics.push(match suggest(&u.name, self.scope.keys().map(|n| &**n)) {
            Some(near) => d.help(format!("did you mean `{near}`?")),
            None => d,
        });
        None
    }

    /// Reports the names that were used too early since this was last called: a call that stands too high is one fault.
    pub(super) fn tell_early(&mut self) {
        let early = std::mem::take(&mut self.too_early);
        let Some((first, used, defined)) = early.first() else { return };
        let mut names: Vec<String> = Vec::new();
        for name in early.iter().map(|(name, ..)| format!("`{name}`")) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let message = match names.split_last() {
            Some((last, [_, ..])) => {
                let others = names[..names.len() - 1].join(", ");
                format!("{others} and {last} are used where they are not yet defined")
            }
            _ => format!("`{first}` is used where it is not yet defined"),
        };
        self.diagnostics.push(
            Diagnostic::new(&codes::USE_BEFORE_DEFINITION, message)
                .at(*used, "used here")
                .at(*defined, "defined here")
                .help("move the definition up; a name must be bound before it is used, in a block that the use can see"),
        );
    }

    /// Reports that something is newer than the opset: of a function whose opset is too old, at the first place.
    pub(super) fn too_new(&mut self, d: Diagnostic) {
        let code = &codes::OPSET_TOO_OLD;
        if let (Some(i), Some(span)) = (self.too_new, d.span())
            && self.diagnostics.also(i, code, span, d.message.clone())
        {
            return;
        }
        self.too_new = Some(self.diagnostics.next());
        self.diagnostics.push(d);
    }

    /// Reports a fault of an argument, which may be one of the value in itself. What is wrong with a constant that several calls
    /// take is one fault, with a label for each of them; where none of them can take it, the value is what is wrong.
    pub(super) fn fault_of(&mut self, id: ValueId, mut d: Diagnostic, of_itself: bool) {
        let own = |walk: &Self, fault: &Faulty| walk.own_value(id, fault.uses).filter(|_| fault.of_itself);
        let first = Faulty { at: self.diagnostics.next(), uses: 1, of_itself };
        if let Some(span) = own(self, &first) {
            d = d.first_at(span, "this value");
        }
        let value = &self.values[id.index()];
        let at = d.span().filter(|_| !value.name.is_empty() && value.content.is_constant());
        let Some(span) = at else { return self.diagnostics.push(d) };
        let key = (id, d.code.name);
        if let Some(mut fault) = self.faulty.get(&key).copied()
            && self.diagnostics.also(fault.at, d.code, span, d.message.clone())
        {
            fault = Faulty { uses: fault.uses + 1, of_itself: fault.of_itself && of_itself, ..fault };
            if let Some(value) = own(self, &fault) {
                self.diagnostics.first_at(fault.at, value, "this value");
            }
            self.faulty.insert(key, fault);
            return;
        }
        self.faulty.insert(key, first);
        self.diagnostics.push(d);
    }

    /// Checks the statements and results of a block whose parameters are bound.
    fn block(&mut self, block: &Block) -> Body {
        let mut steps = Vec::with_capacity(block.calls.len());
        for call in &block.calls {
            steps.extend(self.call(call));
        }
        let outputs = block.outputs.iter().filter_map(|o| self.resolve(o)).collect();
        self.tell_early();
        Body { params: Vec::new(), steps, outputs }
    }

    /// Checks a nested block, whose names end with it.
    pub(super) fn nested(&mut self, block: &Block) -> Body {
        let mark = self.open();
        let params = block.params.iter().map(|p| self.bind(p, p.ty.clone(), Content::Computed)).collect();
        let body = Body { params, ..self.block(block) };
        self.close(mark);
        body
    }

    /// Opens a block.
    pub(crate) fn open(&self) -> usize {
        self.undo.len()
    }

    /// Closes a block: the names that it bound since `open` gave `mark` end with it.
    pub(crate) fn close(&mut self, mark: usize) {
        for name in self.undo.drain(mark..) {
            self.scope.remove(&name);
        }
    }

    /// Warns of statements none of whose results is used. A statement without results works by its effect.
    fn unused(&mut self, block: &Block) {
        // Values are numbered in the order they are bound, so that spans tell which value a statement bound.
        let used: HashMap<Span, bool> = {
            let mut used: HashMap<_, _> = self.early.iter().map(|&span| (span, true)).collect();
            for (span, uses) in self.bound.iter().zip(&self.uses) {
                *used.entry(*span).or_insert(false) |= *uses > 0;
            }
            used
        };
        let mut stack = vec![block];
        while let Some(block) = stack.pop() {
            for call in &block.calls {
                stack.extend(&call.blocks);
                let dead =
                    call.outputs.iter().all(|o| !o.span.is_none() && used.get(&o.span) == Some(&false));
                if let (true, Some(first)) = (dead, call.outputs.first()) {
                    self.diagnostics.push(
                        Diagnostic::new(
                            &codes::UNUSED_VALUE,
                            format!("`{}` is computed and not used", first.name),
                        )
                        .at(first.span, "never read")
                        .help("remove the statement, or return the value"),
                    );
                }
            }
        }
    }
}
