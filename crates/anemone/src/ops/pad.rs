//! Padding: a tensor with a border.

use anemone_kernels::layout;

use super::fast::{Ready, bits, dims, for_bits, idle, nothing, ready};
use super::loops::{shape_of, strides};
use super::moves::{Picks, bad_value, exact, joined, length, one, result};
use super::row::*;

const PAD: &[Edition] = &[edition(
    Ios15,
    &[
        tensor("x", FLOATS).domain('T'),
        tensor("pad", I32),
        tensor("mode", STR).constant().or(Str("constant")),
        tensor("constant_val", FLOATS).domain('T').constant().or(Float(0.0)),
    ],
)];

/// The border before and behind each axis, as far as it is known.
fn borders(args: &Args<'_>, x: &Shape) -> Result<Vec<Option<[u64; 2]>>, Fault> {
    let mut borders = vec![Some([0, 0]); x.rank()];
    let Some(pad) = args.ints("pad") else {
        // Without its numbers, the length alone says which dimensions grow.
        let padded = match length(args, "pad")? {
            Dim::Known(n) if n % 2 == 0 && n / 2 <= x.rank() as u64 => (n / 2) as usize,
            Dim::Known(n) => return Err(bad_value(args, "pad", format_args!("it has {n} numbers"))),
            Dim::Unknown => x.rank(),
        };
        borders[x.rank() - padded..].fill(None);
        return Ok(borders);
    };
    length(args, "pad")?;
    if pad.len() % 2 != 0 || pad.len() / 2 > x.rank() {
        let why =
            format_args!("it has {} numbers, and `x` has {} dimensions", pad.len(), x.rank()).to_string();
        return Err(bad_value(args, "pad", why).help("give two numbers for each of the last dimensions"));
    }
    let first = x.rank() - pad.len() / 2;
    for (i, pair) in pad.chunks_exact(2).enumerate() {
        let number =
            |n: i64| u64::try_from(n).map_err(|_| bad_value(args, "pad", format_args!("{n} is negative")));
        borders[first + i] = Some([number(pair[0])?, number(pair[1])?]);
    }
    Ok(borders)
}

fn infer_pad(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let x = args.ty("x")?;
    let mode = args.str("mode").unwrap_or("constant");
    if !["constant", "reflect", "replicate"].contains(&mode) {
        return Err(bad_value(args, "mode", format_args!("`{mode}` is not constant, reflect or replicate")));
    }
    let padded = |(axis, (border, &dim)): (usize, (Option<[u64; 2]>, &Dim))| {
        let Some([before, behind]) = border else { return Ok(Dim::Unknown) };
        if let Dim::Known(n) = dim {
            let most = match mode {
                "reflect" => n.saturating_sub(1),
                "replicate" if n == 0 => 0,
                _ => u64::MAX,
            };
            if before.max(behind) > most {
                let why =
                    format!("axis {axis} of {n} elements can be padded by {most} at most in mode `{mode}`");
                return Err(bad_value(args, "pad", why).against("x"));
            }
        }
        Ok(dim.map(|n| n.saturating_add(before).saturating_add(behind)))
    };
    let borders = borders(args, &x.shape)?;
    let shape = borders.into_iter().zip(x.shape.iter()).enumerate().map(padded).collect::<Result<_, _>>()?;
    result(args, x.dtype, shape)
}

fn compute_pad(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let x = args.tensor("x")?;
    let shape = shape_of(&infer_pad(args)?[0]);
    let before: Vec<usize> = borders(args, &Shape::from(x.shape()))?
        .into_iter()
        .map(|b| b.map_or(0, |[before, _]| before as usize))
        .collect();
    let mode = args.str("mode").unwrap_or("constant");
    let constant = Tensor::from_f64s(x.dtype(), &[1], &[args.float("constant_val").unwrap_or(0.0)])?;
    let (own, grown) = (strides(x.shape()), strides(&shape));
    let count: usize = shape.iter().product();
    let from = (0..count).map(|at| {
        let mut offset = 0;
        for axis in 0..shape.len() {
            let n = x.shape()[axis];
            let place = (at / grown[axis] % shape[axis]) as isize - before[axis] as isize;
            let place = mirrored(mode, place, n);
            if place < 0 || place >= n as isize {
                return x.len();
            }
            offset += place as usize * own[axis];
        }
        offset
    });
    one(joined(&[x, &constant])?.pick(&shape, from)?)
}

/// The place of the element that stands at a place around the `n` elements along an axis.
fn mirrored(mode: &str, place: isize, n: usize) -> isize {
    let last = n as isize - 1;
    match mode {
        "reflect" if place < 0 => -place,
        "reflect" if place > last => 2 * last - place,
        "replicate" => place.clamp(0, last),
        _ => place,
    }
}

/// A border of one number, or of elements that are picked along one axis after the other.
fn fast_pad(args: &Args<'_>, types: &[Type]) -> Ready {
    let (dtype, own, x) = (args.ty("x")?.dtype, dims(args, "x")?, args.reader("x")?);
    args.tensor("pad")?;
    let before: Vec<usize> = borders(args, &Shape::from(&own[..]))?
        .into_iter()
        .map(|b| b.map_or(0, |[before, _]| before as usize))
        .collect();
    let (mode, shape) = (args.str("mode").unwrap_or("constant"), shape_of(&types[0]));
    if nothing(types) {
        return idle();
    }
    if mode != "constant" {
        let place = |axis: usize, i: usize| mirrored(mode, i as isize - before[axis] as isize, own[axis]);
        let places = |axis: usize| (0..shape[axis]).map(|i| place(axis, i) as usize).collect();
        let grown = (0..shape.len()).filter(|&axis| shape[axis] != own[axis]);
        let picks: Vec<_> = grown.map(|axis| (axis, places(axis))).collect();
        return Picks::new(own.clone(), picks).ready(args, "x");
    }
    let constant = Tensor::from_f64s(dtype, &[1], &[args.float("constant_val").unwrap_or(0.0)])?;
    for_bits!(dtype, E => {
        let constant = bits::<E>(&constant)[0];
        ready(move |run| {
            let x: &[E] = run.read(&x);
            let to = run.write(0);
            to.fill(constant);
            layout::place(to, &shape, &before, x, &own);
        })
    })
}

pub(super) static OPS: &[Op] = &[Op {
    fast: Fast::Prepared(fast_pad),
    ..exact("pad", "x with a border", PAD, Results::Exactly(1), infer_pad, compute_pad)
}];

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn pad_adds_a_border() {
        let pads = |x: Datum, pad: &[i32], mode: &str, expected: Datum| {
            check("pad", Ios15, &[("x", x), ("pad", vec32(pad)), ("mode", text(mode))], &[expected]);
        };
        // np.pad with the modes constant, reflect and edge
        pads(iota(&[3]), &[1, 2], "constant", f32s(&[6], &[0.0, 0.0, 1.0, 2.0, 0.0, 0.0]));
        pads(iota(&[3]), &[1, 2], "reflect", f32s(&[6], &[1.0, 0.0, 1.0, 2.0, 1.0, 0.0]));
        pads(iota(&[3]), &[1, 2], "replicate", f32s(&[6], &[0.0, 0.0, 1.0, 2.0, 2.0, 2.0]));
        pads(iota(&[2, 1]), &[0, 1], "constant", f32s(&[2, 2], &[0.0, 0.0, 1.0, 0.0]));
        let all = [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0];
        pads(iota(&[2, 2]), &[1, 0, 1, 1], "replicate", f32s(&[3, 4], &all));
        pads(iota(&[0]), &[1, 1], "constant", f32s(&[2], &[0.0, 0.0]));
        pads(iota(&[2]), &[], "reflect", iota(&[2]));
        let args = [("x", f16s(&[1], &[1.0])), ("pad", vec32(&[1, 0])), ("constant_val", f16s(&[], &[7.0]))];
        check("pad", Ios15, &args, &[f16s(&[2], &[7.0, 1.0])]);
        let no = |x: &[usize], pad: &[i32], mode: &str, code| {
            refuse("pad", Ios15, &[("x", iota(x)), ("pad", vec32(pad)), ("mode", text(mode))], code);
        };
        no(&[3], &[3, 0], "reflect", "bad-value");
        no(&[0], &[1, 0], "replicate", "bad-value");
        no(&[3], &[-1, 0], "constant", "bad-value");
        no(&[3], &[1], "constant", "bad-value");
        no(&[3], &[1, 1, 1, 1], "constant", "bad-value");
        no(&[3], &[1, 1], "circular", "bad-value");
        no(&[3, 3], &[i32::MAX; 4], "constant", "tensor-too-large");
    }
}
