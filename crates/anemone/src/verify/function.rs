//! Names and blocks: the walk over a function.

use std::collections::{HashMap, HashSet};

use super::{Body, Content, Function, Value, ValueId};
use crate::bundle::Weights;
use crate::mil::{self, Block, Call, Name, Opset, OpsetName, Param, Use};
use crate::ops;
use crate::source::{Diagnostic, Diagnostics, Span, codes, suggest};
use crate::types::{MAX_ELEMENTS, Type};

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

/// How many elements one number each may fill in a function: a short text must not take gigabytes.
pub(crate) const FILLABLE: u64 = 1 << 26;

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
    /// Where names are bound that are used too early, and so are not unused.
    early: HashSet<Span>,
    /// The results of calls that were refused, of which nothing is known but what is declared.
    pub(super) refused: HashSet<ValueId>,
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
            early: HashSet::new(),
            refused: HashSet::new(),
            fillable: FILLABLE,
        }
    }

    fn collect(&mut self, block: &Block) {
        for call in &block.calls {
            for o in &call.outputs {
                self.later.entry(o.name.clone()).or_insert(o.span);
            }
            for b in &call.blocks {
                self.collect(b);
            }
        }
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
        let tensor = match ty {
            Type::State(t) => t.as_tensor(),
            _ => ty.as_tensor(),
        };
        if tensor.is_some_and(|t| t.shape.extent() > MAX_ELEMENTS) {
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

    /// The value that a name means here.
    pub(super) fn resolve(&mut self, u: &Use) -> Option<ValueId> {
        if let Some(&id) = self.scope.get(&u.name) {
            self.uses[id.index()] += 1;
            return Some(id);
        }
        let d = if let Some(&span) = self.later.get(&u.name) {
            self.early.insert(span);
            Diagnostic::new(&codes::USE_BEFORE_DEFINITION, format!("`{}` is used where it is not yet defined", u.name))
                .at(u.span, "used here")
                .at(span, "defined here")
                .help("move the definition up; a name must be bound before it is used, in a block that the use can see")
        } else {
            let d = Diagnostic::new(&codes::UNDEFINED_NAME, format!("nothing defines `{}`", u.name))
                .at(u.span, "not defined");
            match suggest(&u.name, self.scope.keys().map(|n| &**n)) {
                Some(near) => d.help(format!("did you mean `{near}`?")),
                None => d,
            }
        };
        self.diagnostics.push(d);
        None
    }

    /// Checks the statements and results of a block whose parameters are bound.
    fn block(&mut self, block: &Block) -> Body {
        let mut steps = Vec::with_capacity(block.calls.len());
        for call in &block.calls {
            steps.extend(self.call(call));
        }
        let outputs = block.outputs.iter().filter_map(|o| self.resolve(o)).collect();
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
