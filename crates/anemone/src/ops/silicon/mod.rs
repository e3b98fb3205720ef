//! What each op computes on a chip's engine: the rule, how well it is known, and the kernels that follow it.
//!
//! The engine computes with halves. A rule holds for calls whose floats are all fp16; others are no work of the engine's, and
//! are computed as on every other machine. [`rules`] lists all; `docs/numerics.md` shows them.
//!
//! ```
//! use anemone::ops::silicon::{self, Unit};
//! let conv = silicon::rule("conv").unwrap();
//! assert_eq!(conv.unit, Unit::MultiplyAccumulate);
//! ```

mod alone;
mod attention;
mod bytes;
mod elementwise;
mod halves;
mod products;
mod rules;
mod sums;
mod widened;

pub(crate) use bytes::CONV as CONV_OF_BYTES;
pub(crate) use products::takes_winograd;
pub use rules::{Knowledge, Rule, Unit, rule, rules};

use super::fast::Ready;
use super::row::*;
use crate::chip::{Chip, Numerics, Profile, Quantity};
use crate::mil::Opset;

/// Computes one op on values with the arithmetic of a chip: arguments by name, those of a tuple under the same name in order.
/// What is no work of the chip's engine is computed by its meaning.
///
/// ```
/// use anemone::{Chip, mil::Opset, ops, types::{DType, Tensor}};
/// let x = Tensor::from_f64s(DType::Fp16, &[1], &[2049.0 - 1.0])?;
/// let y = Tensor::from_f64s(DType::Fp16, &[1], &[1.0])?;
/// let add = ops::find("add").unwrap();
/// let z = ops::silicon::evaluate(add, Opset::Ios18, &[("x", x.into()), ("y", y.into())], Chip::M4, 1).unwrap();
/// assert_eq!(z[0].as_tensor().unwrap().to_f64s(), [2050.0], "2049 is rounded half away");
/// # Ok::<(), anemone::types::TensorError>(())
/// ```
///
/// # Errors
///
/// As [`evaluate`](super::evaluate()).
pub fn evaluate(
    op: &'static Op,
    opset: Opset,
    arguments: &[(&str, Datum)],
    chip: Chip,
    threads: usize,
) -> Result<Vec<Datum>, Fault> {
    super::bound(op, opset, arguments, |args, types| {
        let prepared = prepare(args, types, Numerics::Chip(chip))?;
        if let Some(prepared) = prepared {
            return prepared.results(&[], types, threads);
        }
        match op.meaning {
            Meaning::Compute(compute) => compute(args, types),
            _ => Err(Fault::new(&codes::NO_MEANING, format!("`{}` cannot be computed by itself", op.name))),
        }
    })
}

/// Prepares the kernels for a step, with this arithmetic; `None` where this case has no fast way, and the meaning is used.
pub(crate) fn prepare(args: &Args<'_>, types: &[Type], numerics: Numerics) -> Ready {
    if let Some(prepared) = prepare_alone(args, types, numerics)? {
        return Ok(Some(prepared));
    }
    args.op.prepared(args, types)
}

/// As [`prepare`], of steps that have a rule of a chip's alone.
pub(crate) fn prepare_alone(args: &Args<'_>, types: &[Type], numerics: Numerics) -> Ready {
    match numerics {
        Numerics::Ieee => Ok(None),
        Numerics::Chip(chip) => on_chip(args, types, chip),
    }
}

/// As a chip computes it; `None` of what is no work of its engine's, or moves numbers only.
fn on_chip(args: &Args<'_>, types: &[Type], chip: Chip) -> Ready {
    if !halves::all(args, types) {
        return Ok(None);
    }
    let Some(rule) = rule(args.op.name) else { return Ok(None) };
    match rule.unit {
        Unit::MultiplyAccumulate => products::prepare(args, types, chip),
        Unit::Attention => attention::prepare(args, types),
        Unit::Elementwise => elementwise::prepare(args, types),
        Unit::Table | Unit::Alone => alone::prepare(args, types),
        Unit::Slice if chip.limit(Quantity::SliceMagnitude, Profile::Permissive).value < u64::MAX => {
            elementwise::sliced(args, types)
        }
        Unit::Move | Unit::Slice => Ok(None),
        // Of the M2 no point is known; its reductions were the same bits as those of the M1.
        Unit::Unknown if args.op.name == "reduce_sum" && chip <= Chip::M2 => sums::reduce(args),
        Unit::Choice | Unit::Unknown => widened::prepare(args, types),
    }
}

#[cfg(test)]
mod tests;
