//! Stretching and shrinking: `resize`, `resize_bilinear`, `resize_nearest_neighbor` and the upsamplings.

use anemone_kernels::Float as _;
use anemone_kernels::image::{self, Tap};
use anemone_kernels::scratch::scratch;
use anemone_kernels::threads::parallel_chunks;

use super::super::fast::{Elements, Ready, Singles, dims, for_float, idle, nothing, ready};
use super::super::loops::{shape_of, strides};
use super::super::moves::{self, Picks, View, around};
use super::super::row::*;
use super::super::window::{not_known, room};
use super::{Grid, size, word};

/// `x` of at least three dimensions.
fn image_type<'a>(args: &Args<'a>) -> Result<&'a TensorType, Fault> {
    let x = args.ty("x")?;
    if x.rank() >= 3 {
        return Ok(x);
    }
    Err(Fault::of(
        "x",
        &codes::WRONG_RANK,
        format!("`x` of `{}` has {} dimensions, where the op takes at least 3", args.op.name, x.rank()),
    ))
}

/// The type of `x` with other sizes of its last dimensions, which must not make something of nothing.
fn resized(args: &Args<'_>, x: &TensorType, sizes: &[Dim]) -> Result<Vec<Type>, Fault> {
    let mut shape = x.shape.clone();
    let lead = x.rank() - sizes.len();
    for (i, &to) in sizes.iter().enumerate() {
        if shape[lead + i] == Dim::Known(0) && to.known().is_some_and(|n| n > 0) {
            return Err(Fault::of(
                "x",
                &codes::SHAPE_MISMATCH,
                format!("`x` of `{}` is of shape {}, which has no pixel to sample", args.op.name, x.shape),
            ));
        }
        shape[lead + i] = to;
    }
    Ok(vec![Type::tensor(x.dtype, shape)])
}

/// The result of `resize_bilinear` and `resize_nearest_neighbor`.
pub(super) fn infer_to_size(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let x = image_type(args)?;
    if args.op.name == "resize_bilinear" {
        Grid::read(args)?;
    }
    let sizes = [size(args, "target_size_height")?, size(args, "target_size_width")?];
    resized(args, x, &sizes.map(Dim::Known))
}

/// The grid of `upsample_bilinear`.
fn upsample_grid(args: &Args<'_>) -> Result<Grid, Fault> {
    let align = args.bool("align_corners").ok_or_else(|| not_known(args, "align_corners"))?;
    let half = if args.has("half_pixel_centers") { args.bool("half_pixel_centers") } else { Some(!align) };
    match (align, half.ok_or_else(|| not_known(args, "half_pixel_centers"))?) {
        (true, false) => Ok(Grid::Strict),
        (false, true) => Ok(Grid::Unalign),
        (false, false) => Ok(Grid::Default),
        (true, true) => Err(Fault::of(
            "half_pixel_centers",
            &codes::BAD_VALUE,
            "`half_pixel_centers` and `align_corners` of `upsample_bilinear` are both true",
        )
        .against("align_corners")
        .help("set one of them to false")),
    }
}

/// The result of `upsample_bilinear` and `upsample_nearest_neighbor`.
pub(super) fn infer_by_factor(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let x = image_type(args)?;
    if args.op.name == "upsample_bilinear" {
        upsample_grid(args)?;
    }
    let mut sizes = [Dim::Unknown; 2];
    for (i, param) in ["scale_factor_height", "scale_factor_width"].into_iter().enumerate() {
        let factor = args.float(param).ok_or_else(|| not_known(args, param))?;
        if !(factor > 0.0 && factor.is_finite()) {
            return Err(Fault::of(
                param,
                &codes::BAD_VALUE,
                format!("`{param}` of `{}` is {factor}, where it must be above 0", args.op.name),
            ));
        }
        // In single precision, as the factor is: 10 times 0.7 are 7, and not a little less.
        sizes[i] = x.shape[x.rank() - 2 + i].map(|n| (n as f32 * factor as f32).floor() as u64);
    }
    resized(args, x, &sizes)
}

pub(super) fn infer_resize(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let (x, shape) = (args.ty("x")?, args.ty("shape")?);
    interpolation(args)?;
    Grid::read(args)?;
    if shape.rank() != 1 {
        return Err(Fault::of(
            "shape",
            &codes::WRONG_RANK,
            format!("`shape` of `resize` has {} dimensions, where the op takes 1", shape.rank()),
        ));
    }
    let stated = args.value("shape").map(Tensor::to_i64s);
    let count = stated.as_ref().map(|s| s.len() as u64).or(shape.shape[0].known());
    let resized_dims = args.int("resized_dims").ok_or_else(|| not_known(args, "resized_dims"))?;
    let last = u64::try_from(resized_dims).ok().filter(|&n| n <= count.unwrap_or(x.rank() as u64));
    let last = last.ok_or_else(|| {
        let most = count.map_or_else(|| x.shape.to_string(), |n| format!("{n} numbers"));
        Fault::of(
            "resized_dims",
            &codes::BAD_VALUE,
            format!("`resized_dims` of `resize` is {resized_dims}, where `shape` has {most}"),
        )
        .against("shape")
    })? as usize;
    if count.is_some_and(|n| n > x.rank() as u64) || last > x.rank() {
        return Err(Fault::of(
            "shape",
            &codes::SHAPE_MISMATCH,
            format!(
                "`shape` of `resize` has {} numbers, where `x` has {} dimensions",
                count.unwrap_or_default(),
                x.rank()
            ),
        )
        .against("x"));
    }
    let Some(stated) = stated else {
        return resized(args, x, &vec![Dim::Unknown; last]);
    };
    if let Some(negative) = stated[stated.len() - last..].iter().find(|&&n| n < 0) {
        return Err(Fault::of(
            "shape",
            &codes::BAD_VALUE,
            format!("`shape` of `resize` holds {negative}, where 0 is the least"),
        )
        .help("use 0 for the size that `x` has"));
    }
    let own = &x.shape[x.rank() - last..];
    let sizes: Vec<Dim> = stated[stated.len() - last..]
        .iter()
        .zip(own)
        .map(|(&to, &own)| if to == 0 { own } else { Dim::Known(to as u64) })
        .collect();
    resized(args, x, &sizes)
}

/// Whether `interpolation_mode` of `resize` is between pixels, and not by the nearest.
fn interpolation(args: &Args<'_>) -> Result<bool, Fault> {
    word(args, "interpolation_mode", &[("LINEAR", true), ("NEAREST_NEIGHBOR", false)])
}

/// The shape that inference gives, all known.
fn target(inferred: Result<Vec<Type>, Fault>) -> Result<Vec<usize>, Fault> {
    Ok(inferred?.first().map(shape_of).unwrap_or_default())
}

/// `x` in another shape of the same rank, between its pixels along its last `resized` dimensions.
fn linear(x: &Tensor, to: &[usize], resized: usize, grid: Grid) -> Result<Tensor, Fault> {
    if to.contains(&0) {
        return Ok(Tensor::zeros(x.dtype(), to)?);
    }
    room::<f64>(x.dtype(), to)?;
    let mut shape = x.shape().to_vec();
    let mut values = x.to_f64s();
    for axis in moving(x.shape(), to, resized, grid) {
        let last = shape[axis] - 1;
        let inner: usize = shape[axis + 1..].iter().product();
        let (count, step) = (to[axis], shape[axis] * inner);
        shape[axis] = count;
        let mut out = room(x.dtype(), &shape)?;
        for block in values.chunks_exact(step) {
            for i in 0..count {
                let point = grid.point(i, count, last as f64);
                let low = (point as usize).min(last);
                let (weight, high) = (point - low as f64, (low + 1).min(last));
                let (a, b) = (&block[low * inner..][..inner], &block[high * inner..][..inner]);
                // A sample on a pixel is that pixel, whatever its neighbour is.
                out.extend(
                    a.iter()
                        .zip(b)
                        .map(|(&a, &b)| if weight == 0.0 { a } else { a * (1.0 - weight) + b * weight }),
                );
            }
        }
        values = out;
    }
    Ok(Tensor::from_f64s(x.dtype(), to, &values)?)
}

/// `x` in another shape of the same rank, by one pixel for each: `index` says which, from the place in a dimension,
/// its size in the result, and its size in `x`.
fn nearest(x: &Tensor, to: &[usize], index: impl Fn(usize, usize, usize) -> usize) -> Result<Tensor, Fault> {
    if to.contains(&0) {
        return Ok(Tensor::zeros(x.dtype(), to)?);
    }
    room::<usize>(x.dtype(), to)?;
    let mut places = vec![0];
    for (axis, &step) in strides(x.shape()).iter().enumerate() {
        let n = x.shape()[axis];
        let starts: Vec<usize> = (0..to[axis]).map(|i| index(i, to[axis], n).min(n - 1) * step).collect();
        places = places.iter().flat_map(|p| starts.iter().map(move |s| p + s)).collect();
    }
    Ok(x.pick(to, places)?)
}

/// The pixel in which the start of place `i` of `to` lies, among `from`.
fn start(i: usize, to: usize, from: usize) -> usize {
    (i as u128 * from as u128 / to as u128) as usize
}

/// The pixel nearest to a sample of a grid, of two the second.
fn halfway(grid: Grid, i: usize, to: usize, from: usize) -> usize {
    (grid.point(i, to, from as f64 - 1.0) + 0.5).floor() as usize
}

/// The pixel in which the middle of place `i` of `to` lies, among `from`.
fn middle(i: usize, to: usize, from: usize) -> usize {
    ((2 * i as u128 + 1) * from as u128 / (2 * to as u128)) as usize
}

pub(super) fn compute_bilinear(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let (to, grid) = if args.op.name == "upsample_bilinear" {
        (target(infer_by_factor(args))?, upsample_grid(args)?)
    } else {
        (target(infer_to_size(args))?, Grid::read(args)?)
    };
    Ok(vec![linear(args.tensor("x")?, &to, 2, grid)?.into()])
}

/// The pixel in which the start of each place lies, for the upsampling, and in which its middle lies, for the
/// resizing. Factors only give the size of the result, from which the distance of the samples follows.
pub(super) fn compute_nearest(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let x = args.tensor("x")?;
    let y = if args.op.name == "upsample_nearest_neighbor" {
        nearest(x, &target(infer_by_factor(args))?, start)?
    } else {
        nearest(x, &target(infer_to_size(args))?, middle)?
    };
    Ok(vec![y.into()])
}

/// By the nearest pixel, `DEFAULT` is the grid of `resize_nearest_neighbor`; on the others, a sample halfway between
/// two pixels takes the second.
pub(super) fn compute_resize(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let to = target(infer_resize(args))?;
    let (x, grid) = (args.tensor("x")?, Grid::read(args)?);
    let y = match (interpolation(args)?, grid) {
        (true, _) => linear(x, &to, args.int("resized_dims").unwrap_or(0) as usize, grid)?,
        (false, Grid::Default | Grid::Unalign) => nearest(x, &to, middle)?,
        (false, _) => nearest(x, &to, |i, to, from| halfway(grid, i, to, from))?,
    };
    Ok(vec![y.into()])
}

/// The axes that [`linear`] walks along. What shrinks comes first, so that nothing on the way is larger than `x` and
/// the result.
fn moving(from: &[usize], to: &[usize], resized: usize, grid: Grid) -> Vec<usize> {
    // Only one grid has its samples beside the pixels where there are as many of the one as of the other.
    let moves = |a: &usize| to[*a] != from[*a] || grid == Grid::Offset;
    let mut axes: Vec<usize> = (to.len().saturating_sub(resized)..to.len()).filter(moves).collect();
    axes.sort_by_key(|&a| to[a] > from[a]);
    axes
}

/// As [`linear`], with the places along each axis computed once.
fn fast_linear(args: &Args<'_>, types: &[Type], resized: usize, grid: Grid) -> Ready {
    let (dtype, from, to) = (args.ty("x")?.dtype, dims(args, "x")?, shape_of(&types[0]));
    if nothing(types) {
        return idle();
    }
    if !dtype.is_float() {
        return Ok(None);
    }
    let x = Singles::of(args, "x")?;
    let mut shape = from.clone();
    let mut stretches: Vec<([usize; 3], Vec<Tap>)> = Vec::new();
    for axis in moving(&from, &to, resized, grid) {
        let (sizes, count) = (around(&shape, axis), to[axis]);
        let last = shape[axis] - 1;
        let tap = |i| {
            let point = grid.point(i, count, last as f64);
            let low = (point as usize).min(last);
            let weight = point - low as f64;
            Tap { between: [low, (low + 1).min(last)], weights: [(1.0 - weight) as f32, weight as f32] }
        };
        stretches.push((sizes, (0..count).map(tap).collect()));
        shape[axis] = count;
    }
    for_float!(dtype, T => ready(move |run| {
        let mut values = x.read(run);
        for &([outer, n, inner], ref taps) in &stretches {
            let mut stretched = scratch(outer * taps.len() * inner);
            image::stretch(run.threads, &mut stretched, &values, [outer, n, inner], taps);
            values = Elements::Own(stretched);
        }
        let threads = run.threads;
        parallel_chunks(threads, run.write(0), 1 << 12, 8, |i, y| T::narrow(y, &values[i << 12..][..y.len()]));
    }))
}

pub(super) fn fast_bilinear(args: &Args<'_>, types: &[Type]) -> Ready {
    let upsamples = args.op.name == "upsample_bilinear";
    fast_linear(args, types, 2, if upsamples { upsample_grid(args)? } else { Grid::read(args)? })
}

/// As [`nearest`], along one axis after the other.
fn fast_by_nearest(args: &Args<'_>, types: &[Type], index: impl Fn(usize, usize, usize) -> usize) -> Ready {
    let (from, to) = (dims(args, "x")?, shape_of(&types[0]));
    if nothing(types) {
        return idle();
    }
    let axes = moving(&from, &to, to.len(), Grid::Default).into_iter();
    let places = |axis: usize| {
        let place = |i| index(i, to[axis], from[axis]).min(from[axis] - 1);
        (axis, (0..to[axis]).map(place).collect())
    };
    let picks: Vec<_> = axes.map(places).collect();
    Picks::new(from.clone(), picks).ready(args, "x")
}

/// Of whole multiples each pixel becomes a block of pixels.
pub(super) fn fast_nearest(args: &Args<'_>, types: &[Type]) -> Ready {
    let (x, shape) = (dims(args, "x")?, shape_of(&types[0]));
    let (mut dims, mut steps) = (Vec::new(), Vec::new());
    for ((&n, &to), step) in x.iter().zip(&shape).zip(moves::strides(&x)) {
        if n == 0 || to % n != 0 {
            return if args.op.name == "upsample_nearest_neighbor" {
                fast_by_nearest(args, types, start)
            } else {
                fast_by_nearest(args, types, middle)
            };
        }
        dims.extend([n, to / n]);
        steps.extend([step, 0]);
    }
    View { shape, start: 0, dims, steps }.ready(args, "x")
}

pub(super) fn fast_resize(args: &Args<'_>, types: &[Type]) -> Ready {
    let resized = args.int("resized_dims").unwrap_or(0) as usize;
    match (interpolation(args)?, Grid::read(args)?) {
        (true, grid) => fast_linear(args, types, resized, grid),
        (false, Grid::Default | Grid::Unalign) => fast_by_nearest(args, types, middle),
        (false, grid) => fast_by_nearest(args, types, |i, to, from| halfway(grid, i, to, from)),
    }
}
