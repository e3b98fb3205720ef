//! The op table: one row for each op of MIL, in a file for each family.
//!
//! A row is an [`Op`]: parameters by opset, inference, meaning, fast way, tolerance. Everything else walks [`all`]:
//! verification, the engines, `docs/ops.md`, the tests and the command line.
//!
//! ```
//! use anemone::{mil::Opset, ops, types::{DType, Tensor}};
//! let sorted = ops::evaluate(
//!     ops::find("topk").unwrap(),
//!     Opset::Ios15,
//!     &[("x", Tensor::from_f64s(DType::Fp32, &[3], &[2.0, 3.0, 1.0])?.into()), ("k", Tensor::scalar(DType::Int32, 2.0).into())],
//! );
//! assert_eq!(sorted.unwrap()[0].as_tensor().unwrap().to_f64s(), [3.0, 2.0]);
//! assert!(ops::all().count() > 150);
//! # Ok::<(), anemone::types::TensorError>(())
//! ```

mod activation;
mod along;
mod attention;
mod blocks;
#[cfg(test)]
mod check;
mod constexpr;
mod control;
mod conv;
mod create;
mod elementwise;
mod fast;
mod gather;
mod image;
mod join;
mod lanes;
mod linear;
mod list;
mod loops;
mod lowered;
mod moves;
mod nms;
mod normalize;
mod pad;
mod palette;
mod pool;
mod quantize;
mod random;
mod rearrange;
mod recurrent;
mod reduce;
mod scatter;
mod shape;
pub mod silicon;
mod slice;
mod sort;
mod state;
#[cfg(test)]
mod testing;
mod window;

pub(crate) use along::{along, is_elementwise};
pub(crate) use elementwise::{Function, function};
pub use lowered::{LOWERED, Lowered, lowered};

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::mil::Opset;
use crate::mil::op::{Arg, Args, Edition, Fault, Kind, Meaning, Op, Parameter, Slot};
use crate::source::codes;
use crate::types::{DType, Datum, Type};

/// The families, in the order of the documentation.
static FAMILIES: &[&[Op]] = &[
    elementwise::OPS,
    activation::OPS,
    reduce::OPS,
    normalize::OPS,
    linear::OPS,
    conv::OPS,
    pool::OPS,
    attention::OPS,
    recurrent::OPS,
    shape::OPS,
    rearrange::OPS,
    blocks::OPS,
    join::OPS,
    create::OPS,
    slice::OPS,
    pad::OPS,
    gather::OPS,
    scatter::OPS,
    sort::OPS,
    nms::OPS,
    image::OPS,
    quantize::OPS,
    constexpr::OPS,
    palette::OPS,
    random::OPS,
    state::OPS,
    control::OPS,
    list::OPS,
];

/// Every op.
///
/// ```
/// use anemone::{mil::Opset, ops};
/// let new: Vec<_> = ops::all().filter(|op| op.since() == Opset::Ios18).map(|op| op.name).collect();
/// assert!(new.contains(&"scaled_dot_product_attention") && !new.contains(&"relu"));
/// ```
pub fn all() -> impl Iterator<Item = &'static Op> {
    FAMILIES.iter().flat_map(|f| f.iter())
}

/// The op of this name.
///
/// ```
/// assert_eq!(anemone::ops::find("relu").unwrap().summary, "the larger of x and 0");
/// assert!(anemone::ops::find("rellu").is_none());
/// ```
pub fn find(name: &str) -> Option<&'static Op> {
    static BY_NAME: LazyLock<HashMap<&'static str, &'static Op>> =
        LazyLock::new(|| all().map(|op| (op.name, op)).collect());
    BY_NAME.get(name).copied()
}

/// Computes one op on values, by its meaning: arguments by name, those of a tuple under the same name in order.
///
/// ```
/// use anemone::{mil::Opset, ops, types::Tensor};
/// let x = Tensor::from_slice(&[3], &[-1.0f32, 0.0, 2.0])?;
/// let y = ops::evaluate(ops::find("relu").unwrap(), Opset::Ios15, &[("x", x.into())]).unwrap();
/// assert_eq!(y[0].as_tensor().unwrap().to_f64s(), [0.0, 0.0, 2.0]);
/// # Ok::<(), anemone::types::TensorError>(())
/// ```
///
/// # Errors
///
/// The [`Fault`] with which the op refuses the arguments. Names, kinds and dtypes are the caller's to get right:
/// verification checks them for programs.
pub fn evaluate(op: &'static Op, opset: Opset, arguments: &[(&str, Datum)]) -> Result<Vec<Datum>, Fault> {
    bound(op, opset, arguments, |args, types| match op.meaning {
        Meaning::Compute(compute) => compute(args, types),
        _ => Err(Fault::new(&codes::NO_MEANING, format!("`{}` cannot be computed by itself", op.name))),
    })
}

/// Binds the parameters of an op to values, and computes with them and the types that inference gives.
fn bound<R>(
    op: &'static Op,
    opset: Opset,
    arguments: &[(&str, Datum)],
    compute: impl FnOnce(&Args<'_>, &[Type]) -> Result<R, Fault>,
) -> Result<R, Fault> {
    let edition = op.edition(opset).ok_or_else(|| {
        Fault::new(
            &codes::OPSET_TOO_OLD,
            format!("`{}` is not in {opset}; it came with {}", op.name, op.since()),
        )
    })?;
    let types: Vec<Type> = arguments.iter().map(|(_, d)| d.ty()).collect();
    let slots = edition
        .params
        .iter()
        .map(|p| {
            let given: Vec<_> = arguments
                .iter()
                .zip(&types)
                .filter(|((name, _), _)| *name == p.name)
                .map(|((_, d), ty)| Arg { ty, value: Some(d) })
                .collect();
            match (p.kind, given.as_slice()) {
                (_, []) => Slot::Absent,
                (Kind::Tuple, _) => Slot::Many(given),
                (_, [one, ..]) => Slot::One(*one),
            }
        })
        .collect();
    let args = Args { op, opset, edition, slots, declared: &[], after: &[], unmade: &[] };
    let types = (op.infer)(&args)?;
    compute(&args, &types)
}

/// What the rows of every family are written with.
mod row {
    pub(super) use super::{
        BOOL, F32, FLOATS, I32, NUMS, NUMS_BOOL, NUMS17, STR, edition, edition_in_attributes,
    };
    pub(super) use super::{any, tensor};
    pub(super) use crate::mil::Opset::{Ios15, Ios16, Ios17, Ios18};
    pub(super) use crate::mil::op::Default::{Absent, Bool, Float, Int, Str};
    pub(super) use crate::mil::op::{
        Args, Compute, Edition, Fast, Fault, Infer, Kind, Meaning, Op, Parameter, Parts, Prepare, Prepared,
        Reader, Results, Run, Scalar, Tolerance,
    };
    pub(super) use crate::source::codes;
    pub(super) use crate::types::DType::{self, *};
    pub(super) use crate::types::{DTypes, Datum, Dim, Shape, Tensor, TensorType, Type};
}

const FLOATS: &[DType] = &[DType::Fp16, DType::Fp32];
const F32: &[DType] = &[DType::Fp32];
const I32: &[DType] = &[DType::Int32];
const BOOL: &[DType] = &[DType::Bool];
const STR: &[DType] = &[DType::String];
const NUMS: &[DType] = &[DType::Fp16, DType::Fp32, DType::Int32];
const NUMS_BOOL: &[DType] = &[DType::Fp16, DType::Fp32, DType::Int32, DType::Bool];
const NUMS17: &[DType] =
    &[DType::Fp16, DType::Fp32, DType::Int8, DType::Int16, DType::Int32, DType::UInt8, DType::UInt16];

/// The parameters as of this opset.
const fn edition(since: Opset, params: &'static [Parameter]) -> Edition {
    Edition { since, params, in_attributes: false }
}

/// The parameters as of this opset, which programs write as attributes.
const fn edition_in_attributes(since: Opset, params: &'static [Parameter]) -> Edition {
    Edition { since, params, in_attributes: true }
}

/// A required tensor parameter.
const fn tensor(name: &'static str, dtypes: &[DType]) -> Parameter {
    Parameter::tensor(name, dtypes)
}

/// A required tensor parameter of any dtype.
const fn any(name: &'static str) -> Parameter {
    Parameter::new(name, crate::mil::op::Kind::Tensor, crate::types::DTypes::ANY)
}
