//! Convolutions that chips compute on bytes.
//!
//! A program that quantises activations has `quantize`, then `dequantize`, then `conv` with weights that are stored as int8. The
//! engine of newer chips multiplies the bytes, sums whole numbers, and scales the sums (measured on M6 by the M6 study; on M4 by
//! the speed, maderix/ANE; M5 is taken to do it too). Older chips make halves of weights first (the ANE guide, on M1).
//!
//! What is known was measured with `conv`, zero points of 0, one scale for the activations, and scales of weights for the tensor or
//! for each output. Other programs are computed on the halves that `dequantize` gives: of `linear` and `matmul` on bytes, and of
//! other zero points, nothing was measured.

use std::collections::HashMap;

use crate::chip::{Chip, Numerics};
use crate::mil::op::{Arg, Args};
use crate::ops::silicon::CONV_OF_BYTES;
use crate::types::{DType, Tensor, TensorType};
use crate::verify::{Content, Function, Input, Step, ValueId};

/// The function with the convolutions that this arithmetic does on bytes; nothing if there are none.
pub(crate) fn on_bytes(function: &Function, numerics: Numerics) -> Option<Function> {
    let Numerics::Chip(chip) = numerics else { return None };
    if chip < Chip::M4 {
        return None;
    }
    let steps = &function.body.steps;
    let givers: HashMap<ValueId, &Step> =
        steps.iter().flat_map(|step| step.outputs.iter().map(move |&o| (o, step))).collect();
    let look = Look { function, givers };
    let found: Vec<(usize, Bytes)> =
        steps.iter().enumerate().filter_map(|(i, step)| Some((i, look.convolution(step)?))).collect();
    if found.is_empty() {
        return None;
    }
    let mut rewritten = function.clone();
    for (at, bytes) in found {
        let scale = rewritten.add_constant(bytes.scales);
        let step = &mut rewritten.body.steps[at];
        let inputs = CONV_OF_BYTES.editions[0].params.iter().map(|p| match p.name {
            "x" => Input::One(bytes.x),
            "weight" => Input::One(bytes.weight),
            "scale" => Input::One(scale),
            name => bound(step, name).cloned().unwrap_or(Input::Absent),
        });
        step.inputs = inputs.collect();
        (step.op, step.edition) = (&CONV_OF_BYTES, &CONV_OF_BYTES.editions[0]);
    }
    Some(rewritten)
}

/// What a convolution of bytes reads.
struct Bytes {
    x: ValueId,
    weight: ValueId,
    /// What a sum of each output is multiplied with.
    scales: Tensor,
}

/// What a parameter of a step is bound to.
fn bound<'s>(step: &'s Step, param: &str) -> Option<&'s Input> {
    step.inputs.get(step.edition.params.iter().position(|p| p.name == param)?)
}

struct Look<'a> {
    function: &'a Function,
    givers: HashMap<ValueId, &'a Step>,
}

impl<'a> Look<'a> {
    fn args(&self, step: &Step) -> Args<'a> {
        step.args(&[], |id| {
            let value = self.function.value(id);
            let known = match &value.content {
                Content::Constant(datum) => Some(datum),
                _ => None,
            };
            Arg { ty: &value.ty, value: known }
        })
    }

    fn one(&self, step: &Step, param: &str) -> Option<ValueId> {
        bound(step, param)?.values().first().copied()
    }

    fn ty(&self, id: ValueId) -> Option<&'a TensorType> {
        self.function.value(id).ty.as_tensor()
    }

    /// What the step reads, if it is a convolution of bytes.
    fn convolution(&self, step: &Step) -> Option<Bytes> {
        if step.op.name != "conv" || !step.certain {
            return None;
        }
        let args = self.args(step);
        let full = |t: &TensorType| t.dtype == DType::Fp16 && t.shape.elements().is_some_and(|n| n > 0);
        let halves = [args.opt_ty("x")?, args.opt_ty("weight")?, self.ty(*step.outputs.first()?)?];
        let known = !args.has("bias") || args.value("bias").is_some_and(|b| b.dtype() == DType::Fp16);
        if !halves.into_iter().all(full) || !known {
            return None;
        }
        let (x, by) = self.activations(step)?;
        let outputs = args.opt_ty("weight")?.shape[0].known()? as usize;
        let (weight, scales) = self.weights(step, outputs)?;
        let scales: Vec<f32> = scales.into_iter().map(|scale| (scale * by) as f32).collect();
        Some(Bytes { x, weight, scales: Tensor::from_slice(&[outputs], &scales).ok()? })
    }

    /// The bytes that `dequantize` gives numbers to, and their scale.
    fn activations(&self, step: &Step) -> Option<(ValueId, f64)> {
        let dequantize = self.givers.get(&self.one(step, "x")?).filter(|s| s.op.name == "dequantize")?;
        let args = self.args(dequantize);
        let (input, scale) = (self.one(dequantize, "input")?, args.value("scale")?);
        let plain = self.ty(input)?.dtype == DType::Int8
            && scale.dtype() == DType::Fp16
            && scale.len() == 1
            && (!args.has("zero_point") || is_zero(args.value("zero_point")?));
        plain.then(|| Some((input, *scale.to_f64s().first()?))).flatten()
    }

    /// The bytes of the weights, and the scale of each output.
    fn weights(&self, step: &Step, outputs: usize) -> Option<(ValueId, Vec<f64>)> {
        let maker = *self.givers.get(&self.one(step, "weight")?)?;
        let args = self.args(maker);
        let (data, around_zero) = match maker.op.name {
            "constexpr_affine_dequantize" => {
                let along = args.int("axis") == Some(0) || args.value("scale")?.len() == 1;
                ("quantized_data", along && is_zero(args.value("zero_point")?))
            }
            "constexpr_blockwise_shift_scale" => {
                let scale = args.value("scale")?;
                let along = scale.shape().iter().skip(1).all(|&d| d == 1);
                ("data", along && (!args.has("offset") || is_zero(args.value("offset")?)))
            }
            _ => return None,
        };
        let (data, scale) = (self.one(maker, data)?, args.value("scale")?);
        let plain = around_zero && self.ty(data)?.dtype == DType::Int8 && scale.dtype() == DType::Fp16;
        let scales = scale.to_f64s();
        match scales.len() {
            1 if plain => Some((data, vec![scales[0]; outputs])),
            n if plain && n == outputs => Some((data, scales)),
            _ => None,
        }
    }
}

fn is_zero(tensor: &Tensor) -> bool {
    tensor.as_strings().is_none() && tensor.to_f64s().iter().all(|&x| x == 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::Weights;
    use crate::device::{self, Engine, Options};
    use crate::range::Range;
    use crate::{range, text, verify};

    /// A convolution of one place over 1024 channels, all of whose bytes are 127, with these scales: what it gives.
    #[track_caller]
    fn check(chip: Chip, weight: &str, zero: i8, expected: f64) {
        let text = format!(
            "program(1.3) {{ func main<ios18>(tensor<fp16, [1, 1024, 1, 1]> x) {{
                tensor<int8, [1, 1024, 1, 1]> q = quantize(input = x, scale = fp16(0x1p-6), zero_point = int8({zero}), output_dtype = string(\"int8\"));
                tensor<fp16, [1, 1024, 1, 1]> d = dequantize(input = q, scale = fp16(0x1p-6), zero_point = int8({zero}));
                {weight}
                tensor<fp16, [1, 1, 1, 1]> y = conv(x = d, weight = w); }} -> (y); }}"
        );
        let report = verify::verify(&text::parse(&text).unwrap_or_else(|d| panic!("{d}")), &Weights::none());
        let verified = report.verified.unwrap_or_else(|| panic!("{}", report.diagnostics));
        let x =
            Tensor::from_f64s(DType::Fp16, &[1, 1024, 1, 1], &[f64::from(127 - zero) / 64.0; 1024]).unwrap();
        let numerics = Numerics::Chip(chip);
        let bounds = range::bounds(verified.main(), &[], numerics).unwrap();
        let y = verified.main().body.outputs[0];
        for engine in Engine::ALL {
            let model =
                device::load(verified.main(), engine, &Options { numerics, ..Options::default() }).unwrap();
            let results = model.run(&[("x", x.clone())], &model.new_states().unwrap()).unwrap();
            let found = results[0].1.as_tensor().unwrap().to_f64s()[0];
            assert_eq!(found, expected, "{chip} {engine} {weight}");
            assert!(bounds.of(y).contains(found), "{}", bounds.of(y));
        }
    }

    /// 16129 for each channel, and a scale that halves would overflow with on their way.
    #[test]
    fn convolutions_of_bytes_sum_whole_numbers_on_newer_chips() {
        let affine = |scale: &str, zero: i8| {
            format!(
                "tensor<fp16, [1, 1024, 1, 1]> w = constexpr_affine_dequantize()[quantized_data = tensor<int8, [1, 1024, 1, 1]>({}), \
                 zero_point = int8({zero}), scale = fp16({scale}), axis = int32(0)];",
                nested(1024)
            )
        };
        // 1024 * 16129 / 2^12 is 4032.25, and 4032 as a half; each product is 3.9377, which the grid of sums has exactly.
        check(Chip::M6, &affine("0x1p-6", 0), 0, 4032.0);
        check(Chip::M1, &affine("0x1p-6", 0), 0, 4032.0);
        // Whole numbers do not overflow at 32768, and what is scaled may be larger.
        check(Chip::M6, &affine("0x1p-2", 0), 0, 64512.0);
        check(Chip::M4, &affine("0x1p-2", 0), 0, 64512.0);
        check(Chip::M1, &affine("0x1p-2", 0), 0, f64::INFINITY);
        // Other zero points were not measured.
        check(Chip::M6, &affine("0x1p-2", 0), 1, f64::INFINITY);
        let blockwise = format!(
            "tensor<fp16, [1, 1024, 1, 1]> w = constexpr_blockwise_shift_scale(data = tensor<int8, [1, 1024, 1, 1]>({}), \
             scale = tensor<fp16, [1, 1, 1, 1]>([[[[0x1p-2]]]]));",
            nested(1024)
        );
        check(Chip::M6, &blockwise, 0, 64512.0);
    }

    /// Groups, strides, padding, scales of channels and a bias, beside a plain loop whose results halves have exactly.
    #[test]
    fn convolutions_of_bytes_are_those_of_numbers() {
        let byte = |i: usize| (i * 37 % 15) as i64 - 7;
        let (x, w): (Vec<i64>, Vec<i64>) =
            ((0..4 * 5 * 6).map(byte).collect(), (0..6 * 2 * 9).map(|i| byte(i + 5)).collect());
        let scale = |o: usize| 2f64.powi(o as i32 % 3 - 4);
        let list = |numbers: &mut dyn Iterator<Item = String>| numbers.collect::<Vec<_>>().join(", ");
        let weights = w.chunks(18).map(|o| {
            let taps = |c: &[i64]| {
                list(&mut c.chunks(3).map(|row| format!("[{}]", list(&mut row.iter().map(i64::to_string)))))
            };
            format!("[{}]", list(&mut o.chunks(9).map(|c| format!("[{}]", taps(c)))))
        });
        let weights = list(&mut weights.into_iter());
        let (scales, biases) =
            (list(&mut (0..6).map(|o| scale(o).to_string())), list(&mut (0..6).map(|o| o.to_string())));
        let text = format!(
            "program(1.3) {{ func main<ios18>(tensor<fp16, [1, 4, 5, 6]> x) {{
                tensor<int8, [1, 4, 5, 6]> q = quantize(input = x, scale = fp16(0.5), output_dtype = string(\"int8\"));
                tensor<fp16, [1, 4, 5, 6]> d = dequantize(input = q, scale = fp16(0.5));
                tensor<fp16, [6, 2, 3, 3]> w = constexpr_affine_dequantize()[quantized_data = tensor<int8, [6, 2, 3, 3]>([{weights}]), \
                    zero_point = int8(0), scale = tensor<fp16, [6]>([{scales}]), axis = int32(0)];
                tensor<fp16, [1, 6, 3, 3]> y = conv(x = d, weight = w, bias = tensor<fp16, [6]>([{biases}]), \
                    strides = tensor<int32, [2]>([2, 2]), pad_type = string(\"custom\"), pad = tensor<int32, [4]>([1, 1, 1, 0]), \
                    groups = int32(2)); }} -> (y); }}"
        );
        let report = verify::verify(&text::parse(&text).unwrap_or_else(|d| panic!("{d}")), &Weights::none());
        let verified = report.verified.unwrap_or_else(|| panic!("{}", report.diagnostics));
        let mut expected = Vec::new();
        for (o, row, column) in (0..6 * 9).map(|i| (i / 9, i % 9 / 3, i % 3)) {
            let mut sum = 0;
            for (c, ky, kx) in (0..2 * 9).map(|i| (i / 9, i % 9 / 3, i % 3)) {
                let (y, x_) = ((2 * row + ky) as i64 - 1, (2 * column + kx) as i64 - 1);
                if (0..5).contains(&y) && (0..6).contains(&x_) {
                    let channel = o / 3 * 2 + c;
                    sum += x[channel * 30 + y as usize * 6 + x_ as usize] * w[o * 18 + c * 9 + ky * 3 + kx];
                }
            }
            expected.push(sum as f64 * 0.5 * scale(o) + o as f64);
        }
        let halves: Vec<f64> = x.iter().map(|&x| x as f64 * 0.5).collect();
        let x = Tensor::from_f64s(DType::Fp16, &[1, 4, 5, 6], &halves).unwrap();
        let numerics = Numerics::Chip(Chip::M5);
        assert!(on_bytes(verified.main(), numerics).is_some());
        let bounds = range::bounds(verified.main(), &[("x", Range::new(-3.5, 3.5))], numerics).unwrap();
        for engine in [Engine::Reference, Engine::Cpu] {
            let model =
                device::load(verified.main(), engine, &Options { numerics, ..Options::default() }).unwrap();
            let results = model.run(&[("x", x.clone())], &model.new_states().unwrap()).unwrap();
            let found = results[0].1.as_tensor().unwrap().to_f64s();
            assert_eq!(found, expected, "{engine}");
            let bound = bounds.of(verified.main().body.outputs[0]);
            assert!(bound.is_bounded() && found.iter().all(|&y| bound.contains(y)), "{bound}");
        }
    }

    fn nested(n: usize) -> String {
        format!("[[{}]]", vec!["[[127]]"; n].join(", "))
    }
}
