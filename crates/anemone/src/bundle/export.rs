//! From a program to its protobuf form.

use std::collections::BTreeMap;

use super::proto::{self, DataType, DimensionKind, ImmediateKind, TensorValueKind, ValueKind, ValueTypeKind};
use super::{flexible, import};
use crate::mil::{Attribute, Binding, Block, Call, Function, Operand, OpsetName, Param, Program, Value};
use crate::source::{Diagnostic, codes};
use crate::types::{DType, Dim, Tensor, TensorType, Type};

type Result<T> = std::result::Result<T, Diagnostic>;

/// The message of a program. What the description of the model holds in its place is left out: see [`flexible`].
///
/// # Errors
///
/// `no-package-form` for what the message cannot hold.
pub(super) fn program(program: &Program) -> Result<proto::Program> {
    let functions = program.functions.iter().map(|f| Ok((f.name.to_string(), function(f)?)));
    // Reading adds an empty one where there is none.
    let nothing = |a: &Attribute| {
        a.name == import::BUILD_INFO && matches!(&a.value, Value::Dict(_, pairs) if pairs.is_empty())
    };
    Ok(proto::Program {
        version: 1,
        functions: functions.collect::<Result<_>>()?,
        doc_string: String::new(),
        attributes: attributes(program.attributes.iter().filter(|a| !nothing(a)))?,
    })
}

/// The name that the message form gives an opset.
fn opset_name(opset: &OpsetName) -> String {
    opset.known().map_or(opset.as_str(), |o| o.core_ml_name()).to_string()
}

fn function(f: &Function) -> Result<proto::Function> {
    let opset = opset_name(&f.opset);
    let mut body = block(&f.body, f)?;
    body.inputs.clear();
    Ok(proto::Function {
        inputs: params(&f.params)?,
        block_specializations: BTreeMap::from([(opset.clone(), body)]),
        opset,
        attributes: attributes(f.attributes.iter().filter(|a| a.name != flexible::ATTRIBUTE))?,
    })
}

fn params(params: &[Param]) -> Result<Vec<proto::NamedValueType>> {
    let param =
        |p: &Param| Ok(proto::NamedValueType { name: p.name.to_string(), r#type: Some(type_of(&p.ty)?) });
    params.iter().map(param).collect()
}

/// The recursion follows that of the program, which no door lets in deeper than it can be walked.
fn block(b: &Block, f: &Function) -> Result<proto::Block> {
    Ok(proto::Block {
        inputs: params(&b.params)?,
        outputs: b.outputs.iter().map(|o| o.name.to_string()).collect(),
        operations: b.calls.iter().map(|c| call(c, f)).collect::<Result<_>>()?,
        attributes: attributes(&b.attributes)?,
    })
}

fn call(c: &Call, f: &Function) -> Result<proto::Operation> {
    if let Some(opset) = c.opset.as_ref().filter(|o| **o != f.opset) {
        return Err(no_form(format!("`{}` states the opset `{}` for itself", c.op, opset.as_str())));
    }
    let argument = |a: &crate::mil::Argument| {
        let operands = match &a.binding {
            Binding::One(o) => std::slice::from_ref(o),
            Binding::Many(o) => o,
        };
        let arguments = operands.iter().map(binding).collect::<Result<_>>()?;
        Ok((a.name.to_string(), proto::Argument { arguments }))
    };
    Ok(proto::Operation {
        r#type: c.op.to_string(),
        inputs: c.arguments.iter().map(argument).collect::<Result<_>>()?,
        outputs: params(&c.outputs)?,
        blocks: c.blocks.iter().map(|b| block(b, f)).collect::<Result<_>>()?,
        attributes: attributes(&c.attributes)?,
    })
}

fn binding(o: &Operand) -> Result<proto::Binding> {
    let binding = match o {
        Operand::Name(u) => proto::BindingKind::Name(u.name.to_string()),
        Operand::Value(v, _) => proto::BindingKind::Value(value(v)?),
    };
    Ok(proto::Binding { binding: Some(binding) })
}

fn attributes<'a>(all: impl IntoIterator<Item = &'a Attribute>) -> Result<BTreeMap<String, proto::Value>> {
    all.into_iter().map(|a| Ok((a.name.to_string(), value(&a.value)?))).collect()
}

fn type_of(ty: &Type) -> Result<proto::ValueType> {
    let kind = match ty {
        Type::Tensor(t) => ValueTypeKind::Tensor(tensor_type(t)),
        Type::List { item, length } => ValueTypeKind::List(Box::new(proto::ListType {
            r#type: Some(type_of(item)?),
            length: Some(dim(length.map_or(Dim::Unknown, Dim::Known))),
        })),
        Type::Tuple(types) => ValueTypeKind::Tuple(proto::TupleType {
            types: types.iter().map(type_of).collect::<Result<_>>()?,
        }),
        Type::Dict(key, item) => ValueTypeKind::Dictionary(Box::new(proto::DictionaryType {
            key_type: Some(type_of(key)?),
            value_type: Some(type_of(item)?),
        })),
        Type::State(inner) => {
            ValueTypeKind::State(Box::new(proto::StateType { wrapped_type: Some(type_of(inner)?) }))
        }
        Type::Buffer(_) => return Err(no_form(format!("there is no type `{ty}` in it"))),
    };
    Ok(proto::ValueType { r#type: Some(kind) })
}

fn tensor_type(t: &TensorType) -> proto::TensorType {
    proto::TensorType {
        data_type: data_type(t.dtype) as i32,
        rank: t.rank() as i64,
        dimensions: t.shape.iter().map(|&d| dim(d)).collect(),
    }
}

fn dim(d: Dim) -> proto::Dimension {
    proto::Dimension {
        dimension: Some(match d {
            Dim::Known(size) => DimensionKind::Constant(proto::ConstantDimension { size }),
            Dim::Unknown => DimensionKind::Unknown(proto::UnknownDimension { variadic: false }),
        }),
    }
}

fn data_type(dtype: DType) -> DataType {
    match dtype {
        DType::Bool => DataType::Bool,
        DType::String => DataType::String,
        DType::Fp16 => DataType::Float16,
        DType::Fp32 => DataType::Float32,
        DType::Fp64 => DataType::Float64,
        DType::Bf16 => DataType::Bfloat16,
        DType::Int8 => DataType::Int8,
        DType::Int16 => DataType::Int16,
        DType::Int32 => DataType::Int32,
        DType::Int64 => DataType::Int64,
        DType::Int4 => DataType::Int4,
        DType::UInt8 => DataType::Uint8,
        DType::UInt16 => DataType::Uint16,
        DType::UInt32 => DataType::Uint32,
        DType::UInt64 => DataType::Uint64,
        DType::UInt4 => DataType::Uint4,
        DType::UInt2 => DataType::Uint2,
        DType::UInt1 => DataType::Uint1,
        DType::UInt6 => DataType::Uint6,
        DType::UInt3 => DataType::Uint3,
        DType::Fp8E4M3FN => DataType::Float8E4M3FN,
        DType::Fp8E5M2 => DataType::Float8E5M2,
    }
}

fn value(v: &Value) -> Result<proto::Value> {
    let (ty, kind) = match v {
        Value::Blob(b) => {
            let blob = proto::BlobFileValue { file_name: b.path.to_string(), offset: b.offset };
            (b.ty.clone().into(), ValueKind::BlobFile(blob))
        }
        Value::List(ty, items) => {
            let values = items.iter().map(value).collect::<Result<_>>()?;
            (ty.clone(), immediate(ImmediateKind::List(proto::ListValue { values })))
        }
        Value::Tuple(ty, items) => {
            let values = items.iter().map(value).collect::<Result<_>>()?;
            (ty.clone(), immediate(ImmediateKind::Tuple(proto::TupleValue { values })))
        }
        Value::Dict(ty, pairs) => {
            let pair = |(k, v): &(Value, Value)| {
                Ok(proto::KeyValuePair { key: Some(value(k)?), value: Some(value(v)?) })
            };
            let values = pairs.iter().map(pair).collect::<Result<_>>()?;
            (ty.clone(), immediate(ImmediateKind::Dictionary(proto::DictionaryValue { values })))
        }
        Value::Int(..) | Value::Float(..) | Value::String(_) | Value::Tensor(_) => {
            let tensor = v.to_tensor().ok_or_else(|| no_form("a number does not fit its dtype".into()))?;
            let elements = proto::TensorValue { value: Some(elements(&tensor)) };
            (v.ty(), immediate(ImmediateKind::Tensor(elements)))
        }
    };
    Ok(proto::Value { doc_string: String::new(), r#type: Some(type_of(&ty)?), value: Some(kind) })
}

fn immediate(kind: ImmediateKind) -> ValueKind {
    ValueKind::Immediate(proto::ImmediateValue { value: Some(kind) })
}

/// The elements in the form that Core ML reads for their dtype. The 16-bit whole numbers are read from the field of
/// the 32-bit ones, whatever their neighbours do.
fn elements(t: &Tensor) -> TensorValueKind {
    match t.dtype() {
        DType::String => TensorValueKind::Strings(proto::RepeatedStrings {
            values: t.as_strings().unwrap_or_default().iter().map(ToString::to_string).collect(),
        }),
        DType::Bool => TensorValueKind::Bools(proto::RepeatedBools {
            values: t.bytes().iter().map(|&b| b != 0).collect(),
        }),
        DType::Fp32 => TensorValueKind::Floats(proto::RepeatedFloats {
            values: t.as_slice::<f32>().unwrap_or_default().to_vec(),
        }),
        DType::Fp64 => TensorValueKind::Doubles(proto::RepeatedDoubles { values: t.to_f64s() }),
        DType::Int32 | DType::Int16 | DType::UInt16 => TensorValueKind::Ints(proto::RepeatedInts {
            values: t.to_i64s().into_iter().map(|v| v as i32).collect(),
        }),
        DType::Int64 | DType::UInt64 => {
            TensorValueKind::LongInts(proto::RepeatedLongInts { values: t.to_i64s() })
        }
        _ => TensorValueKind::Bytes(proto::RepeatedBytes { values: t.bytes().to_vec() }),
    }
}

fn no_form(why: String) -> Diagnostic {
    Diagnostic::new(&codes::NO_PACKAGE_FORM, format!("a package cannot hold the program: {why}"))
}
