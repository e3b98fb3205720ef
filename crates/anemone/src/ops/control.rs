//! Constants, control flow, the end of a classifier, and the buffers of Apple's segmenter.

use super::moves::{bad_value, exact, expect_length, known_ints, one};
use super::row::*;
use crate::mil::op::Control;
use crate::types::BufferType;

const CONST: &[Edition] = &[edition(Ios15, &[])];

const COND: &[Edition] = &[edition(Ios15, &[tensor("pred", BOOL)])];

const WHILE_LOOP: &[Edition] = &[edition(Ios15, &[Parameter::new("loop_vars", Kind::Tuple, DTypes::ANY)])];

const CLASSIFY: &[Edition] = &[edition(
    Ios15,
    &[tensor("probabilities", F32), Parameter::new("classes", Kind::List, DTypes::ANY).constant()],
)];

const TENSOR_BUFFER_TO_TENSOR: &[Edition] =
    &[edition(Ios17, &[Parameter::new("input", Kind::Any, DTypes::ANY)])];

const TENSOR_TO_TENSOR_BUFFER: &[Edition] = &[edition(
    Ios17,
    &[
        any("input"),
        tensor("strides", &[Int64]).constant(),
        tensor("interleave_factors", &[UInt8]).constant(),
    ],
)];

/// A row of an op whose meaning is the engine's.
const fn carried_out(
    name: &'static str,
    summary: &'static str,
    editions: &'static [Edition],
    control: Control,
) -> Op {
    Op {
        name,
        summary,
        editions,
        results: Results::Inferred,
        infer: infer_declared,
        meaning: Meaning::Control(control),
        fast: Fast::Meaning,
        tolerance: Tolerance::Exact,
        scalar: Scalar::None,
    }
}

fn infer_declared(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    Ok(args.declared.to_vec())
}

fn infer_const(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    args.declared.first().map(|ty| vec![ty.clone()]).ok_or_else(|| no_value(args))
}

fn compute_const(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    Err(no_value(args))
}

fn no_value(args: &Args<'_>) -> Fault {
    Fault::new(
        &codes::CONST_WITHOUT_VALUE,
        format!("`{}` is the value that stands in its attribute `val`; there is none here", args.op.name),
    )
}

/// The type of the labels, and how many there are. They are a list, or a tensor.
fn labels(args: &Args<'_>) -> Result<(DType, Option<u64>), Fault> {
    let (dtype, count) = match args.arg("classes").map(|a| a.ty) {
        Some(Type::List { item, length }) => (item.as_tensor().map(|t| t.dtype), *length),
        Some(Type::Tensor(t)) => (Some(t.dtype), t.shape.elements()),
        Some(_) => {
            return Err(Fault::of("classes", &codes::WRONG_KIND, "`classes` of `classify` must be a list"));
        }
        None => {
            return Err(Fault::of("classes", &codes::MISSING_PARAMETER, "`classify` needs `classes`"));
        }
    };
    match dtype {
        Some(dtype @ (DType::String | Int64)) => Ok((dtype, count)),
        _ => Err(Fault::of(
            "classes",
            &codes::WRONG_DTYPE,
            "`classes` of `classify` must hold items of dtype string or int64",
        )),
    }
}

fn infer_classify(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let (label, count) = labels(args)?;
    if let (Some(count), Some(n)) = (count, args.ty("probabilities")?.shape.elements())
        && n != count
    {
        return Err(Fault::of(
            "classes",
            &codes::SHAPE_MISMATCH,
            format!("`classes` of `classify` has {count} labels and `probabilities` has {n} elements"),
        )
        .against("probabilities"));
    }
    let label = Type::scalar(label);
    Ok(vec![label.clone(), Type::Dict(Box::new(label), Box::new(Type::scalar(Fp64)))])
}

fn compute_classify(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let probabilities = args.tensor("probabilities")?.to_f64s();
    let labels: Vec<Tensor> = match args.arg("classes").and_then(|a| a.value) {
        Some(Datum::List { items, .. }) => items.iter().flatten().cloned().collect(),
        Some(Datum::Tensor(t)) => (0..t.len()).map(|i| t.pick(&[], [i])).collect::<Result<_, _>>()?,
        _ => return Err(bad_value(args, "classes", "it must be known when the program is compiled")),
    };
    if labels.is_empty() || labels.len() != probabilities.len() {
        return Err(bad_value(args, "classes", "it needs one label for each probability, and at least one"));
    }
    let mut best = 0;
    for (i, &p) in probabilities.iter().enumerate() {
        if p > probabilities[best] {
            best = i;
        }
    }
    let label = labels[best].clone();
    let pairs = labels.into_iter().zip(probabilities).map(|(l, p)| (l, Tensor::scalar(Fp64, p))).collect();
    Ok(vec![label.into(), Datum::Dict(pairs)])
}

/// While a program runs, a buffer is held as the tensor that lies in it.
fn infer_buffer_to_tensor(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    match args.arg("input").map(|a| a.ty) {
        Some(Type::Buffer(b)) => Ok(vec![TensorType { dtype: b.dtype, shape: b.shape.clone() }.into()]),
        _ => Ok(vec![args.ty("input")?.clone().into()]),
    }
}

fn infer_tensor_to_buffer(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let input = args.ty("input")?;
    let mut numbers = Vec::new();
    for param in ["strides", "interleave_factors"] {
        expect_length(args, param, input.rank())?;
        let all: Option<Vec<u64>> = known_ints(args, param)?.iter().map(|&n| u64::try_from(n).ok()).collect();
        numbers.push(all.ok_or_else(|| bad_value(args, param, "none of its numbers may be negative"))?);
    }
    if args.value("input").is_some() {
        return Ok(vec![input.clone().into()]);
    }
    let interleave_factors = numbers.pop().unwrap_or_default();
    let strides = numbers.pop().unwrap_or_default();
    let (dtype, shape) = (input.dtype, input.shape.clone());
    Ok(vec![Type::Buffer(BufferType { dtype, shape, strides, interleave_factors })])
}

fn compute_input(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    // A buffer is not of a tensor's type, and has a tensor's value.
    let input = args.value("input").map_or_else(|| args.tensor("input"), Ok)?;
    one(input.clone())
}

pub(super) static OPS: &[Op] = &[
    exact("const", "a value", CONST, Results::Exactly(1), infer_const, compute_const),
    carried_out("cond", "the results of one of two blocks", COND, Control::Cond),
    carried_out(
        "while_loop",
        "a block, repeated on its own results as long as another block gives true",
        WHILE_LOOP,
        Control::While,
    ),
    exact(
        "classify",
        "the most probable label, and the probability of each",
        CLASSIFY,
        Results::Exactly(2),
        infer_classify,
        compute_classify,
    ),
    exact(
        "tensor_buffer_to_tensor",
        "the tensor that lies in a strided buffer",
        TENSOR_BUFFER_TO_TENSOR,
        Results::Exactly(1),
        infer_buffer_to_tensor,
        compute_input,
    ),
    exact(
        "tensor_to_tensor_buffer",
        "a strided buffer that holds a tensor",
        TENSOR_TO_TENSOR_BUFFER,
        Results::Exactly(1),
        infer_tensor_to_buffer,
        compute_input,
    ),
];

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    fn list(item: DType, items: &[Datum]) -> Datum {
        let items = items.iter().map(|d| d.as_tensor().cloned()).collect();
        Datum::List { item: Box::new(Type::scalar(item)), items }
    }

    #[test]
    fn classify_names_the_most_probable_class() {
        let classes = list(DType::String, &[text("cat"), text("dog"), text("eel")]);
        let p = f32s(&[1, 3], &[0.25, 0.5, 0.25]);
        let out = run("classify", Ios15, &[("probabilities", p), ("classes", classes.clone())]).unwrap();
        assert_eq!(&*out[0].as_tensor().unwrap().as_strings().unwrap()[0], "dog");
        let Datum::Dict(pairs) = &out[1] else { panic!("{out:?}") };
        assert_eq!(pairs.iter().map(|(_, p)| p.to_f64s()[0]).collect::<Vec<_>>(), [0.25, 0.5, 0.25]);
        let three = [("probabilities", iota(&[4])), ("classes", classes)];
        refuse("classify", Ios15, &three, "shape-mismatch");
        let numbers = list(Int64, &[ints(Int64, &[], &[7])]);
        let out = run("classify", Ios15, &[("probabilities", iota(&[1])), ("classes", numbers)]).unwrap();
        assert_eq!(out[0].as_tensor().unwrap().to_i64s(), [7]);
        let none = [("probabilities", iota(&[0])), ("classes", list(Int64, &[]))];
        refuse("classify", Ios15, &none, "bad-value");
        let floats = [("probabilities", iota(&[0])), ("classes", list(Fp32, &[]))];
        refuse("classify", Ios15, &floats, "wrong-dtype");
        let tensor = [("probabilities", iota(&[2])), ("classes", texts(&[2], &["a", "b"]))];
        let out = run("classify", Ios15, &tensor).unwrap();
        assert_eq!(&*out[0].as_tensor().unwrap().as_strings().unwrap()[0], "b");
    }

    #[test]
    fn buffers_hold_tensors() {
        let shape: Shape = [2usize, 3].into_iter().collect();
        let (strides, interleave_factors) = (vec![64, 1], vec![1, 1]);
        let buffer = Type::Buffer(BufferType { dtype: Fp16, shape, strides, interleave_factors });
        let x = [("input", iota(&[2, 3]))];
        infers("tensor_buffer_to_tensor", Ios18, &x, &[("input", buffer.clone())], "tensor<fp16, [2, 3]>");
        check("tensor_buffer_to_tensor", Ios18, &x, &[iota(&[2, 3])]);
        let to = [
            ("input", iota(&[2, 3])),
            ("strides", ints(Int64, &[2], &[64, 1])),
            ("interleave_factors", ints(UInt8, &[2], &[1, 1])),
        ];
        let input = Type::tensor(Fp16, [2usize, 3].as_slice());
        infers("tensor_to_tensor_buffer", Ios18, &to, &[("input", input)], &buffer.to_string());
        refuse(
            "tensor_to_tensor_buffer",
            Ios18,
            &[("input", iota(&[2])), to[1].clone(), to[2].clone()],
            "shape-mismatch",
        );
    }
}
