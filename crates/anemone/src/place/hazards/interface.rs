//! Hazards of inputs and outputs: surfaces that are written and read by programs that know nothing of rows.

use super::{Hazard, Seen};
use crate::chip::{Evidence, Profile, Quantity};
use crate::place::Route;
use crate::source::{Span, codes};
use crate::surface::row_stride_for;
use crate::types::{DType, TensorType};
use crate::verify::ValueId;

pub(super) fn find(seen: &Seen<'_>) -> Vec<(Hazard, Span)> {
    if !seen.target.route.is_whole() {
        return Vec::new();
    }
    let function = seen.function;
    let inputs: Vec<ValueId> = function.params.clone();
    let outputs = &function.body.outputs;
    let mut found: Vec<(Hazard, Span)> = Vec::new();
    found.extend(inputs.iter().chain(outputs).find_map(|&v| dtype(seen, v)));
    if seen.target.route != Route::Direct {
        return found;
    }
    found.extend(count(seen, inputs.len() + outputs.len()));
    found.extend(inputs.iter().chain(outputs).find_map(|&v| small(seen, v)));
    for (what, values) in [("inputs", &inputs), ("outputs", outputs)] {
        found.extend(order(seen, what, values));
        found.extend(sizes(seen, what, values));
    }
    found.extend(inputs.iter().chain(outputs).find_map(|&v| rows(seen, v)));
    found
}

/// Where a value is made, or first read if it is given.
fn span(seen: &Seen<'_>, value: ValueId) -> Span {
    let reads = |s: &&crate::verify::Step| s.inputs.iter().any(|i| i.values().contains(&value));
    let step = seen.giver(value).or_else(|| seen.steps.iter().copied().find(reads));
    step.map_or_else(Span::default, |s| s.span)
}

/// The dtypes of which a route binds tensors.
fn dtype(seen: &Seen<'_>, value: ValueId) -> Option<(Hazard, Span)> {
    use DType::{Fp16, Int8, Int16, UInt8, UInt16};
    let v = seen.function.value(value);
    let dtype = v.ty.as_tensor()?.dtype;
    let (taken, words, evidence) = match seen.target.route {
        Route::E5rt => (
            matches!(dtype, Fp16 | Int8 | UInt8 | Int16 | UInt16),
            "fp16, and whole numbers of 8 and 16 bits",
            Evidence::measured("ANEForge: fp32, int32, bf16 and bool are rejected"),
        ),
        _ => (dtype != DType::Bool, "no bool", Evidence::claimed("reports of the direct route")),
    };
    (!taken).then(|| {
        let hazard = Hazard::new(
            &codes::INTERFACE_DTYPE,
            format!("`{}` is of {dtype}, and this route takes and gives {words}", v.name),
            "of another dtype",
            "take and give fp16, and `cast` on the host",
            evidence,
        );
        (hazard, span(seen, value))
    })
}

fn count(seen: &Seen<'_>, surfaces: usize) -> Option<(Hazard, Span)> {
    let limit = seen.target.chip.limit(Quantity::Surfaces, seen.target.profile);
    (surfaces as u64 > limit.value).then(|| {
        let hazard = Hazard::new(
            &codes::SURFACE_COUNT,
            format!("the function takes and gives {surfaces} tensors, and a request binds {}", limit.value),
            "the function starts here",
            "`concat` tensors that belong together, and `split` them inside",
            limit.evidence,
        );
        (hazard, seen.steps.first().map_or_else(Span::default, |s| s.span))
    })
}

/// The narrowest row, and the smallest surface, that no report says fails.
const NARROW: u64 = 64;
const SMALL: u64 = 49152;

/// Failures that most likely come from rows that are not laid out 64 bytes apart.
fn small(seen: &Seen<'_>, value: ValueId) -> Option<(Hazard, Span)> {
    if seen.target.profile != Profile::Strict {
        return None;
    }
    let v = seen.function.value(value);
    let ty = v.ty.as_tensor()?;
    let width = ty.shape.last()?.known()?;
    let (_, surface) = bytes(ty)?;
    let (message, evidence) = if width < NARROW {
        let message = format!(
            "rows of `{}` have {width} elements, and reports say that evaluation fails (status 0x1d) below {NARROW}",
            v.name
        );
        (
            message,
            Evidence::claimed("the crate `ane`: 64, skyfallsin's field guide: 32; tmc/apple ran rows of 1"),
        )
    } else if surface < SMALL {
        let message = format!(
            "the surface of `{}` has {surface} bytes, and one report says that evaluation fails (status 0x1d) below {SMALL}",
            v.name
        );
        (message, Evidence::claimed("Orion; tmc/apple ran smaller ones"))
    } else {
        return None;
    };
    let hazard = Hazard::new(
        &codes::SMALL_SURFACE,
        message,
        "has a small surface",
        "make the last dimension a multiple of 64, and leave the rest of it unused",
        evidence,
    );
    Some((hazard, span(seen, value)))
}

fn order(seen: &Seen<'_>, what: &str, values: &[ValueId]) -> Option<(Hazard, Span)> {
    let names: Vec<&str> = values.iter().map(|&v| seen.function.value(v).name.as_str()).collect();
    let at = names.windows(2).position(|n| n[0] > n[1])?;
    let hazard = Hazard::new(
        &codes::OUTPUT_ORDER,
        format!(
            "the {what} are not in the order of their names, in which the engine has its surfaces: `{}` is before `{}`",
            names[at],
            names[at + 1]
        ),
        "out of order",
        "name them in the order in which they are declared, or bind them by name, as `client` does",
        Evidence::measured("Orion: all orders of three inputs"),
    );
    Some((hazard, span(seen, values[at + 1])))
}

/// The bytes of a row, and of the surface.
fn bytes(ty: &TensorType) -> Option<(u64, u64)> {
    let dims: Option<Vec<u64>> = ty.shape.iter().map(|d| d.known()).collect();
    let (width, above) = dims.as_deref()?.split_last()?;
    let elem = ty.dtype.bits() as u64 / 8;
    let row = width.checked_mul(elem)?;
    let stride = row_stride_for(usize::try_from(*width).ok()?, usize::try_from(elem).ok()?) as u64;
    Some((row, above.iter().try_fold(stride, |a, &d| a.checked_mul(d))?))
}

fn rows(seen: &Seen<'_>, value: ValueId) -> Option<(Hazard, Span)> {
    let v = seen.function.value(value);
    let (row, surface) = bytes(v.ty.as_tensor()?)?;
    let several = surface > row.next_multiple_of(64);
    (several && row % 64 != 0).then(|| {
        let hazard = Hazard::new(
            &codes::UNPADDED_ROWS,
            format!("rows of `{}` have {row} bytes, and stand {} bytes apart in its surface", v.name, row.next_multiple_of(64)),
            "has rows that are padded",
            "write rows through `Surface` or `TensorLayout`, or make the width a multiple of 32 numbers of fp16",
            Evidence::measured("tmc/apple, Orion"),
        );
        (hazard, span(seen, value))
    })
}

fn sizes(seen: &Seen<'_>, what: &str, values: &[ValueId]) -> Option<(Hazard, Span)> {
    if seen.target.profile != Profile::Strict {
        return None;
    }
    let size = |v: ValueId| Some(bytes(seen.function.value(v).ty.as_tensor()?)?.1);
    let (&first, rest) = values.split_first()?;
    let want = size(first)?;
    let odd = rest.iter().copied().find(|&v| size(v).is_some_and(|s| s != want))?;
    let hazard = Hazard::new(
        &codes::SURFACE_MISMATCH,
        format!(
            "the surfaces of the {what} are of different sizes: `{}` is not as large as `{}`",
            seen.function.value(odd).name,
            seen.function.value(first).name
        ),
        "of another size",
        "pad them to one size",
        Evidence::claimed("Orion; others bind surfaces of different sizes"),
    );
    Some((hazard, span(seen, odd)))
}
