//! Calls in order, and the ops that have blocks.

use anemone::mil::op::{Control, Meaning, Op};
use anemone::mil::{Binding, Block};
use anemone::ops;
use anemone::types::{DType, Datum, Tensor, Type};

use crate::builder::{Builder, Item, Known, argument, call as written, operand, param, used};
use crate::draft::Draft;
use crate::hints;

/// How deep blocks may be nested.
const DEPTH: usize = 3;

/// Fills a function with calls; at least one of them has a result.
pub(crate) fn fill(b: &mut Builder<'_, '_, '_>) {
    let wanted = 1 + b.dice.below(b.limits.calls);
    let mut taken = 0;
    for _ in 0..wanted * 2 {
        if taken == wanted || b.dice.is_spent() {
            break;
        }
        taken += usize::from(some_call(b));
    }
    ensure_a_result(b);
}

fn ensure_a_result(b: &mut Builder<'_, '_, '_>) {
    let calls = b.open.last().map(Vec::as_slice).unwrap_or_default();
    if calls.iter().any(|c| c.op != "const" && c.outputs.iter().any(|o| b.may_pass(&o.ty))) {
        return;
    }
    let x =
        b.input(Type::tensor(DType::Fp16, &[2usize][..]), Tensor::zeros(DType::Fp16, &[2]).expect("small"));
    let relu = ops::find("relu").expect("the table has relu");
    let item = b.items[x].clone();
    if let Some(mut draft) = Draft::new(b, relu)
        && draft.item("x", &item).is_some()
    {
        draft.finish();
    }
}

/// One call of some op; says whether there is one more.
fn some_call(b: &mut Builder<'_, '_, '_>) -> bool {
    let table: Vec<&'static Op> = ops::all().collect();
    // The ops that make something of nothing, and those that hold a program together, more often than others.
    let often =
        ["make_list", "list_write", "cond", "while_loop", "read_state", "coreml_update_state", "conv"];
    let op = if b.dice.chance(10) {
        let name = b.dice.one(&often);
        ops::find(name).unwrap_or(table[0])
    } else {
        table[b.dice.below(table.len())]
    };
    call(b, op)
}

/// A call of this op, if the arguments that the bytes propose are accepted.
pub(crate) fn call(b: &mut Builder<'_, '_, '_>, op: &'static Op) -> bool {
    match op.meaning {
        Meaning::Control(_) if b.open.len() > DEPTH => return false,
        Meaning::Control(Control::Cond) => return cond(b),
        Meaning::Control(Control::While) => return while_loop(b),
        _ if op.name == "const" => return constant(b),
        _ => {}
    }
    let is_list = |i: &Item| matches!(i.value, Datum::List { .. });
    if op.name.starts_with("list_") && !b.items.iter().any(is_list) {
        // These need a list to begin with.
        let make = ops::find("make_list").expect("the table has make_list");
        if !plain(b, make) {
            return false;
        }
    }
    if !plain(b, op) {
        return false;
    }
    if b.alone && op.name == "write_state" {
        // Without results it would not be seen.
        let state = b.items.iter().find(|i| matches!(i.ty, Type::State(_))).cloned();
        let read = ops::find("read_state").expect("the table has read_state");
        let (Some(state), Some(mut draft)) = (state, Draft::new(b, read)) else { return false };
        return draft.item("input", &state).is_some() && draft.finish();
    }
    true
}

fn plain(b: &mut Builder<'_, '_, '_>, op: &'static Op) -> bool {
    let Some(mut draft) = Draft::new(b, op) else { return false };
    hints::propose(&mut draft).is_some() && draft.finish()
}

/// A constant of any dtype that later calls may use.
fn constant(b: &mut Builder<'_, '_, '_>) -> bool {
    let dtype = b.dice.one(&DType::ALL);
    let rank = b.dice.below(4);
    let shape = b.dice.shape(rank, 64);
    let Some(tensor) = b.dice.tensor(dtype, &shape) else { return false };
    let Some(at) = b.constant(tensor.into()) else { return false };
    if b.alone {
        let item = b.items[at].clone();
        let identity = ops::find("identity").expect("the table has identity");
        let Some(mut draft) = Draft::new(b, identity) else { return false };
        return draft.item("x", &item).is_some() && draft.finish();
    }
    true
}

/// Values that blocks may give: what is known of their types before the program runs is all there is to know.
fn givable(b: &Builder<'_, '_, '_>) -> Vec<usize> {
    (0..b.items.len())
        .filter(|&i| matches!(b.items[i].ty, Type::Tensor(_)) && b.items[i].ty.is_known())
        .collect()
}

/// Some of the values that blocks may give; one is made if there is none.
fn bases(b: &mut Builder<'_, '_, '_>) -> Vec<Item> {
    if givable(b).is_empty() {
        let dtype = b.dice.one(&[DType::Fp16, DType::Fp32]);
        let shape = b.dice.shape(2, 64);
        let Some(tensor) = b.dice.tensor(dtype, &shape) else { return Vec::new() };
        b.input(tensor.ty().into(), tensor);
    }
    let all = givable(b);
    (0..1 + b.dice.below(2))
        .map(|_| {
            let at = b.dice.one(&all);
            b.items[at].clone()
        })
        .collect()
}

/// What a block gives for a value of this type: something that it has computed, or what is there already.
fn given(b: &mut Builder<'_, '_, '_>, own: usize, base: &Item) -> Item {
    let unary = ["relu", "square", "abs", "tanh", "logical_not", "sign", "identity"];
    if b.dice.chance(60)
        && let Some(op) = ops::find(b.dice.one(&unary))
        && let Some(mut draft) = Draft::new(b, op)
        && draft.item("x", base).is_some()
    {
        draft.finish();
    }
    let found = b.items[own.min(b.items.len())..].iter().rev().find(|i| i.ty == base.ty);
    found.unwrap_or(base).clone()
}

/// Writes a block with parameters, which gives something for each base, and whatever `first` gives before.
fn block(
    b: &mut Builder<'_, '_, '_>,
    params: &[Item],
    bases: &[Item],
    first: impl FnOnce(&mut Builder<'_, '_, '_>) -> Option<Item>,
) -> Option<(Block, Vec<Item>)> {
    let scope = b.items.len();
    b.open.push(Vec::new());
    b.items.extend_from_slice(params);
    let own = b.items.len();
    let mut outputs: Vec<Item> = first(b).into_iter().collect();
    for _ in 0..b.dice.below(3) {
        some_call(b);
    }
    for base in bases {
        let value = given(b, own, base);
        outputs.push(value);
    }
    let calls = b.open.pop()?;
    b.items.truncate(scope);
    let block = Block {
        params: params.iter().map(|p| param(p.name.clone(), p.ty.clone())).collect(),
        calls,
        outputs: outputs.iter().map(|o| used(o.name.clone())).collect(),
        ..Block::default()
    };
    Some((block, outputs))
}

/// Adds a call with blocks, whose results are these values under new names.
fn emit(
    b: &mut Builder<'_, '_, '_>,
    op: &str,
    argument_name: &str,
    read: Binding,
    blocks: Vec<Block>,
    values: Vec<Item>,
) {
    let results: Vec<Item> =
        values.into_iter().map(|v| Item { name: b.name(), known: Known::Running, ..v }).collect();
    let mut call = written(op, results.iter().map(|r| param(r.name.clone(), r.ty.clone())).collect());
    call.arguments.push(argument(argument_name, read));
    call.blocks = blocks;
    b.push(call);
    b.items.extend(results);
}

fn cond(b: &mut Builder<'_, '_, '_>) -> bool {
    let wanted = |i: &Item| i.tensor().is_some_and(|t| t.dtype() == DType::Bool && t.rank() == 0);
    let found = b.items.iter().rev().find(|i| wanted(i) && i.known == Known::Running).cloned();
    let pred = match found {
        Some(item) if b.dice.chance(50) => item,
        _ => {
            let pred = Tensor::scalar(DType::Bool, b.dice.one(&[1.0, 0.0]));
            let at = if b.takes_input(&pred) {
                Some(b.input(Type::scalar(DType::Bool), pred))
            } else {
                b.constant(pred.into())
            };
            let Some(at) = at else { return false };
            b.items[at].clone()
        }
    };
    let bases = bases(b);
    let Some((then, taken)) = block(b, &[], &bases, |_| None) else { return false };
    let Some((or, other)) = block(b, &[], &bases, |_| None) else { return false };
    let holds = pred.tensor().is_some_and(|t| t.to_i64s().first().is_some_and(|&v| v != 0));
    let values = if holds { taken } else { other };
    // The results have the types of the bases.
    let values = values.into_iter().zip(&bases).map(|(v, base)| Item { ty: base.ty.clone(), ..v }).collect();
    emit(b, "cond", "pred", Binding::One(operand(&pred.name)), vec![then, or], values);
    true
}

/// A loop that counts down to 0.
fn while_loop(b: &mut Builder<'_, '_, '_>) -> bool {
    let turns = b.dice.below(4);
    let count = Tensor::scalar(DType::Int32, turns as f64);
    let at = if b.dice.chance(50) {
        Some(b.input(Type::scalar(DType::Int32), count))
    } else {
        b.constant(count.into())
    };
    let Some(at) = at else { return false };
    let counter = b.items[at].clone();
    let mut variables = vec![counter];
    variables.extend(bases(b));
    let fresh = |b: &mut Builder<'_, '_, '_>| -> Vec<Item> {
        variables.iter().map(|v| Item { name: b.name(), known: Known::Running, ..v.clone() }).collect()
    };
    let (seen, turned) = (fresh(b), fresh(b));
    let counts = |op: &'static str, counter: Item| {
        move |b: &mut Builder<'_, '_, '_>| {
            let limit = i64::from(op == "sub");
            let mut draft = Draft::new(b, ops::find(op)?)?;
            draft.item("x", &counter)?;
            draft.constant("y", Tensor::from_i64s(DType::Int32, &[], &[limit]).ok()?.into())?;
            if draft.finish() { b.items.last().cloned() } else { None }
        }
    };
    let Some((condition, _)) = block(b, &seen, &[], counts("greater", seen[0].clone())) else { return false };
    let bases: Vec<Item> = turned[1..].to_vec();
    let Some((body, given)) = block(b, &turned, &bases, counts("sub", turned[0].clone())) else {
        return false;
    };
    if condition.outputs.len() != 1 || given.len() != variables.len() {
        return false;
    }
    let names = variables.iter().map(|v| operand(&v.name)).collect();
    let values = variables.iter().zip(given).map(|(v, g)| Item { ty: v.ty.clone(), ..g }).collect();
    emit(b, "while_loop", "loop_vars", Binding::Many(names), vec![condition, body], values);
    true
}
