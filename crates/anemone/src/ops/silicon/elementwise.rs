//! The element-wise unit, and the way of slices on older chips.

use anemone_kernels::silicon::activation::inverse;
use anemone_kernels::silicon::{Lookup, add, decode, maximum, minimum, multiply, subtract};

use super::alone;
use crate::ops::elementwise::zipped;
use crate::ops::fast::Ready;
use crate::ops::row::*;
use crate::ops::slice::begins_within_width;
use crate::types::f16;

pub(super) fn prepare(args: &Args<'_>, types: &[Type]) -> Ready {
    if args.ty("x")?.dtype != args.ty("y")?.dtype {
        return Ok(None);
    }
    match args.op.name {
        "add" => zipped(args, types, add),
        "sub" => zipped(args, types, subtract),
        "mul" => zipped(args, types, multiply),
        "maximum" => zipped(args, types, maximum),
        "minimum" => zipped(args, types, minimum),
        "real_div" => {
            // The divisor's inverse is stored before it is multiplied.
            let inverse = alone::kept("inverse 0".into(), || Ok(Some(Lookup::of(|y| inverse(y, 0.0)))))?;
            let Some(inverse) = inverse else { return Ok(None) };
            zipped(args, types, move |x, y| multiply(x, inverse.at(y)))
        }
        _ => Ok(None),
    }
}

/// A slice that begins within the width passes numbers of sixteen times their size, which are infinite beyond 65504.
pub(super) fn sliced(args: &Args<'_>, types: &[Type]) -> Ready {
    if !begins_within_width(args)? {
        return Ok(None);
    }
    let Some(slice) = args.op.prepared(args, types)? else { return Ok(None) };
    Ok(Some(Prepared::new(move |run| {
        slice.run(run)?;
        run.write::<f16>(0).iter_mut().for_each(|x| *x = sixteenfold(*x));
        Ok(())
    })))
}

/// A number that has been sixteen times its size.
fn sixteenfold(x: f16) -> f16 {
    match decode(x) {
        wide if wide * 16.0 > 65504.0 => f16::INFINITY,
        wide if wide * 16.0 < -65504.0 => f16::NEG_INFINITY,
        _ => x,
    }
}
