//! What is put right of a function as a whole: casts that undo each other, and the order of inputs and outputs.

use std::collections::{HashMap, HashSet};

use super::{Change, reads};
use crate::mil::{Binding, Block, Call, Function, Name, Operand, Program};
use crate::types::{DType, Type};

/// Leaves out casts of what is in fp16 to fp32 and back, which the rewriting of several ops in fp32 leaves between them.
pub(super) fn casts(program: &mut Program) {
    for function in &mut program.functions {
        let dtype = |ty: &Type| ty.as_tensor().map(|t| t.dtype);
        let mut dtypes: HashMap<Name, Option<DType>> =
            function.params.iter().map(|p| (p.name.clone(), dtype(&p.ty))).collect();
        // What a wide value was before it was cast, and what stands for a narrow one.
        let (mut narrow, mut same): (HashMap<Name, Name>, HashMap<Name, Name>) = Default::default();
        for call in &function.body.calls {
            for output in &call.outputs {
                dtypes.insert(output.name.clone(), dtype(&output.ty));
            }
            let (Some(x), [output]) = (cast(call), &call.outputs[..]) else { continue };
            let x = same.get(x).unwrap_or(x).clone();
            match (dtypes.get(&x).copied().flatten(), dtype(&output.ty)) {
                (Some(DType::Fp16), Some(DType::Fp32)) => {
                    narrow.insert(output.name.clone(), x);
                }
                (Some(DType::Fp32), Some(DType::Fp16)) => {
                    if let Some(before) = narrow.get(&x) {
                        same.insert(output.name.clone(), before.clone());
                    }
                }
                _ => {}
            }
        }
        rename(&mut function.body, &same);
        drop_casts(function);
    }
}

/// What a `cast` is given by a name.
fn cast(call: &Call) -> Option<&Name> {
    match &call.argument("x")?.binding {
        Binding::One(Operand::Name(used)) if call.op.as_str() == "cast" => Some(&used.name),
        _ => None,
    }
}

/// Reads other names, in nested blocks too. The results of a block keep theirs.
fn rename(block: &mut Block, same: &HashMap<Name, Name>) {
    for call in &mut block.calls {
        for argument in &mut call.arguments {
            let operands = match &mut argument.binding {
                Binding::One(o) => std::slice::from_mut(o),
                Binding::Many(all) => all,
            };
            for operand in operands {
                if let Operand::Name(used) = operand
                    && let Some(before) = same.get(&used.name)
                {
                    used.name = before.clone();
                }
            }
        }
        call.blocks.iter_mut().for_each(|b| rename(b, same));
    }
}

/// Leaves out casts that nothing reads: from the end on, so that what only such a cast reads goes too.
fn drop_casts(function: &mut Function) {
    let calls = std::mem::take(&mut function.body.calls);
    let mut read: HashSet<Name> = function.body.outputs.iter().map(|o| o.name.clone()).collect();
    let mut kept: Vec<Call> = Vec::with_capacity(calls.len());
    for call in calls.into_iter().rev() {
        if call.op.as_str() != "cast" || call.outputs.iter().any(|o| read.contains(&o.name)) {
            let mut own = HashSet::new();
            reads(&call, &mut own);
            read.extend(own.into_iter().cloned());
            kept.push(call);
        }
    }
    kept.reverse();
    function.body.calls = kept;
}

/// Declares inputs and outputs in the order of their names, in which the engine has its surfaces.
pub(super) fn order(function: &mut Function) -> Vec<Change> {
    let change = |name: &Name, what| Change {
        rule: "order",
        function: function.name.clone(),
        name: name.clone(),
        op: Name::from(""),
        what,
    };
    let mut changes = Vec::new();
    if let Some(at) = function.params.windows(2).position(|p| p[0].name > p[1].name) {
        changes.push(change(&function.params[at + 1].name, "inputs in the order of their names"));
    }
    if let Some(at) = function.body.outputs.windows(2).position(|o| o[0].name > o[1].name) {
        changes.push(change(&function.body.outputs[at + 1].name, "outputs in the order of their names"));
    }
    function.params.sort_by(|a, b| a.name.cmp(&b.name));
    function.body.outputs.sort_by(|a, b| a.name.cmp(&b.name));
    changes
}
