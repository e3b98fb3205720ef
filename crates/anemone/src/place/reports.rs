//! What single reports say is refused, against others who saw it work: rules of the strict profile.
//!
//! Who believes every report writes programs that run everywhere. A report about an op as a whole stands in its row of the
//! table; here are those about a form of it.

use super::ask::{Ask, known};
use super::rules::{Refusal, Rule, form};
use super::{Phase, Route, Target};
use crate::chip::{Evidence, Profile};
use crate::verify::Content;

/// The rules of a target: none where only measurements count.
pub(super) fn of(target: Target) -> &'static [Rule] {
    match (target.profile, target.route) {
        (Profile::Permissive, _) => &[],
        (Profile::Strict, Route::CoreMl) => &[scale_groups],
        (Profile::Strict, _) => &[conv_bias, conv_depth, softmax_length, times_zero, slice_of_input],
    }
}

fn conv_bias(ask: &Ask<'_>) -> Option<Refusal> {
    let op = ask.step.op.name;
    if !matches!(op, "conv" | "conv_transpose") || ask.value("bias").is_none() {
        return None;
    }
    form(
        format!("one report says that the compiler refuses the `bias` of `{op}`"),
        "`add` the bias behind it",
        Evidence::claimed("Orion; the ANE guide and the M6 study saw it taken"),
    )
}

fn conv_depth(ask: &Ask<'_>) -> Option<Refusal> {
    let op = ask.step.op.name;
    if !matches!(op, "conv" | "conv_transpose") || ask.ty("x")?.rank() < 5 {
        return None;
    }
    form(
        format!("one report says that a `{op}` with depth is attested, and never lowered"),
        "write it as the sum of `conv` of slices along the depth",
        Evidence::claimed("the ANE guide, in its prose; its table, and the M6 study, saw it taken"),
    )
}

/// What fails when it runs, and not when it is compiled.
fn softmax_length(ask: &Ask<'_>) -> Option<Refusal> {
    if ask.step.op.name != "softmax" {
        return None;
    }
    let x = ask.ty("x")?;
    let axis = ask.args.normal_axis("axis", ask.args.int("axis").unwrap_or(-1), x.rank()).ok()?;
    let length = *known(x)?.get(axis)?;
    if length.is_power_of_two() {
        return None;
    }
    let refusal = form(
        format!(
            "one report says that `softmax` fails when it runs over {length} elements, which are no power of two"
        ),
        "pad the axis up to a power of two, and `add` a mask of -30000 where it is padded",
        Evidence::claimed("Espresso: 257 elements; the M6 study and ANEForge ran others"),
    )?;
    Some(Refusal { phase: Phase::Run, ..refusal })
}

/// The product of a reduction with a constant 0.
fn times_zero(ask: &Ask<'_>) -> Option<Refusal> {
    if ask.step.op.name != "mul" {
        return None;
    }
    let zero = |param| ask.args.value(param).is_some_and(|t| t.rank() == 0 && t.to_f64s() == [0.0]);
    let other = ["x", "y"].into_iter().zip(["y", "x"]).find_map(|(a, b)| zero(a).then_some(b))?;
    let value = ask.value(other)?;
    let giver = ask.function.body.steps.iter().find(|s| s.outputs.contains(&value))?;
    if !giver.op.name.starts_with("reduce_") {
        return None;
    }
    form(
        format!("one report says that `mul` of `{}` and 0 fails to compile", giver.op.name),
        "leave both out: the result is 0",
        Evidence::claimed("a report of the direct route"),
    )
}

fn slice_of_input(ask: &Ask<'_>) -> Option<Refusal> {
    let x = ask.value("x").filter(|_| ask.step.op.name == "slice_by_index")?;
    if !ask.function.params.contains(&x) {
        return None;
    }
    form(
        "one report says that `slice_by_index` of an input of the function fails in large programs",
        "write it as `slice_by_size`",
        Evidence::claimed("Espresso; the M6 study and dev-erik/ANE saw it taken"),
    )
}

/// Scales for groups of input channels, where one for each output channel is taken.
fn scale_groups(ask: &Ask<'_>) -> Option<Refusal> {
    if ask.step.op.name != "constexpr_blockwise_shift_scale" {
        return None;
    }
    let scale = ask.value("scale").map(|v| ask.function.value(v))?;
    let is_weight = !matches!(scale.content, Content::Computed);
    let groups: u64 = known(scale.ty.as_tensor()?)?.get(1..)?.iter().product();
    if !is_weight || groups < 2 {
        return None;
    }
    form(
        format!("some reports say that Core ML refuses weights with {groups} scales for each output channel"),
        "take one scale for each output channel",
        Evidence::claimed("cadamcat, ANEForge; the M6 study saw blockwise weights taken"),
    )
}
