//! Ops whose arithmetic on a chip is not known: computed in single precision, of what the engine reads, and stored as it
//! stores.

use anemone_kernels::scratch::{Scratch, scratch};
use anemone_kernels::silicon::{decode_all, store_all};
use smallvec::SmallVec;

use super::halves::arguments;
use crate::mil::op::{Arg, Slot};
use crate::ops::fast::Ready;
use crate::ops::loops::shape_of;
use crate::ops::row::*;
use crate::types::f16;

/// `None` where the op has no kernels for single precision.
pub(super) fn prepare(args: &Args<'_>, types: &[Type]) -> Ready {
    let wide_types: Vec<Type> = types.iter().map(wide_type).collect();
    // The arguments in single precision, in the order of the parameters.
    let mut widened = Vec::new();
    for arg in args.slots.iter().flat_map(arguments) {
        let value = match arg.value.and_then(Datum::as_tensor).filter(|t| t.dtype() == Fp16) {
            Some(halves) => Some(Datum::from(wide(halves)?)),
            None => arg.value.cloned(),
        };
        widened.push((wide_type(arg.ty), value));
    }
    // Where each that is no constant is found, and whether it is halves there.
    let given: Vec<Option<(Reader, bool)>> = args
        .slots
        .iter()
        .flat_map(arguments)
        .enumerate()
        .map(|(i, arg)| {
            let halves = arg.ty.as_tensor().is_some_and(|t| t.dtype == Fp16);
            arg.value.is_none().then_some((Reader::Given(i), halves))
        })
        .collect();
    let mut next = widened.iter().map(|(ty, value)| Arg { ty, value: value.as_ref() });
    let slots = args
        .slots
        .iter()
        .map(|slot| match slot {
            Slot::Absent => Slot::Absent,
            Slot::One(_) => next.next().map_or(Slot::Absent, Slot::One),
            Slot::Many(many) => Slot::Many(next.by_ref().take(many.len()).collect()),
        })
        .collect();
    let (op, opset, edition) = (args.op, args.opset, args.edition);
    let args = Args { op, opset, edition, slots, declared: &wide_types, after: &[], unmade: &[] };
    let Some(inner) = op.prepared(&args, &wide_types)? else { return Ok(None) };
    let lengths: Vec<usize> = types.iter().map(|ty| shape_of(ty).iter().product()).collect();
    Ok(Some(Prepared::new(move |run| {
        let decoded: SmallVec<[Scratch<f32>; 8]> = given
            .iter()
            .map(|given| {
                let from: &[f16] = match given {
                    Some((reader, true)) => run.read(reader),
                    _ => &[],
                };
                let mut numbers = scratch(from.len());
                decode_all(&mut numbers, from);
                numbers
            })
            .collect();
        let bytes: SmallVec<[&[u8]; 8]> = decoded
            .iter()
            .zip(&given)
            .map(|(numbers, given)| match given {
                Some((_, true)) => bytemuck::cast_slice(numbers),
                Some((reader, false)) => run.read(reader),
                None => &[],
            })
            .collect();
        let mut results: SmallVec<[Scratch<f32>; 2]> = SmallVec::new();
        for &len in &lengths {
            results.push(scratch(len));
        }
        let mut wide: SmallVec<[&mut [u8]; 2]> =
            results.iter_mut().map(|r| bytemuck::cast_slice_mut(r)).collect();
        inner.run(&mut Run::new(run.threads, &bytes, &mut wide))?;
        drop(wide);
        for (i, result) in results.iter().enumerate() {
            store_all(run.write(i), result);
        }
        Ok(())
    })))
}

/// The type with single precision in the place of halves.
fn wide_type(ty: &Type) -> Type {
    match ty.as_tensor() {
        Some(t) if t.dtype == Fp16 => Type::tensor(Fp32, t.shape.clone()),
        _ => ty.clone(),
    }
}

/// What the engine reads of halves.
fn wide(halves: &Tensor) -> Result<Tensor, Fault> {
    let from: &[f16] = halves.as_slice().expect("the dtype is that of halves");
    let mut numbers = vec![0.0; from.len()];
    decode_all(&mut numbers, from);
    Ok(Tensor::from_slice(halves.shape(), &numbers)?)
}
