//! The decompression of weights, and quantisation.

use super::*;
use crate::ops::testing::ints as whole;

/// Whole numbers that fill the range of a dtype.
pub(super) fn codes(dtype: DType, shape: &[usize]) -> Datum {
    let n: usize = shape.iter().product();
    let (low, high) = dtype.int_range();
    let span = (high - low + 1) as i64;
    whole(dtype, shape, &(0..n as i64).map(|i| (i * 37 + i / 5) % span + low as i64).collect::<Vec<_>>())
}

/// A mask of which about a third is set, and how many bits that are.
pub(super) fn mask(shape: &[usize]) -> (Datum, usize) {
    let n: usize = shape.iter().product();
    let set: Vec<i64> = (0..n).map(|i| i64::from(i * i % 7 < 3)).collect();
    (whole(UInt1, shape, &set), set.iter().filter(|&&s| s == 1).count())
}

#[test]
fn affine() {
    for dtype in FLOATS {
        for (data, shape) in [(Int8, &[5, 7, 3][..]), (UInt8, &[40, 70]), (Int8, &[3000]), (UInt8, &[1])] {
            for (axis, &n) in shape.iter().enumerate() {
                for (scales, zeros) in [(&[][..], &[][..]), (&[n], &[n]), (&[n], &[]), (&[], &[n])] {
                    let args = [
                        ("quantized_data", codes(data, shape)),
                        ("zero_point", codes(data, zeros)),
                        ("scale", spread(dtype, scales, 3.0, 1)),
                        ("axis", int(axis as i64)),
                    ];
                    agree("constexpr_affine_dequantize", Ios16, &args);
                }
            }
        }
    }
}

const CUTS: [(&[usize], &[usize]); 6] = [
    (&[3001], &[1]),
    (&[40, 64], &[40, 2]),
    (&[40, 64], &[1, 64]),
    (&[6, 10, 3, 3], &[6, 1, 1, 1]),
    (&[6, 10, 30, 3], &[3, 5, 1, 3]),
    (&[33, 35], &[33, 35]),
];

#[test]
fn blockwise() {
    for dtype in FLOATS {
        for data in [Int4, UInt4, Int8, UInt8, Fp16, Fp32] {
            for (shape, counts) in CUTS {
                let numbers = |dtype: DType, shape: &[usize], seed| {
                    if dtype.is_float() { spread(dtype, shape, 9.0, seed) } else { codes(dtype, shape) }
                };
                let scale = ("scale", spread(dtype, counts, 3.0, 1));
                let args = [("data", numbers(data, shape, 2)), scale.clone()];
                agree("constexpr_blockwise_shift_scale", Ios18, &args);
                let (bits, count) = mask(shape);
                let nonzero = ("nonzero_data", numbers(data, &[count], 4));
                let sparse = [("data_mask", bits), nonzero, scale];
                agree("constexpr_sparse_blockwise_shift_scale", Ios18, &sparse);
                for offset in [data, Fp16, Fp32] {
                    let offset = [("offset", numbers(offset, counts, 3))];
                    agree("constexpr_blockwise_shift_scale", Ios18, &[&args[..], &offset].concat());
                    agree("constexpr_sparse_blockwise_shift_scale", Ios18, &[&sparse[..], &offset].concat());
                }
            }
        }
    }
}

#[test]
fn sparse() {
    for dtype in [Fp16, Fp32, Int8, UInt8] {
        for shape in [&[][..], &[9], &[40, 70], &[0, 4]] {
            let (bits, count) = mask(shape);
            let nonzero = ("nonzero_data", spread(dtype, &[count], 99.0, 1));
            agree("constexpr_sparse_to_dense", Ios18, &[nonzero.clone(), ("mask", bits.clone())]);
            let packed: Vec<i64> =
                bits.as_tensor().map_or(&[][..], |t| t.bytes()).iter().map(|&b| b.into()).collect();
            let dims: Vec<i64> = shape.iter().map(|&d| d as i64).collect();
            let packed = [
                nonzero,
                ("mask", whole(UInt8, &[packed.len()], &packed)),
                ("shape", whole(UInt32, &[dims.len()], &dims)),
            ];
            agree("constexpr_sparse_to_dense", Ios16, &packed);
        }
    }
    agree(
        "constexpr_cast",
        Ios16,
        &[("source_val", spread(Fp16, &[5000], 9.0, 1)), ("output_dtype", word("fp32"))],
    );
}

#[test]
fn palettes() {
    for (dtype, code) in
        [Fp16, Fp32, Int8, UInt8, Fp16, Fp32].into_iter().zip([UInt1, UInt2, UInt3, UInt4, UInt6, UInt8])
    {
        let entries = 1usize << code.bits();
        for (shape, counts) in CUTS {
            for (vector, axis) in [(1, None), (1, Some(0)), (2, Some(0)), (3, Some(shape.len() - 1))] {
                let lut = spread(dtype, &[counts, &[entries, vector]].concat(), 99.0, 2);
                let axis = axis.map(|axis| ("vector_axis", int(axis as i64)));
                let rest: Vec<_> = [("lut", lut)].into_iter().chain(axis).collect();
                let args = [&[("indices", codes(code, shape))], &rest[..]].concat();
                agree("constexpr_lut_to_dense", Ios18, &args);
                let (bits, count) = mask(shape);
                let named = [("indices_mask", bits), ("indices_nonzero_data", codes(code, &[count]))];
                agree("constexpr_lut_to_sparse", Ios18, &[&named, &rest[..]].concat());
            }
            if code == UInt3 {
                continue;
            }
            let n: usize = shape.iter().product();
            let dims: Vec<i64> = shape.iter().map(|&d| d as i64).collect();
            let args = [
                ("indices", codes(UInt8, &[(n * code.bits()).div_ceil(8)])),
                ("lut", spread(dtype, &[entries], 99.0, 3)),
                ("shape", whole(UInt32, &[dims.len()], &dims)),
            ];
            agree("constexpr_lut_to_dense", Ios16, &args);
        }
    }
}

#[test]
fn convolutions_of_bytes() {
    for dtype in FLOATS {
        for scales in [&[][..], &[6]] {
            let args = [
                ("x", spread(dtype, &[2, 4, 7, 8], 2.0, 1)),
                ("weight", codes(UInt8, &[6, 2, 3, 3])),
                ("groups", int(2)),
                ("quantization_type", word("linear")),
                ("nbits", int(8)),
                ("quant_scale", spread(dtype, scales, 0.01, 2)),
                ("quant_bias", spread(dtype, scales, 1.0, 3)),
            ];
            agree("conv_quantized", Ios15, &args);
        }
    }
}

#[test]
fn quantised() {
    for dtype in FLOATS {
        for (byte, name) in [(Int8, "int8"), (UInt8, "uint8")] {
            for shape in [&[5000][..], &[3, 40, 7], &[6, 5, 3, 3]] {
                let scales = |shape: &[usize]| {
                    let n = shape.iter().product::<usize>();
                    let values: Vec<f64> = (0..n).map(|i| 0.125 + (i % 7) as f64 / 3.0).collect();
                    Datum::from(Tensor::from_f64s(dtype, shape, &values).expect("a small vector"))
                };
                let edges = [f64::NAN, f64::INFINITY, -0.0, 0.5, 1.5, -2.5, 1e30];
                let mut x = spread(dtype, shape, 60.0, 1).as_tensor().expect("a tensor").to_f64s();
                x.iter_mut().step_by(11).zip(edges.into_iter().cycle()).for_each(|(x, e)| *x = e);
                let x = Datum::from(Tensor::from_f64s(dtype, shape, &x).expect("a small tensor"));
                let to = ("output_dtype", word(name));
                let all = [("input", x), to, ("scale", scales(&[])), ("zero_point", codes(byte, &[]))];
                agree("quantize", Ios17, &all[..3]);
                agree("quantize", Ios17, &all);
                let back = [("input", codes(byte, shape)), ("scale", scales(&[]))];
                agree("dequantize", Ios17, &back);
                for (axis, &n) in shape.iter().enumerate() {
                    let n = &[n];
                    let along =
                        [("scale", scales(n)), ("axis", int(axis as i64)), ("zero_point", codes(byte, n))];
                    agree("quantize", Ios17, &[&all[..2], &along].concat());
                    agree("dequantize", Ios17, &[&back[..1], &along].concat());
                    agree("dequantize", Ios17, &[&back[..1], &along[..2]].concat());
                }
            }
        }
    }
}
