//! Hints for images: sampling, blocks of pixels, borders, boxes.

use anemone::mil::Opset;
use anemone::types::{DType, Tensor};

use super::{Hint, by_table};
use crate::draft::Draft;

pub(super) fn propose(d: &mut Draft<'_, '_, '_, '_>) -> Hint {
    Some(match d.op.name {
        "depth_to_space" => blocks(d, "block_size", true),
        "pixel_shuffle" => blocks(d, "upscale_factor", true),
        "space_to_depth" => blocks(d, "block_size", false),
        "pixel_unshuffle" => blocks(d, "downscale_factor", false),
        "batch_to_space" => batches(d, true),
        "space_to_batch" => batches(d, false),
        "pad" => pad(d),
        "crop" => crop(d),
        "resize" => resize(d),
        "resize_bilinear" | "resize_nearest_neighbor" => to_size(d),
        "upsample_bilinear" | "upsample_nearest_neighbor" => upsample(d),
        "resample" => resample(d),
        "affine" => affine(d),
        "crop_resize" => crop_resize(d),
        "non_maximum_suppression" => suppression(d),
        _ => return None,
    })
}

const GRIDS: &[&str] =
    &["DEFAULT", "STRICT_ALIGN_CORNERS", "ALIGN_CORNERS", "OFFSET_CORNERS", "UNALIGN_CORNERS"];

/// A small image whose channels, or whose height and width, are multiples of these.
fn image(
    d: &mut Draft<'_, '_, '_, '_>,
    batch: usize,
    channels: usize,
    size: [usize; 2],
) -> Option<Vec<usize>> {
    let of = [batch, channels, size[0], size[1]];
    let fits = move |s: &[usize]| s.len() == 4 && s.iter().zip(of).all(|(n, by)| n % by == 0);
    d.tensor("x", fits, |b| of.iter().map(|by| by * (1 + b.dice.below(4))).collect())
}

fn blocks(d: &mut Draft<'_, '_, '_, '_>, param: &str, to_space: bool) -> Option<()> {
    let block = 1 + d.b.dice.below(3);
    if to_space {
        image(d, 1, block * block, [1, 1])?
    } else {
        image(d, 1, 1, [block, block])?
    };
    d.int(param, block as i64)
}

fn batches(d: &mut Draft<'_, '_, '_, '_>, to_space: bool) -> Option<()> {
    let block = [1 + d.b.dice.below(3), 1 + d.b.dice.below(3)];
    let mut borders = [0i64; 4];
    let x = if to_space { image(d, block[0] * block[1], 1, [1, 1])? } else { image(d, 1, 1, block)? };
    if d.b.dice.chance(50) {
        for (i, border) in borders.iter_mut().enumerate() {
            // What is taken away must be there, and what is added must be divided.
            let unit = if to_space { 1 } else { block[i / 2] };
            *border = (d.b.dice.below(2) * unit) as i64;
        }
        if to_space && (0..2).any(|i| x[2 + i] * block[i] < 2) {
            borders = [0; 4];
        }
    }
    d.ints("block_shape", &[block[0] as i64, block[1] as i64])?;
    let name = if to_space { "crops" } else { "paddings" };
    let borders = Tensor::from_i64s(DType::Int32, &[2, 2], &borders).ok()?;
    d.given(name, borders)
}

fn pad(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let x = d.ranked("x", 1..=5)?;
    let mode = d.b.dice.one(&["constant", "constant", "reflect", "replicate"]);
    let padded = 1 + d.b.dice.below(if mode == "constant" { x.len() } else { x.len().min(2) });
    let pad: Vec<i64> = x[x.len() - padded..]
        .iter()
        .flat_map(|&n| {
            let most = if mode == "reflect" { (n as i64 - 1).clamp(0, 3) } else { 3 };
            [d.b.dice.within(0, most), d.b.dice.within(0, most)]
        })
        .collect();
    d.ints("pad", &pad)?;
    if mode != "constant" || d.wants("mode") {
        d.given("mode", Tensor::string(mode))?;
    }
    if d.wants("constant_val") {
        d.float("constant_val", 7.5)?;
    }
    Some(())
}

fn crop(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let x = d.ranked("x", 3..=5)?;
    for (name, n) in [("crop_height", x[x.len() - 2]), ("crop_width", x[x.len() - 1])] {
        let before = d.b.dice.within(0, n as i64 - 1);
        let behind = d.b.dice.within(0, n as i64 - 1 - before);
        d.ints(name, &[before, behind])?;
    }
    Some(())
}

fn resize(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let x = d.ranked("x", 2..=5)?;
    let last = 1 + d.b.dice.below(x.len().min(3));
    let shape: Vec<i64> = (0..last).map(|_| d.b.dice.within(0, 9)).collect();
    d.ints("shape", &shape)?;
    d.int("resized_dims", last as i64)?;
    if d.wants("interpolation_mode") {
        d.word("interpolation_mode", &["LINEAR", "NEAREST_NEIGHBOR"])?;
    }
    grid(d)
}

fn grid(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    if d.wants("sampling_mode") {
        d.word("sampling_mode", GRIDS)?;
    }
    Some(())
}

fn to_size(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    d.ranked("x", 3..=5)?;
    for name in ["target_size_height", "target_size_width"] {
        if d.wants(name) {
            let size = d.b.dice.within(1, 9);
            d.int(name, size)?;
        }
    }
    grid(d)
}

fn upsample(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    d.ranked("x", 3..=5)?;
    for name in ["scale_factor_height", "scale_factor_width"] {
        if d.wants(name) {
            let dtype = d.dtype(name);
            let factor = if dtype == DType::Int32 {
                d.b.dice.one(&[2.0, 1.0, 3.0])
            } else {
                d.b.dice.one(&[2.0, 1.5, 0.7, 3.0])
            };
            d.float(name, factor)?;
        }
    }
    if d.wants("align_corners") {
        let align = d.b.dice.chance(50);
        d.flag("align_corners", align)?;
        if !align && d.wants("half_pixel_centers") {
            let half = d.b.dice.chance(50);
            d.flag("half_pixel_centers", half)?;
        }
    }
    Some(())
}

fn resample(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let x = d.ranked("x", 4..=4)?;
    let (height, width) = (1 + d.b.dice.below(5), 1 + d.b.dice.below(5));
    d.shaped("coordinates", &[x[0], height, width, 2])?;
    d.word("sampling_mode", &["bilinear", "nearest"])?;
    d.word("padding_mode", &["constant", "border", "reflection", "symmetric"])?;
    let outside = d.b.dice.one(&[0.0, 2.5]);
    d.float("padding_value", outside)?;
    d.word("coordinates_mode", &["unnormalized", "normalized_minus_one_to_one", "normalized_zero_to_one"])?;
    let align = d.b.dice.chance(50);
    d.flag("align_corners", align)
}

fn affine(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let x = d.ranked("x", 4..=4)?;
    let rows = if d.b.dice.chance(30) { 1 } else { x[0] };
    d.shaped("transform_matrix", &[rows, 6])?;
    for name in ["output_height", "output_width"] {
        let size = d.b.dice.within(1, 6);
        d.int(name, size)?;
    }
    d.word("sampling_mode", &["bilinear"])?;
    d.word("padding_mode", &["constant"])?;
    d.float("padding_value", 0.0)?;
    d.word("coordinates_mode", &["normalized_minus_one_to_one"])?;
    let align = d.b.dice.chance(50);
    d.flag("align_corners", align)
}

fn crop_resize(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let x = d.ranked("x", 4..=4)?;
    if x[0] == 0 {
        return None;
    }
    let count = 1 + d.b.dice.below(3);
    if d.has("roi") {
        let numbers = d.b.dice.one(&[4, 5]);
        let dtype = d.dtype("roi");
        let drawn = d.b.dice.tensor(dtype, &[count, 1, numbers, 1, 1])?;
        let mut values = drawn.to_f64s();
        if numbers == 5 {
            for row in values.chunks_mut(5) {
                row[0] = d.b.dice.below(x[0]) as f64;
            }
        }
        d.given("roi", Tensor::from_f64s(dtype, drawn.shape(), &values).ok()?)?;
    } else {
        let with_indices = d.b.dice.chance(60);
        let count = if with_indices { count } else { count.min(x[0]) };
        d.shaped("boxes", &[count, 4])?;
        if with_indices {
            let images: Vec<i64> = (0..count).map(|_| d.b.dice.below(x[0]) as i64).collect();
            d.ints("box_indices", &images)?;
        }
    }
    for name in ["target_height", "target_width"] {
        if d.wants(name) {
            let size = d.b.dice.within(1, 5);
            d.int(name, size)?;
        }
    }
    if d.wants("box_coordinate_mode") {
        d.word(
            "box_coordinate_mode",
            &[
                "CORNERS_HEIGHT_FIRST",
                "CORNERS_WIDTH_FIRST",
                "CENTER_SIZE_HEIGHT_FIRST",
                "CENTER_SIZE_WIDTH_FIRST",
            ],
        )?;
    }
    grid(d)?;
    by_table(d, &["box_indices", "target_height", "target_width", "box_coordinate_mode", "sampling_mode"])
}

fn suppression(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let (batch, count, classes) = (d.b.dice.below(3), d.b.dice.below(9), 1 + d.b.dice.below(3));
    // iOS 17 changed the order of boxes and numbers.
    let shape =
        |n: usize| if d.edition.since >= Opset::Ios17 { [batch, n, count] } else { [batch, count, n] };
    let (boxes, scores) = (shape(4), shape(classes));
    d.shaped("boxes", &boxes)?;
    d.shaped("scores", &scores)?;
    for name in ["iou_threshold", "score_threshold"] {
        let threshold = d.b.dice.one(&[0.5, 0.0, 0.9, -1.0]);
        d.float(name, threshold)?;
    }
    let most = d.b.dice.within(0, 5);
    d.int("max_boxes", most)?;
    by_table(d, &[])
}
