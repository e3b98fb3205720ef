//! Sums that hang on the last bits of their terms.
//!
//! Kernels carry sums in f32 where the meaning carries them in f64. A tolerance relative to the result is right where
//! the terms are of its size; where they cancel, or where a recurrence blows a difference up, the results differ by as
//! much as they would if the last bits of the arguments were others. So that is tried.

use anemone::mil::op::{Arg, Args, Compute, Slot};
use anemone::types::{DType, Datum, Tensor, Type};

use crate::dice::Numbers;

/// Numbers above this overflow f32 when a few of them are multiplied and added, and infinities among the arguments
/// meet factors that are 0 in f32 only: nothing is promised of such sums.
const HUGE: f64 = (1u64 << 48) as f64;

/// How often the last bits are changed.
const TRIES: u64 = 6;

/// How far sums in f32 may be from the meaning, beyond the tolerance of the op; infinite where they may be anything.
pub(crate) fn slack(args: &Args<'_>, compute: Compute, expected: &[Datum]) -> f64 {
    let given = args.slots.iter().flat_map(|slot| match slot {
        Slot::Absent => &[],
        Slot::One(arg) => std::slice::from_ref(arg),
        Slot::Many(many) => &many[..],
    });
    let numbers = |d: &Datum| d.as_tensor().filter(|t| t.dtype().is_float()).map(Tensor::to_f64s);
    let huge = |d: &Datum| numbers(d).is_some_and(|n| n.iter().any(|v| v.abs() > HUGE));
    // A result of dtype fp16 may be infinite though every sum is in the range of f32.
    let single = |d: &&Datum| d.as_tensor().is_some_and(|t| t.dtype() != DType::Fp16);
    if given.filter_map(|a| a.value).chain(expected.iter().filter(single)).any(huge) {
        return f64::INFINITY;
    }
    let exact: Vec<Vec<f64>> = expected.iter().filter_map(numbers).collect();
    let mut slack = 0.0f64;
    for seed in 0..TRIES {
        let Some(other) = elsewhere(args, compute, &mut Numbers::new(seed)) else { return f64::INFINITY };
        if other.iter().any(huge) {
            // A recurrence has left the range on its way, which a result of dtype fp16 does not show.
            return f64::INFINITY;
        }
        let other: Vec<Vec<f64>> = other.iter().filter_map(numbers).collect();
        for (a, b) in exact.iter().flatten().zip(other.iter().flatten()) {
            if a != b && !(a.is_nan() && b.is_nan()) {
                let apart = (a - b).abs();
                slack = slack.max(if apart.is_nan() { f64::INFINITY } else { apart });
            }
        }
    }
    8.0 * slack
}

/// What the op means when the last bits of its floating-point arguments are others. fp16 is widened first, since
/// kernels round it when they are done.
fn elsewhere(args: &Args<'_>, compute: Compute, numbers: &mut Numbers) -> Option<Vec<Datum>> {
    let mut changed = |arg: &Arg<'_>| -> Option<Datum> {
        match arg.value? {
            Datum::Tensor(t) if [DType::Fp16, DType::Fp32].contains(&t.dtype()) => {
                let values: Vec<f64> = t
                    .to_f64s()
                    .iter()
                    .map(|v| v * (1.0 + (numbers.below(3) as f64 - 1.0) * f64::from(f32::EPSILON)))
                    .collect();
                Tensor::from_f64s(DType::Fp32, t.shape(), &values).ok().map(Datum::from)
            }
            other => Some(other.clone()),
        }
    };
    let data: Vec<Vec<Datum>> = (args.slots.iter())
        .map(|slot| match slot {
            Slot::Absent => Some(Vec::new()),
            Slot::One(arg) => Some(vec![changed(arg)?]),
            Slot::Many(many) => many.iter().map(&mut changed).collect(),
        })
        .collect::<Option<_>>()?;
    let types: Vec<Vec<Type>> = data.iter().map(|d| d.iter().map(Datum::ty).collect()).collect();
    let slots = args.slots.iter().zip(data.iter().zip(&types)).map(|(slot, (data, types))| {
        let mut args = data.iter().zip(types).map(|(d, ty)| Arg { ty, value: Some(d) });
        match slot {
            Slot::Many(_) => Slot::Many(args.collect()),
            _ => args.next().map_or(Slot::Absent, Slot::One),
        }
    });
    let (op, opset, edition) = (args.op, args.opset, args.edition);
    let args =
        Args { op, opset, edition, slots: slots.collect(), declared: args.declared, after: &[], unmade: &[] };
    compute(&args, &(op.infer)(&args).ok()?).ok()
}
