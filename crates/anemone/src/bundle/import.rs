//! From the protobuf form of a program to the program.
//!
//! Protobuf limits the nesting of messages, so that the recursion here is bounded by what was decoded. What is
//! allocated is bounded by what the message holds: a shape is compared with its elements before it is believed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::model::invalid;
use super::proto::{self, DataType, DimensionKind, ImmediateKind, TensorValueKind, ValueKind, ValueTypeKind};
use crate::mil::{
    Argument, Attribute, Binding, BlobRef, Block, Call, Function, Name, Names, Operand, OpsetName, Param,
    Program, Use, Value, Version,
};
use crate::source::{Diagnostic, Diagnostics, Span, codes};
use crate::types::{DType, Dim, MAX_RANK, Shape, Tensor, TensorType, Type};

type Result<T> = std::result::Result<T, Diagnostic>;

/// The program of a message; what is wrong with it is added to `diagnostics`.
///
/// Arguments, attributes and functions, which have no order there, come sorted by name.
pub(super) fn program(
    message: &proto::Program,
    specification_version: i32,
    diagnostics: &mut Diagnostics,
) -> Program {
    let mut import = Import { names: Names::default(), diagnostics, place: String::new() };
    let mut attributes = import.attributes(&message.attributes);
    // Text always says how it was built, and Apple's in-memory compiler does not take one that does not.
    if !attributes.iter().any(|a| a.name == BUILD_INFO) {
        let string = || Box::new(Type::scalar(DType::String));
        attributes.push(Attribute::new(BUILD_INFO, Value::Dict(Type::Dict(string(), string()), Vec::new())));
    }
    let functions = message.functions.iter().filter_map(|(name, f)| import.function(name, f)).collect();
    Program { version: version_of(specification_version), attributes, functions }
}

/// The attribute of a program that says what made it.
pub(super) const BUILD_INFO: &str = "buildInfo";

/// The version of the text form that belongs to a specification version.
pub(super) fn version_of(specification_version: i32) -> Version {
    if specification_version >= 9 { Version::V1_3 } else { Version::V1_0 }
}

/// Whether this is a name that the text form can write.
pub(super) fn is_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'@'))
}

struct Import<'a> {
    names: Names,
    diagnostics: &'a mut Diagnostics,
    /// Where in the program we are, for diagnostics.
    place: String,
}

impl Import<'_> {
    /// Notes what is wrong, with its place, and goes on.
    fn keep<T>(&mut self, result: Result<T>) -> Option<T> {
        result
            .map_err(|d| {
                let d = if self.place.is_empty() { d } else { d.in_field(&*self.place) };
                self.diagnostics.push(d);
            })
            .ok()
    }

    fn name(&mut self, name: &str) -> Result<Name> {
        if is_identifier(name) {
            return Ok(self.names.get(name));
        }
        let shown: String = name.chars().take(80).collect();
        Err(invalid(format_args!("`{shown}` is not a name that a program can use")))
    }

    fn function(&mut self, name: &str, f: &proto::Function) -> Option<Function> {
        self.place = format!("function `{name}`");
        let name = self.name(name);
        let name = self.keep(name)?;
        let Some(block) = f.block_specializations.get(&f.opset) else {
            let d = invalid(format_args!("the function has no block for its opset `{}`", f.opset));
            self.keep::<()>(Err(d));
            return None;
        };
        let opset = match OpsetName::from(f.opset.as_str()) {
            OpsetName::Other(_) => self.name(&f.opset).map(OpsetName::Other),
            known => Ok(known),
        };
        let opset = self.keep(opset)?;
        let params = self.params(&f.inputs);
        let attributes = self.attributes(&f.attributes);
        let body = self.block(block);
        Some(Function {
            name,
            opset,
            params,
            attributes,
            body,
            span: Span::default(),
            opset_span: Span::default(),
        })
    }

    fn params(&mut self, values: &[proto::NamedValueType]) -> Vec<Param> {
        let mut params = Vec::with_capacity(values.len());
        for value in values {
            let param = self.name(&value.name).and_then(|name| {
                let ty = named(type_of(value.r#type.as_ref()), &name)?;
                Ok(Param { name, ty, span: Span::default(), ty_span: Span::default() })
            });
            params.extend(self.keep(param));
        }
        params
    }

    fn block(&mut self, block: &proto::Block) -> Block {
        let params = self.params(&block.inputs);
        let attributes = self.attributes(&block.attributes);
        let place = std::mem::take(&mut self.place);
        let mut calls = Vec::with_capacity(block.operations.len());
        for (i, operation) in block.operations.iter().enumerate() {
            self.place = format!("{place}, operation {i} (`{}`)", operation.r#type);
            calls.extend(self.call(operation));
        }
        self.place = place;
        let mut outputs = Vec::with_capacity(block.outputs.len());
        for output in &block.outputs {
            let name = self.name(output);
            outputs.extend(self.keep(name).map(|name| Use { name, span: Span::default() }));
        }
        Block { params, calls, outputs, attributes, span: Span::default() }
    }

    fn call(&mut self, operation: &proto::Operation) -> Option<Call> {
        let op = self.name(&operation.r#type);
        let op = self.keep(op)?;
        let mut arguments = Vec::with_capacity(operation.inputs.len());
        for (name, argument) in &operation.inputs {
            let argument = self.argument(name, argument);
            arguments.extend(self.keep(argument));
        }
        Some(Call {
            op,
            opset: None,
            outputs: self.params(&operation.outputs),
            arguments,
            attributes: self.attributes(&operation.attributes),
            blocks: operation.blocks.iter().map(|b| self.block(b)).collect(),
            span: Span::default(),
            op_span: Span::default(),
        })
    }

    fn argument(&mut self, name: &str, argument: &proto::Argument) -> Result<Argument> {
        let name = self.name(name)?;
        let mut operands = Vec::with_capacity(argument.arguments.len());
        for binding in &argument.arguments {
            operands.push(match &binding.binding {
                Some(proto::BindingKind::Name(n)) => {
                    Operand::Name(Use { name: self.name(n)?, span: Span::default() })
                }
                Some(proto::BindingKind::Value(v)) => {
                    Operand::Value(named(value(v), &name)?, Span::default())
                }
                None => return Err(invalid(format_args!("argument `{name}` is bound to nothing"))),
            });
        }
        let binding = match <[Operand; 1]>::try_from(operands) {
            Ok([one]) => Binding::One(one),
            Err(many) => Binding::Many(many),
        };
        Ok(Argument { name, binding, span: Span::default() })
    }

    fn attributes(&mut self, values: &BTreeMap<String, proto::Value>) -> Vec<Attribute> {
        let mut attributes = Vec::with_capacity(values.len());
        for (name, v) in values {
            let attribute = self.name(name).and_then(|name| {
                let value = named(value(v), &name)?;
                Ok(Attribute::new(name, value))
            });
            attributes.extend(self.keep(attribute));
        }
        attributes
    }
}

/// Adds of what the fault is.
fn named<T>(result: Result<T>, name: &str) -> Result<T> {
    result.map_err(|d| d.note(format!("this is about `{name}`")))
}

fn type_of(ty: Option<&proto::ValueType>) -> Result<Type> {
    let inner = |ty: &Option<proto::ValueType>| type_of(ty.as_ref()).map(Box::new);
    match ty.and_then(|t| t.r#type.as_ref()) {
        Some(ValueTypeKind::Tensor(t)) => tensor_type(t).map(Type::Tensor),
        Some(ValueTypeKind::List(l)) => {
            let length = l.length.as_ref().map_or(Ok(Dim::Unknown), dim)?;
            Ok(Type::List { item: inner(&l.r#type)?, length: length.known() })
        }
        Some(ValueTypeKind::Tuple(t)) => {
            t.types.iter().map(|t| type_of(Some(t))).collect::<Result<_>>().map(Type::Tuple)
        }
        Some(ValueTypeKind::Dictionary(d)) => Ok(Type::Dict(inner(&d.key_type)?, inner(&d.value_type)?)),
        Some(ValueTypeKind::State(s)) => Ok(Type::State(inner(&s.wrapped_type)?)),
        None => Err(invalid("a type is missing")),
    }
}

fn tensor_type(t: &proto::TensorType) -> Result<TensorType> {
    let rank = t.dimensions.len();
    if usize::try_from(t.rank) != Ok(rank) {
        let d = invalid(format_args!("a tensor type of rank {} lists {rank} dimensions", t.rank));
        return Err(d.note("types whose rank is not known cannot be written as text"));
    }
    if rank > MAX_RANK {
        let message = format!("a tensor type has {rank} dimensions, and at most {MAX_RANK} are read");
        return Err(Diagnostic::new(&codes::BAD_DIMENSION, message));
    }
    let shape = t.dimensions.iter().map(dim).collect::<Result<Vec<Dim>>>()?.into_iter().collect();
    Ok(TensorType { dtype: dtype_of(t.data_type)?, shape })
}

fn dim(d: &proto::Dimension) -> Result<Dim> {
    match d.dimension {
        Some(DimensionKind::Constant(c)) => Ok(Dim::Known(c.size)),
        Some(DimensionKind::Unknown(u)) if !u.variadic => Ok(Dim::Unknown),
        Some(DimensionKind::Unknown(_)) => Err(Diagnostic::new(
            &codes::BAD_DIMENSION,
            "a dimension stands for any number of dimensions, which cannot be written as text",
        )),
        None => Err(invalid("a dimension is neither a number nor unknown")),
    }
}

fn dtype_of(number: i32) -> Result<DType> {
    Ok(match DataType::try_from(number) {
        Ok(DataType::Bool) => DType::Bool,
        Ok(DataType::String) => DType::String,
        Ok(DataType::Float16) => DType::Fp16,
        Ok(DataType::Float32) => DType::Fp32,
        Ok(DataType::Float64) => DType::Fp64,
        Ok(DataType::Bfloat16) => DType::Bf16,
        Ok(DataType::Int8) => DType::Int8,
        Ok(DataType::Int16) => DType::Int16,
        Ok(DataType::Int32) => DType::Int32,
        Ok(DataType::Int64) => DType::Int64,
        Ok(DataType::Int4) => DType::Int4,
        Ok(DataType::Uint8) => DType::UInt8,
        Ok(DataType::Uint16) => DType::UInt16,
        Ok(DataType::Uint32) => DType::UInt32,
        Ok(DataType::Uint64) => DType::UInt64,
        Ok(DataType::Uint4) => DType::UInt4,
        Ok(DataType::Uint2) => DType::UInt2,
        Ok(DataType::Uint1) => DType::UInt1,
        Ok(DataType::Uint6) => DType::UInt6,
        Ok(DataType::Uint3) => DType::UInt3,
        Ok(DataType::Float8E4M3FN) => DType::Fp8E4M3FN,
        Ok(DataType::Float8E5M2) => DType::Fp8E5M2,
        Ok(DataType::Unused) | Err(_) => {
            let message = format!("there is no dtype of number {number}");
            return Err(Diagnostic::new(&codes::UNKNOWN_TYPE, message));
        }
    })
}

fn value(v: &proto::Value) -> Result<Value> {
    let ty = type_of(v.r#type.as_ref())?;
    let kind = match &v.value {
        Some(ValueKind::Immediate(i)) => i.value.as_ref(),
        Some(ValueKind::BlobFile(b)) => {
            return match ty {
                Type::Tensor(ty) => {
                    Ok(Value::Blob(BlobRef { ty, path: b.file_name.as_str().into(), offset: b.offset }))
                }
                ty => Err(of_type("a tensor in a weight file", &ty)),
            };
        }
        None => None,
    };
    let fitting = |item: Value, wanted: &Type| {
        if item.ty().fits(wanted) { Ok(item) } else { Err(of_type(&format!("`{}`", item.ty()), wanted)) }
    };
    match (kind, ty) {
        (Some(ImmediateKind::Tensor(t)), Type::Tensor(ty)) => tensor(&ty, t).map(Value::from),
        (Some(ImmediateKind::List(l)), Type::List { item, length }) => {
            let items = l.values.iter().map(|v| fitting(value(v)?, &item)).collect::<Result<Vec<_>>>()?;
            if length.is_some_and(|n| n != items.len() as u64) {
                return Err(of_type(
                    &format!("a list of {} items", items.len()),
                    &Type::List { item, length },
                ));
            }
            Ok(Value::List(Type::List { item, length }, items))
        }
        (Some(ImmediateKind::Tuple(t)), Type::Tuple(types)) => {
            if t.values.len() != types.len() {
                return Err(of_type(&format!("a tuple of {} items", t.values.len()), &Type::Tuple(types)));
            }
            let items = t.values.iter().zip(&types).map(|(v, ty)| fitting(value(v)?, ty));
            let items = items.collect::<Result<_>>()?;
            Ok(Value::Tuple(Type::Tuple(types), items))
        }
        (Some(ImmediateKind::Dictionary(d)), Type::Dict(key, item)) => {
            let side = |v: &Option<proto::Value>, ty: &Type| {
                let v = v.as_ref().ok_or_else(|| invalid("a dict holds half a pair"))?;
                fitting(value(v)?, ty)
            };
            let pairs = d.values.iter().map(|p| Ok((side(&p.key, &key)?, side(&p.value, &item)?)));
            let pairs = pairs.collect::<Result<_>>()?;
            Ok(Value::Dict(Type::Dict(key, item), pairs))
        }
        (Some(_), ty) => Err(of_type("a value of another kind", &ty)),
        (None, ty) => Err(invalid(format_args!("a value of type `{ty}` is missing"))),
    }
}

fn of_type(found: &str, ty: &Type) -> Diagnostic {
    Diagnostic::new(&codes::VALUE_TYPE, format!("{found} is given for the type `{ty}`"))
}

/// An immediate tensor. Each dtype has its usual form; any form is taken for any dtype that it can hold.
fn tensor(ty: &TensorType, v: &proto::TensorValue) -> Result<Tensor> {
    let Some(kind) = &v.value else {
        return Err(invalid(format_args!("the elements of a `{ty}` are missing")));
    };
    let found = match kind {
        TensorValueKind::Floats(v) => v.values.len() as u64,
        TensorValueKind::Ints(v) => v.values.len() as u64,
        TensorValueKind::Bools(v) => v.values.len() as u64,
        TensorValueKind::Strings(v) => v.values.len() as u64,
        TensorValueKind::LongInts(v) => v.values.len() as u64,
        TensorValueKind::Doubles(v) => v.values.len() as u64,
        // Bytes must be as many as the elements need; where the only dimension is open, they say how many those are.
        TensorValueKind::Bytes(v) => match (ty.shape.elements(), ty.dtype.bits() as u64) {
            (_, 0) => return Err(of_type("a tensor of bytes", &ty.clone().into())),
            (Some(n), bits) if n.saturating_mul(bits).div_ceil(8) == v.values.len() as u64 => n,
            (_, bits) => (v.values.len() as u64).saturating_mul(8) / bits,
        },
    };
    let shape = match (ty.rank(), ty.shape.elements()) {
        (1, None) => Shape::from_iter([found]),
        _ => ty.shape.clone(),
    };
    let Some(shape) = shape.known().filter(|_| shape.elements() == Some(found)) else {
        return Err(Diagnostic::new(&codes::VALUE_SHAPE, format!("{found} elements are given for a `{ty}`")));
    };
    let dtype = ty.dtype;
    if (dtype == DType::String) != matches!(kind, TensorValueKind::Strings(_)) {
        return Err(of_type("a tensor of another dtype", &ty.clone().into()));
    }
    let made = match kind {
        TensorValueKind::Strings(v) => {
            Tensor::from_strings(&shape, v.values.iter().map(|s| Arc::from(s.as_str())).collect())
        }
        TensorValueKind::Bytes(v) if dtype == DType::Bool => {
            Tensor::from_bools(&shape, &v.values.iter().map(|&b| b != 0).collect::<Vec<_>>())
        }
        TensorValueKind::Bytes(v) => Tensor::from_bytes(dtype, &shape, &v.values),
        TensorValueKind::Floats(v) if dtype == DType::Fp32 => Tensor::from_slice(&shape, &v.values),
        TensorValueKind::Doubles(v) if dtype == DType::Fp64 => Tensor::from_slice(&shape, &v.values),
        TensorValueKind::Floats(v) => {
            let values: Vec<f64> = v.values.iter().map(|&f| f64::from(f)).collect();
            Tensor::from_f64s(dtype, &shape, &values)
        }
        TensorValueKind::Doubles(v) => Tensor::from_f64s(dtype, &shape, &v.values),
        TensorValueKind::Ints(v) => {
            let values: Vec<i64> = v.values.iter().map(|&i| i64::from(i)).collect();
            in_range(ty, &values, 32)?;
            Tensor::from_i64s(dtype, &shape, &values)
        }
        TensorValueKind::LongInts(v) => {
            in_range(ty, &v.values, 64)?;
            Tensor::from_i64s(dtype, &shape, &v.values)
        }
        TensorValueKind::Bools(v) => {
            let values: Vec<i64> = v.values.iter().map(|&b| i64::from(b)).collect();
            Tensor::from_i64s(dtype, &shape, &values)
        }
    };
    made.map_err(|e| Diagnostic::new(&codes::VALUE_SHAPE, e.to_string()))
}

/// Refuses numbers that lie outside the dtype. A field of as many bits as an unsigned dtype holds its upper half as
/// negative numbers.
fn in_range(ty: &TensorType, values: &[i64], field_bits: usize) -> Result<()> {
    if ty.dtype.is_float() || (ty.dtype.bits() == field_bits && !ty.dtype.is_signed_int()) {
        return Ok(());
    }
    let (low, high) = ty.dtype.int_range();
    match values.iter().find(|&&v| !(low..=high).contains(&i128::from(v))) {
        Some(v) => Err(Diagnostic::new(&codes::VALUE_RANGE, format!("{v} lies outside `{}`", ty.dtype))),
        None => Ok(()),
    }
}
