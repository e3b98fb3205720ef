//! Hazards of single ops.

use super::reported::{batch_broadcast, infinite_constant, joined_slices, scale_folded, square_width};
use super::{Hazard, Seen};
use crate::chip::{Chip, Evidence, Quantity};
use crate::place::ask::{Ask, known};
use crate::range::{self, Kind, Range, Sums};
use crate::source::codes;
use crate::verify::{Input, ValueId};

/// Looks at one op on the engine.
type Look = fn(&Ask<'_>, &Seen<'_>) -> Option<Hazard>;

pub(super) const ALL: &[Look] = &[
    runtime_weights,
    tile,
    mask,
    attention_size,
    slice,
    overflow,
    vanish,
    probabilities,
    dead_output,
    large_kernel,
    state_width,
    joined_slices,
    square_width,
    scale_folded,
    batch_broadcast,
    infinite_constant,
];

/// Where sums of products end on every chip.
const SUM: f64 = 32752.0;

fn runtime_weights(ask: &Ask<'_>, _: &Seen<'_>) -> Option<Hazard> {
    let op = ask.step.op.name;
    let conv = matches!(op, "conv" | "conv_transpose") && ask.at_run_time("weight");
    (conv && ask.target.route.is_whole()).then(|| {
        Hazard::new(
            &codes::RUNTIME_WEIGHTS,
            format!("the weights of `{op}` are given when it runs, and may be ignored in silence"),
            "its weights are no constants",
            "make the weights constant, or write the op as `matmul`",
            Evidence::claimed("skyfallsin's field guide; the ANE guide saw them used, for a batch of 1"),
        )
    })
}

fn tile(ask: &Ask<'_>, _: &Seen<'_>) -> Option<Hazard> {
    (ask.step.op.name == "tile" && ask.target.route.is_whole()).then(|| {
        Hazard::new(
            &codes::TILE_POISONS,
            "after a program with `tile` every evaluation of the process may fail (status 0x1d)".to_string(),
            "repeats a tensor",
            "`concat` the tensor with itself",
            Evidence::claimed("skyfallsin's field guide, on an M3 Max; others did not see it"),
        )
    })
}

fn mask(ask: &Ask<'_>, _: &Seen<'_>) -> Option<Hazard> {
    if !ask.target.route.is_whole() {
        return None;
    }
    let mask = ask.dims("attn_mask").filter(|_| ask.step.op.name == "scaled_dot_product_attention")?;
    let heads = mask.len().checked_sub(3).map_or(1, |i| mask[i]);
    let help = "write the attention as `matmul`, `add` of the mask, `softmax` and `matmul`";
    if heads > 1 {
        let message = format!("the mask has {heads} heads, and the engine applies it wrongly");
        let evidence = Evidence::measured("ANEForge, on an M5");
        return Some(
            Hazard::new(&codes::MASK_IGNORED, message, "with a mask for each head", help, evidence).wrong(),
        );
    }
    Some(Hazard::new(
        &codes::MASK_IGNORED,
        "the mask of the attention may be ignored in silence".to_string(),
        "with a mask",
        help,
        Evidence::claimed("maderix/ANE and Orion; ANEForge saw one mask for all heads applied"),
    ))
}

/// Above so many rows fused attention gives wrong numbers.
const ATTENTION_ROWS: u64 = 512;

fn attention_size(ask: &Ask<'_>, _: &Seen<'_>) -> Option<Hazard> {
    if ask.step.op.name != "scaled_dot_product_attention" || !ask.target.route.is_whole() {
        return None;
    }
    let rows = |param| ask.dims(param).and_then(|d| d.iter().rev().nth(1).copied());
    let (queries, keys) = (rows("query")?, rows("key")?);
    let wrong = queries.min(keys) >= ATTENTION_ROWS || queries.max(keys) > 2048;
    wrong.then(|| {
        Hazard::new(
            &codes::ATTENTION_SIZE,
            format!("attention of {queries} rows over {keys} gives wrong numbers"),
            "too many rows",
            "write it as `matmul`, `softmax` and `matmul`, or in parts of fewer than 512 rows",
            Evidence::measured("ANEForge, on an M5: a cosine of 0.67 at 512 rows"),
        )
        .wrong()
    })
}

fn slice(ask: &Ask<'_>, _: &Seen<'_>) -> Option<Hazard> {
    let limit = ask.limit(Quantity::SliceMagnitude);
    if limit.value == u64::MAX || !matches!(ask.step.op.name, "slice_by_index" | "slice_by_size") {
        return None;
    }
    let rank = ask.ty("x")?.rank();
    let begin = ask.args.ints("begin")?;
    let last = rank.checked_sub(1)?;
    let open = ask.args.ints("begin_mask").is_some_and(|m| m.get(last) == Some(&1));
    if open || begin.get(last).is_none_or(|&b| b == 0) {
        return None;
    }
    Some(Hazard::new(
        &codes::SLICE_SATURATES,
        format!("a slice that starts within the width makes infinities of numbers above {}", limit.value),
        "starts within the last axis",
        "slice along another axis, or scale the numbers down before and up behind it",
        limit.evidence,
    ))
}

/// The largest magnitude that a value can have, where the op that gives it tells.
fn bound(seen: &Seen<'_>, value: ValueId) -> Option<f64> {
    const MOVES: usize = 8;
    let mut value = value;
    for _ in 0..MOVES {
        let step = seen.giver(value)?;
        let ask = Ask::new(seen.function, step, seen.folded, seen.target);
        return Some(match step.op.name {
            op if range::codomain(op).is_some() => range::codomain(op)?.largest(),
            "clip" => ask.args.float("alpha")?.abs().max(ask.args.float("beta")?.abs()),
            "reshape" | "transpose" | "expand_dims" | "squeeze" | "slice_by_index" | "slice_by_size"
            | "split" => {
                match step.inputs.first()? {
                    Input::One(x) => value = *x,
                    _ => return None,
                }
                continue;
            }
            _ => return None,
        });
    }
    None
}

/// Constants with more numbers than this are not read for a hazard: ranges of whole models are for a range analysis.
const READABLE: usize = 1 << 18;

/// What the sums of an op with constant weights are, of numbers up to this magnitude.
fn sums(ask: &Ask<'_>, largest: f64) -> Option<Sums> {
    let weights = match ask.step.op.name {
        "conv" | "linear" => ask.args.value("weight")?,
        "matmul" => ask.args.value("y")?,
        _ => return None,
    };
    let readable = weights.len() <= READABLE;
    readable.then(|| range::sums_of(&ask.args, Range::new(-largest, largest))).flatten()
}

fn overflow(ask: &Ask<'_>, seen: &Seen<'_>) -> Option<Hazard> {
    // Where nothing is known of what is given, numbers of magnitude 1 are not too much to ask.
    let largest = ask.value("x").and_then(|x| bound(seen, x)).unwrap_or(1.0);
    let reached = sums(ask, largest)?.reach;
    if reached < SUM {
        return None;
    }
    let becomes = match ask.target.chip {
        Chip::M1 => "saturate at 32768",
        Chip::M3 => "become 0",
        _ => "become infinite, whatever is added behind",
    };
    Some(Hazard::new(
        &codes::SUM_OVERFLOWS,
        format!("sums of this op can reach {reached:.0}, and from 32768 on they {becomes}"),
        "adds large products",
        "scale the weights down by a power of two, and the result up behind it",
        Evidence::measured("the M6 study and ANEForge, by chip"),
    ))
}

fn vanish(ask: &Ask<'_>, seen: &Seen<'_>) -> Option<Hazard> {
    let largest = sums(ask, bound(seen, ask.value("x")?)?)?.product;
    (largest > 0.0 && largest < Kind::ProductVanishes.limit()).then(|| {
        Hazard::new(
            &codes::PRODUCT_VANISHES,
            format!("each product of this op is below {largest:e}, and products below 2^-17 are dropped"),
            "multiplies small numbers",
            "scale the weights up by a power of two, and the result down behind it",
            Evidence::measured("the M6 study"),
        )
    })
}

/// Rows of `softmax` so long that an even one has terms whose products with small values are dropped.
const LONG_ROW: u64 = 4096;

fn probabilities(ask: &Ask<'_>, seen: &Seen<'_>) -> Option<Hazard> {
    if ask.step.op.name != "matmul" {
        return None;
    }
    let softmax = seen.giver(ask.value("x")?).filter(|s| s.op.name == "softmax")?;
    let given = Ask::new(seen.function, softmax, seen.folded, seen.target);
    let row = given.dims("x")?.last().copied()?;
    (row >= LONG_ROW).then(|| {
        Hazard::new(
            &codes::PRODUCT_VANISHES,
            format!("the rows of `softmax` have {row} terms, so that most are near 2^-12, and products below 2^-17 are dropped"),
            "multiplies probabilities of long rows",
            "`mul` the probabilities by 64 before, and the result by 1/64 behind it",
            Evidence::measured("the M6 study; the error of 5 % and its cure are cadamcat's"),
        )
    })
}

fn dead_output(ask: &Ask<'_>, seen: &Seen<'_>) -> Option<Hazard> {
    let outputs = &ask.step.outputs;
    if !ask.target.route.is_whole() || outputs.len() < 2 {
        return None;
    }
    let dead = outputs.iter().find(|o| !seen.is_read(**o))?;
    Some(Hazard::new(
        &codes::DEAD_OUTPUT,
        format!(
            "nothing reads `{}`, and some versions of the compiler refuse such a program",
            seen.function.value(*dead).name
        ),
        "gives a result that nothing reads",
        "slice out what is needed, or return the result too",
        Evidence::claimed("Orion"),
    ))
}

fn large_kernel(ask: &Ask<'_>, _: &Seen<'_>) -> Option<Hazard> {
    if ask.step.op.name != "conv" {
        return None;
    }
    let area: u64 = ask.dims("weight")?.get(2..)?.iter().product();
    (area >= 256).then(|| {
        Hazard::new(
            &codes::COMPILE_BUDGET,
            "a kernel of 16x16 takes minutes and more than 8 GB to compile".to_string(),
            "a kernel this large",
            "split the kernel into smaller ones, and `add` the results",
            Evidence::measured("the M6 study: 212 to 229 s and 11.7 GB"),
        )
    })
}

/// Rows of a state are so many elements, or a multiple of that.
const STATE_ROW: u64 = 32;

fn state_width(ask: &Ask<'_>, _: &Seen<'_>) -> Option<Hazard> {
    if ask.step.op.name != "read_state" {
        return None;
    }
    let width = *known(ask.result(0)?)?.last()?;
    (!width.is_multiple_of(STATE_ROW)).then(|| {
        Hazard::new(
            &codes::STATE_WIDTH,
            format!("with a state {width} wide a model may fail on the engine"),
            "its last dimension is no multiple of 32",
            "make the last dimension of the state a multiple of 32, and leave the rest of it unused",
            Evidence::claimed("coremltools issue 2631, on an M4: a state 270 wide fails, one 256 wide works"),
        )
    })
}
