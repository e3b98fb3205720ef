//! Halves, as kernels of chips read them.

use anemone_kernels::scratch::{Scratch, scratch};
use anemone_kernels::silicon::decode_all;

use crate::mil::op::{Arg, Slot};
use crate::ops::fast::singles;
use crate::ops::row::*;
use crate::types::f16;

/// Whether all floats of a call are halves: those of its results, and of its arguments that are not known before the run.
/// Of those there is one at least.
pub(super) fn all(args: &Args<'_>, types: &[Type]) -> bool {
    let dtype = |ty: &Type| ty.as_tensor().map(|t| t.dtype);
    let mut floats = args
        .slots
        .iter()
        .flat_map(arguments)
        .filter(|Arg { value, .. }| value.is_none())
        .map(|arg| dtype(arg.ty))
        .chain(types.iter().map(dtype))
        .filter(|dtype| matches!(dtype, Some(Fp16 | Fp32)))
        .peekable();
    floats.peek().is_some()
        && floats.all(|dtype| dtype == Some(Fp16))
        && types.iter().all(|t| dtype(t) == Some(Fp16))
}

/// What a parameter is bound to.
pub(super) fn arguments<'s, 'a>(slot: &'s Slot<'a>) -> &'s [Arg<'a>] {
    match slot {
        Slot::Absent => &[],
        Slot::One(arg) => std::slice::from_ref(arg),
        Slot::Many(many) => many,
    }
}

/// Where a kernel finds halves.
pub(super) enum Halves {
    /// They were rounded to nearest when the step was prepared, as whoever compiles the program does it.
    Known(Vec<f16>),
    /// They lie somewhere.
    Lent(Reader),
}

impl Halves {
    /// Those of an argument, if there are some: constants of single precision become halves.
    pub(super) fn of(args: &Args<'_>, param: &'static str) -> Result<Option<Self>, Fault> {
        let (ty, reader) = (args.ty(param)?, args.reader(param)?);
        Ok(match (ty.dtype, &reader) {
            (Fp16, _) => Some(Self::Lent(reader)),
            (_, Reader::Constant(tensor)) => Some(Self::Known(narrow(tensor))),
            _ => None,
        })
    }

    /// The halves.
    pub(super) fn read<'b, 'd: 'b>(&'b self, run: &Run<'_, 'd>) -> &'b [f16] {
        match self {
            Self::Known(halves) => halves,
            Self::Lent(reader) => run.read(reader),
        }
    }

    /// What the engine reads of them.
    pub(super) fn decoded(&self, run: &Run<'_, '_>) -> Scratch<f32> {
        let halves = self.read(run);
        let mut read = scratch(halves.len());
        decode_all(&mut read, halves);
        read
    }
}

/// The numbers of a constant, rounded to halves.
pub(super) fn narrow(x: &Tensor) -> Vec<f16> {
    singles(x).iter().map(|&x| f16::from_f32(x)).collect()
}
