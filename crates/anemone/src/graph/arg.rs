//! Arguments: what Rust values become in a call.

use super::{Shape, Tensor};
use crate::mil::op::{Edition, Kind, Parameter};
use crate::mil::{Name, Value};
use crate::source::{Code, codes};
use crate::types::{self, DType, DTypes, f16};

/// An argument of an op: a [`Tensor`] of the graph, several, or a constant made of Rust values.
///
/// Numbers, bools, strings, and arrays, slices and vectors of them become constants of the dtype that the op wants: a
/// number beside a tensor of fp16 is fp16. [`types::Tensor`] has its own dtype and shape and keeps them. `None` is an
/// argument that is not given.
///
/// ```
/// use anemone::{Graph, Shape};
/// let mut g = Graph::new();
/// let x = g.placeholder(Shape::spatial(4, 1, 64));
/// // A tensor, a number, and a list are arguments alike.
/// let y = g.add(x, 0.5);
/// let z = g.reshape(y, [1, 2, 2, 64]);
/// assert_eq!(z.shape(), Some(Shape::spatial(2, 2, 64)));
/// ```
#[derive(Clone, Debug)]
pub struct Arg(pub(super) Content);

/// What an argument is.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Absent,
    One(Tensor),
    Many(Vec<Tensor>),
    /// Whole numbers; a scalar, or a vector.
    Ints(Vec<i64>, Form),
    Floats(Vec<f64>, Form),
    Bools(Vec<bool>, Form),
    Strings(Vec<String>, Form),
    /// A constant that has a dtype of its own.
    Constant(types::Tensor),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Scalar,
    Vector,
}

/// The optional arguments of a call, which [`with!`](crate::with) writes; `()` is none.
///
/// ```
/// use anemone::{Graph, Shape, graph::Options, with};
/// let mut g = Graph::new();
/// let x = g.placeholder(Shape::spatial(6, 1, 64));
/// let options = Options::new().and("axes", [1]).and("keep_dims", true);
/// let sum = g.mil_reduce_sum(x, options);
/// let same = g.mil_reduce_sum(x, with! { axes: [1], keep_dims: true });
/// assert_eq!((sum.shape(), same.shape()), (Some(Shape::spatial(1, 1, 64)), sum.shape()));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Options(Vec<(Name, Arg)>);

impl Options {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the argument of this name.
    #[must_use]
    pub fn and(mut self, name: &str, value: impl Into<Arg>) -> Self {
        self.0.push((name.into(), value.into()));
        self
    }

    pub(super) fn into_vec(self) -> Vec<(Name, Arg)> {
        self.0
    }
}

impl From<()> for Options {
    fn from((): ()) -> Self {
        Self::default()
    }
}

/// Writes arguments by their names: `with! { axes: [1], epsilon: 1e-5 }`.
///
/// ```
/// use anemone::{Graph, Shape, with};
/// let mut g = Graph::new();
/// let x = g.placeholder(Shape::spatial(8, 1, 64));
/// let y = g.layer_norm(x, with! { axes: [1], epsilon: 1e-5 });
/// let z = g.rsqrt(y, ());
/// # assert!(z.shape().is_some());
/// ```
#[macro_export]
macro_rules! with {
    ($($name:ident : $value:expr),* $(,)?) => {
        $crate::graph::Options::new()$(.and(stringify!($name), $value))*
    };
}

macro_rules! from {
    ($content:ident, $item:ty, $($ty:ty),*) => {$(
        impl From<$ty> for Arg {
            fn from(v: $ty) -> Self {
                Self(Content::$content(vec![<$item>::from_value(v)], Form::Scalar))
            }
        }
        from!(@many $ty, |v: &[$ty]| {
            Content::$content(v.iter().map(|v| <$item>::from_value(v.clone())).collect(), Form::Vector)
        });
    )*};
    (@many $ty:ty, $make:expr) => {
        impl From<&[$ty]> for Arg {
            fn from(v: &[$ty]) -> Self {
                Self(($make)(v))
            }
        }
        impl<const N: usize> From<[$ty; N]> for Arg {
            fn from(v: [$ty; N]) -> Self {
                Self(($make)(&v))
            }
        }
        impl<const N: usize> From<&[$ty; N]> for Arg {
            fn from(v: &[$ty; N]) -> Self {
                Self(($make)(v))
            }
        }
        impl From<Vec<$ty>> for Arg {
            fn from(v: Vec<$ty>) -> Self {
                Self(($make)(&v))
            }
        }
        impl From<&Vec<$ty>> for Arg {
            fn from(v: &Vec<$ty>) -> Self {
                Self(($make)(v))
            }
        }
    };
}

/// The one type in which arguments hold values of a kind.
trait FromValue<T> {
    fn from_value(v: T) -> Self;
}

macro_rules! values {
    ($item:ty: $($ty:ty => $convert:expr),*) => {$(
        impl FromValue<$ty> for $item {
            fn from_value(v: $ty) -> Self {
                ($convert)(v)
            }
        }
    )*};
}

values!(i64: i8 => i64::from, i16 => i64::from, i32 => i64::from, i64 => |v| v, u8 => i64::from, u16 => i64::from,
    u32 => i64::from, u64 => |v| i64::try_from(v).unwrap_or(i64::MAX), usize => |v| i64::try_from(v).unwrap_or(i64::MAX));
values!(f64: f32 => f64::from, f64 => |v| v);
values!(bool: bool => |v| v);
values!(String: &str => |v: &str| v.to_string(), String => |v| v);

from!(Ints, i64, i8, i16, i32, i64, u8, u16, u32, u64, usize);
from!(Floats, f64, f32, f64);
from!(Bools, bool, bool);
from!(Strings, String, &str, String);
from!(@many Tensor, |v: &[Tensor]| Content::Many(v.to_vec()));

impl From<Tensor> for Arg {
    fn from(t: Tensor) -> Self {
        Self(Content::One(t))
    }
}

impl From<super::Tensors> for Arg {
    fn from(t: super::Tensors) -> Self {
        Self(Content::Many(t.all))
    }
}

impl From<types::Tensor> for Arg {
    fn from(t: types::Tensor) -> Self {
        Self(Content::Constant(t))
    }
}

impl From<f16> for Arg {
    fn from(v: f16) -> Self {
        types::Tensor::scalar(DType::Fp16, v.to_f64()).into()
    }
}

impl From<DType> for Arg {
    fn from(dtype: DType) -> Self {
        dtype.name().into()
    }
}

impl From<Shape> for Arg {
    fn from(shape: Shape) -> Self {
        shape.dims().into()
    }
}

impl<T: Into<Arg>> From<Option<T>> for Arg {
    fn from(v: Option<T>) -> Self {
        v.map_or(Self(Content::Absent), Into::into)
    }
}

/// What is wrong with a constant, or doubtful.
pub(super) struct Doubt {
    pub(super) code: &'static Code,
    pub(super) message: String,
    pub(super) help: Option<&'static str>,
}

/// What decides on the dtype of a constant.
pub(super) struct Wanted<'a> {
    pub(super) param: Option<&'a Parameter>,
    pub(super) edition: Option<&'a Edition>,
    /// The parameters that tensors of the graph are given for, and their dtypes, in the order of the call; then those
    /// that floats are given for.
    pub(super) tensors: &'a [(Option<&'a Parameter>, DType)],
}

impl Wanted<'_> {
    fn takes(&self, dtype: DType) -> bool {
        self.param.map_or(DTypes::ANY, |p| p.dtypes).contains(dtype)
    }

    /// The dtype of the tensors that the constant must agree with.
    fn domain(&self) -> Option<DType> {
        let letter = self.param?.domain;
        let same = |p: &&Parameter| p.domain == letter && letter != ' ';
        self.tensors.iter().find(|(p, _)| p.as_ref().is_some_and(same)).map(|(_, dtype)| *dtype)
    }

    /// The dtype for floats: that of the parameter's domain, else of the first tensor of floats, else that of the
    /// engine.
    pub(super) fn float(&self) -> DType {
        let first = self.tensors.iter().map(|(_, dtype)| *dtype).find(|d| d.is_float());
        let order = [self.domain().filter(|d| d.is_float()), first, Some(DType::Fp16), Some(DType::Fp32)];
        order.into_iter().flatten().find(|&d| self.takes(d)).unwrap_or(DType::Fp16)
    }

    /// The dtype for whole numbers: that of the parameter's domain, else int32, else another that the parameter
    /// takes.
    fn int(&self) -> DType {
        let number = |d: &DType| d.is_int() || d.is_float();
        let order = [self.domain().filter(number), Some(DType::Int32)];
        let known = order.into_iter().flatten().find(|&d| self.takes(d));
        let other = || self.param.and_then(|p| p.dtypes.iter().find(|d| d.is_int()));
        known.or_else(other).unwrap_or_else(|| self.float())
    }

    fn name(&self) -> &str {
        self.param.map_or("the constant", |p| p.name)
    }

    /// The constants of an argument, and whether they are several values and not one.
    pub(super) fn values(&self, content: &Content) -> (Vec<Value>, bool, Vec<Doubt>) {
        let mut doubts = Vec::new();
        let (tensor, form) = match content {
            Content::Ints(v, form) => (self.ints(v, *form, &mut doubts), *form),
            Content::Floats(v, form) => (self.floats(v, *form, &mut doubts), *form),
            Content::Bools(v, form) => (types::Tensor::from_bools(&shape(v, *form), v), *form),
            Content::Strings(v, form) => {
                let strings = v.iter().map(|s| s.as_str().into()).collect();
                (types::Tensor::from_strings(&shape(v, *form), strings), *form)
            }
            Content::Constant(t) => (Ok(t.clone()), Form::Scalar),
            Content::Absent | Content::One(_) | Content::Many(_) => return (Vec::new(), false, doubts),
        };
        let tensor = match tensor {
            Ok(tensor) => tensor,
            Err(e) => {
                doubts.push(Doubt { code: &codes::TENSOR_TOO_LARGE, message: e.to_string(), help: None });
                return (Vec::new(), false, doubts);
            }
        };
        let several = self.param.is_some_and(|p| p.kind == Kind::Tuple);
        if several && form == Form::Vector {
            let one = |i| tensor.pick(&[], std::iter::once(i)).ok().map(Value::from);
            return ((0..tensor.len()).filter_map(one).collect(), true, doubts);
        }
        (vec![tensor.into()], several, doubts)
    }

    fn ints(
        &self,
        v: &[i64],
        form: Form,
        doubts: &mut Vec<Doubt>,
    ) -> Result<types::Tensor, types::TensorError> {
        let dtype = self.int();
        if dtype.is_float() {
            return self.floats_as(dtype, &v.iter().map(|&v| v as f64).collect::<Vec<_>>(), form, doubts);
        }
        let (low, high) = dtype.int_range();
        if let Some(wrong) = v.iter().find(|&&v| !(low..=high).contains(&i128::from(v))) {
            doubts.push(Doubt {
                code: &codes::VALUE_RANGE,
                message: format!("`{}` is {wrong}, and {dtype} holds {low} to {high}", self.name()),
                help: None,
            });
        }
        types::Tensor::from_i64s(dtype, &shape(v, form), v)
    }

    fn floats(
        &self,
        v: &[f64],
        form: Form,
        doubts: &mut Vec<Doubt>,
    ) -> Result<types::Tensor, types::TensorError> {
        self.floats_as(self.float(), v, form, doubts)
    }

    fn floats_as(
        &self,
        dtype: DType,
        v: &[f64],
        form: Form,
        doubts: &mut Vec<Doubt>,
    ) -> Result<types::Tensor, types::TensorError> {
        let tensor = types::Tensor::from_f64s(dtype, &shape(v, form), v)?;
        let rounded = tensor.to_f64s();
        let name = self.name();
        if let Some((wrong, _)) = v.iter().zip(&rounded).find(|(v, r)| v.is_finite() && r.is_infinite()) {
            doubts.push(Doubt {
                code: &codes::VALUE_RANGE,
                message: format!("`{name}` is {wrong}, which is more than {dtype} holds"),
                help: None,
            });
        } else if let Some((wrong, _)) = v.iter().zip(&rounded).find(|(v, r)| **v != 0.0 && **r == 0.0) {
            doubts.push(Doubt {
                code: &codes::VALUE_ROUNDED,
                message: format!("`{name}` is {wrong}, which is 0 in {dtype}"),
                help: Some("give a larger number, or cast what it goes with to fp32"),
            });
        }
        Ok(tensor)
    }

    /// Whether the op takes its arguments as attributes, which are constants.
    pub(super) fn in_attributes(&self) -> bool {
        self.edition.is_some_and(|e| e.in_attributes)
    }
}

/// The shape of a constant made of these.
fn shape<T>(v: &[T], form: Form) -> Vec<usize> {
    match form {
        Form::Scalar => Vec::new(),
        Form::Vector => vec![v.len()],
    }
}
