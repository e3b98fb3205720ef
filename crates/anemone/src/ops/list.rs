//! Lists: as TensorFlow's loops collect them.
//!
//! A list grows when something is written behind its end. The length that a program declares for it is the length
//! that it starts with.

use super::moves::{bad_value, exact, joined, of_rank, one, result};
use super::row::*;

const LS: Parameter = Parameter::new("ls", Kind::List, DTypes::ANY);

const MAKE_LIST: &[Edition] = &[edition(
    Ios15,
    &[
        tensor("init_length", I32).or(Int(1)),
        tensor("dynamic_length", BOOL).constant().or(Bool(true)),
        Parameter::new("elem_shape", Kind::Tuple, DTypes::ANY).constant(),
        tensor("dtype", STR).constant().or(Str("fp32")),
    ],
)];

const LIST_LENGTH: &[Edition] = &[edition(Ios15, &[LS])];

const LIST_READ: &[Edition] = &[edition(Ios15, &[LS, tensor("index", I32)])];

const LIST_GATHER: &[Edition] = &[edition(Ios15, &[LS, tensor("indices", I32)])];

const LIST_WRITE: &[Edition] =
    &[edition(Ios15, &[LS, tensor("index", I32), tensor("value", NUMS_BOOL).domain('T')])];

const LIST_SCATTER: &[Edition] =
    &[edition(Ios15, &[LS, tensor("indices", I32), tensor("value", NUMS_BOOL).domain('T')])];

/// The most items of a list. Lists hold a step of a loop each; a program that asks for more is out to exhaust memory.
const MAX_ITEMS: usize = 1 << 20;

/// The type of the items of `ls`, and its length.
fn list_type<'a>(args: &Args<'a>) -> Result<(&'a TensorType, Option<u64>), Fault> {
    match args.arg("ls").map(|a| a.ty) {
        Some(Type::List { item, length }) => match item.as_tensor() {
            Some(item) => Ok((item, *length)),
            None => Err(Fault::of(
                "ls",
                &codes::WRONG_KIND,
                format!("`ls` of `{}` is a list of {item} and must be one of tensors", args.op.name),
            )),
        },
        Some(_) => {
            Err(Fault::of("ls", &codes::WRONG_KIND, format!("`ls` of `{}` must be a list", args.op.name)))
        }
        None => Err(Fault::of("ls", &codes::MISSING_PARAMETER, format!("`{}` needs `ls`", args.op.name))),
    }
}

/// The items of `ls`.
fn items<'a>(args: &Args<'a>) -> Result<&'a [Option<Tensor>], Fault> {
    match args.arg("ls").and_then(|a| a.value) {
        Some(Datum::List { items, .. }) => Ok(items),
        _ => Err(Fault::of("ls", &codes::WRONG_KIND, format!("`ls` of `{}` must be a list", args.op.name))),
    }
}

/// The item at an index. One that was never written is zero, as in TensorFlow, if its shape can be told.
fn item(args: &Args<'_>, index: i64) -> Result<Tensor, Fault> {
    let items = items(args)?;
    let Some(item) = usize::try_from(index).ok().and_then(|i| items.get(i)) else {
        return Err(Fault::of(
            if args.op.name == "list_read" { "index" } else { "indices" },
            &codes::INDEX_OUT_OF_RANGE,
            format!("`{}` asks for item {index} of a list of {}", args.op.name, items.len()),
        ));
    };
    if let Some(item) = item {
        return Ok(item.clone());
    }
    let ty = list_type(args)?.0;
    let written = items.iter().flatten().next().map(|t| t.shape().to_vec());
    match ty.shape.known().or(written) {
        Some(shape) => Ok(Tensor::zeros(ty.dtype, &shape)?),
        None => Err(bad_value(args, "ls", format_args!("its item {index} was never written"))),
    }
}

/// The list with items written, and grown if they lie behind its end.
fn written(
    args: &Args<'_>,
    param: &'static str,
    new: impl IntoIterator<Item = (i64, Tensor)>,
) -> Result<Vec<Datum>, Fault> {
    let mut items = items(args)?.to_vec();
    for (index, value) in new {
        let Ok(i) = usize::try_from(index) else {
            return Err(Fault::of(
                param,
                &codes::INDEX_OUT_OF_RANGE,
                format!("`{param}` of `{}` is {index}; items are counted from 0", args.op.name),
            ));
        };
        if i >= MAX_ITEMS {
            return Err(too_long(i.saturating_add(1)));
        }
        if i >= items.len() {
            items.resize(i + 1, None);
        }
        items[i] = Some(value);
    }
    Ok(vec![Datum::List { item: Box::new(list_type(args)?.0.clone().into()), items }])
}

fn too_long(items: usize) -> Fault {
    Fault::new(&codes::RUN_LIMIT, format!("a list of {items} items is longer than {MAX_ITEMS}"))
}

fn infer_make(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let dtype = match args.str("dtype").map(DType::from_name) {
        Some(Some(dtype @ (DType::Bool | Fp16 | Fp32 | Int32))) => dtype,
        Some(_) => return Err(bad_value(args, "dtype", "it must be bool, fp16, fp32 or int32")),
        None => {
            return Err(args
                .tensor("dtype")
                .err()
                .unwrap_or_else(|| bad_value(args, "dtype", "it is empty")));
        }
    };
    // A name in place of a number is a dimension that the converter did not know.
    let dim = |value: Option<&Datum>| match value.and_then(Datum::as_tensor) {
        Some(t) if t.dtype() == DType::String => Ok(Dim::Unknown),
        Some(t) => t
            .to_i64s()
            .first()
            .and_then(|&d| u64::try_from(d).ok())
            .map(Dim::Known)
            .ok_or_else(|| bad_value(args, "elem_shape", "each of its items must be a number or a name")),
        None => Err(Fault::of(
            "elem_shape",
            &codes::NOT_CONSTANT,
            "`elem_shape` of `make_list` must be known when the program is compiled",
        )),
    };
    let shape = args.many("elem_shape").iter().map(|a| dim(a.value)).collect::<Result<Shape, _>>()?;
    let item = result(args, dtype, shape)?.remove(0);
    let length = match args.int("init_length") {
        Some(n) => Some(u64::try_from(n).map_err(|_| bad_value(args, "init_length", "it is negative"))?),
        None => None,
    };
    Ok(vec![Type::List { item: Box::new(item), length }])
}

fn compute_make(_: &Args<'_>, types: &[Type]) -> Result<Vec<Datum>, Fault> {
    let Some(Type::List { item, length: Some(length) }) = types.first() else {
        return Err(Fault::new(&codes::WRONG_KIND, "`make_list` makes a list of a known length"));
    };
    let length = usize::try_from(*length).unwrap_or(usize::MAX);
    if length > MAX_ITEMS {
        return Err(too_long(length));
    }
    Ok(vec![Datum::List { item: item.clone(), items: vec![None; length] }])
}

fn infer_length(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    list_type(args)?;
    Ok(vec![Type::scalar(Int32)])
}

fn compute_length(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    one(Tensor::scalar(Int32, items(args)?.len() as f64))
}

fn infer_read(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    Ok(vec![list_type(args)?.0.clone().into()])
}

fn compute_read(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    one(item(args, index(args)?)?)
}

/// The one number of `index`.
fn index(args: &Args<'_>) -> Result<i64, Fault> {
    args.tensor("index")?.to_i64s().first().copied().ok_or_else(|| bad_value(args, "index", "it is empty"))
}

fn infer_gather(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let item = list_type(args)?.0;
    let count = of_rank(args, "indices", 1)?.shape[0];
    result(args, item.dtype, [count].into_iter().chain(item.shape.iter().copied()).collect())
}

/// Items of whole bytes are laid one after another.
fn compute_gather(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let indices = args.tensor("indices")?.to_i64s();
    let parts = indices.iter().map(|&i| item(args, i)).collect::<Result<Vec<_>, _>>()?;
    let ty = list_type(args)?.0;
    let one_shape = match parts.first() {
        Some(first) => first.shape().to_vec(),
        None => ty.shape.iter().map(|d| d.known().unwrap_or(0) as usize).collect(),
    };
    if let Some(other) = parts.iter().find(|t| t.shape() != one_shape) {
        return Err(Fault::of(
            "ls",
            &codes::SHAPE_MISMATCH,
            format!("the list holds items of shapes {one_shape:?} and {:?}", other.shape()),
        ));
    }
    let all = if parts.is_empty() {
        Tensor::zeros(ty.dtype, &[0])?
    } else {
        joined(&parts.iter().collect::<Vec<_>>())?
    };
    let shape: Vec<usize> = [parts.len()].into_iter().chain(one_shape).collect();
    one(all.reshaped(&shape)?)
}

/// The type of the list after a value of this type is written at `indices`.
fn list_with(args: &Args<'_>, value: TensorType, last: Option<i64>) -> Result<Vec<Type>, Fault> {
    let (item, length) = list_type(args)?;
    if item.dtype != value.dtype || !item.shape.fits(&value.shape) {
        let code = if item.dtype == value.dtype { &codes::SHAPE_MISMATCH } else { &codes::DTYPE_MISMATCH };
        return Err(Fault::of(
            "value",
            code,
            format!("`value` of `{}` gives an item {value}, and the list holds {item}", args.op.name),
        )
        .against("ls"));
    }
    let stays = last.zip(length).is_some_and(|(last, length)| last < length as i64);
    Ok(vec![Type::List { item: Box::new(item.clone().into()), length: length.filter(|_| stays) }])
}

fn infer_write(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    list_with(args, args.ty("value")?.clone(), args.int("index"))
}

fn compute_write(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    written(args, "index", [(index(args)?, args.tensor("value")?.clone())])
}

fn infer_scatter(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let value = args.ty("value")?;
    let count = of_rank(args, "indices", 1)?.shape[0];
    let Some((&rows, item)) = value.shape.split_first() else {
        return Err(Fault::of(
            "value",
            &codes::WRONG_RANK,
            "`value` of `list_scatter` needs a first dimension, of one row for each item",
        ));
    };
    if !rows.fits(count) {
        return Err(Fault::of(
            "value",
            &codes::SHAPE_MISMATCH,
            format!("`value` of `list_scatter` has {rows} rows and `indices` has {count} numbers"),
        )
        .against("indices"));
    }
    let last = args.ints("indices").and_then(|i| i.into_iter().max());
    let shape: Shape = item.iter().copied().collect();
    list_with(args, TensorType { dtype: value.dtype, shape }, last)
}

/// Rows of whole bytes lie side by side.
fn compute_scatter(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let (indices, value) = (args.tensor("indices")?.to_i64s(), args.tensor("value")?);
    let (dtype, shape) = (value.dtype(), &value.shape()[1..]);
    let n: usize = shape.iter().product();
    let row = |row: usize| {
        if dtype.is_sub_byte() || dtype == DType::String {
            return value.pick(shape, row * n..(row + 1) * n);
        }
        let bytes = dtype.bytes_of(n);
        Tensor::from_bytes(dtype, shape, &value.bytes()[row * bytes..(row + 1) * bytes])
    };
    let mut rows = Vec::with_capacity(indices.len());
    for (i, index) in indices.into_iter().enumerate() {
        rows.push((index, row(i)?));
    }
    written(args, "indices", rows)
}

const ONE: Results = Results::Exactly(1);

pub(super) static OPS: &[Op] = &[
    exact("make_list", "a list whose items are not written yet", MAKE_LIST, ONE, infer_make, compute_make),
    exact("list_length", "the number of items", LIST_LENGTH, ONE, infer_length, compute_length),
    exact("list_read", "one item", LIST_READ, ONE, infer_read, compute_read),
    exact("list_gather", "several items, stacked", LIST_GATHER, ONE, infer_gather, compute_gather),
    exact("list_write", "the list with one item written", LIST_WRITE, ONE, infer_write, compute_write),
    exact(
        "list_scatter",
        "the list with the rows of a tensor written to items",
        LIST_SCATTER,
        ONE,
        infer_scatter,
        compute_scatter,
    ),
];

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    fn made(length: i32, dims: &[Datum]) -> Datum {
        let mut args = vec![("init_length", int(length)), ("dtype", text("fp32"))];
        args.extend(dims.iter().map(|d| ("elem_shape", d.clone())));
        run("make_list", Ios15, &args).unwrap().remove(0)
    }

    fn write(ls: &Datum, index: i32, value: Datum) -> Datum {
        run("list_write", Ios15, &[("ls", ls.clone()), ("index", int(index)), ("value", value)])
            .unwrap()
            .remove(0)
    }

    #[test]
    fn a_list_is_written_and_read() {
        let ls = write(&made(2, &[int(2)]), 1, iota(&[2]));
        check("list_length", Ios15, &[("ls", ls.clone())], &[int(2)]);
        check("list_read", Ios15, &[("ls", ls.clone()), ("index", int(1))], &[iota(&[2])]);
        // Not written, but of a known shape.
        check("list_read", Ios15, &[("ls", ls.clone()), ("index", int(0))], &[f32s(&[2], &[0.0, 0.0])]);
        refuse("list_read", Ios15, &[("ls", ls.clone()), ("index", int(2))], "index-out-of-range");
        refuse("list_read", Ios15, &[("ls", ls.clone()), ("index", int(-1))], "index-out-of-range");
        let gathered = f32s(&[3, 2], &[0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
        check("list_gather", Ios15, &[("ls", ls.clone()), ("indices", vec32(&[1, 0, 1]))], &[gathered]);
        check("list_gather", Ios15, &[("ls", ls.clone()), ("indices", vec32(&[]))], &[f32s(&[0, 2], &[])]);
        let bad = [("ls", ls.clone()), ("index", int(0)), ("value", iota(&[3]))];
        refuse("list_write", Ios15, &bad, "shape-mismatch");
        let bad = [("ls", ls), ("index", int(0)), ("value", vec32(&[1, 2]))];
        refuse("list_write", Ios15, &bad, "dtype-mismatch");
    }

    #[test]
    fn rows_of_every_dtype_become_items_and_rows_again() {
        for dtype in ["fp16", "fp32", "int32", "bool"] {
            let args = [("init_length", int(4)), ("dtype", text(dtype)), ("elem_shape", int(5))];
            let ls = run("make_list", Ios15, &args).unwrap().remove(0);
            let dtype = DType::from_name(dtype).unwrap();
            let rows = |rows: &[i64]| {
                let values: Vec<i64> =
                    rows.iter().flat_map(|row| (0..5).map(move |i| (row + i) % 2)).collect();
                ints(dtype, &[rows.len(), 5], &values)
            };
            let args = [("ls", ls), ("indices", vec32(&[2, 0, 6])), ("value", rows(&[0, 1, 0]))];
            let ls = run("list_scatter", Ios15, &args).unwrap().remove(0);
            check(
                "list_gather",
                Ios15,
                &[("ls", ls), ("indices", vec32(&[0, 6, 2, 0]))],
                &[rows(&[1, 0, 0, 1])],
            );
        }
    }

    #[test]
    fn a_list_grows_to_where_it_is_written() {
        let ls = made(1, &[text("is0"), int(2)]);
        assert_eq!(ls.ty().to_string(), "list<tensor<fp32, [?, 2]>, 1>");
        refuse("list_read", Ios15, &[("ls", ls.clone()), ("index", int(0))], "bad-value");
        let value = iota(&[2, 1, 2]);
        let args = [("ls", ls.clone()), ("indices", vec32(&[2, 0])), ("value", value)];
        let ls = run("list_scatter", Ios15, &args).unwrap().remove(0);
        check("list_length", Ios15, &[("ls", ls.clone())], &[int(3)]);
        check("list_read", Ios15, &[("ls", ls.clone()), ("index", int(0))], &[f32s(&[1, 2], &[2.0, 3.0])]);
        check("list_read", Ios15, &[("ls", ls.clone()), ("index", int(1))], &[f32s(&[1, 2], &[0.0, 0.0])]);
        let far = [("ls", ls.clone()), ("index", int(i32::MAX)), ("value", iota(&[1, 2]))];
        refuse("list_write", Ios15, &far, "run-limit");
        let before = [("ls", ls.clone()), ("index", int(-1)), ("value", iota(&[1, 2]))];
        refuse("list_write", Ios15, &before, "index-out-of-range");
        let uneven = [("ls", ls), ("indices", vec32(&[2])), ("value", iota(&[2, 1, 2]))];
        refuse("list_scatter", Ios15, &uneven, "shape-mismatch");
    }

    #[test]
    fn make_list_refuses_what_no_list_can_be() {
        refuse("make_list", Ios15, &[("init_length", int(i32::MAX))], "run-limit");
        refuse("make_list", Ios15, &[("init_length", int(-1))], "bad-value");
        refuse("make_list", Ios15, &[("dtype", text("int4"))], "bad-value");
        refuse("make_list", Ios15, &[("elem_shape", int(-1))], "bad-value");
    }
}
