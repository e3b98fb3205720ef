//! Functions of one number: the activation unit's tables, and what is exact.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use anemone_kernels::silicon::{Lookup, activation as unit, decode, store};

use super::widened;
use crate::mil::op::{Arg, Slot};
use crate::ops::fast::{Ready, ready};
use crate::ops::loops::number;
use crate::ops::row::*;
use crate::types::f16;

pub(super) fn prepare(args: &Args<'_>, types: &[Type]) -> Ready {
    let x = args.reader("x")?;
    let Some(lookup) = lookup(args)? else { return widened::prepare(args, types) };
    ready(move |run| {
        let (threads, x) = (run.threads, run.read(&x));
        lookup.apply(threads, run.write(0), x);
    })
}

/// The function of an op of `x`, if all that it takes beside it are constants of one number.
fn lookup(args: &Args<'_>) -> Result<Option<Arc<Lookup>>, Fault> {
    let mut key = args.op.name.to_string();
    for param in args.edition.params.iter().map(|p| p.name).filter(|&name| name != "x" && args.has(name)) {
        let written = match args.value(param) {
            Some(value) if value.as_strings().is_some() => {
                write!(key, " {}", args.str(param).unwrap_or_default())
            }
            Some(value) if value.len() == 1 => write!(key, " {:x}", number(args, param)?.to_bits()),
            _ => return Ok(None),
        };
        written.expect("text grows");
    }
    let epsilon =
        if args.edition.params.iter().any(|p| p.name == "epsilon") { number(args, "epsilon")? } else { 0.0 };
    let table: fn(f16, f64) -> f16 = match args.op.name {
        "atan" => |x, _| unit::atan(x),
        "cos" => |x, _| unit::cos(x),
        "erf" => |x, _| unit::erf(x),
        "exp" => |x, _| unit::exp(x),
        "exp2" => |x, _| unit::exp2(x),
        "gelu" if args.str("mode") != Some("SIGMOID_APPROXIMATION") => |x, _| unit::gelu(x),
        "inverse" => unit::inverse,
        "log" => unit::log,
        "rsqrt" => unit::rsqrt,
        "sigmoid" => |x, _| unit::sigmoid(x),
        "silu" => |x, _| unit::silu(x),
        "sin" => |x, _| unit::sin(x),
        "sqrt" => |x, _| unit::sqrt(x),
        "tanh" => |x, _| unit::tanh(x),
        _ => return kept(key, || by_meaning(args)),
    };
    kept(key, || Ok(Some(Lookup::of(|x| table(x, epsilon)))))
}

/// The function under this key, which steps share as long as one of them is there.
pub(super) fn kept(
    key: std::string::String,
    build: impl FnOnce() -> Result<Option<Lookup>, Fault>,
) -> Result<Option<Arc<Lookup>>, Fault> {
    static KEPT: Mutex<Option<HashMap<std::string::String, Weak<Lookup>>>> = Mutex::new(None);
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = kept.get_or_insert_default();
    if let Some(found) = kept.get(&key).and_then(Weak::upgrade) {
        return Ok(Some(found));
    }
    kept.retain(|_, lookup| lookup.strong_count() > 0);
    let Some(built) = build()?.map(Arc::new) else { return Ok(None) };
    kept.insert(key, Arc::downgrade(&built));
    Ok(Some(built))
}

/// What an op means for every half, stored as the engine stores.
fn by_meaning(args: &Args<'_>) -> Result<Option<Lookup>, Fault> {
    let Meaning::Compute(compute) = args.op.meaning else { return Ok(None) };
    let all: Vec<f32> = (0..=u16::MAX).map(|bits| decode(f16::from_bits(bits))).collect();
    let x = Datum::from(Tensor::from_slice(&[all.len()], &all)?);
    let ty = x.ty();
    let mut slots = args.slots.clone();
    for (slot, _) in slots.iter_mut().zip(args.edition.params).filter(|(_, p)| p.name == "x") {
        *slot = Slot::One(Arg { ty: &ty, value: Some(&x) });
    }
    let types = [ty.clone()];
    let args = Args {
        op: args.op,
        opset: args.opset,
        edition: args.edition,
        slots,
        declared: &types,
        after: &[],
        unmade: &[],
    };
    let results = compute(&args, &types)?;
    let Some(results) = results.first().and_then(Datum::as_tensor).and_then(Tensor::as_slice::<f32>) else {
        return Ok(None);
    };
    Ok(Some(Lookup::of(|x| store(results[usize::from(x.to_bits())]))))
}
