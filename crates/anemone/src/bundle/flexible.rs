//! The function attribute `FlexibleShapeInformation`.
//!
//! The protobuf form keeps the shapes that an input may have in the description of the model, the text form in this
//! attribute of the function. Apple's compiler carries one over into the other, and so does this module, both ways.

use super::description::{FeatureKind, Flexibility, Interface, SizeRange};
use crate::mil::{Attribute, Function, Name, Value};
use crate::types::{DType, Dim, Shape, Tensor, Type};

/// The name of the attribute.
pub(super) const ATTRIBUTE: &str = "FlexibleShapeInformation";

/// The shapes of one input: the one it has by default, and the others.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shapes {
    pub(super) input: Name,
    pub(super) default: Vec<u64>,
    pub(super) others: Flexibility,
}

/// The shapes of the inputs that have more than one, in the order of the description.
fn flexible_inputs(interface: &Interface, function: &Function) -> Vec<Shapes> {
    let shapes = |f: &super::Feature| {
        let (default, others) = match &f.kind {
            FeatureKind::Array(a) => (a.shape.clone(), a.flexibility.clone()),
            // The function takes an image as a tensor: batch, channels, height, width.
            FeatureKind::Image(i) => {
                let param = function.params.iter().find(|p| p.name == f.name.as_str())?;
                let shape = &param.ty.as_tensor()?.shape;
                let [Dim::Known(n), Dim::Known(c), _, _] = shape[..] else { return None };
                let fixed = |n| SizeRange { lower: n, upper: Some(n) };
                let others = match &i.sizes {
                    Flexibility::Fixed => Flexibility::Fixed,
                    Flexibility::Enumerated(s) => {
                        Flexibility::Enumerated(s.iter().map(|s| [&[n, c], &s[..]].concat()).collect())
                    }
                    Flexibility::Ranges(r) => Flexibility::Ranges([&[fixed(n), fixed(c)], &r[..]].concat()),
                };
                (vec![n, c, i.height, i.width], others)
            }
            _ => return None,
        };
        let flexible = match &others {
            Flexibility::Fixed => false,
            Flexibility::Enumerated(shapes) => shapes.iter().any(|s| *s != shapes[0]),
            Flexibility::Ranges(ranges) => ranges.iter().any(|r| r.upper != Some(r.lower)),
        };
        let default = match &others {
            _ if !default.is_empty() => default,
            Flexibility::Enumerated(shapes) => shapes.first().cloned().unwrap_or_default(),
            Flexibility::Ranges(ranges) => ranges.iter().map(|r| r.lower).collect(),
            Flexibility::Fixed => default,
        };
        flexible.then(|| Shapes { input: f.name.as_str().into(), default, others })
    };
    interface.inputs.iter().filter_map(shapes).collect()
}

/// The attribute for the inputs of a function that have more than one shape; none if there are no such inputs.
pub(super) fn attribute(interface: &Interface, function: &Function) -> Option<Attribute> {
    let mut inputs = flexible_inputs(interface, function);
    inputs.sort_by(|a, b| a.input.cmp(&b.input));
    let string = || Type::scalar(DType::String);
    let dict = |value: &Type| Type::Dict(Box::new(string()), Box::new(value.clone()));
    let shape_ty = Type::Tensor(crate::types::TensorType { dtype: DType::Int32, shape: Shape::unknown(1) });
    let range_ty = Type::List { item: Box::new(Type::tensor(DType::Int32, &[2][..])), length: None };

    let mut defaults = Vec::new();
    let mut ranges = Vec::new();
    for input in &inputs {
        let name = || Value::string(input.input.clone());
        defaults.push((name(), int32s(&input.default)));
        if let Flexibility::Ranges(r) = &input.others {
            let items = r.iter().map(|r| int32s(&[r.lower, r.upper.unwrap_or(u64::MAX)])).collect();
            ranges.push((name(), Value::List(range_ty.clone(), items)));
        }
    }
    let enumerated = enumerated(&inputs, &dict(&shape_ty));
    let mut parts = vec![("DefaultShapes", dict(&shape_ty), defaults)];
    if !enumerated.is_empty() {
        parts.push(("EnumeratedShapes", dict(&dict(&shape_ty)), enumerated));
    }
    if !ranges.is_empty() {
        parts.push(("RangeDims", dict(&range_ty), ranges));
    }
    if parts.len() == 1 {
        return None;
    }
    let parts: Vec<Value> = parts
        .into_iter()
        .map(|(name, ty, pairs)| {
            let dict = Value::Dict(ty.clone(), pairs);
            Value::Tuple(Type::Tuple(vec![string(), ty]), vec![Value::string(name), dict])
        })
        .collect();
    let ty = Type::Tuple(parts.iter().map(Value::ty).collect());
    Some(Attribute::new(ATTRIBUTE, Value::Tuple(ty, parts)))
}

/// The choices of enumerated shapes: the first shapes of all inputs are one choice, the second another.
///
/// Apple's compiler names each choice by eight hexadecimal digits of a hash that is not known. The names here are
/// of the same form and made of the shapes alone.
fn enumerated(inputs: &[Shapes], shapes_ty: &Type) -> Vec<(Value, Value)> {
    let lists: Vec<(&Name, &Vec<Vec<u64>>)> = inputs
        .iter()
        .filter_map(|i| match &i.others {
            Flexibility::Enumerated(shapes) => Some((&i.input, shapes)),
            _ => None,
        })
        .collect();
    let choices = lists.iter().map(|(_, shapes)| shapes.len()).max().unwrap_or(0);
    let mut pairs: Vec<(String, Value)> = (0..choices)
        .map(|i| {
            let shapes: Vec<(&Name, &Vec<u64>)> =
                lists.iter().filter_map(|(name, shapes)| Some((*name, shapes.get(i)?))).collect();
            let pairs =
                shapes.iter().map(|(n, s)| (Value::string((*n).clone()), int32s(s))).collect::<Vec<_>>();
            (key_of(&shapes), Value::Dict(shapes_ty.clone(), pairs))
        })
        .collect();
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    pairs.dedup_by(|a, b| a.0 == b.0);
    pairs.into_iter().map(|(key, value)| (Value::string(key), value)).collect()
}

fn key_of(shapes: &[(&Name, &Vec<u64>)]) -> String {
    use sha2::{Digest, Sha256};
    let text: String = shapes.iter().map(|(name, shape)| format!("{name}{shape:?};")).collect();
    let digest = Sha256::digest(text);
    digest.iter().take(4).map(|b| format!("{b:02x}")).collect()
}

/// A shape as Core ML writes it here: numbers past int32, and the lack of a limit, are -1.
fn int32s(shape: &[u64]) -> Value {
    let values: Vec<i32> = shape.iter().map(|&n| i32::try_from(n).unwrap_or(-1)).collect();
    Value::Tensor(Tensor::from_slice(&[values.len()], &values).expect("a shape is a small tensor"))
}

/// The shapes that the attribute of a function states. What is not written as above is left out.
pub(super) fn shapes(function: &Function) -> Vec<Shapes> {
    let Some(attribute) = function.attributes.iter().find(|a| a.name == ATTRIBUTE) else { return Vec::new() };
    let Value::Tuple(_, parts) = &attribute.value else { return Vec::new() };
    let part = |name: &str| {
        parts.iter().find_map(|p| match p {
            Value::Tuple(_, items) => match &items[..] {
                [Value::String(n), Value::Dict(_, pairs)] if **n == *name => Some(&pairs[..]),
                _ => None,
            },
            _ => None,
        })
    };
    let mut all: Vec<Shapes> = pairs(part("DefaultShapes"))
        .filter_map(|(input, v)| Some(Shapes { input, default: sizes(v)?, others: Flexibility::Fixed }))
        .collect();
    for (input, ranges) in pairs(part("RangeDims")) {
        let Value::List(_, items) = ranges else { continue };
        let range = |v: &Value| match ints(v)?[..] {
            [low, high] => {
                Some(SizeRange { lower: u64::try_from(low).unwrap_or(0), upper: u64::try_from(high).ok() })
            }
            _ => None,
        };
        if let (Some(ranges), Some(s)) =
            (items.iter().map(range).collect(), all.iter_mut().find(|s| s.input == input))
        {
            s.others = Flexibility::Ranges(ranges);
        }
    }
    for (_, choice) in part("EnumeratedShapes").unwrap_or_default() {
        let Value::Dict(_, choice) = choice else { continue };
        for (input, shape) in pairs(Some(choice)) {
            let (Some(shape), Some(s)) = (sizes(shape), all.iter_mut().find(|s| s.input == input)) else {
                continue;
            };
            match &mut s.others {
                Flexibility::Enumerated(shapes) => shapes.push(shape),
                others => *others = Flexibility::Enumerated(vec![shape]),
            }
        }
    }
    all
}

fn pairs(pairs: Option<&[(Value, Value)]>) -> impl Iterator<Item = (Name, &Value)> {
    pairs.unwrap_or_default().iter().filter_map(|(k, v)| Some((k.as_str()?.into(), v)))
}

fn ints(v: &Value) -> Option<Vec<i64>> {
    v.to_tensor().filter(|t| t.dtype() == DType::Int32 && t.rank() == 1).map(|t| t.to_i64s())
}

fn sizes(v: &Value) -> Option<Vec<u64>> {
    ints(v)?.into_iter().map(|n| u64::try_from(n).ok()).collect()
}
