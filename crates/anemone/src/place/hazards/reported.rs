//! Hazards of ops in a form or company that somebody saw go wrong.

use super::{Hazard, Seen};
use crate::chip::{Chip, Evidence, Profile};
use crate::place::ask::{Ask, known};
use crate::source::codes;
use crate::verify::{Content, Step, ValueId};

/// Whether a step gives a part of the width of what it is given.
fn cuts_width(ask: &Ask<'_>) -> bool {
    let cuts = matches!(ask.step.op.name, "slice_by_index" | "slice_by_size" | "split" | "crop");
    let width = |dims: Option<Vec<u64>>| dims.and_then(|d| d.last().copied());
    let (before, after) = (width(ask.dims("x")), width(ask.result(0).and_then(known)));
    cuts && before.is_some() && after.is_some() && before != after
}

/// The step that gives a value, seen through steps that only rename it.
fn origin<'a>(seen: &Seen<'a>, mut value: ValueId) -> Option<&'a Step> {
    const RENAMES: usize = 8;
    for _ in 0..RENAMES {
        let step = seen.giver(value)?;
        if !matches!(step.op.name, "reshape" | "expand_dims" | "squeeze" | "identity") {
            return Some(step);
        }
        value = *step.inputs.first()?.values().first()?;
    }
    None
}

pub(super) fn joined_slices(ask: &Ask<'_>, seen: &Seen<'_>) -> Option<Hazard> {
    if ask.target.chip != Chip::M2 || !matches!(ask.step.op.name, "concat" | "stack") {
        return None;
    }
    let parts = ask.step.inputs.iter().flat_map(|i| i.values()).filter_map(|&v| origin(seen, v));
    let cut = parts.filter(|s| cuts_width(&Ask::new(seen.function, s, seen.folded, seen.target))).count();
    (cut > 1).then(|| {
        Hazard::new(
            &codes::JOINED_SLICES,
            format!("`{}` joins {cut} slices within the width, and gives wrong elements", ask.step.op.name),
            "joins parts of the last axis",
            "`transpose` so that the slices are along the height or the channels",
            Evidence::measured("ANEForge, on an M2 Pro"),
        )
        .wrong()
    })
}

/// Where rows end in the second of two blocks of 64 elements, native squares were seen fail.
const BLOCK: u64 = 64;

pub(super) fn square_width(ask: &Ask<'_>, _: &Seen<'_>) -> Option<Hazard> {
    if ask.step.op.name != "square" || !ask.target.route.is_whole() {
        return None;
    }
    let width = *ask.dims("x")?.last()?;
    (width % (2 * BLOCK) > BLOCK).then(|| {
        Hazard::new(
            &codes::SQUARE_WIDTH,
            format!("`square` of rows of {width} elements may not compile with what follows it: {width} modulo 128 is above 64"),
            "squares rows of such a length",
            "write it as `mul` of the tensor and itself",
            Evidence::claimed("ANEForge, which writes `mul` instead"),
        )
    })
}

pub(super) fn scale_folded(ask: &Ask<'_>, seen: &Seen<'_>) -> Option<Hazard> {
    if ask.step.op.name != "mul" || !ask.target.route.is_whole() {
        return None;
    }
    let quantized = |v: ValueId| {
        let dequantize = seen.giver(v).filter(|s| s.op.name == "dequantize")?;
        let input = dequantize.inputs.first()?.values().first()?;
        seen.giver(*input).filter(|s| s.op.name == "quantize")
    };
    ["x", "y"].into_iter().filter_map(|p| ask.value(p)).find_map(quantized)?;
    Some(Hazard::new(
        &codes::SCALE_FOLDED,
        "a `mul` behind `quantize` and `dequantize` may become part of their scale, and a wrong one"
            .to_string(),
        "multiplies what was dequantized",
        "`mul` before `quantize`, or compare the results with those of the CPU",
        Evidence::claimed("ANEForge"),
    ))
}

pub(super) fn batch_broadcast(ask: &Ask<'_>, seen: &Seen<'_>) -> Option<Hazard> {
    let strict = ask.target.profile == Profile::Strict && ask.target.route.is_whole();
    if ask.step.op.name != "mul" || !strict || seen.steps.len() < 2 {
        return None;
    }
    // A number repeats itself everywhere, and a constant is laid out by the compiler.
    if ["x", "y"].into_iter().any(|p| !ask.at_run_time(p)) {
        return None;
    }
    let (x, y) = (ask.dims("x")?, ask.dims("y")?);
    let rank = x.len().max(y.len());
    let first = |d: &[u64]| if d.len() == rank { d.first().copied() } else { Some(1) };
    let (a, b) = (first(&x)?, first(&y)?);
    let full = rank >= 4 && a.min(b) == 1 && a.max(b) > 1 && !x.is_empty() && !y.is_empty();
    full.then(|| {
        Hazard::new(
            &codes::BATCH_BROADCAST,
            format!(
                "`mul` repeats one of its tensors {} times along the batch, which may give wrong numbers",
                a.max(b)
            ),
            "repeats along the first axis",
            "`concat` the tensor with itself along the batch",
            Evidence::claimed("skyfallsin's field guide: in programs of several ops; others did not see it"),
        )
    })
}

/// Constants with more numbers than this are not looked through.
const READABLE: usize = 1 << 16;

/// Ops that compute with the numbers of a constant; a bound of `clip` or `maximum` may as well be infinite, and weights are not.
const COMPUTES: &[&str] =
    &["add", "sub", "mul", "real_div", "select", "concat", "stack", "scaled_dot_product_attention"];

pub(super) fn infinite_constant(ask: &Ask<'_>, seen: &Seen<'_>) -> Option<Hazard> {
    if !COMPUTES.contains(&ask.step.op.name) {
        return None;
    }
    let given = ask.step.inputs.iter().flat_map(|i| i.values()).map(|&v| seen.function.value(v));
    let infinite = |v: &&crate::verify::Value| match &v.content {
        Content::Constant(datum) => datum.as_tensor().is_some_and(|t| {
            t.dtype().is_float() && t.len() <= READABLE && t.to_f64s().iter().any(|n| !n.is_finite())
        }),
        _ => false,
    };
    let value = given.into_iter().find(infinite)?;
    let named = if value.name.is_empty() { "a constant".to_string() } else { format!("`{}`", value.name) };
    Some(Hazard::new(
        &codes::INFINITE_CONSTANT,
        format!(
            "{named} holds numbers that are not finite, and the engine computes with 65536 for an infinity, and with more for a NaN"
        ),
        "is given infinities",
        "write numbers that are finite: -30000 hides a place from `softmax` as well as an infinity does",
        Evidence::measured("the M6 study; the ANE guide's edge values on an M1 follow from the same rule"),
    ))
}
