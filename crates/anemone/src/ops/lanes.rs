//! Lanes: the runs of elements along some axes of a tensor, which reductions and normalisations work on.

use super::loops::{check_scalar, number, room, strides, walk};
use crate::mil::op::{Args, Fault};
use crate::source::codes;

/// The lanes of a tensor along some axes, in row-major order of the other axes.
pub(super) struct Lanes {
    /// Where each lane starts.
    starts: Vec<usize>,
    /// Where the elements of a lane lie, counted from its start.
    offsets: Vec<usize>,
}

impl Lanes {
    /// The lanes of a tensor of this shape along these axes.
    pub(super) fn along(shape: &[usize], axes: &[usize]) -> Result<Self, Fault> {
        let steps = strides(shape);
        let places = |along: bool| {
            let (dims, steps): (Vec<_>, Vec<_>) = (0..shape.len())
                .filter(|axis| axes.contains(axis) == along)
                .map(|axis| (shape[axis], steps[axis]))
                .unzip();
            let mut places = room(&dims)?;
            walk(&dims, [&steps], |[at]| places.push(at));
            Ok::<_, Fault>(places)
        };
        Ok(Self { starts: places(false)?, offsets: places(true)? })
    }

    /// Computes one value from each lane.
    pub(super) fn reduce<T: Copy, R>(&self, x: &[T], mut f: impl FnMut(&[T]) -> R) -> Result<Vec<R>, Fault> {
        let (mut lane, mut out) = (room(&[self.offsets.len()])?, room(&[self.starts.len()])?);
        for &start in &self.starts {
            lane.clear();
            lane.extend(self.offsets.iter().map(|at| x[start + at]));
            out.push(f(&lane));
        }
        Ok(out)
    }

    /// Replaces each lane by what a function makes of it.
    pub(super) fn update<T: Copy>(&self, x: &mut [T], mut f: impl FnMut(&mut [T])) -> Result<(), Fault> {
        let mut lane = room(&[self.offsets.len()])?;
        for &start in &self.starts {
            lane.clear();
            lane.extend(self.offsets.iter().map(|at| x[start + at]));
            f(&mut lane);
            for (at, &value) in self.offsets.iter().zip(&lane) {
                x[start + at] = value;
            }
        }
        Ok(())
    }
}

/// The axis that `axis` names, counted from the front.
pub(super) fn axis_of(args: &Args<'_>) -> Result<usize, Fault> {
    check_scalar(args, "axis")?;
    args.normal_axis("axis", number(args, "axis")? as i64, args.ty("x")?.rank())
}

/// The axes that `axes` names, counted from the front, in order; all of them when it is not given.
pub(super) fn axes_of(args: &Args<'_>, rank: usize) -> Result<Vec<usize>, Fault> {
    let Some(ty) = args.opt_ty("axes") else { return Ok((0..rank).collect()) };
    if ty.rank() != 1 {
        let message = format!("`axes` of `{}` must be a vector, not of shape {}", args.op.name, ty.shape);
        return Err(Fault::of("axes", &codes::WRONG_RANK, message));
    }
    let mut axes = Vec::new();
    for axis in args.tensor("axes")?.to_i64s() {
        let normal = args.normal_axis("axes", axis, rank)?;
        if axes.contains(&normal) {
            let message = format!("`axes` of `{}` names axis {axis} twice", args.op.name);
            return Err(Fault::of("axes", &codes::BAD_VALUE, message).help("name each axis once"));
        }
        axes.push(normal);
    }
    axes.sort_unstable();
    Ok(axes)
}
