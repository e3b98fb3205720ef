//! Hazards of the whole program: how deep, how heavy, how divided it is.

use super::{Hazard, Seen};
use crate::chip::{Chip, Evidence, Profile, Quantity};
use crate::place::{OpPlacement, Route};
use crate::source::{Span, codes};
use crate::types::DType;
use crate::verify::{Content, Step};

/// Ops that only rename what they are given, and are no layers.
fn renames(op: &str) -> bool {
    matches!(op, "reshape" | "expand_dims" | "squeeze" | "identity")
}

/// How many layers the deepest value depends on, and the step that gives it.
fn layers<'a>(seen: &Seen<'a>) -> (u64, Option<&'a Step>) {
    let mut depth = vec![0u32; seen.function.values.len()];
    let mut deepest = (0, None);
    for &step in &seen.steps {
        if seen.folded.is_folded(step) {
            continue;
        }
        let given = step.inputs.iter().flat_map(|i| i.values());
        let below = given.map(|v| depth[v.index()]).max().unwrap_or(0);
        let here = below + u32::from(!renames(step.op.name));
        step.outputs.iter().for_each(|o| depth[o.index()] = here);
        if here > deepest.0 {
            deepest = (here, Some(step));
        }
    }
    (u64::from(deepest.0), deepest.1)
}

/// What the program as a whole has.
pub(super) fn find(seen: &Seen<'_>, placed: &[OpPlacement]) -> Vec<(Hazard, Span)> {
    let mut found: Vec<(Hazard, Span)> = Vec::new();
    let first = seen.steps.first().map_or_else(Span::default, |s| s.span);
    found.extend(depth(seen));
    found.extend(weights(seen).map(|h| (h, first)));
    found.extend(weight_tensors(seen).map(|h| (h, first)));
    found.extend(islands(seen, placed));
    found
}

/// What some of its ops have, and is said once.
pub(super) fn of_ops(seen: &Seen<'_>, placed: &mut [OpPlacement]) -> Option<(Hazard, Span)> {
    let joins: Vec<usize> = (0..seen.steps.len()).filter(|&i| joins(seen, seen.steps[i])).collect();
    let &first = joins.first()?;
    let (hazard, span) = fan_in(seen.steps[first]);
    joins.into_iter().for_each(|i| placed[i].hazards.push(hazard.code));
    Some((hazard, span))
}

/// The depth from which on compilers for two engines take minutes: the time grows with a power above three.
const SLOW_DEPTH: u64 = 256;

fn depth(seen: &Seen<'_>) -> Option<(Hazard, Span)> {
    let (layers, step) = layers(seen);
    let limit = seen.target.chip.limit(Quantity::Depth, seen.target.profile);
    let span = step?.span;
    if layers > limit.value {
        let message =
            format!("{layers} layers depend on each other, and it is known to work for {}", limit.value);
        let help = "divide the program into several that run one behind the other";
        let hazard = Hazard::new(&codes::GRAPH_DEPTH, message, "the last of them", help, limit.evidence);
        return Some((hazard, span));
    }
    (seen.target.chip == Chip::M6 && layers > SLOW_DEPTH).then(|| {
        let hazard = Hazard::new(
            &codes::COMPILE_BUDGET,
            format!("{layers} layers depend on each other, and the compiler for two engines takes minutes for them"),
            "the last of them",
            "divide the program into several that run one behind the other",
            Evidence::measured("the M6 study: 179 s for 512 layers"),
        );
        (hazard, span)
    })
}

fn weights(seen: &Seen<'_>) -> Option<Hazard> {
    let bytes: u64 = seen
        .function
        .values
        .iter()
        .map(|v| match (&v.content, v.ty.as_tensor()) {
            (Content::Constant(_) | Content::Missing(_), Some(t)) => {
                t.shape.elements().map_or(0, |n| n.saturating_mul(t.dtype.bits() as u64) / 8)
            }
            _ => 0,
        })
        .fold(0, u64::saturating_add);
    let limit = seen.target.chip.limit(Quantity::WeightBytes, seen.target.profile);
    (bytes > limit.value).then(|| {
        Hazard::new(
            &codes::WEIGHT_BYTES,
            format!(
                "the program has {} MB of weights, and {} MB are known to work",
                bytes >> 20,
                limit.value >> 20
            ),
            "the program starts here",
            "divide the program into several, or store the weights in a compressed form",
            limit.evidence,
        )
    })
}

/// Constants with so many numbers stand in weight files, as coremltools and anemone write them.
const IN_A_FILE: u64 = 10;

fn weight_tensors(seen: &Seen<'_>) -> Option<Hazard> {
    if !seen.target.route.is_whole() {
        return None;
    }
    let stored = |v: &&crate::verify::Value| {
        let tensor =
            v.ty.as_tensor().filter(|_| matches!(v.content, Content::Constant(_) | Content::Missing(_)));
        tensor.is_some_and(|t| {
            !matches!(t.dtype, DType::String | DType::Bool) && t.shape.elements() >= Some(IN_A_FILE)
        })
    };
    let count = seen.function.values.iter().filter(stored).count() as u64;
    let limit = seen.target.chip.limit(Quantity::WeightTensors, seen.target.profile);
    (count > limit.value).then(|| {
        Hazard::new(
            &codes::WEIGHT_TENSORS,
            format!(
                "the program has {count} tensors in weight files, and one report says that more than {} fail",
                limit.value
            ),
            "the program starts here",
            "divide the program into several, or join weights that are used together",
            limit.evidence,
        )
    })
}

/// So many branches that come together again make the compiler look for cuts for seconds.
const BRANCHES: usize = 12;

fn joins(seen: &Seen<'_>, step: &Step) -> bool {
    let branches = step.inputs.iter().flat_map(|i| i.values()).filter(|v| !seen.folded.knows(**v));
    branches.filter(|v| seen.giver(**v).is_some()).count() >= BRANCHES
}

fn fan_in(step: &Step) -> (Hazard, Span) {
    let hazard = Hazard::new(
        &codes::COMPILE_BUDGET,
        format!(
            "`{}` joins {BRANCHES} branches or more, which the compiler takes seconds to divide",
            step.op.name
        ),
        "joins many branches",
        "join them a few at a time",
        Evidence::measured("the ANE guide, on an M1"),
    );
    (hazard, step.span)
}

/// Ops in whole numbers between ops of the engine: each run of them is a way to the CPU and back.
fn islands(seen: &Seen<'_>, placed: &[OpPlacement]) -> Vec<(Hazard, Span)> {
    if seen.target.route != Route::CoreMl {
        return Vec::new();
    }
    let whole = |step: &Step| {
        let results = step.outputs.iter().filter_map(|&o| seen.function.value(o).ty.as_tensor());
        results.into_iter().any(|t| t.dtype == DType::Int32) && !seen.folded.is_folded(step)
    };
    let engine = |i: usize| placed[i].on_engine() && !seen.folded.is_folded(seen.steps[i]);
    let mut found = Vec::new();
    let mut i = 0;
    while i < placed.len() {
        if !whole(seen.steps[i]) || placed[i].on_engine() {
            i += 1;
            continue;
        }
        let start = i;
        while i < placed.len() && (whole(seen.steps[i]) || seen.folded.is_folded(seen.steps[i])) {
            i += 1;
        }
        let before = (0..start).rev().find(|&j| !seen.folded.is_folded(seen.steps[j])).is_some_and(engine);
        if before && i < placed.len() && (i..placed.len()).any(engine) {
            let hazard = Hazard::new(
                &codes::INT32_ISLAND,
                "whole numbers are computed between ops of the engine, so that the program goes to the CPU and back".to_string(),
                "leaves the engine here",
                "compute them on the host, or in fp16 where they are below 2048",
                Evidence::measured("the M6 study").on("macOS 27"),
            );
            found.push((hazard, seen.steps[start].span));
        }
    }
    found
}

/// Whether Core ML gives the whole program to the CPU, since the compiler for two engines cannot follow it that far.
pub(in crate::place) fn too_deep(seen: &Seen<'_>) -> Option<u64> {
    let limit = seen.target.chip.limit(Quantity::Depth, Profile::Permissive).value;
    let (layers, _) = layers(seen);
    let left = seen.target.chip == Chip::M6 && seen.target.route == Route::CoreMl && layers > limit;
    left.then_some(layers)
}
