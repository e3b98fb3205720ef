//! Non-maximum suppression: of boxes that overlap, the one with the highest score.

use anemone_kernels::scratch::scratch;

use super::fast::{Numbers, Ready, dims, for_float, ready};
use super::loops::number;
use super::moves::{bad_value, exact, known_int, of_rank, tensor_type};
use super::row::*;

const NON_MAXIMUM_SUPPRESSION: &[Edition] = &[
    edition(
        Ios15,
        &[
            tensor("boxes", FLOATS).domain('T'),
            tensor("scores", FLOATS).domain('T'),
            tensor("iou_threshold", FLOATS).domain('T').constant(),
            tensor("score_threshold", FLOATS).domain('T').constant(),
            tensor("max_boxes", I32).constant(),
            tensor("per_class_suppression", BOOL).constant().or(Bool(false)),
        ],
    ),
    edition(
        Ios17,
        &[
            tensor("boxes", FLOATS).domain('T'),
            tensor("scores", FLOATS).domain('T'),
            tensor("iou_threshold", FLOATS).domain('T').constant(),
            tensor("max_boxes", I32).constant(),
            tensor("per_class_suppression", BOOL).constant().or(Bool(false)),
        ],
    ),
];

/// The axes of boxes and of coordinates or classes: iOS 17 changed their order.
fn axes(args: &Args<'_>) -> (usize, usize) {
    if args.edition.since >= Ios17 { (2, 1) } else { (1, 2) }
}

fn most(args: &Args<'_>) -> Result<u64, Fault> {
    let n = known_int(args, "max_boxes")?;
    u64::try_from(n).map_err(|_| bad_value(args, "max_boxes", format_args!("{n} is negative")))
}

fn checked(args: &Args<'_>, boxes: &Shape, scores: &Shape) -> Result<(), Fault> {
    let (list, fields) = axes(args);
    if !boxes[fields].fits(Dim::Known(4)) {
        return Err(Fault::of(
            "boxes",
            &codes::SHAPE_MISMATCH,
            format!(
                "`boxes` of shape {boxes} must have 4 elements along axis {fields}: centre, width and height"
            ),
        ));
    }
    if !boxes[0].fits(scores[0]) || !boxes[list].fits(scores[list]) {
        return Err(Fault::of(
            "scores",
            &codes::SHAPE_MISMATCH,
            format!("`scores` of shape {scores} and `boxes` of shape {boxes} are not of as many boxes"),
        )
        .against("boxes"));
    }
    Ok(())
}

fn infer_nms(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let (boxes, scores) = (of_rank(args, "boxes", 3)?, of_rank(args, "scores", 3)?);
    checked(args, &boxes.shape, &scores.shape)?;
    let (list, fields) = axes(args);
    let (batch, count) = (boxes.shape[0].or(scores.shape[0]), Dim::Known(most(args)?));
    let listed = |dtype, each: Dim| {
        let mut shape: Shape = [batch, count, count].into_iter().collect();
        (shape[list], shape[fields]) = (count, each);
        tensor_type(args, dtype, shape)
    };
    let mut types = vec![
        listed(boxes.dtype, Dim::Known(4))?,
        listed(scores.dtype, scores.shape[fields])?,
        tensor_type(args, Int32, [batch, count].into_iter().collect())?,
    ];
    if args.edition.since < Ios17 {
        types.push(tensor_type(args, Int32, [batch].into_iter().collect())?);
    }
    Ok(types)
}

/// The share of the union of two boxes that they have in common. A box is its centre, width and height.
fn overlap(a: [f64; 4], b: [f64; 4]) -> f64 {
    let common = |centre_a: f64, size_a: f64, centre_b: f64, size_b: f64| {
        let end = (centre_a + size_a / 2.0).min(centre_b + size_b / 2.0);
        let start = (centre_a - size_a / 2.0).max(centre_b - size_b / 2.0);
        (end - start).max(0.0)
    };
    let both = common(a[0], a[2], b[0], b[2]) * common(a[1], a[3], b[1], b[3]);
    let (of_a, of_b) = (a[2] * a[3], b[2] * b[3]);
    if of_a <= 0.0 || of_b <= 0.0 { 0.0 } else { both / (of_a + of_b - both) }
}

/// The boxes of one image that stay, best first.
///
/// A box counts with its best class. If no score passes the threshold, the best box stays all the same, as Core ML
/// does it.
fn survivors(args: &Args<'_>, boxes: &[[f64; 4]], best: &[(f64, usize)], most: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..boxes.len()).collect();
    order.sort_by(|&a, &b| best[b].0.total_cmp(&best[a].0));
    let threshold = args.float("score_threshold");
    let iou = args.float("iou_threshold").unwrap_or(0.0);
    let per_class = args.bool("per_class_suppression").unwrap_or(false);
    let mut kept: Vec<usize> = Vec::new();
    for &b in &order {
        if kept.len() == most {
            break;
        }
        let passes = threshold.is_none_or(|t| best[b].0 > t);
        let hidden = |k: &usize| {
            let rivals = !per_class || best[*k].1 == best[b].1;
            rivals && overlap(boxes[*k], boxes[b]) > iou
        };
        if passes && !kept.iter().any(hidden) {
            kept.push(b);
        }
    }
    if kept.is_empty() && most > 0 {
        kept.extend(order.first());
    }
    kept
}

fn compute_nms(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let (boxes, scores) = (args.tensor("boxes")?, args.tensor("scores")?);
    of_rank(args, "boxes", 3)?;
    of_rank(args, "scores", 3)?;
    checked(args, &Shape::from(boxes.shape()), &Shape::from(scores.shape()))?;
    infer_nms(args)?;
    let most = most(args)? as usize;
    let (list, fields) = axes(args);
    let (batches, n, classes) = (boxes.shape()[0], boxes.shape()[list], scores.shape()[fields]);
    // The offset of field `f` of box `b` of an image, where `n` boxes have `width` fields each.
    let at = |image: usize, b: usize, f: usize, n: usize, width: usize| {
        if list == 1 { (image * n + b) * width + f } else { (image * width + f) * n + b }
    };
    let (all_boxes, all_scores) = (boxes.to_f64s(), scores.to_f64s());
    let mut kept_boxes = vec![0.0; batches * most * 4];
    let mut kept_scores = vec![0.0; batches * most * classes];
    let mut places = vec![-1; batches * most];
    let mut counts = vec![0; batches];
    for image in 0..batches {
        let of = |b: usize| [0, 1, 2, 3].map(|f| all_boxes[at(image, b, f, n, 4)]);
        let image_boxes: Vec<[f64; 4]> = (0..n).map(of).collect();
        let score = |b: usize, c: usize| all_scores[at(image, b, c, n, classes)];
        let best_class = |b: usize| {
            (0..classes)
                .map(|c| (score(b, c), c))
                .fold((f64::NEG_INFINITY, 0), |best, next| if next.0 > best.0 { next } else { best })
        };
        let best: Vec<(f64, usize)> = (0..n).map(best_class).collect();
        let kept = survivors(args, &image_boxes, &best, most);
        counts[image] = kept.len() as i64;
        for (to, b) in kept.into_iter().enumerate() {
            places[image * most + to] = b as i64;
            for f in 0..4 {
                kept_boxes[at(image, to, f, most, 4)] = image_boxes[b][f];
            }
            for c in 0..classes {
                kept_scores[at(image, to, c, most, classes)] = score(b, c);
            }
        }
    }
    let shape = |width| if list == 1 { [batches, most, width] } else { [batches, width, most] };
    let mut results = vec![
        Tensor::from_f64s(boxes.dtype(), &shape(4), &kept_boxes)?.into(),
        Tensor::from_f64s(scores.dtype(), &shape(classes), &kept_scores)?.into(),
        Tensor::from_i64s(Int32, &[batches, most], &places)?.into(),
    ];
    if args.edition.since < Ios17 {
        results.push(Tensor::from_i64s(Int32, &[batches], &counts)?.into());
    }
    Ok(results)
}

/// The same boxes, found without memory of its own.
fn fast_nms(args: &Args<'_>, types: &[Type]) -> Ready {
    let (boxes, scores) = (Numbers::<f64>::of(args, "boxes")?, Numbers::<f64>::of(args, "scores")?);
    let (raw_boxes, raw_scores) = (args.reader("boxes")?, args.reader("scores")?);
    let (shape, dtype) = (dims(args, "boxes")?, args.ty("boxes")?.dtype);
    let (list, fields) = axes(args);
    let (batches, n, classes) = (shape[0], shape[list], dims(args, "scores")?[fields]);
    let (most, counted) = (most(args)? as usize, types.len() == 4);
    let threshold = args.float("score_threshold");
    let (iou, per_class) = (number(args, "iou_threshold")?, args.bool("per_class_suppression") == Some(true));
    // The offset of field `f` of box `b` of an image, where `n` boxes have `width` fields each.
    let at = move |image: usize, b: usize, f: usize, n: usize, width: usize| {
        if list == 1 { (image * n + b) * width + f } else { (image * width + f) * n + b }
    };
    for_float!(dtype, T => ready(move |run| {
        let (raw_boxes, raw_scores) = (run.read::<T>(&raw_boxes), run.read::<T>(&raw_scores));
        let (boxes, scores) = (boxes.read(run), scores.read(run));
        let (mut order, mut kept) = (scratch::<usize>(n), scratch::<usize>(n.min(most)));
        let (mut best, mut class) = (scratch::<f64>(n), scratch::<usize>(n));
        run.write_all::<u8>().for_each(|result| result.fill(0));
        run.write::<i32>(2).fill(-1);
        for image in 0..batches {
            let of = |b: usize| [0, 1, 2, 3].map(|f| boxes[at(image, b, f, n, 4)]);
            for b in 0..n {
                (best[b], class[b]) = (f64::NEG_INFINITY, 0);
                for c in 0..classes {
                    let score = scores[at(image, b, c, n, classes)];
                    if score > best[b] {
                        (best[b], class[b]) = (score, c);
                    }
                }
            }
            order.iter_mut().enumerate().for_each(|(i, to)| *to = i);
            // In the order of their places where scores are equal.
            order.sort_unstable_by(|&a, &b| best[b].total_cmp(&best[a]).then(a.cmp(&b)));
            let mut count = 0;
            for &b in &*order {
                if count == most {
                    break;
                }
                let hidden = |&k: &usize| {
                    (!per_class || class[k] == class[b]) && overlap(of(k), of(b)) > iou
                };
                if threshold.is_none_or(|t| best[b] > t) && !kept[..count].iter().any(hidden) {
                    kept[count] = b;
                    count += 1;
                }
            }
            if let (0, 1.., Some(&first)) = (count, most, order.first()) {
                kept[0] = first;
                count = 1;
            }
            for (to, &b) in kept[..count].iter().enumerate() {
                run.write::<i32>(2)[image * most + to] = b as i32;
                for f in 0..4 {
                    run.write::<T>(0)[at(image, to, f, most, 4)] = raw_boxes[at(image, b, f, n, 4)];
                }
                for c in 0..classes {
                    run.write::<T>(1)[at(image, to, c, most, classes)] = raw_scores[at(image, b, c, n, classes)];
                }
            }
            if counted {
                run.write::<i32>(3)[image] = count as i32;
            }
        }
    }))
}

pub(super) static OPS: &[Op] = &[Op {
    fast: Fast::Prepared(fast_nms),
    ..exact(
        "non_maximum_suppression",
        "of boxes that overlap, those with the highest score",
        NON_MAXIMUM_SUPPRESSION,
        Results::Inferred,
        infer_nms,
        compute_nms,
    )
}];

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    const NMS: &str = "non_maximum_suppression";

    fn scalar(v: f32) -> Datum {
        f32s(&[], &[v])
    }

    /// Two boxes that overlap by a third, one that lies apart; two classes.
    fn args(iou: f32, score: f32, most: i32, per_class: bool) -> Vec<(&'static str, Datum)> {
        let boxes = [0.0, 0.0, 2.0, 2.0, 1.0, 0.0, 2.0, 2.0, 9.0, 9.0, 1.0, 1.0];
        vec![
            ("boxes", f32s(&[1, 3, 4], &boxes)),
            ("scores", f32s(&[1, 3, 2], &[0.5, 0.1, 0.0, 0.9, 0.2, 0.3])),
            ("iou_threshold", scalar(iou)),
            ("score_threshold", scalar(score)),
            ("max_boxes", int(most)),
            ("per_class_suppression", flag(per_class)),
        ]
    }

    #[track_caller]
    fn keeps(args: &[(&str, Datum)], places: &[i32], count: i32) {
        let results = run(NMS, Ios15, args).unwrap();
        let found: Vec<i64> = results[2].as_tensor().unwrap().to_i64s();
        assert_eq!(found, places.iter().map(|&p| i64::from(p)).collect::<Vec<_>>());
        assert_eq!(results[3].as_tensor().unwrap().to_i64s(), [i64::from(count)]);
    }

    #[test]
    fn boxes_that_overlap_are_suppressed() {
        keeps(&args(0.3, 0.0, 3, false), &[1, 2, -1], 2);
        keeps(&args(0.4, 0.0, 3, false), &[1, 0, 2], 3);
        // The overlapping two are of different classes.
        keeps(&args(0.3, 0.0, 3, true), &[1, 0, 2], 3);
        keeps(&args(0.4, 0.0, 2, false), &[1, 0], 2);
        keeps(&args(0.4, 0.4, 3, false), &[1, 0, -1], 2);
        // Nothing passes, and the best stays.
        keeps(&args(0.4, 5.0, 2, false), &[1, -1], 1);
        keeps(&args(0.4, 0.0, 0, false), &[], 0);
    }

    #[test]
    fn what_is_missing_is_zero() {
        let results = [
            f32s(&[1, 2, 4], &[1.0, 0.0, 2.0, 2.0, 0.0, 0.0, 0.0, 0.0]),
            f32s(&[1, 2, 2], &[0.0, 0.9, 0.0, 0.0]),
            i32s(&[1, 2], &[1, -1]),
            vec32(&[1]),
        ];
        check(NMS, Ios15, &args(0.3, 0.5, 2, false), &results);
    }

    #[test]
    fn the_reference_case_of_coremltools() {
        let boxes: Vec<f32> = (0..4).flat_map(|b| [b as f32; 4]).collect();
        let args = [
            ("boxes", f32s(&[1, 4, 4], &boxes)),
            ("scores", f32s(&[1, 4, 1], &[-3.5, 9.4, 2.3, 0.7])),
            ("iou_threshold", scalar(0.2)),
            ("score_threshold", scalar(0.4)),
            ("max_boxes", int(2)),
            ("per_class_suppression", flag(true)),
        ];
        let results = [
            f32s(&[1, 2, 4], &[1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0]),
            f32s(&[1, 2, 1], &[9.4, 2.3]),
            i32s(&[1, 2], &[1, 2]),
            vec32(&[2]),
        ];
        check(NMS, Ios15, &args, &results);
    }

    #[test]
    fn since_ios17_boxes_come_last() {
        let boxes = [0.0, 1.0, 9.0, 0.0, 0.0, 9.0, 2.0, 2.0, 1.0, 2.0, 2.0, 1.0];
        let args = [
            ("boxes", f32s(&[1, 4, 3], &boxes)),
            ("scores", f32s(&[1, 1, 3], &[0.5, 0.9, -0.3])),
            ("iou_threshold", scalar(0.3)),
            ("max_boxes", int(3)),
        ];
        let results = [
            f32s(&[1, 4, 3], &[1.0, 9.0, 0.0, 0.0, 9.0, 0.0, 2.0, 1.0, 0.0, 2.0, 1.0, 0.0]),
            f32s(&[1, 1, 3], &[0.9, -0.3, 0.0]),
            i32s(&[1, 3], &[1, 2, -1]),
        ];
        check(NMS, Ios17, &args, &results);
    }

    #[test]
    fn shapes_are_checked() {
        let with = |i: usize, name: &'static str, d: Datum| {
            let mut a = args(0.3, 0.0, 3, false);
            a[i] = (name, d);
            a
        };
        refuse(NMS, Ios15, &with(0, "boxes", iota(&[1, 3, 5])), "shape-mismatch");
        refuse(NMS, Ios15, &with(1, "scores", iota(&[1, 2, 2])), "shape-mismatch");
        refuse(NMS, Ios15, &with(0, "boxes", iota(&[3, 4])), "wrong-rank");
        refuse(NMS, Ios15, &with(4, "max_boxes", int(-1)), "bad-value");
        let none =
            [&[("boxes", iota(&[1, 0, 4])), ("scores", iota(&[1, 0, 2]))], &args(0.3, 0.0, 1, false)[2..]];
        keeps(&none.concat(), &[-1], 0);
        let none =
            [&[("boxes", iota(&[0, 3, 4])), ("scores", iota(&[0, 3, 2]))], &args(0.3, 0.0, 1, false)[2..]];
        assert_eq!(run(NMS, Ios15, &none.concat()).unwrap().len(), 4);
    }
}
