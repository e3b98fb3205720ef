//! Sampling at computed places: `resample`, `affine`, `crop_resize`.

use std::ops::Range;

use anemone_kernels::image::{self, Sample};
use anemone_kernels::scratch::scratch;

use super::super::fast::{Elements, Numbers, Ready, dims, for_float, idle, nothing, ready_if};
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

/// How an op samples images: all but the numbers that say where.
struct Sampler {
    /// Whether it samples between pixels, and not the nearest.
    bilinear: bool,
    /// What lies outside.
    outside: f64,
    /// The batch, channels, height and width of the images.
    images: [usize; 4],
    /// The height and width of the result.
    target: [usize; 2],
    /// How many parts the result has, each of which samples one or all images at the same places.
    parts: usize,
    way: Way,
}

/// How numbers say where.
enum Way {
    /// An x and a y for each place.
    Listed(Padding, Coordinates, bool),
    /// Six numbers that map the result to the image. `true` aligns corners.
    Mapped(bool),
    /// A box to cut out.
    Boxes(Boxes),
}

/// How numbers say which box.
struct Boxes {
    /// The parameter that gives them, and how many they are.
    param: &'static str,
    numbers: usize,
    /// Whether each is cut out of every image.
    every_image: bool,
    scale: f64,
    normalized: bool,
    /// Whether they give a centre and a size, and not two corners; and whether the width comes first.
    centred: bool,
    width_first: bool,
    grid: Grid,
}

impl Sampler {
    fn of(args: &Args<'_>, shape: &[usize]) -> Result<Self, Fault> {
        let own = dims(args, "x")?;
        let images = <[usize; 4]>::try_from(own).unwrap_or_default();
        let target = [shape[shape.len() - 2], shape[shape.len() - 1]];
        let flag = |param| args.bool(param).ok_or_else(|| not_known(args, param));
        let common = |bilinear, outside, parts, way| Self { bilinear, outside, images, target, parts, way };
        Ok(match args.op.name {
            "resample" => {
                let (bilinear, padding, coordinates) = resample_modes(args)?;
                let align = flag("align_corners")?;
                let outside = args.float("padding_value").ok_or_else(|| not_known(args, "padding_value"))?;
                if padding != Padding::Constant && images.contains(&0) {
                    return Err(Fault::of(
                        "x",
                        &codes::SHAPE_MISMATCH,
                        format!("`x` of `resample` is of shape {images:?}, which has no pixel to sample"),
                    ));
                }
                common(bilinear, outside, shape[0], Way::Listed(padding, coordinates, align))
            }
            "affine" => {
                let align = flag("align_corners")?;
                common(true, 0.0, dims(args, "transform_matrix")?[0], Way::Mapped(align))
            }
            _ => {
                let number = |param| args.float(param).unwrap_or(0.0);
                let (centred, width_first) = box_mode(args)?;
                let param = if args.opset < Ios17 { "roi" } else { "boxes" };
                let numbers = if args.opset < Ios17 { dims(args, param)?[2] } else { 4 };
                let boxes = Boxes {
                    param,
                    numbers,
                    every_image: args.opset < Ios17 && numbers == 4,
                    scale: number("spatial_scale"),
                    normalized: args.bool("normalized_coordinates").unwrap_or(false),
                    centred,
                    width_first,
                    grid: Grid::read(args)?,
                };
                common(true, number("pad_value"), dims(args, param)?[0], Way::Boxes(boxes))
            }
        })
    }

    /// The parameter that says where.
    fn param(&self) -> &'static str {
        match &self.way {
            Way::Listed(..) => "coordinates",
            Way::Mapped(_) => "transform_matrix",
            Way::Boxes(boxes) => boxes.param,
        }
    }

    /// Which images a part samples. `indices` are the images of the boxes, where they are given.
    fn images(&self, part: usize, numbers: &[f64], indices: Option<&[i64]>) -> Result<Range<usize>, Fault> {
        let batch = self.images[0];
        let image = match &self.way {
            Way::Mapped(_) if self.parts == 1 => return Ok(0..batch),
            Way::Boxes(boxes) if boxes.every_image => return Ok(0..batch),
            Way::Boxes(boxes) => match indices {
                _ if boxes.numbers == 5 => image_of(numbers[part * 5], batch, "roi")?,
                Some(indices) => image_of(indices[part] as f64, batch, "box_indices")?,
                None => part,
            },
            Way::Listed(..) | Way::Mapped(_) => part,
        };
        Ok(image..image + 1)
    }

    /// The places that a part samples, in the order of the result.
    fn places<'n>(&'n self, part: usize, numbers: &'n [f64]) -> impl Iterator<Item = Place> + 'n {
        let [height, width] = self.target;
        let numbers = match &self.way {
            Way::Listed(..) => &numbers[part * height * width * 2..],
            Way::Mapped(_) => &numbers[part * 6..],
            Way::Boxes(boxes) => &numbers[part * boxes.numbers..][..boxes.numbers],
        };
        (0..height * width).map(move |at| self.place(at / width, at % width, numbers))
    }

    /// The place that the sample in a row and a column of the result comes from.
    fn place(&self, row: usize, column: usize, numbers: &[f64]) -> Place {
        let ([_, _, height, width], target) = (self.images, self.target);
        match &self.way {
            &Way::Listed(padding, coordinates, align) => {
                let at = &numbers[(row * target[1] + column) * 2..];
                let at_x = padding.inside(coordinates.index(at[0], width, align), width);
                let at_y = padding.inside(coordinates.index(at[1], height, align), height);
                Some([at_y, at_x])
            }
            &Way::Mapped(align) => {
                // The coordinate of an index; the only pixel of a line lies in its middle.
                let unit = |i: usize, size: usize| match (align, size) {
                    (true, 1) => 0.0,
                    (true, _) => 2.0 * i as f64 / (size as f64 - 1.0) - 1.0,
                    (false, _) => (2.0 * i as f64 + 1.0) / size as f64 - 1.0,
                };
                let (v, u, units) =
                    (unit(row, target[0]), unit(column, target[1]), Coordinates::MinusOneToOne);
                let at_x = units.index(numbers[0] * u + numbers[1] * v + numbers[2], width, align);
                let at_y = units.index(numbers[3] * u + numbers[4] * v + numbers[5], height, align);
                Some([at_y, at_x])
            }
            Way::Boxes(boxes) => {
                let [h, w] = boxes.sides(numbers);
                let at_y = boxes.point(h, height, row, target[0])?;
                Some([at_y, boxes.point(w, width, column, target[1])?])
            }
        }
    }

    /// What of an image a sample is.
    fn sample(&self, place: Place) -> Sample {
        let [_, _, height, width] = self.images;
        let Some([at_y, at_x]) = place else {
            return Sample { constant: self.outside as f32, ..Sample::default() };
        };
        let [top, left] =
            [at_y, at_x].map(|at| if self.bilinear { at.floor() } else { at.round_ties_even() });
        let [down, right] = if self.bilinear { [at_y - top, at_x - left] } else { [0.0; 2] };
        let mut sample = Sample::default();
        for (k, (below, beside)) in [(0, 0), (0, 1), (1, 0), (1, 1)].into_iter().enumerate() {
            let part = |far: u8, weight: f64| if far == 1 { weight } else { 1.0 - weight };
            let weight = (part(below, down) * part(beside, right)) as f32;
            let (y, x) = (top + f64::from(below), left + f64::from(beside));
            if (0.0..height as f64).contains(&y) && (0.0..width as f64).contains(&x) {
                (sample.pixels[k], sample.weights[k]) = ((y as usize * width + x as usize) as u32, weight);
            } else if weight != 0.0 {
                sample.constant += weight * self.outside as f32;
            }
        }
        sample
    }
}

impl Boxes {
    /// Where a box starts and ends, along the height and along the width.
    fn sides(&self, numbers: &[f64]) -> [(f64, f64); 2] {
        let &[a, b, c, d] = &numbers[self.numbers - 4..] else { unreachable!("a box has four numbers") };
        let sides = if self.width_first { [(b, d), (a, c)] } else { [(a, c), (b, d)] };
        let corners = |(middle, size): (f64, f64)| (middle - size / 2.0, middle + size / 2.0);
        if self.centred { sides.map(corners) } else { sides }
    }

    /// Sample `i` of `count` along a side of a box. One that lies outside the image is the padding value, and is not
    /// mixed with pixels.
    fn point(&self, side: (f64, f64), size: usize, i: usize, count: usize) -> Option<f64> {
        let unit = self.scale * if self.normalized { size as f64 - 1.0 } else { 1.0 };
        let (start, length) = (side.0 * unit, (side.1 - side.0) * unit);
        let at = start + self.grid.point(i, count, length.abs()).copysign(length);
        Some(at).filter(|&at| at >= 0.0 && at <= size as f64 - 1.0)
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
    let sampler = Sampler::of(args, &shape)?;
    let numbers = args.tensor(sampler.param())?.to_f64s();
    let indices = if args.has("box_indices") { Some(args.tensor("box_indices")?.to_i64s()) } else { None };
    let (images, outside) = (Images::of(x), sampler.outside);
    for part in 0..sampler.parts {
        let range = sampler.images(part, &numbers, indices.as_deref())?;
        let places: Vec<Place> = sampler.places(part, &numbers).collect();
        for (n, c) in range.flat_map(|n| (0..images.channels).map(move |c| (n, c))) {
            let plane = images.plane(n, c);
            y.extend(places.iter().map(|place| match *place {
                None => outside,
                Some([at_y, at_x]) if sampler.bilinear => plane.between(at_y, at_x, outside),
                Some([at_y, at_x]) => plane.pixel(at_y.round_ties_even(), at_x.round_ties_even(), outside),
            }));
        }
    }
    Ok(vec![Tensor::from_f64s(x.dtype(), &shape, &y)?.into()])
}

/// The pixels and weights of each place, which are found once for all channels: when the step is prepared, where the
/// places are constant.
pub(super) fn fast(args: &Args<'_>, types: &[Type]) -> Ready {
    let (dtype, shape, x) = (args.ty("x")?.dtype, shape_of(&types[0]), args.reader("x")?);
    let [_, channels, height, width] = dims(args, "x")?[..] else { return Ok(None) };
    let pixels = height * width;
    if nothing(types) {
        return idle();
    }
    if u32::try_from(pixels).is_err() {
        return Ok(None);
    }
    let sampler = Sampler::of(args, &shape)?;
    let numbers = Numbers::<f64>::of(args, sampler.param())?;
    let indices = args.has("box_indices").then(|| Numbers::<i64>::of(args, "box_indices")).transpose()?;
    let mut known = Vec::new();
    if let Numbers::Known(numbers) = &numbers {
        for part in 0..sampler.parts {
            known.push(sampler.places(part, numbers).map(|place| sampler.sample(place)).collect::<Vec<_>>());
        }
    }
    for_float!(dtype, T => ready_if(move |run| {
        let x: &[T] = run.read(&x);
        let (threads, numbers, indices) = (run.threads, numbers.read(run), indices.as_ref().map(|i| i.read(run)));
        let mut y: &mut [T] = run.write(0);
        for part in 0..sampler.parts {
            let samples = match known.get(part) {
                Some(samples) => Elements::Lent(&samples[..]),
                None => {
                    let mut samples = scratch(sampler.target.iter().product());
                    let places = sampler.places(part, &numbers);
                    samples.iter_mut().zip(places).for_each(|(to, place)| *to = sampler.sample(place));
                    Elements::Own(samples)
                }
            };
            for n in sampler.images(part, &numbers, indices.as_deref())? {
                let (part, rest) = y.split_at_mut(channels * samples.len());
                let image = &x[n * channels * pixels..][..channels * pixels];
                image::sample(threads, part, image, channels, &samples);
                y = rest;
            }
        }
        Ok(())
    }))
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
