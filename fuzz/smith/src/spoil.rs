//! Programs that are nearly right: what verification and the engines must survive.

use anemone::mil::{Binding, Block, Call, Function, Name, Operand, Opset, OpsetName, Program, Value};
use anemone::ops;
use anemone::types::{DType, Dim, Tensor, Type};
use arbitrary::Unstructured;

use crate::dice::Dice;
use crate::{Limits, case};

/// The program of these bytes, of which a few things are then changed without a thought for what fits.
pub fn spoiled(u: &mut Unstructured<'_>) -> Program {
    let mut program = case(u, &Limits { elements: 1 << 7, ..Limits::default() }).program;
    let mut dice = Dice::new(u);
    for _ in 0..1 + dice.below(3) {
        let at = dice.below(program.functions.len());
        function(&mut dice, &mut program.functions[at]);
    }
    program
}

fn function(dice: &mut Dice<'_, '_>, f: &mut Function) {
    match dice.below(12) {
        0 => f.opset = OpsetName::Known(dice.one(&Opset::ALL)),
        1 if !f.params.is_empty() => {
            let at = dice.below(f.params.len());
            ty(dice, &mut f.params[at].ty);
        }
        2 if !f.params.is_empty() => _ = f.params.remove(dice.below(f.params.len())),
        _ => {
            let names = names(f);
            block(dice, &mut f.body, &names);
        }
    }
}

/// Every name that a function binds, in its nested blocks too.
fn names(f: &Function) -> Vec<Name> {
    fn of(block: &Block, names: &mut Vec<Name>) {
        names.extend(block.params.iter().map(|p| p.name.clone()));
        for c in &block.calls {
            names.extend(c.outputs.iter().map(|o| o.name.clone()));
            c.blocks.iter().for_each(|b| of(b, names));
        }
    }
    let mut names = f.params.iter().map(|p| p.name.clone()).collect();
    of(&f.body, &mut names);
    names
}

fn block(dice: &mut Dice<'_, '_>, b: &mut Block, names: &[Name]) {
    if b.calls.is_empty() {
        b.outputs.pop();
        return;
    }
    let at = dice.below(b.calls.len());
    let nested = b.calls[at].blocks.len();
    match dice.below(12) {
        0 => _ = b.calls.remove(at),
        1 => b.calls.push(b.calls[at].clone()),
        2 => {
            let other = dice.below(b.calls.len());
            b.calls.swap(at, other);
        }
        3 if !b.outputs.is_empty() && !names.is_empty() => {
            let output = dice.below(b.outputs.len());
            b.outputs[output].name = names[dice.below(names.len())].clone();
        }
        4..8 if nested > 0 => {
            let inner = dice.below(nested);
            block(dice, &mut b.calls[at].blocks[inner], names);
        }
        8 if nested > 0 => _ = b.calls[at].blocks.pop(),
        _ => call(dice, &mut b.calls[at], names),
    }
}

fn call(dice: &mut Dice<'_, '_>, c: &mut Call, names: &[Name]) {
    let kind = dice.below(10);
    if kind < 2 || c.arguments.is_empty() {
        match (c.outputs.is_empty(), kind) {
            (false, 0) => {
                let at = dice.below(c.outputs.len());
                ty(dice, &mut c.outputs[at].ty);
            }
            _ => {
                let all: Vec<&str> = ops::all().map(|op| op.name).collect();
                c.op = dice.one(&all).into();
            }
        }
        return;
    }
    let at = dice.below(c.arguments.len());
    match kind {
        2 => _ = c.arguments.remove(at),
        3 => {
            let other = dice.below(c.arguments.len());
            c.arguments[at].name = c.arguments[other].name.clone();
        }
        4 => {
            // Another parameter of the op, or a name that none has.
            let params = ops::find(&c.op).and_then(|op| op.editions.last()).map_or(&[][..], |e| e.params);
            let name = params.get(dice.below(params.len() + 1)).map_or("other", |p| p.name);
            c.arguments[at].name = name.into();
        }
        5..7 if !names.is_empty() => {
            let name = crate::builder::operand(&names[dice.below(names.len())]);
            match &mut c.arguments[at].binding {
                Binding::Many(all) => all.push(name),
                one => *one = Binding::One(name),
            }
        }
        _ => {
            let value = literal(dice);
            let operand = Operand::Value(value, anemone::source::Span::default());
            c.arguments[at].binding = Binding::One(operand);
        }
    }
}

/// A small literal, of numbers that are seldom right.
fn literal(dice: &mut Dice<'_, '_>) -> Value {
    let dtype = dice.one(&DType::ALL);
    let numbers: Vec<i64> = (0..dice.below(5))
        .map(|_| {
            dice.one(&[0, 1, -1, 2, 3, 7, i64::MAX, i64::MIN, i32::MAX.into(), i32::MIN.into(), 1 << 40])
        })
        .collect();
    let shape = if numbers.len() == 1 && dice.chance(70) { vec![] } else { vec![numbers.len()] };
    match Tensor::from_i64s(dtype, &shape, &numbers) {
        Ok(tensor) if dtype != DType::String => tensor.into(),
        _ => Value::string(dice.one(&["same", "fp16", "add", "linear", ""])),
    }
}

/// Changes something of a type.
fn ty(dice: &mut Dice<'_, '_>, t: &mut Type) {
    match t {
        Type::Tensor(t) => {
            let dim = dice.one(&[0, 1, 2, 3, 1 << 20, 1 << 40, u64::MAX].map(Dim::Known));
            let dim = if dice.chance(30) { Dim::Unknown } else { dim };
            match dice.below(4) {
                0 => t.dtype = dice.one(&DType::ALL),
                1 => t.shape = t.shape.iter().copied().chain([dim]).collect(),
                2 => t.shape = t.shape.iter().copied().skip(1).collect(),
                _ if t.rank() > 0 => {
                    let at = dice.below(t.rank());
                    t.shape[at] = dim;
                }
                _ => t.dtype = DType::Bool,
            }
        }
        Type::List { length, .. } => *length = Some(dice.below(4) as u64),
        Type::State(inner) => ty(dice, inner),
        other => *other = Type::scalar(DType::Fp32),
    }
}
