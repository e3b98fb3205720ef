//! Hints for compressed weights, quantisation, states, lists, classifiers and buffers.

use anemone::types::{BufferType, DType, Datum, Shape, Tensor, TensorType, Type};

use super::Hint;
use crate::builder::{Item, Known};
use crate::draft::Draft;

pub(super) fn propose(d: &mut Draft<'_, '_, '_, '_>) -> Hint {
    Some(match d.op.name {
        "quantize" => quantize(d),
        "dequantize" => scales(d),
        "constexpr_affine_dequantize" => affine(d),
        "constexpr_blockwise_shift_scale" => blockwise(d, false),
        "constexpr_sparse_blockwise_shift_scale" => blockwise(d, true),
        "constexpr_sparse_to_dense" => sparse(d),
        "constexpr_cast" => constexpr_cast(d),
        "constexpr_lut_to_dense" => palette(d, false),
        "constexpr_lut_to_sparse" => palette(d, true),
        "read_state" => state(d, "input", None),
        "write_state" => state(d, "input", Some("data")),
        "coreml_update_state" => state(d, "state", Some("value")),
        "make_list" => make_list(d),
        "list_length" => list(d).map(|_| ()),
        "list_read" => list_read(d, false),
        "list_gather" => list_read(d, true),
        "list_write" => list_write(d, false),
        "list_scatter" => list_write(d, true),
        "classify" => classify(d),
        "tensor_buffer_to_tensor" => from_buffer(d),
        "tensor_to_tensor_buffer" => to_buffer(d),
        _ => return None,
    })
}

fn quantize(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let dtype = d.b.dice.one(&[DType::Int8, DType::UInt8]);
    d.prefer("zero_point", dtype);
    d.given("output_dtype", Tensor::string(dtype.name()))?;
    scales(d)
}

fn scales(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let x = d.ranked("input", 0..=4)?;
    let axis = if x.is_empty() || d.b.dice.chance(50) { None } else { Some(d.b.dice.below(x.len())) };
    let shape: Vec<usize> = axis.map(|a| x[a]).into_iter().collect();
    d.shaped("scale", &shape)?;
    if d.wants("zero_point") {
        d.shaped("zero_point", &shape)?;
    }
    if let Some(axis) = axis {
        let back = if d.b.dice.chance(30) { x.len() as i64 } else { 0 };
        d.int("axis", axis as i64 - back)?;
    }
    Some(())
}

fn affine(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let x = d.ranked("quantized_data", 1..=4)?;
    let axis = d.b.dice.below(x.len());
    let dtype = d.dtype("quantized_data");
    d.prefer("zero_point", dtype);
    for name in ["scale", "zero_point"] {
        let shape = if d.b.dice.chance(50) { vec![x[axis]] } else { Vec::new() };
        d.shaped(name, &shape)?;
    }
    d.int("axis", axis as i64)
}

/// How many blocks each axis is cut into.
fn cuts(d: &mut Draft<'_, '_, '_, '_>, shape: &[usize]) -> Vec<usize> {
    shape
        .iter()
        .map(|&n| {
            let divisors: Vec<usize> = (1..=n).filter(|k| n % k == 0).collect();
            if divisors.is_empty() { 1 } else { d.b.dice.one(&divisors) }
        })
        .collect()
}

/// A mask of this shape and dtype, and how many of its bits are set.
fn mask(d: &mut Draft<'_, '_, '_, '_>, shape: &[usize]) -> Option<(Tensor, usize)> {
    let mask = d.b.dice.tensor(DType::UInt1, shape)?;
    let set = mask.to_i64s().iter().filter(|&&bit| bit != 0).count();
    Some((mask, set))
}

fn small(d: &mut Draft<'_, '_, '_, '_>) -> Vec<usize> {
    let rank = 1 + d.b.dice.below(4);
    d.b.dice.shape(rank, 256)
}

fn blockwise(d: &mut Draft<'_, '_, '_, '_>, sparse: bool) -> Option<()> {
    let shape = small(d);
    let data = if sparse { "nonzero_data" } else { "data" };
    if sparse {
        let (mask, set) = mask(d, &shape)?;
        d.given("data_mask", mask)?;
        d.shaped(data, &[set])?;
    } else {
        d.shaped(data, &shape)?;
    }
    let cuts = cuts(d, &shape);
    d.shaped("scale", &cuts)?;
    if d.wants("offset") {
        let dtype = d.dtype(data);
        d.prefer("offset", dtype);
        d.shaped("offset", &cuts)?;
    }
    Some(())
}

/// The bits of a tensor of small elements, as bytes, and the shape that goes with them.
fn packed(d: &mut Draft<'_, '_, '_, '_>, name: &str, codes: &Tensor) -> Option<()> {
    let bytes = Tensor::from_slice(&[codes.bytes().len()], codes.bytes()).ok()?;
    d.given(name, bytes)?;
    let shape: Vec<i64> = codes.shape().iter().map(|&n| n as i64).collect();
    d.ints("shape", &shape)
}

fn sparse(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let shape = small(d);
    let (mask, set) = mask(d, &shape)?;
    if d.edition.in_attributes {
        packed(d, "mask", &mask)?;
    } else {
        d.given("mask", mask)?;
    }
    d.shaped("nonzero_data", &[set])
}

fn constexpr_cast(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    d.ranked("source_val", 0..=4)?;
    d.word("output_dtype", &["fp32"])
}

fn palette(d: &mut Draft<'_, '_, '_, '_>, sparse: bool) -> Option<()> {
    let shape = small(d);
    if d.edition.in_attributes {
        let dtype = d.b.dice.one(&[DType::UInt1, DType::UInt2, DType::UInt4, DType::UInt6, DType::UInt8]);
        let codes = d.b.dice.tensor(dtype, &shape)?;
        packed(d, "indices", &codes)?;
        return d.shaped("lut", &[1 << dtype.bits()]);
    }
    let indices = if sparse { "indices_nonzero_data" } else { "indices" };
    let dtype = d.dtype(indices);
    if sparse {
        let (mask, set) = mask(d, &shape)?;
        d.given("indices_mask", mask)?;
        d.shaped(indices, &[set])?;
    } else {
        d.shaped(indices, &shape)?;
    }
    let vector = d.b.dice.one(&[1, 1, 2, 3]);
    let mut lut = cuts(d, &shape);
    lut.extend([1 << dtype.bits(), vector]);
    if lut.iter().product::<usize>() > 1 << 12 {
        return None;
    }
    d.shaped("lut", &lut)?;
    if vector > 1 || d.wants("vector_axis") {
        let axis = d.b.dice.below(shape.len());
        d.int("vector_axis", axis as i64)?;
    }
    Some(())
}

/// One of the items that fit.
fn pick(d: &mut Draft<'_, '_, '_, '_>, fits: impl Fn(&Item) -> bool) -> Option<Item> {
    let found: Vec<usize> = (0..d.b.items.len()).filter(|&i| fits(&d.b.items[i])).collect();
    if found.is_empty() {
        return None;
    }
    let at = d.b.dice.one(&found);
    Some(d.b.items[at].clone())
}

fn state(d: &mut Draft<'_, '_, '_, '_>, param: &str, value: Option<&str>) -> Option<()> {
    let found = if d.b.dice.chance(70) { pick(d, |i| matches!(i.ty, Type::State(_))) } else { None };
    let item = match found {
        Some(item) => item,
        None => {
            let rank = 1 + d.b.dice.below(4);
            let shape = d.b.dice.shape(rank, 256);
            let dtype = d.b.dice.one(&[DType::Fp16, DType::Fp16, DType::Fp32, DType::Int32]);
            let at = d.b.state(TensorType::new(dtype, Shape::from(&shape[..])))?;
            d.b.items[at].clone()
        }
    };
    let Datum::State(state) = &item.value else { return None };
    let held = state.read();
    d.item(param, &item)?;
    let Some(value) = value else { return Some(()) };
    let of_type = |i: &Item| i.ty.as_tensor() == Some(&held.ty());
    if let Some(known) = pick(d, of_type) {
        return d.item(value, &known);
    }
    let new = d.b.dice.tensor(held.dtype(), held.shape())?;
    d.given(value, new)
}

fn make_list(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let rank = d.b.dice.below(3);
    for n in d.b.dice.shape(rank, 64) {
        let dim =
            if d.b.dice.chance(15) { Tensor::string("n") } else { Tensor::scalar(DType::Int32, n as f64) };
        d.constant("elem_shape", dim.into())?;
    }
    let dtype = d.b.dice.one(&["fp32", "fp16", "int32", "bool"]);
    d.given("dtype", Tensor::string(dtype))?;
    if d.wants("init_length") {
        let n = d.b.dice.within(0, 4);
        d.int("init_length", n)?;
    }
    if d.wants("dynamic_length") {
        let dynamic = d.b.dice.chance(50);
        d.flag("dynamic_length", dynamic)?;
    }
    Some(())
}

/// Binds a list, and gives its length and the type of its items.
fn list(d: &mut Draft<'_, '_, '_, '_>) -> Option<(usize, TensorType)> {
    let item = pick(d, |i| match &i.value {
        Datum::List { .. } => i.known == Known::Running,
        _ => false,
    })?;
    let Datum::List { item: of, items } = &item.value else { return None };
    let (length, of) = (items.len(), of.as_tensor()?.clone());
    d.item("ls", &item)?;
    Some((length, of))
}

fn list_read(d: &mut Draft<'_, '_, '_, '_>, several: bool) -> Option<()> {
    let (length, _) = list(d)?;
    let place = |d: &mut Draft<'_, '_, '_, '_>| d.b.dice.within(0, length as i64 - 1);
    if !several {
        let at = place(d);
        return d.int("index", at);
    }
    let places: Vec<i64> = (0..1 + d.b.dice.below(3)).map(|_| place(d)).collect();
    d.ints("indices", &places)
}

fn list_write(d: &mut Draft<'_, '_, '_, '_>, several: bool) -> Option<()> {
    let (length, of) = list(d)?;
    let mut shape: Vec<usize> = of.shape.iter().map(|dim| dim.known().unwrap_or(2) as usize).collect();
    // One behind the end makes the list longer.
    let place = |d: &mut Draft<'_, '_, '_, '_>| d.b.dice.within(0, length as i64);
    d.prefer("value", of.dtype);
    if several {
        let places: Vec<i64> = (0..1 + d.b.dice.below(3)).map(|_| place(d)).collect();
        d.ints("indices", &places)?;
        shape.insert(0, places.len());
    } else {
        let at = place(d);
        d.int("index", at)?;
    }
    d.shaped("value", &shape)
}

fn classify(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let x = d.tensor(
        "probabilities",
        |s| (1..20).contains(&s.iter().product::<usize>()),
        |b| vec![1 + b.dice.below(5)],
    )?;
    let dtype = d.b.dice.one(&[DType::String, DType::Int64]);
    let n: usize = x.iter().product();
    let items = (0..n)
        .map(|i| {
            Some(match dtype {
                DType::String => Tensor::string(format!("class {i}")),
                _ => Tensor::scalar(dtype, i as f64 - 1.0),
            })
        })
        .collect();
    d.constant("classes", Datum::List { item: Box::new(Type::scalar(dtype)), items })
}

/// How the segmenter lays a tensor out: rows begin at multiples of 64 elements.
fn layout(shape: &[usize]) -> (Vec<u64>, Vec<u64>) {
    let mut strides = vec![1; shape.len()];
    for i in (1..shape.len()).rev() {
        let room = strides[i] * shape[i].max(1) as u64;
        strides[i - 1] = if i + 1 == shape.len() { room.next_multiple_of(64) } else { room };
    }
    (strides, vec![1; shape.len()])
}

fn from_buffer(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    if d.b.limits.packable {
        return None;
    }
    let shape = small(d);
    let dtype = d.b.dice.one(&[DType::Fp16, DType::Fp32]);
    let tensor = d.b.dice.tensor(dtype, &shape)?;
    let (strides, interleave_factors) = layout(&shape);
    let ty = Type::Buffer(BufferType { dtype, shape: Shape::from(&shape[..]), strides, interleave_factors });
    let at = d.b.input(ty, tensor);
    let item = d.b.items[at].clone();
    d.item("input", &item)
}

fn to_buffer(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    if d.b.limits.packable {
        return None;
    }
    let x = d.ranked("input", 1..=4)?;
    let (strides, factors) = layout(&x);
    let of = |dtype: DType, values: &[u64]| {
        let values: Vec<i64> = values.iter().map(|&v| v as i64).collect();
        Tensor::from_i64s(dtype, &[values.len()], &values).ok()
    };
    d.given("strides", of(DType::Int64, &strides)?)?;
    d.given("interleave_factors", of(DType::UInt8, &factors)?)
}
