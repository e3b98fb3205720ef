//! Inference and meaning never panic, whatever the arguments: wrong kinds, dtypes and ranks, dimensions that are not
//! known, zero or enormous.

use std::panic::{AssertUnwindSafe, catch_unwind};

use anemone::mil::op::Default::Required;
use anemone::mil::op::{Arg, Args, Edition, Kind, Meaning, Op, Parameter, Slot};
use anemone::ops;
use anemone::types::{DType, Datum, Dim, Shape, State, Tensor, TensorType, Type};

/// A generator of small numbers: a linear congruence, of which the upper bits are taken.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % n
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

const WORDS: &[&str] =
    &["fp16", "int32", "uint8", "int8", "same", "valid", "custom", "EXACT", "constant", "add", ""];

/// A tensor of small numbers or of extreme ones, or of words that some op knows.
fn value(dice: &mut Dice, dtype: DType, shape: &[usize]) -> Tensor {
    let n: usize = shape.iter().product();
    if dtype == DType::String {
        return Tensor::from_strings(shape, (0..n).map(|_| dice.one(WORDS).into()).collect()).unwrap();
    }
    let extreme = dice.chance(5);
    let numbers: Vec<f64> = (0..n)
        .map(|_| {
            if extreme { dice.one(&[f64::MIN, f64::MAX, f64::NAN, 0.0]) } else { dice.below(6) as f64 - 2.0 }
        })
        .collect();
    Tensor::from_f64s(dtype, shape, &numbers).unwrap()
}

/// An argument that might be given to this parameter, and with some luck is right. Tensors often have the usual
/// shape, and vectors an element for each channel of it.
fn argument(dice: &mut Dice, p: &Parameter, usual: &[usize], run: bool) -> (Type, Option<Datum>) {
    let dtypes: Vec<DType> = if dice.chance(95) { p.dtypes.iter().collect() } else { DType::ALL.to_vec() };
    let common = [DType::Fp16, DType::Fp32, DType::Int32].into_iter().find(|d| dtypes.contains(d));
    let dtype = common.filter(|_| dice.chance(80)).unwrap_or(dice.one(&dtypes));
    let rank =
        if p.constant { dice.one(&[0, 0, 1, 1, 2]) } else { dice.one(&[0, 1, 2, 3, 3, 4, 4, 4, 5, 6]) };
    if run || dice.chance(50) {
        let shape: Vec<usize> = match (p.constant, rank) {
            (false, _) if dice.chance(60) => usual.to_vec(),
            (true, 1) if dice.chance(50) => vec![usual.get(1).copied().unwrap_or(1)],
            _ => (0..rank).map(|_| dice.one(&[0, 1, 2, 2, 3])).collect(),
        };
        let tensor = value(dice, dtype, &shape);
        let datum = match p.kind {
            Kind::List => Datum::List { item: Box::new(tensor.ty().into()), items: vec![None, Some(tensor)] },
            Kind::State => Datum::State(State::new(tensor)),
            _ if dice.chance(1) => Datum::Dict(vec![(tensor.clone(), tensor)]),
            _ => Datum::Tensor(tensor),
        };
        return (datum.ty(), (run || dice.chance(70)).then_some(datum));
    }
    let dims = [0, 1, 2, 3, 8, 1 << 40, u64::MAX].map(Dim::Known);
    let shape: Shape =
        (0..rank).map(|_| if dice.chance(30) { Dim::Unknown } else { dice.one(&dims) }).collect();
    let tensor = Type::Tensor(TensorType { dtype, shape });
    let ty = match (p.kind, dice.below(40)) {
        (Kind::List, 1..) | (_, 0) => Type::List { item: Box::new(tensor), length: None },
        (Kind::State, _) | (_, 1) => Type::State(Box::new(tensor)),
        (_, 2) => Type::Tuple(vec![tensor]),
        _ => tensor,
    };
    (ty, None)
}

/// Infers one call, and runs it if it is accepted, has all values and is small.
fn attempt(dice: &mut Dice, op: &'static Op, edition: &'static Edition) {
    let run = dice.chance(60);
    let usual: Vec<usize> = (0..dice.one(&[1, 2, 3, 4, 4])).map(|_| dice.one(&[1, 2, 3])).collect();
    let drawn: Vec<Vec<(Type, Option<Datum>)>> = edition
        .params
        .iter()
        .map(|p| {
            let many = if p.kind == Kind::Tuple { 3 } else { 1 };
            let left_out = p.default != Required && dice.chance(50);
            let n = if left_out || dice.chance(2) { 0 } else { 1 + dice.below(many) };
            (0..n).map(|_| argument(dice, p, &usual, run)).collect()
        })
        .collect();
    let slots = edition.params.iter().zip(&drawn).map(|(p, given)| {
        let given: Vec<Arg<'_>> = given.iter().map(|(ty, value)| Arg { ty, value: value.as_ref() }).collect();
        match given.as_slice() {
            [] => Slot::Absent,
            [one] if p.kind != Kind::Tuple => Slot::One(*one),
            _ => Slot::Many(given),
        }
    });
    let args = Args {
        op,
        opset: edition.since,
        edition,
        slots: slots.collect(),
        declared: &[],
        after: &[],
        unmade: &[],
    };
    let Ok(types) = (op.infer)(&args) else { return };
    let small = |ty: &Type| ty.as_tensor().is_none_or(|t| t.shape.elements().is_some_and(|n| n < 1 << 16));
    if let Meaning::Compute(compute) = op.meaning
        && run
        && types.iter().all(small)
        && verified(&args)
        && let Ok(results) = compute(&args, &types)
    {
        let found: Vec<Type> = results.iter().map(Datum::ty).collect();
        assert!(types.iter().zip(&found).all(|(a, b)| a.fits(b)), "inferred {types:?}, gave {found:?}");
    }
}

/// Whether verification would let the call run: kinds, dtypes, domains and required parameters are right.
fn verified(args: &Args<'_>) -> bool {
    let mut domains = [None; 128];
    args.edition.params.iter().all(|p| {
        let given = args.many(p.name);
        let right = given.iter().all(|arg| match (p.kind, arg.ty) {
            (Kind::Tensor | Kind::Tuple, Type::Tensor(t)) => {
                let domain = &mut domains[p.domain as usize % 128];
                let same = p.domain == ' ' || *domain.get_or_insert(t.dtype) == t.dtype;
                same && p.dtypes.contains(t.dtype)
            }
            (Kind::List, Type::List { .. }) | (Kind::State, Type::State(_)) | (Kind::Any, _) => true,
            _ => false,
        });
        right && (!given.is_empty() || p.default != Required)
    })
}

/// Row T8: whatever a program says.
#[test]
fn no_arguments_make_an_op_panic() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut wrong = Vec::new();
    for op in ops::all() {
        for edition in op.editions {
            for seed in 0..1000 {
                let fallen = catch_unwind(AssertUnwindSafe(|| attempt(&mut Dice(seed), op, edition)));
                if let Err(cause) = fallen {
                    let cause = cause.downcast::<String>().map_or_else(|_| String::new(), |s| *s);
                    wrong.push(format!("`{}` of {} with seed {seed}: {cause}", op.name, edition.since));
                    break;
                }
            }
        }
    }
    std::panic::set_hook(hook);
    assert!(wrong.is_empty(), "{} editions panic:\n{}", wrong.len(), wrong.join("\n"));
}
