//! Ops that put elements where indices say: [`gather`](super::gather), the other way.
//!
//! Where several updates meet one element, they are applied in order. Floats are carried in f64 and rounded once,
//! whole numbers wrap around, and a whole number divided by 0 is 0.

use anemone_kernels::scratch::scratch;

use super::fast::{Ready, dims, for_bits, ready_if};
use super::gather::{
    Places, Tuples, check_along, check_depth, check_indices, check_tuples, no_tuple, places_along, resolved,
    slice_places, tuple_places,
};
use super::moves::{bad_value, exact, joined, known_axis, one};
use super::row::*;
use crate::types::f16;

const SCATTER: &[Edition] = &[
    edition(
        Ios15,
        &[
            tensor("data", NUMS).domain('T'),
            tensor("indices", I32),
            tensor("updates", NUMS).domain('T'),
            tensor("axis", I32).constant().or(Int(0)),
            tensor("mode", STR).constant().or(Str("add")),
        ],
    ),
    edition(
        Ios17,
        &[
            tensor("data", NUMS).domain('T'),
            tensor("indices", I32),
            tensor("updates", NUMS).domain('T'),
            tensor("axis", I32).constant().or(Int(0)),
            tensor("mode", STR).constant().or(Str("add")),
            tensor("validate_indices", BOOL).constant().or(Bool(false)),
        ],
    ),
];

const SCATTER_ND: &[Edition] = &[
    edition(
        Ios15,
        &[
            tensor("data", NUMS).domain('T'),
            tensor("indices", I32),
            tensor("updates", NUMS).domain('T'),
            tensor("mode", STR).constant().or(Str("add")),
        ],
    ),
    edition(
        Ios17,
        &[
            tensor("data", NUMS).domain('T'),
            tensor("indices", I32),
            tensor("updates", NUMS).domain('T'),
            tensor("mode", STR).constant().or(Str("add")),
            tensor("validate_indices", BOOL).constant().or(Bool(false)),
        ],
    ),
];

/// What an update does to an element.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Update,
    Add,
    Sub,
    Mul,
    Div,
    Max,
    Min,
}

fn mode(args: &Args<'_>) -> Result<Mode, Fault> {
    Ok(match args.str("mode").unwrap_or("add") {
        "update" => Mode::Update,
        "add" => Mode::Add,
        "sub" => Mode::Sub,
        "mul" => Mode::Mul,
        "div" => Mode::Div,
        "max" => Mode::Max,
        "min" => Mode::Min,
        other => {
            let why = format_args!("`{other}` is not update, add, sub, mul, div, max or min").to_string();
            return Err(bad_value(args, "mode", why));
        }
    })
}

fn on_floats(mode: Mode, old: f64, new: f64) -> f64 {
    match mode {
        Mode::Update => new,
        Mode::Add => old + new,
        Mode::Sub => old - new,
        Mode::Mul => old * new,
        Mode::Div => old / new,
        // A NaN on either side stays, as with NumPy's maximum.
        Mode::Max if old.is_nan() || old > new => old,
        Mode::Min if old.is_nan() || old < new => old,
        Mode::Max | Mode::Min => new,
    }
}

fn on_ints(mode: Mode, old: i64, new: i64) -> i64 {
    match mode {
        Mode::Update => new,
        Mode::Add => old.wrapping_add(new),
        Mode::Sub => old.wrapping_sub(new),
        Mode::Mul => old.wrapping_mul(new),
        Mode::Div => old.checked_div(new).unwrap_or(0),
        Mode::Max => old.max(new),
        Mode::Min => old.min(new),
    }
}

/// `data` with the updates applied, each at its place.
fn applied(args: &Args<'_>, places: impl IntoIterator<Item = usize>) -> Result<Vec<Datum>, Fault> {
    let (data, updates, mode) = (args.tensor("data")?, args.tensor("updates")?, mode(args)?);
    if mode == Mode::Update {
        let mut from: Vec<usize> = (0..data.len()).collect();
        for (i, at) in places.into_iter().enumerate() {
            from[at] = data.len() + i;
        }
        return one(joined(&[data, updates])?.pick(data.shape(), from)?);
    }
    one(if data.dtype().is_float() {
        let mut values = data.to_f64s();
        for (at, new) in places.into_iter().zip(updates.to_f64s()) {
            values[at] = on_floats(mode, values[at], new);
        }
        Tensor::from_f64s(data.dtype(), data.shape(), &values)?
    } else {
        let mut values = data.to_i64s();
        for (at, new) in places.into_iter().zip(updates.to_i64s()) {
            values[at] = on_ints(mode, values[at], new);
        }
        Tensor::from_i64s(data.dtype(), data.shape(), &values)?
    })
}

/// `data` with the updates applied, which are runs of `run` elements that begin at `starts`, all at multiples of `run`.
fn fast_applied(args: &Args<'_>, starts: Places, run: usize) -> Ready {
    let (dtype, mode) = (args.ty("data")?.dtype, mode(args)?);
    if dims(args, "data")?.contains(&0) || run == 0 {
        return Ok(None);
    }
    let slices = Slices { updates: args.reader("updates")?, starts, len: run };
    if mode == Mode::Update {
        return for_bits!(dtype, E => ready_if(move |run| {
            slices.update(run, |y: &mut [E], updates| updates.apply(y, |_, new| new))
        }));
    }
    // The sum of two floats in f64, rounded once, is their sum, and so for the other modes. Where several updates meet
    // one element, it is rounded once too.
    match dtype {
        Fp32 => ready_if(move |run| {
            slices.update(run, |y: &mut [f32], updates| {
                if updates.apart(y.len()) {
                    return updates.apply(y, |old, new| on_singles(mode, old, new));
                }
                let f = |old, new: f32| on_floats(mode, old, new.into());
                rounded_once(y, f64::from, |v| v as f32, |y| updates.apply(y, f));
            })
        }),
        Fp16 => ready_if(move |run| {
            slices.update(run, |y: &mut [f16], updates| {
                if updates.apart(y.len()) {
                    let f = |old: f16, new: f16| f16::from_f32(on_singles(mode, old.to_f32(), new.to_f32()));
                    return updates.apply(y, f);
                }
                let f = |old, new: f16| on_floats(mode, old, new.into());
                rounded_once(y, f64::from, |v| f16::from_f64(Fp16.round(v)), |y| updates.apply(y, f));
            })
        }),
        // Whole numbers wrap around, and it does not matter when they do; but for quotients.
        Int32 => ready_if(move |run| {
            slices.update(run, |y: &mut [i32], updates| {
                let f = |old, new: i32| on_ints(mode, old, new.into());
                if mode != Mode::Div || updates.apart(y.len()) {
                    return updates.apply(y, |old: i32, new| f(old.into(), new) as i32);
                }
                rounded_once(y, i64::from, |v| v as i32, |y| updates.apply(y, f));
            })
        }),
        _ => Ok(None),
    }
}

/// Slices of a tensor that are updated.
struct Slices {
    updates: Reader,
    starts: Places,
    /// How long they are.
    len: usize,
}

/// What slices become.
struct Updates<'a, T> {
    elements: &'a [T],
    starts: &'a [usize],
    len: usize,
}

impl Slices {
    /// Calls `f` with the data, which the result holds, and the updates.
    fn update<T: bytemuck::Pod>(
        &self,
        run: &mut Run<'_, '_>,
        f: impl FnOnce(&mut [T], Updates<'_, T>),
    ) -> Result<(), Fault> {
        let (elements, starts) = (run.read(&self.updates), self.starts.read(run)?);
        f(run.write(0), Updates { elements, starts: &starts, len: self.len });
        Ok(())
    }
}

impl<T: Copy> Updates<'_, T> {
    /// Whether no two of them meet, in a tensor of so many elements.
    fn apart(&self, elements: usize) -> bool {
        let mut seen = scratch::<u8>(elements / self.len);
        seen.fill(0);
        self.starts.iter().all(|start| std::mem::replace(&mut seen[start / self.len], 1) == 0)
    }

    /// Replaces elements by a function of the old and the new one, in order.
    fn apply<Y: Copy>(&self, y: &mut [Y], f: impl Fn(Y, T) -> Y) {
        for (&start, new) in self.starts.iter().zip(self.elements.chunks_exact(self.len)) {
            y[start..start + self.len].iter_mut().zip(new).for_each(|(old, &new)| *old = f(*old, new));
        }
    }
}

/// Changes elements in a wider type, from which each is rounded once.
fn rounded_once<T: Copy, W: bytemuck::Pod>(
    y: &mut [T],
    widen: impl Fn(T) -> W,
    round: impl Fn(W) -> T,
    change: impl FnOnce(&mut [W]),
) {
    let mut wide = scratch::<W>(y.len());
    wide.iter_mut().zip(&*y).for_each(|(to, &from)| *to = widen(from));
    change(&mut wide);
    y.iter_mut().zip(&*wide).for_each(|(to, &from)| *to = round(from));
}

/// [`on_floats`] of floats that are rounded to single precision.
fn on_singles(mode: Mode, old: f32, new: f32) -> f32 {
    match mode {
        Mode::Update => new,
        Mode::Add => old + new,
        Mode::Sub => old - new,
        Mode::Mul => old * new,
        Mode::Div => old / new,
        Mode::Max if old.is_nan() || old > new => old,
        Mode::Min if old.is_nan() || old < new => old,
        Mode::Max | Mode::Min => new,
    }
}

/// Refuses updates that have not this shape.
fn expect(args: &Args<'_>, updates: &Shape, wanted: &Shape) -> Result<(), Fault> {
    if updates.fits(wanted) {
        return Ok(());
    }
    Err(Fault::of(
        "updates",
        &codes::SHAPE_MISMATCH,
        format!("`updates` of `{}` has shape {updates} and must have shape {wanted}", args.op.name),
    )
    .against("indices"))
}

/// Checks the shapes of a call of `scatter`, and gives the axis.
fn scattered(args: &Args<'_>, data: &Shape, indices: &Shape, updates: &Shape) -> Result<usize, Fault> {
    let axis = known_axis(args, "axis", data.rank())?;
    let wanted = data[..axis].iter().chain(indices.iter()).chain(&data[axis + 1..]).copied().collect();
    expect(args, updates, &wanted)?;
    Ok(axis)
}

fn infer_scatter(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let (data, indices, updates) = (args.ty("data")?, args.ty("indices")?, args.ty("updates")?);
    mode(args)?;
    let axis = scattered(args, &data.shape, &indices.shape, &updates.shape)?;
    check_indices(args, data.shape[axis])?;
    Ok(vec![data.clone().into()])
}

fn compute_scatter(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let (data, indices) = (args.tensor("data")?, args.tensor("indices")?);
    let [d, i, u] = [data, indices, args.tensor("updates")?].map(|t| Shape::from(t.shape()));
    let axis = scattered(args, &d, &i, &u)?;
    let places = resolved(args, &indices.to_i64s(), data.shape()[axis])?;
    applied(args, slice_places(data.shape(), axis, 0, &places))
}

fn fast_scatter(args: &Args<'_>, _: &[Type]) -> Ready {
    let data = dims(args, "data")?;
    let axis = known_axis(args, "axis", data.len())?;
    let slice = data[axis + 1..].iter().product();
    fast_applied(args, Places::of_slices(args, data, axis, 0)?, slice)
}

/// Checks the shapes of a call of `scatter_along_axis`, and gives the axis.
fn along(args: &Args<'_>, data: &Shape, indices: &Shape, updates: &Shape) -> Result<usize, Fault> {
    let axis = known_axis(args, "axis", data.rank())?;
    check_along(args, "data", data, indices, axis)?;
    expect(args, updates, indices)?;
    Ok(axis)
}

fn infer_along(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let (data, indices, updates) = (args.ty("data")?, args.ty("indices")?, args.ty("updates")?);
    mode(args)?;
    let axis = along(args, &data.shape, &indices.shape, &updates.shape)?;
    check_indices(args, data.shape[axis])?;
    Ok(vec![data.clone().into()])
}

fn compute_along(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let (data, indices) = (args.tensor("data")?, args.tensor("indices")?);
    let [d, i, u] = [data, indices, args.tensor("updates")?].map(|t| Shape::from(t.shape()));
    let axis = along(args, &d, &i, &u)?;
    let places = resolved(args, &indices.to_i64s(), data.shape()[axis])?;
    applied(args, places_along(data.shape(), axis, indices.shape()[axis], &places))
}

fn fast_along(args: &Args<'_>, _: &[Type]) -> Ready {
    let data = dims(args, "data")?;
    let axis = known_axis(args, "axis", data.len())?;
    fast_applied(args, Places::of_each(args, data, axis)?, 1)
}

/// Checks the shapes of a call of `scatter_nd`.
fn tuples(args: &Args<'_>, data: &Shape, indices: &Shape, updates: &Shape) -> Result<(), Fault> {
    let (&depth, leading) = indices.split_last().ok_or_else(|| no_tuple(args))?;
    check_depth(args, depth, data.rank())?;
    match depth {
        Dim::Known(n) => expect(args, updates, &leading.iter().chain(&data[n as usize..]).copied().collect()),
        Dim::Unknown => Ok(()),
    }
}

fn infer_nd(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let (data, indices, updates) = (args.ty("data")?, args.ty("indices")?, args.ty("updates")?);
    mode(args)?;
    tuples(args, &data.shape, &indices.shape, &updates.shape)?;
    if let Some(Dim::Known(depth)) = indices.shape.last() {
        check_tuples(args, &data.shape[..*depth as usize])?;
    }
    Ok(vec![data.clone().into()])
}

fn compute_nd(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let (data, indices) = (args.tensor("data")?, args.tensor("indices")?);
    let [d, i, u] = [data, indices, args.tensor("updates")?].map(|t| Shape::from(t.shape()));
    tuples(args, &d, &i, &u)?;
    applied(args, tuple_places(args, data.shape(), 0, indices)?)
}

fn fast_nd(args: &Args<'_>, _: &[Type]) -> Ready {
    let tuples = Tuples::of(args, &dims(args, "data")?, 0, &dims(args, "indices")?)?;
    let slice = tuples.run;
    fast_applied(args, Places::of_tuples(args, tuples)?, slice)
}

const ONE: Results = Results::Exactly(1);

pub(super) static OPS: &[Op] = &[
    Op {
        fast: Fast::Updating(fast_scatter),
        ..exact(
            "scatter",
            "data with slices along an axis updated where indices name them",
            SCATTER,
            ONE,
            infer_scatter,
            compute_scatter,
        )
    },
    Op {
        fast: Fast::Updating(fast_along),
        ..exact(
            "scatter_along_axis",
            "data with elements along an axis updated where indices name them one by one",
            SCATTER,
            ONE,
            infer_along,
            compute_along,
        )
    },
    Op {
        fast: Fast::Updating(fast_nd),
        ..exact(
            "scatter_nd",
            "data with slices updated where tuples of indices name them",
            SCATTER_ND,
            ONE,
            infer_nd,
            compute_nd,
        )
    },
];

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[track_caller]
    fn scatters(
        op: &str,
        data: Datum,
        indices: Datum,
        updates: Datum,
        line: &[(&str, Datum)],
        expected: Datum,
    ) {
        let args = [&[("data", data), ("indices", indices), ("updates", updates)], line].concat();
        check(op, Ios15, &args, &[expected]);
    }

    fn by(mode: &str) -> (&'static str, Datum) {
        ("mode", text(mode))
    }

    fn grid() -> Datum {
        i32s(&[2, 3], &[1, 2, 3, 4, 5, 6])
    }

    #[test]
    fn scatter_updates_slices() {
        let updates = || i32s(&[2, 3], &[5, 6, 7, 8, 9, 10]);
        // The default mode is add.
        scatters("scatter", grid(), vec32(&[1, 0]), updates(), &[], i32s(&[2, 3], &[9, 11, 13, 9, 11, 13]));
        let mode = [by("update")];
        scatters("scatter", grid(), vec32(&[-1, 0]), updates(), &mode, i32s(&[2, 3], &[8, 9, 10, 5, 6, 7]));
        // The last of two updates of one row stays.
        scatters("scatter", grid(), vec32(&[1, 1]), updates(), &mode, i32s(&[2, 3], &[1, 2, 3, 8, 9, 10]));
        let line = [("axis", int(-1)), by("sub")];
        let column = i32s(&[2, 1], &[10, 20]);
        scatters("scatter", grid(), vec32(&[1]), column, &line, i32s(&[2, 3], &[1, -8, 3, 4, -15, 6]));
        scatters("scatter", grid(), vec32(&[]), i32s(&[0, 3], &[]), &[], grid());
        let bools = ints(DType::Bool, &[2], &[0, 0]);
        scatters("scatter", bools, vec32(&[1]), flags(&[true]), &mode, flags(&[false, true]));
    }

    #[test]
    fn every_mode() {
        let on = |mode: &str, old: i32, new: i32, expected: i32| {
            scatters("scatter", vec32(&[old]), vec32(&[0]), vec32(&[new]), &[by(mode)], vec32(&[expected]));
        };
        on("update", 7, 2, 2);
        on("add", i32::MAX, 1, i32::MIN);
        on("sub", 7, 2, 5);
        on("mul", 1 << 30, 4, 0);
        on("div", -7, 2, -3);
        on("div", 7, 0, 0);
        on("max", 7, 2, 7);
        on("min", 7, 2, 2);
        let on = |mode: &str, old: f32, new: f32, expected: f32| {
            let [old, new, expected] = [old, new, expected].map(|v| f32s(&[1], &[v]));
            scatters("scatter", old, vec32(&[0]), new, &[by(mode)], expected);
        };
        on("div", 1.0, 0.0, f32::INFINITY);
        on("mul", 1.5, 2.0, 3.0);
        on("max", f32::NAN, 2.0, f32::NAN);
        on("max", 1.0, 2.0, 2.0);
        on("min", 1.0, 2.0, 1.0);
        // Carried in f64: 2048 + 1 would be lost in fp16.
        let (h, ones) = (f16s(&[1], &[2048.0]), f16s(&[2], &[1.0, 1.0]));
        scatters("scatter", h, vec32(&[0, 0]), ones, &[], f16s(&[1], &[2050.0]));
        let args =
            [("data", grid()), ("indices", vec32(&[0])), ("updates", i32s(&[1, 3], &[0; 3])), by("xor")];
        refuse("scatter", Ios15, &args, "bad-value");
    }

    #[test]
    fn scatter_along_axis_updates_elements() {
        // np.put_along_axis
        let (indices, updates) = (i32s(&[2, 1], &[2, -3]), i32s(&[2, 1], &[10, 20]));
        let line = [("axis", int(1)), by("update")];
        scatters("scatter_along_axis", grid(), indices, updates, &line, i32s(&[2, 3], &[1, 2, 10, 20, 5, 6]));
        let (indices, updates) = (i32s(&[1, 3], &[1, 0, 1]), i32s(&[1, 3], &[10, 20, 30]));
        scatters("scatter_along_axis", grid(), indices, updates, &[], i32s(&[2, 3], &[1, 22, 3, 14, 5, 36]));
        let no = |indices: Datum, updates: Datum, code| {
            refuse(
                "scatter_along_axis",
                Ios15,
                &[("data", grid()), ("indices", indices), ("updates", updates)],
                code,
            );
        };
        no(i32s(&[1, 3], &[0; 3]), i32s(&[1, 2], &[0; 2]), "shape-mismatch");
        no(i32s(&[1, 2], &[0; 2]), i32s(&[1, 2], &[0; 2]), "shape-mismatch");
        no(vec32(&[0]), vec32(&[0]), "wrong-rank");
        no(i32s(&[1, 3], &[0, 0, 2]), i32s(&[1, 3], &[0; 3]), "index-out-of-range");
    }

    #[test]
    fn scatter_nd_updates_what_tuples_name() {
        let mode = [by("update")];
        let (indices, updates) = (i32s(&[2, 2], &[0, 1, -1, 2]), vec32(&[10, 20]));
        scatters("scatter_nd", grid(), indices, updates, &mode, i32s(&[2, 3], &[1, 10, 3, 4, 5, 20]));
        let (indices, updates) = (i32s(&[1, 1], &[1]), i32s(&[1, 3], &[10, 20, 30]));
        scatters("scatter_nd", grid(), indices, updates, &[], i32s(&[2, 3], &[1, 2, 3, 14, 25, 36]));
        scatters("scatter_nd", grid(), vec32(&[]), grid(), &mode, grid());
        let no = |indices: Datum, updates: Datum, code| {
            refuse(
                "scatter_nd",
                Ios15,
                &[("data", grid()), ("indices", indices), ("updates", updates)],
                code,
            );
        };
        no(i32s(&[1, 3], &[0; 3]), vec32(&[0]), "shape-mismatch");
        no(i32s(&[1, 2], &[0; 2]), vec32(&[0, 1]), "shape-mismatch");
        no(int(0), int(0), "wrong-rank");
        no(i32s(&[1, 2], &[0, 3]), vec32(&[0]), "index-out-of-range");
    }

    #[test]
    fn indices_and_updates_are_checked() {
        let args = |i: i32| [("data", grid()), ("indices", vec32(&[i])), ("updates", i32s(&[1, 3], &[0; 3]))];
        refuse("scatter", Ios15, &args(2), "index-out-of-range");
        refuse("scatter", Ios17, &args(-3), "index-out-of-range");
        let strict = [&args(-1)[..], &[("validate_indices", flag(true))]].concat();
        refuse("scatter", Ios17, &strict, "index-out-of-range");
        let uneven = [("data", grid()), ("indices", vec32(&[0])), ("updates", i32s(&[2, 3], &[0; 6]))];
        refuse("scatter", Ios15, &uneven, "shape-mismatch");
    }
}
