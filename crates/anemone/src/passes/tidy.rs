//! What is put right of a function as a whole: casts and joins that are undone again, and the order of inputs and outputs.

use std::collections::{HashMap, HashSet};

use super::{Change, bound, reads};
use crate::mil::{Argument, Binding, Block, Call, Function, Name, Operand, Param, Program, Use, Value};
use crate::types::{DType, Tensor, TensorType, Type};

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
    block.calls.iter_mut().for_each(|call| rename_in(call, same));
}

fn rename_in(call: &mut Call, same: &HashMap<Name, Name>) {
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

/// Leaves out casts that nothing reads: from the end on, so that what only such a cast reads goes too.
fn drop_casts(function: &mut Function) {
    drop_unread(function, |call| call.op.as_str() == "cast");
}

/// Leaves out what nothing reads, of these calls.
fn drop_unread(function: &mut Function, may_go: impl Fn(&Call) -> bool) {
    let calls = std::mem::take(&mut function.body.calls);
    let mut read: HashSet<Name> = function.body.outputs.iter().map(|o| o.name.clone()).collect();
    let mut kept: Vec<Call> = Vec::with_capacity(calls.len());
    for call in calls.into_iter().rev() {
        if !may_go(&call) || call.outputs.iter().any(|o| read.contains(&o.name)) {
            let mut own = HashSet::new();
            reads(&call, &mut own);
            read.extend(own.into_iter().cloned());
            kept.push(call);
        }
    }
    kept.reverse();
    function.body.calls = kept;
}

/// What is joined along an axis: each with its length there.
struct Joined {
    axis: usize,
    parts: Vec<(Use, u64)>,
}

/// Slices the parts of what is too long where the whole was sliced, and leaves out the whole where nothing reads it any
/// more.
pub(super) fn joins(function: &mut Function, is_long: impl Fn(&[u64]) -> bool) {
    let is_whole = |call: &Call| {
        let [output] = &call.outputs[..] else { return false };
        call.op.as_str() == "concat" && dims(&output.ty).is_some_and(|d| is_long(&d))
    };
    if !function.body.calls.iter().any(is_whole) {
        return;
    }
    let mut names = HashSet::new();
    names.extend(function.params.iter().map(|p| p.name.to_string()));
    bound(&function.body, &mut names);
    let mut given: HashMap<Name, Vec<u64>> = HashMap::new();
    given.extend(function.params.iter().filter_map(|p| Some((p.name.clone(), dims(&p.ty)?))));
    let kept = results_of_blocks(&function.body);
    let (mut wholes, mut same): (HashMap<Name, Joined>, HashMap<Name, Name>) = Default::default();
    let mut calls = Vec::with_capacity(function.body.calls.len());
    for mut call in std::mem::take(&mut function.body.calls) {
        rename_in(&mut call, &same);
        given.extend(call.outputs.iter().filter_map(|o| Some((o.name.clone(), dims(&o.ty)?))));
        if is_whole(&call)
            && let Some(joined) = joined(&call, &given)
        {
            wholes.insert(call.outputs[0].name.clone(), joined);
        }
        match divided(&call, &wholes, &given, &mut names) {
            Some(Divided::Part(part)) if !kept.contains(&call.outputs[0].name) => {
                same.insert(call.outputs[0].name.clone(), part.name);
            }
            Some(Divided::Part(part)) => {
                call.op = Name::from("identity");
                call.arguments.retain(|a| a.name == "x");
                bind(&mut call, "x", Binding::One(Operand::Name(part)));
                calls.push(call);
            }
            Some(Divided::Calls(several)) => calls.extend(several),
            None => calls.push(call),
        }
    }
    function.body.calls = calls;
    drop_unread(function, |call| is_whole(call) || call.op.as_str() == "slice_by_size");
}

fn dims(ty: &Type) -> Option<Vec<u64>> {
    ty.as_tensor()?.shape.iter().map(|d| d.known()).collect()
}

/// The names that a block gives, and the blocks in it.
fn results_of_blocks(block: &Block) -> HashSet<Name> {
    let mut names: HashSet<Name> = block.outputs.iter().map(|o| o.name.clone()).collect();
    for inner in block.calls.iter().flat_map(|c| &c.blocks) {
        names.extend(results_of_blocks(inner));
    }
    names
}

/// A literal that an argument is bound to.
fn literal(call: &Call, param: &str) -> Option<Tensor> {
    match &call.argument(param)?.binding {
        Binding::One(Operand::Value(value, _)) => value.to_tensor(),
        _ => None,
    }
}

fn bind(call: &mut Call, param: &str, to: Binding) {
    if let Some(argument) = call.arguments.iter_mut().find(|a| a.name == param) {
        argument.binding = to;
    }
}

/// What a `concat` joins, where all of it has names and known sizes.
fn joined(call: &Call, given: &HashMap<Name, Vec<u64>>) -> Option<Joined> {
    let rank = dims(&call.outputs.first()?.ty)?.len();
    let axis = *literal(call, "axis")?.to_i64s().first()?;
    let axis = usize::try_from(if axis < 0 { axis + rank as i64 } else { axis }).ok()?;
    if call.argument("interleave").is_some() && literal(call, "interleave")?.to_i64s() != [0] {
        return None;
    }
    let part = |o: &Operand| match o {
        Operand::Name(part) => Some((part.clone(), *given.get(&part.name)?.get(axis)?)),
        Operand::Value(..) => None,
    };
    let parts = call.argument("values")?.binding.operands().iter().map(part).collect::<Option<_>>()?;
    Some(Joined { axis, parts })
}

/// What stands for a slice of something joined.
enum Divided {
    /// It is all of a part.
    Part(Use),
    /// Slices of parts, and their `concat`.
    Calls(Vec<Call>),
}

fn divided(
    call: &Call,
    wholes: &HashMap<Name, Joined>,
    given: &HashMap<Name, Vec<u64>>,
    names: &mut HashSet<String>,
) -> Option<Divided> {
    let Binding::One(Operand::Name(x)) = &call.argument("x")?.binding else { return None };
    let Joined { axis, parts } = wholes.get(&x.name).filter(|_| call.op.as_str() == "slice_by_size")?;
    let output = call.outputs.first()?;
    let size = dims(&output.ty)?;
    let begin: Vec<u64> = literal(call, "begin")?
        .to_i64s()
        .into_iter()
        .map(|b| u64::try_from(b).ok())
        .collect::<Option<_>>()?;
    let (&first, &length) = (begin.get(*axis)?, size.get(*axis)?);
    let (mut at, mut met) = (0, Vec::new());
    for (part, own) in parts {
        let (from, to) = (first.max(at), (first + length).min(at + own));
        if from < to {
            met.push((part, from - at, to - from));
        }
        at += own;
    }
    if let [(part, _, _)] = met[..]
        && given.get(&part.name)? == &size
    {
        return Some(Divided::Part(part.clone()));
    }
    let several = met.len() > 1;
    let (mut calls, mut slices) = (Vec::new(), Vec::new());
    for (i, (part, from, length)) in met.into_iter().enumerate() {
        let (mut begin, mut size) = (begin.clone(), size.clone());
        (begin[*axis], size[*axis]) = (from, length);
        if several && given.get(&part.name)? == &size {
            slices.push(Operand::Name(part.clone()));
            continue;
        }
        let mut slice = call.clone();
        for (param, numbers) in [("begin", &begin), ("size", &size)] {
            let numbers: Vec<i64> = numbers.iter().map(|&n| n as i64).collect();
            let value = Value::from(Tensor::from_i64s(DType::Int32, &[numbers.len()], &numbers).ok()?);
            bind(&mut slice, param, Binding::One(Operand::Value(value, call.op_span)));
        }
        bind(&mut slice, "x", Binding::One(Operand::Name(part.clone())));
        if several {
            let name = (i..).map(|i| format!("{}_j{i}", output.name)).find(|n| !names.contains(n))?;
            names.insert(name.clone());
            slice.attributes.clear();
            slice.outputs =
                vec![Param { name: Name::from(&*name), ty: ty(output, &size)?, ..output.clone() }];
            slices.push(Operand::Name(Use { name: Name::from(&*name), span: call.op_span }));
        }
        calls.push(slice);
    }
    if several {
        let argument = |name: &str, binding| Argument { name: Name::from(name), binding, span: call.op_span };
        let one = |value| Binding::One(Operand::Value(value, call.op_span));
        let arguments = vec![
            argument("values", Binding::Many(slices)),
            argument("axis", one(Value::int32(i32::try_from(*axis).ok()?))),
            argument("interleave", one(Value::bool(false))),
        ];
        calls.push(Call { op: Name::from("concat"), arguments, ..call.clone() });
    }
    Some(Divided::Calls(calls))
}

/// The type of a result, in another shape.
fn ty(output: &Param, dims: &[u64]) -> Option<Type> {
    let shape: Vec<usize> = dims.iter().map(|&d| d as usize).collect();
    Some(TensorType::new(output.ty.as_tensor()?.dtype, &shape[..]).into())
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
