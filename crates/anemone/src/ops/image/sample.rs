//! Sampling at computed places: `resample`, `affine`, `crop_resize`.

use std::ops::Range;

use anemone_kernels::image::{self, Sample};

use super::super::fast::{Found, elements, filled, for_float};
use super::super::loops::shape_of;
use super::super::row::*;
use super::super::window::{not_known, room};
use super::{Grid, ranked, size, word};

/// What numbers say where a pixel is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Coordinates {
    /// Its index.
    Index,
    /// -1 for the first and 1 for the last.
    MinusOneToOne,
    /// 0 for the first and 1 for the last.
    ZeroToOne,
}

impl Coordinates {
    /// The index that a coordinate means, in a dimension of this size. `align` puts the first and last coordinate on
    /// the centres of the outer pixels, and otherwise they lie on their outer edges.
    fn index(self, coordinate: f64, size: usize, align: bool) -> f64 {
        let size = size as f64;
        let part = match self {
            Coordinates::Index => return coordinate,
            Coordinates::MinusOneToOne => (coordinate + 1.0) / 2.0,
            Coordinates::ZeroToOne => coordinate,
        };
        if align { part * (size - 1.0) } else { part * size - 0.5 }
    }
}

/// What lies outside an image.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Padding {
    /// Pixels of one value.
    Constant,
    /// The outer pixels, again and again.
    Border,
    /// The image mirrored at the centres of its outer pixels.
    Reflection,
    /// The image mirrored at its outer edges.
    Symmetric,
}

impl Padding {
    /// The place inside the image that stands for a place anywhere, in a dimension of this size.
    fn inside(self, index: f64, size: usize) -> f64 {
        let last = size as f64 - 1.0;
        let (low, span) = match self {
            Padding::Constant => return index,
            Padding::Border => return index.max(0.0).min(last),
            Padding::Reflection => (0.0, last),
            Padding::Symmetric => (-0.5, last + 1.0),
        };
        if span <= 0.0 {
            return 0.0;
        }
        let away = (index - low).abs();
        let rest = away % span;
        let mirrored = if (away / span).floor() % 2.0 == 0.0 { rest + low } else { span - rest + low };
        mirrored.max(0.0).min(last)
    }
}

/// An image, or one channel of it.
struct Plane<'a> {
    pixels: &'a [f64],
    height: usize,
    width: usize,
}

impl Plane<'_> {
    /// The pixel at whole coordinates, or what lies there outside the image.
    fn pixel(&self, y: f64, x: f64, outside: f64) -> f64 {
        let inside = (0.0..self.height as f64).contains(&y) && (0.0..self.width as f64).contains(&x);
        if inside { self.pixels[y as usize * self.width + x as usize] } else { outside }
    }

    /// The value between the four pixels around a place. A pixel of no weight has no say.
    fn between(&self, y: f64, x: f64, outside: f64) -> f64 {
        let (top, left) = (y.floor(), x.floor());
        let (down, right) = (y - top, x - left);
        let line = |y| {
            let a = self.pixel(y, left, outside);
            if right == 0.0 { a } else { a * (1.0 - right) + self.pixel(y, left + 1.0, outside) * right }
        };
        let a = line(top);
        if down == 0.0 { a } else { a * (1.0 - down) + line(top + 1.0) * down }
    }
}

/// The images of an argument of shape `[batch, channels, height, width]`.
struct Images {
    pixels: Vec<f64>,
    channels: usize,
    height: usize,
    width: usize,
}

impl Images {
    fn of(x: &Tensor) -> Self {
        let shape = x.shape();
        Self { pixels: x.to_f64s(), channels: shape[1], height: shape[2], width: shape[3] }
    }

    fn plane(&self, image: usize, channel: usize) -> Plane<'_> {
        let len = self.height * self.width;
        let pixels = &self.pixels[(image * self.channels + channel) * len..][..len];
        Plane { pixels, height: self.height, width: self.width }
    }
}

const COORDINATES: &[(&str, Coordinates)] = &[
    ("unnormalized", Coordinates::Index),
    ("normalized_minus_one_to_one", Coordinates::MinusOneToOne),
    ("normalized_zero_to_one", Coordinates::ZeroToOne),
];

/// Whether `sampling_mode` of `resample` is between pixels, the padding, and the coordinates.
fn resample_modes(args: &Args<'_>) -> Result<(bool, Padding, Coordinates), Fault> {
    let bilinear = word(args, "sampling_mode", &[("bilinear", true), ("nearest", false)])?;
    let paddings = [
        ("constant", Padding::Constant),
        ("border", Padding::Border),
        ("reflection", Padding::Reflection),
        ("symmetric", Padding::Symmetric),
    ];
    Ok((bilinear, word(args, "padding_mode", &paddings)?, word(args, "coordinates_mode", COORDINATES)?))
}

pub(super) fn infer_resample(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let (x, at) = (ranked(args, "x", 4)?, ranked(args, "coordinates", 4)?);
    resample_modes(args)?;
    if !x.shape[0].fits(at.shape[0]) {
        return Err(Fault::of(
            "coordinates",
            &codes::SHAPE_MISMATCH,
            format!("`coordinates` of `resample` are for {} images, and `x` has {}", at.shape[0], x.shape[0]),
        )
        .against("x"));
    }
    if !at.shape[3].fits(Dim::Known(2)) {
        return Err(Fault::of(
            "coordinates",
            &codes::SHAPE_MISMATCH,
            format!("`coordinates` of `resample` are of shape {}, whose last dimension must be 2", at.shape),
        )
        .help("give x and y for each pixel of the result"));
    }
    let shape: Shape =
        [x.shape[0].or(at.shape[0]), x.shape[1], at.shape[1], at.shape[2]].into_iter().collect();
    Ok(vec![Type::tensor(x.dtype, shape)])
}

/// The y and x of a sample; nothing is a place outside.
type Place = Option<[f64; 2]>;

/// Where an op samples which images, and how.
struct Samples {
    /// Whether it samples between pixels, and not the nearest.
    bilinear: bool,
    /// What lies outside.
    outside: f64,
    /// Images, and the places in each of them, in the order of the result.
    parts: Vec<(Range<usize>, Vec<Place>)>,
}

fn samples(args: &Args<'_>, shape: &[usize]) -> Result<Samples, Fault> {
    match args.op.name {
        "resample" => resample_places(args, shape),
        "affine" => affine_places(args, shape),
        _ => crop_resize_places(args, shape),
    }
}

/// The meaning of all ops here.
pub(super) fn compute(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let shape = shape_of(&(args.op.infer)(args)?[0]);
    let x = args.tensor("x")?;
    let mut y = room(x.dtype(), &shape)?;
    if shape.contains(&0) {
        return Ok(vec![Tensor::zeros(x.dtype(), &shape)?.into()]);
    }
    let Samples { bilinear, outside, parts } = samples(args, &shape)?;
    let images = Images::of(x);
    for (range, places) in parts {
        for (n, c) in range.flat_map(|n| (0..images.channels).map(move |c| (n, c))) {
            let plane = images.plane(n, c);
            y.extend(places.iter().map(|place| match *place {
                None => outside,
                Some([at_y, at_x]) if bilinear => plane.between(at_y, at_x, outside),
                Some([at_y, at_x]) => plane.pixel(at_y.round_ties_even(), at_x.round_ties_even(), outside),
            }));
        }
    }
    Ok(vec![Tensor::from_f64s(x.dtype(), &shape, &y)?.into()])
}

/// The pixels and weights of each place, which are found once for all channels.
pub(super) fn fast(args: &Args<'_>, types: &[Type], context: &Context<'_>) -> Found {
    let (x, shape) = (args.tensor("x")?, shape_of(&types[0]));
    let (channels, height, width) = (x.shape()[1], x.shape()[2], x.shape()[3]);
    let pixels = height * width;
    if shape.contains(&0) || u32::try_from(pixels).is_err() {
        return Ok(None);
    }
    let Samples { bilinear, outside, parts } = samples(args, &shape)?;
    let sample = |place: Place| {
        let Some([at_y, at_x]) = place else {
            return Sample { constant: outside as f32, ..Sample::default() };
        };
        let [top, left] = [at_y, at_x].map(|at| if bilinear { at.floor() } else { at.round_ties_even() });
        let [down, right] = if bilinear { [at_y - top, at_x - left] } else { [0.0; 2] };
        let mut sample = Sample::default();
        for (k, (below, beside)) in [(0, 0), (0, 1), (1, 0), (1, 1)].into_iter().enumerate() {
            let part = |far: u8, weight: f64| if far == 1 { weight } else { 1.0 - weight };
            let weight = (part(below, down) * part(beside, right)) as f32;
            let (y, x) = (top + f64::from(below), left + f64::from(beside));
            if (0.0..height as f64).contains(&y) && (0.0..width as f64).contains(&x) {
                (sample.pixels[k], sample.weights[k]) = ((y as usize * width + x as usize) as u32, weight);
            } else if weight != 0.0 {
                sample.constant += weight * outside as f32;
            }
        }
        sample
    };
    for_float!(x.dtype(), T => filled(types, |mut y: &mut [T]| {
        let x = elements::<T>(x);
        for (range, places) in parts {
            let places: Vec<Sample> = places.into_iter().map(sample).collect();
            for n in range {
                let (part, rest) = std::mem::take(&mut y).split_at_mut(channels * places.len());
                let image = &x[n * channels * pixels..][..channels * pixels];
                image::sample(context.threads, part, image, channels, &places);
                y = rest;
            }
        }
    }))
}

fn resample_places(args: &Args<'_>, shape: &[usize]) -> Result<Samples, Fault> {
    let (bilinear, padding, coordinates) = resample_modes(args)?;
    let align = args.bool("align_corners").ok_or_else(|| not_known(args, "align_corners"))?;
    let outside = args.float("padding_value").ok_or_else(|| not_known(args, "padding_value"))?;
    let (x, at) = (args.tensor("x")?, args.tensor("coordinates")?);
    if padding != Padding::Constant && x.is_empty() {
        return Err(Fault::of(
            "x",
            &codes::SHAPE_MISMATCH,
            format!("`x` of `resample` is of shape {:?}, which has no pixel to sample", x.shape()),
        ));
    }
    let (height, width) = (x.shape()[2], x.shape()[3]);
    let place = |at: &[f64]| {
        let at_x = padding.inside(coordinates.index(at[0], width, align), width);
        let at_y = padding.inside(coordinates.index(at[1], height, align), height);
        Some([at_y, at_x])
    };
    let all = at.to_f64s();
    let parts = all.chunks_exact(shape[2] * shape[3] * 2).enumerate();
    let parts = parts.map(|(n, places)| (n..n + 1, places.chunks_exact(2).map(place).collect())).collect();
    Ok(Samples { bilinear, outside, parts })
}

pub(super) fn infer_affine(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let (x, matrix) = (ranked(args, "x", 4)?, ranked(args, "transform_matrix", 2)?);
    // The op has words for more than it does.
    for (param, only) in [
        ("sampling_mode", "bilinear"),
        ("coordinates_mode", "normalized_minus_one_to_one"),
        ("padding_mode", "constant"),
    ] {
        let given = args.str(param).ok_or_else(|| not_known(args, param))?;
        if !given.eq_ignore_ascii_case(only) {
            return Err(Fault::of(param, &codes::BAD_VALUE, format!("`{param}` of `affine` is `{given}`"))
                .help(format!("use `{only}`, or the op `resample`")));
        }
    }
    if args.float("padding_value").is_some_and(|v| v != 0.0) {
        return Err(Fault::of("padding_value", &codes::BAD_VALUE, "`padding_value` of `affine` must be 0")
            .help("use 0, or the op `resample`"));
    }
    let fits = matrix.shape[1].fits(Dim::Known(6))
        && (matrix.shape[0].fits(x.shape[0]) || matrix.shape[0] == Dim::Known(1));
    if !fits {
        return Err(Fault::of(
            "transform_matrix",
            &codes::SHAPE_MISMATCH,
            format!(
                "`transform_matrix` of `affine` is of shape {}, where `x` needs [{}, 6]",
                matrix.shape, x.shape[0]
            ),
        )
        .against("x")
        .help("give a row of six numbers for each image, or one row for all"));
    }
    let mut shape = x.shape.clone();
    shape[2] = Dim::Known(size(args, "output_height")?);
    shape[3] = Dim::Known(size(args, "output_width")?);
    Ok(vec![Type::tensor(x.dtype, shape)])
}

fn affine_places(args: &Args<'_>, shape: &[usize]) -> Result<Samples, Fault> {
    let align = args.bool("align_corners").ok_or_else(|| not_known(args, "align_corners"))?;
    let (x, matrix) = (args.tensor("x")?, args.tensor("transform_matrix")?);
    let (height, width) = (shape[2], shape[3]);
    let rows = matrix.to_f64s();
    let units = Coordinates::MinusOneToOne;
    // The coordinate of an index; the only pixel of a line lies in its middle.
    let unit = |i: usize, size: usize| match (align, size) {
        (true, 1) => 0.0,
        (true, _) => 2.0 * i as f64 / (size as f64 - 1.0) - 1.0,
        (false, _) => (2.0 * i as f64 + 1.0) / size as f64 - 1.0,
    };
    let places = |row: &[f64]| {
        let place = |i: usize, j: usize| {
            let (v, u) = (unit(i, height), unit(j, width));
            let at_x = units.index(row[0] * u + row[1] * v + row[2], x.shape()[3], align);
            let at_y = units.index(row[3] * u + row[4] * v + row[5], x.shape()[2], align);
            Some([at_y, at_x])
        };
        (0..height).flat_map(|i| (0..width).map(move |j| (i, j))).map(|(i, j)| place(i, j)).collect()
    };
    let parts = if matrix.shape()[0] == 1 {
        vec![(0..shape[0], places(&rows))]
    } else {
        rows.chunks_exact(6).enumerate().map(|(n, row)| (n..n + 1, places(row))).collect()
    };
    Ok(Samples { bilinear: true, outside: 0.0, parts })
}

/// Whether the boxes give a centre and a size, and not two corners; and whether the width comes first.
fn box_mode(args: &Args<'_>) -> Result<(bool, bool), Fault> {
    let modes = [
        ("CORNERS_HEIGHT_FIRST", (false, false)),
        ("CORNERS_WIDTH_FIRST", (false, true)),
        ("CENTER_SIZE_HEIGHT_FIRST", (true, false)),
        ("CENTER_SIZE_WIDTH_FIRST", (true, true)),
    ];
    word(args, "box_coordinate_mode", &modes)
}

/// Up to iOS 16 the boxes are `roi`, `[count, 1, 4 or 5, 1, 1]`: of four numbers each, cut out of every image, or of
/// five, of which the first is the number of the image. From iOS 17 on they are `boxes`, `[count, 4]`.
pub(super) fn infer_crop_resize(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let x = ranked(args, "x", 4)?;
    box_mode(args)?;
    Grid::read(args)?;
    let sizes = [size(args, "target_height")?, size(args, "target_width")?].map(Dim::Known);
    let one = Dim::Known(1);
    if args.opset < Ios17 {
        let roi = ranked(args, "roi", 5)?;
        let numbers = roi.shape[2];
        let fits = [1, 3, 4].iter().all(|&i| roi.shape[i].fits(one))
            && numbers.known().is_none_or(|n| n == 4 || n == 5);
        if !fits {
            return Err(Fault::of(
                "roi",
                &codes::SHAPE_MISMATCH,
                format!("`roi` of `crop_resize` is of shape {}", roi.shape),
            )
            .help("use [count, 1, 4, 1, 1], or [count, 1, 5, 1, 1] with the number of the image first"));
        }
        let images = match numbers {
            Dim::Known(5) => one,
            Dim::Known(_) => x.shape[0],
            Dim::Unknown => Dim::Unknown,
        };
        let shape: Shape = [roi.shape[0], images, x.shape[1], sizes[0], sizes[1]].into_iter().collect();
        return Ok(vec![Type::tensor(x.dtype, shape)]);
    }
    let boxes = ranked(args, "boxes", 2)?;
    if !boxes.shape[1].fits(Dim::Known(4)) {
        return Err(Fault::of(
            "boxes",
            &codes::SHAPE_MISMATCH,
            format!("`boxes` of `crop_resize` is of shape {}, whose last dimension must be 4", boxes.shape),
        ));
    }
    if args.bool("normalized_coordinates") == Some(true) && !boxes.dtype.is_float() {
        return Err(Fault::of(
            "boxes",
            &codes::WRONG_DTYPE,
            format!("`boxes` of `crop_resize` are {}, and `normalized_coordinates` is true", boxes.dtype),
        )
        .against("normalized_coordinates")
        .help("give fp16 or fp32, or set `normalized_coordinates` to false"));
    }
    let mut count = boxes.shape[0];
    if args.has("box_indices") {
        let indices = ranked(args, "box_indices", 1)?;
        if !indices.shape[0].fits(count) {
            return Err(Fault::of(
                "box_indices",
                &codes::SHAPE_MISMATCH,
                format!("`crop_resize` has {} `box_indices` for {count} `boxes`", indices.shape[0]),
            )
            .against("boxes"));
        }
        count = count.or(indices.shape[0]);
        if let (Some(indices), Some(images)) = (args.value("box_indices"), x.shape[0].known()) {
            for i in indices.to_i64s() {
                image_of(i as f64, images as usize, "box_indices")?;
            }
        }
    } else if let (Some(count), Some(images)) = (count.known(), x.shape[0].known())
        && count > images
    {
        return Err(Fault::of(
            "boxes",
            &codes::SHAPE_MISMATCH,
            format!("`crop_resize` has {count} `boxes` for {images} images, and no `box_indices`"),
        )
        .against("x")
        .help("say with `box_indices` which image each box is cut out of"));
    }
    let shape: Shape = [count, x.shape[1], sizes[0], sizes[1]].into_iter().collect();
    Ok(vec![Type::tensor(x.dtype, shape)])
}

/// The number of an image, if there is one.
fn image_of(index: f64, images: usize, param: &'static str) -> Result<usize, Fault> {
    if (0.0..images as f64).contains(&index) {
        return Ok(index as usize);
    }
    Err(Fault::of(
        param,
        &codes::INDEX_OUT_OF_RANGE,
        format!("`{param}` of `crop_resize` names image {index} of {images}"),
    ))
}

/// A sample that lies outside the image is the padding value, and is not mixed with pixels.
fn crop_resize_places(args: &Args<'_>, shape: &[usize]) -> Result<Samples, Fault> {
    let x = args.tensor("x")?;
    let number = |param| args.float(param).unwrap_or(0.0);
    let (outside, scale) = (number("pad_value"), number("spatial_scale"));
    let normalized = args.bool("normalized_coordinates").unwrap_or(false);
    let ((centred, width_first), grid) = (box_mode(args)?, Grid::read(args)?);
    let (batch, height, width) = (x.shape()[0], x.shape()[2], x.shape()[3]);
    let (boxes, per_box, indices) = if args.opset < Ios17 {
        (args.tensor("roi")?, args.tensor("roi")?.shape()[2], None)
    } else {
        let indices =
            if args.has("box_indices") { Some(args.tensor("box_indices")?.to_i64s()) } else { None };
        (args.tensor("boxes")?, 4, indices)
    };
    let (target_height, target_width) = (shape[shape.len() - 2], shape[shape.len() - 1]);
    let mut parts = Vec::new();
    for (i, numbers) in boxes.to_f64s().chunks_exact(per_box).enumerate() {
        let every_image = args.opset < Ios17 && per_box == 4;
        let first = match (&indices, per_box) {
            (_, 5) => image_of(numbers[0], batch, "roi")?,
            (Some(indices), _) => image_of(indices[i] as f64, batch, "box_indices")?,
            (None, _) if every_image => 0,
            (None, _) => i,
        };
        let &[a, b, c, d] = &numbers[per_box - 4..] else { unreachable!("a box has four numbers") };
        let (mut h, mut w) = if width_first { ((b, d), (a, c)) } else { ((a, c), (b, d)) };
        if centred {
            let corners = |(middle, size): (f64, f64)| (middle - size / 2.0, middle + size / 2.0);
            (h, w) = (corners(h), corners(w));
        }
        let place = |side: (f64, f64), size: usize, count: usize| {
            let unit = scale * if normalized { size as f64 - 1.0 } else { 1.0 };
            let (start, length) = (side.0 * unit, (side.1 - side.0) * unit);
            let at = move |i| start + grid.point(i, count, length.abs()).copysign(length);
            let inside = move |at: &f64| *at >= 0.0 && *at <= size as f64 - 1.0;
            (0..count).map(|i| Some(at(i)).filter(inside)).collect::<Vec<Option<f64>>>()
        };
        let rows = place(h, height, target_height);
        let columns = place(w, width, target_width);
        let both = |y: Option<f64>, x: Option<f64>| y.zip(x).map(|(y, x)| [y, x]);
        let places = rows.iter().flat_map(|&y| columns.iter().map(move |&x| both(y, x))).collect();
        parts.push((if every_image { 0..batch } else { first..first + 1 }, places));
    }
    Ok(Samples { bilinear: true, outside, parts })
}
