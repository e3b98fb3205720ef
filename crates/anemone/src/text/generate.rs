//! Programs for property tests.

use std::sync::Arc;

use proptest::prelude::*;

use crate::mil::{
    Argument, Attribute, Binding, BlobRef, Block, Call, Function, Operand, OpsetName, Param, Program, Use,
    Value, Version,
};
use crate::source::Span;
use crate::types::{BufferType, DType, Dim, Shape, Tensor, TensorType, Type};

/// Any program that text can say, its sorted parts in their order and without spans.
pub(super) fn program() -> impl Strategy<Value = Program> {
    let version = prop_oneof![Just(Version::V1_0), Just(Version::V1_3)];
    (version, attributes(), prop::collection::vec(function(), 0..3)).prop_map(
        |(version, attributes, mut functions)| {
            functions.sort_by(|a, b| a.name.cmp(&b.name));
            functions.dedup_by(|a, b| a.name == b.name);
            Program { version, attributes, functions }
        },
    )
}

/// A program with every span taken out.
pub(super) fn without_spans(mut program: Program) -> Program {
    program.attributes.iter_mut().for_each(strip_attribute);
    for function in &mut program.functions {
        function.span = Span::default();
        function.opset_span = Span::default();
        function.params.iter_mut().for_each(strip_param);
        function.attributes.iter_mut().for_each(strip_attribute);
        strip_block(&mut function.body);
    }
    program
}

fn strip_attribute(attribute: &mut Attribute) {
    attribute.span = Span::default();
    attribute.value_span = Span::default();
}

fn strip_param(param: &mut Param) {
    param.span = Span::default();
    param.ty_span = Span::default();
}

fn strip_block(block: &mut Block) {
    block.span = Span::default();
    block.params.iter_mut().for_each(strip_param);
    block.attributes.iter_mut().for_each(strip_attribute);
    block.outputs.iter_mut().for_each(|u| u.span = Span::default());
    for call in &mut block.calls {
        call.span = Span::default();
        call.op_span = Span::default();
        call.outputs.iter_mut().for_each(strip_param);
        call.attributes.iter_mut().for_each(strip_attribute);
        call.blocks.iter_mut().for_each(strip_block);
        for argument in &mut call.arguments {
            argument.span = Span::default();
            let operands = match &mut argument.binding {
                Binding::One(operand) => std::slice::from_mut(operand),
                Binding::Many(operands) => operands,
            };
            for operand in operands {
                match operand {
                    Operand::Name(u) => u.span = Span::default(),
                    Operand::Value(_, span) => *span = Span::default(),
                }
            }
        }
    }
}

fn name() -> impl Strategy<Value = String> {
    // Words that mean something elsewhere are names too; `true` and `false` are not.
    prop_oneof![
        8 => "[a-z_][a-z0-9_@]{0,6}",
        1 => prop::sample::select(vec!["tensor", "fp16", "program", "block", "val", "BLOBFILE"]).prop_map(String::from),
    ]
    .prop_filter("is no name", |n| !matches!(n.as_str(), "true" | "false" | "inf" | "nan" | "func"))
}

fn function() -> impl Strategy<Value = Function> {
    let opset = prop::sample::select(vec!["ios15", "ios18", "ios99"]).prop_map(OpsetName::from);
    (name(), opset, params(), attributes(), block(2)).prop_map(|(name, opset, params, attributes, body)| {
        let mut params = params;
        params.sort_by(|a, b| a.name.cmp(&b.name));
        Function {
            name: name.as_str().into(),
            opset,
            params,
            attributes,
            body: Block { params: Vec::new(), ..body },
            span: Span::default(),
            opset_span: Span::default(),
        }
    })
}

fn params() -> impl Strategy<Value = Vec<Param>> {
    prop::collection::vec((name(), ty()), 0..3).prop_map(|params| {
        let param = |(name, ty): (String, Type)| Param {
            name: name.into(),
            ty,
            span: Span::default(),
            ty_span: Span::default(),
        };
        params.into_iter().map(param).collect()
    })
}

fn attributes() -> impl Strategy<Value = Vec<Attribute>> {
    prop::collection::btree_map(name(), value(), 0..3)
        .prop_map(|all| all.into_iter().map(|(n, v)| Attribute::new(n.as_str(), v)).collect())
}

fn used() -> impl Strategy<Value = Use> {
    name().prop_map(|n| Use { name: n.into(), span: Span::default() })
}

fn block(depth: u32) -> BoxedStrategy<Block> {
    let calls = prop::collection::vec(call(depth), 0..4);
    (params(), calls, prop::collection::vec(used(), 0..3), attributes())
        .prop_map(|(params, calls, outputs, attributes)| Block {
            params,
            calls,
            outputs,
            attributes,
            span: Span::default(),
        })
        .boxed()
}

fn call(depth: u32) -> BoxedStrategy<Call> {
    let blocks = if depth == 0 {
        Just(Vec::new()).boxed()
    } else {
        prop_oneof![4 => Just(Vec::new()), 1 => prop::collection::vec(block(depth - 1), 1..3)].boxed()
    };
    let operand = || {
        prop_oneof![used().prop_map(Operand::Name), value().prop_map(|v| Operand::Value(v, Span::default()))]
    };
    let binding = prop_oneof![
        3 => operand().prop_map(Binding::One),
        1 => prop::collection::vec(operand(), 0..3).prop_map(Binding::Many),
    ];
    let arguments = prop::collection::btree_map(name(), binding, 0..3).prop_map(|all| {
        let argument = |(name, binding): (String, Binding)| Argument {
            name: name.into(),
            binding,
            span: Span::default(),
        };
        all.into_iter().map(argument).collect()
    });
    // A statement without results that is named like a type reads as a type.
    let op = name().prop_map(|n| format!("op_{n}"));
    (op, prop::option::of(Just(OpsetName::from("ios17"))), params(), arguments, attributes(), blocks)
        .prop_map(|(op, opset, outputs, arguments, attributes, blocks)| Call {
            op: op.into(),
            opset,
            outputs,
            arguments,
            attributes,
            blocks,
            span: Span::default(),
            op_span: Span::default(),
        })
        .boxed()
}

fn dtype() -> impl Strategy<Value = DType> {
    prop::sample::select(DType::ALL.to_vec())
}

fn ty() -> BoxedStrategy<Type> {
    let dim = prop_oneof![any::<u64>().prop_map(Dim::Known), Just(Dim::Unknown)];
    let shape = prop::collection::vec(dim, 0..4).prop_map(|dims| dims.into_iter().collect::<Shape>());
    let tensor = (dtype(), shape).prop_map(|(dtype, shape)| Type::Tensor(TensorType { dtype, shape }));
    let buffer = (dtype(), prop::collection::vec(any::<u64>(), 0..3)).prop_map(|(dtype, numbers)| {
        let shape = numbers.iter().copied().collect();
        Type::Buffer(BufferType { dtype, shape, strides: numbers.clone(), interleave_factors: numbers })
    });
    prop_oneof![8 => tensor, 1 => buffer]
        .prop_recursive(2, 6, 3, |inner| {
            prop_oneof![
                (inner.clone(), any::<Option<u64>>())
                    .prop_map(|(item, length)| Type::List { item: Box::new(item), length }),
                prop::collection::vec(inner.clone(), 1..3).prop_map(Type::Tuple),
                (inner.clone(), inner.clone()).prop_map(|(k, v)| Type::Dict(Box::new(k), Box::new(v))),
                inner.prop_map(|t| Type::State(Box::new(t))),
            ]
        })
        .boxed()
}

fn string() -> impl Strategy<Value = Arc<str>> {
    "[a-z \"\\\\\n\t\ré;}/*]{0,8}".prop_map(Arc::from)
}

/// A tensor of any dtype and a small shape, with any value that the dtype holds.
fn tensor() -> impl Strategy<Value = Tensor> {
    (dtype(), prop::collection::vec(0..4usize, 0..4)).prop_flat_map(|(dtype, shape)| {
        let count = shape.iter().product::<usize>();
        if dtype == DType::String {
            return prop::collection::vec(string(), count)
                .prop_map(move |strings| Tensor::from_strings(&shape, strings).unwrap())
                .boxed();
        }
        prop::collection::vec(any::<i64>(), count)
            .prop_map(move |numbers| {
                if dtype.is_float() {
                    let floats: Vec<f64> = numbers.iter().map(|n| f64::from_bits(*n as u64)).collect();
                    let rounded = Tensor::from_f64s(dtype, &shape, &floats).unwrap().to_f64s();
                    // One NaN stands for all of them.
                    let one_nan = |v: f64| if v.is_nan() { f64::NAN } else { v };
                    let floats: Vec<f64> = rounded.into_iter().map(one_nan).collect();
                    Tensor::from_f64s(dtype, &shape, &floats).unwrap()
                } else {
                    Tensor::from_i64s(dtype, &shape, &numbers).unwrap()
                }
            })
            .boxed()
    })
}

fn value() -> BoxedStrategy<Value> {
    let blob = (dtype(), string(), 0..i64::MAX as u64).prop_map(|(dtype, path, offset)| {
        let ty = TensorType { dtype, shape: [2u64, 3].into_iter().collect() };
        Value::Blob(BlobRef { ty, path: (&*path).into(), offset })
    });
    prop_oneof![8 => tensor().prop_map(Value::from), 1 => blob]
        .prop_recursive(2, 6, 3, |inner| {
            prop_oneof![
                (inner.clone(), 0..3usize, any::<bool>()).prop_map(|(item, count, fixed)| {
                    let ty = Type::List { item: Box::new(item.ty()), length: fixed.then_some(count as u64) };
                    Value::List(ty, vec![item; count])
                }),
                prop::collection::vec(inner.clone(), 1..3).prop_map(|items| {
                    Value::Tuple(Type::Tuple(items.iter().map(Value::ty).collect()), items)
                }),
                (inner.clone(), inner, 0..3usize).prop_map(|(key, value, count)| {
                    let ty = Type::Dict(Box::new(key.ty()), Box::new(value.ty()));
                    Value::Dict(ty, vec![(key, value); count])
                }),
            ]
        })
        .boxed()
}
