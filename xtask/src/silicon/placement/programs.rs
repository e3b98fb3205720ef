//! The program of a condition, written with the builder.

use anemone::Graph;
use anemone::graph::{Arg, Built, Options, Tensor};
use anemone::mil::Opset;
use anemone::mil::op::{Default as Otherwise, Parameter};
use anemone::ops;
use anemone::types::{self, DType};

use super::condition::Condition;

/// The program that a condition tells of.
///
/// # Errors
///
/// Why there is none: the gate refuses it, or nothing is known of how the op is called.
pub(super) fn program(c: &Condition) -> Result<Built, String> {
    let shapes = [&c.x, &c.y, &c.to, &c.weight, &c.kernel];
    let sizes = shapes.into_iter().flatten().flatten().chain(&c.factor).chain(&c.stride).chain(&c.groups);
    if sizes.into_iter().any(|&size| size > LARGEST) {
        return Err("a size that is none of a program".to_string());
    }
    let mut g = Graph::with_opset(Opset::Ios18);
    let mut call = Call { g: &mut g, c };
    let results = call.write()?;
    for (i, result) in results.into_iter().enumerate() {
        g.output(&format!("out_{i}"), result);
    }
    g.build().map_err(|d| d.iter().next().map_or_else(String::new, ToString::to_string))
}

/// The largest size of an axis that a program is made of.
const LARGEST: usize = 1 << 24;

/// The most numbers of a constant that is made.
const NUMBERS: usize = 1 << 26;

/// Ops that give a tensor of one number, whose dtype is that of the number.
fn op_fills(op: &str) -> bool {
    matches!(op, "fill" | "fill_like")
}

/// One call, with what is said of it.
struct Call<'a> {
    g: &'a mut Graph,
    c: &'a Condition,
}

impl Call<'_> {
    fn dtype(&self) -> DType {
        match self.c.op.as_str() {
            // Their names tell the dtype of what they give and take beside fp16.
            "quantize" | "dequantize" => DType::Fp16,
            _ => self.c.dtypes.first().copied().unwrap_or(DType::Fp16),
        }
    }

    /// The extents of the first argument.
    fn dims(&self) -> Vec<usize> {
        if let Some(x) = &self.c.x {
            return x.clone();
        }
        match self.c.op.as_str() {
            "linear" => vec![64, 64],
            "reshape" | "flatten2d" => vec![1, 64, 8, 8],
            "non_zero" | "one_hot" => vec![1, 64],
            "batch_to_space" => vec![4, 64, 32, 32],
            "scaled_dot_product_attention" => vec![1, 8, 128, 64],
            "rnn" | "gru" | "lstm" => vec![16, 1, 64],
            "local_response_norm" => vec![1, 8, 32, 32],
            "matmul" => vec![1, 128, 256],
            _ => vec![1, 64, 32, 32],
        }
    }

    fn input(&mut self, name: &str, dims: &[usize]) -> Tensor {
        if self.c.interface {
            // The interface of the model is in fp32, and the program casts.
            let x = self.g.input(name, DType::Fp32, dims);
            return self.g.op("cast", Options::new().and("x", x).and("dtype", "fp16"))[0];
        }
        let dtype = self.dtype();
        self.g.input(name, dtype, dims)
    }

    /// A constant of ones.
    fn ones(&self, dims: &[usize]) -> Result<Arg, String> {
        let count = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).filter(|&n| n <= NUMBERS);
        let count = count.ok_or("a constant that is none of a program")?;
        let ones = types::Tensor::from_f64s(self.dtype(), dims, &vec![1.0; count]);
        ones.map(Into::into).map_err(|e| e.to_string())
    }

    /// Calls the op, and gives its results.
    fn write(&mut self) -> Result<Vec<Tensor>, String> {
        let c = self.c;
        let options = match c.op.as_str() {
            "conv" | "conv_transpose" => self.convolution()?,
            "avg_pool" | "max_pool" | "l2_pool" => self.pool(),
            "matmul" => self.product()?,
            "scaled_dot_product_attention" => self.attention(),
            "rnn" | "gru" | "lstm" => self.recurrence()?,
            "dequantize" => {
                let dims = self.dims();
                let x = self.input("x", &dims);
                let q = self.g.op(
                    "quantize",
                    Options::new().and("input", x).and("scale", 0.1).and("output_dtype", "int8"),
                );
                Options::new().and("input", q[0]).and("scale", types::Tensor::scalar(DType::Fp16, 0.1))
            }
            _ => self.by_parameters()?,
        };
        if let Some(layers) = c.layers {
            return self.chain(layers, options);
        }
        let mut results: Vec<Tensor> = self.g.op(&c.op, options).iter().copied().collect();
        if c.op == "cast" && c.dtypes.len() < 2 && c.dtypes.first() == Some(&DType::Int8) {
            let x = self.input("y", &[1, 64, 32, 32]);
            results =
                self.g.op("cast", Options::new().and("x", x).and("dtype", "int8")).iter().copied().collect();
        }
        if results.is_empty() {
            return Err(self.g.diagnostics().iter().next().map_or_else(String::new, ToString::to_string));
        }
        Ok(results)
    }

    /// Layers one behind the other, all with the same weights.
    fn chain(&mut self, layers: usize, first: Options) -> Result<Vec<Tensor>, String> {
        let weight = self.ones(&[64, 64, 1, 1])?;
        let mut x = self.g.op("conv", first)[0];
        for _ in 1..layers {
            x = self.g.op("conv", Options::new().and("x", x).and("weight", weight.clone()))[0];
        }
        Ok(vec![x])
    }

    fn convolution(&mut self) -> Result<Options, String> {
        let c = self.c;
        let mut dims = self.dims();
        let kernel = c.kernel.clone().unwrap_or_else(|| match (c.op.as_str(), dims.len()) {
            ("conv_transpose", n) => vec![2; n - 2],
            (_, n) => vec![3; n - 2],
        });
        let groups = c.groups.unwrap_or(1);
        let channels = dims.get(1).copied().ok_or("a convolution needs channels")?;
        let weight = c.weight.clone().unwrap_or_else(|| {
            let mut weight = vec![64.max(channels), channels / groups];
            if kernel.len() + 2 < dims.len() {
                weight.resize(dims.len() - kernel.len(), 1);
            }
            weight.extend(&kernel);
            weight
        });
        if weight.len() > dims.len() {
            dims.resize(weight.len(), 1);
        }
        let spatial = weight.len() - 2;
        let x = self.input("x", &dims);
        let groups = if c.weight.is_some() && channels > weight[1] && c.op == "conv" {
            channels / weight[1]
        } else {
            groups
        };
        let mut options = Options::new().and("x", x).and("groups", groups as i32);
        options = match c.at_run_time {
            true => {
                let w = self.g.input("w", DType::Fp16, &weight);
                options.and("weight", w)
            }
            false => options.and("weight", self.ones(&weight)?),
        };
        let list = |n: Option<usize>| n.map(|n| vec![n as i32; spatial]);
        if let Some(strides) = list(c.stride) {
            options = options.and("strides", strides);
        }
        if let Some(dilations) = list(c.dilation) {
            options = options.and("dilations", dilations);
        }
        if c.same && c.op == "conv" {
            options = options.and("pad_type", "same");
        }
        Ok(options)
    }

    fn pool(&mut self) -> Options {
        let dims = self.dims();
        let x = self.input("x", &dims);
        let spatial = dims.len() - 2;
        let kernel: Vec<i32> =
            self.c.kernel.clone().unwrap_or_else(|| vec![2; spatial]).iter().map(|&k| k as i32).collect();
        let stride = self.c.stride.unwrap_or(1) as i32;
        let pad = if self.c.same { "same" } else { "valid" };
        let options = Options::new().and("x", x).and("strides", vec![stride; kernel.len()]);
        options.and("kernel_sizes", kernel).and("pad_type", pad)
    }

    fn product(&mut self) -> Result<Options, String> {
        let dims = self.dims();
        let x = self.input("x", &dims);
        let other = self.c.y.clone().unwrap_or_else(|| {
            let mut other = dims.clone();
            let n = other.len();
            if n >= 2 {
                other.swap(n - 1, n - 2);
            }
            other
        });
        let y = self.input("y", &other);
        Ok(Options::new().and("x", x).and("y", y).and("transpose_y", self.c.transposed))
    }

    fn attention(&mut self) -> Options {
        let dims = self.dims();
        let [query, key, value] = ["query", "key", "value"].map(|n| self.input(n, &dims));
        let mut options = Options::new().and("query", query).and("key", key).and("value", value);
        if let Some(mask) = &self.c.y {
            let mask = self.g.input("mask", DType::Fp16, mask);
            options = options.and("attn_mask", mask);
        }
        options
    }

    fn recurrence(&mut self) -> Result<Options, String> {
        let dims = self.dims();
        let (batch, width) = (dims[1], dims[2]);
        let gates = match self.c.op.as_str() {
            "lstm" => 4,
            "gru" => 3,
            _ => 1,
        };
        let x = self.input("x", &dims);
        let h = self.input("h", &[batch, width]);
        let mut options = Options::new().and("x", x).and("initial_h", h);
        if gates == 4 {
            let cell = self.input("cell", &[batch, width]);
            options = options.and("initial_c", cell);
        }
        Ok(options
            .and("weight_ih", self.ones(&[gates * width, width])?)
            .and("weight_hh", self.ones(&[gates * width, width])?))
    }

    /// The arguments of any op, each by the name of its parameter.
    fn by_parameters(&mut self) -> Result<Options, String> {
        let op = ops::find(&self.c.op).ok_or("no op of MIL")?;
        let edition = op.edition(Opset::Ios18).ok_or("no op of the newest opset")?;
        let mut options = Options::new();
        for p in edition.params {
            let said = self.said(p);
            let arg = match said {
                Some(arg) => Some(arg),
                None if p.default == Otherwise::Required => Some(self.required(p)?),
                None => None,
            };
            if let Some(arg) = arg {
                options = options.and(p.name, arg);
            }
        }
        Ok(options)
    }

    /// An argument that the condition tells.
    fn said(&mut self, p: &Parameter) -> Option<Arg> {
        let c = self.c;
        let ints = |v: &[i64]| Arg::from(v.iter().map(|&i| i as i32).collect::<Vec<i32>>());
        Some(match p.name {
            "axes" => ints(c.axes.as_ref()?),
            "axis" => Arg::from(*c.axes.as_ref()?.first()? as i32),
            "keep_dims" => Arg::from(true),
            "k" if c.op == "topk" => Arg::from(c.k? as i32),
            "mode" => Arg::from(c.mode?),
            "interleave" => Arg::from(c.interleave),
            "value" if op_fills(&c.op) => types::Tensor::scalar(DType::Fp16, 1.0).into(),
            "low" | "high" | "mean" | "stddev" | "prob" if c.op.starts_with("random") => {
                types::Tensor::scalar(DType::Fp16, if p.name == "low" { 0.0 } else { 1.0 }).into()
            }
            "scale_factor_height" | "scale_factor_width" => match c.op.as_str() {
                "upsample_bilinear" => Arg::from(c.factor.unwrap_or(2) as f32),
                _ => Arg::from(c.factor.unwrap_or(2) as i32),
            },
            "max_boxes" => Arg::from(10),
            "num_splits" => Arg::from(2),
            "perm" => ints(c.perm.as_ref()?),
            "reps" => ints(c.reps.as_ref()?),
            _ => return None,
        })
    }

    /// An argument that must be given, and of which the condition tells nothing.
    fn required(&mut self, p: &Parameter) -> Result<Arg, String> {
        let c = self.c;
        let dims = self.dims();
        let rank = dims.len();
        let n = |i: usize| dims.get(i).copied().unwrap_or(1);
        let factor = c.factor.unwrap_or(2);
        let last = dims.clone();
        let int = |v: usize| Arg::from(v as i32);
        let ints = |v: Vec<usize>| Arg::from(v.into_iter().map(|i| i as i32).collect::<Vec<i32>>());
        let op = c.op.as_str();
        let with_axis = |axis: usize, n: usize| {
            let mut d = last.clone();
            if let Some(d) = d.get_mut(axis) {
                *d = n;
            }
            d
        };
        let resized = |axis: usize| {
            c.to.as_ref()
                .map_or(n((rank + axis).saturating_sub(2)) * factor, |t| t.get(axis).copied().unwrap_or(48))
        };
        Ok(match p.name {
            "x" | "data" | "input" | "ref_tensor" if op.starts_with("logical") => {
                self.g.input(p.name, DType::Bool, &dims).into()
            }
            "x" if op == "cast" && self.dtype() == DType::Int8 => {
                let x = self.g.input("x", DType::Fp16, &dims);
                self.g.op("cast", Options::new().and("x", x).and("dtype", "int32"))[0].into()
            }
            "x" if op == "band_part" && c.x.is_none() => self.input("x", &[1, 128, 128]).into(),
            "x" if op == "gather" && c.at_run_time && self.c.op == "gather" => {
                // A table of rows, and which of them are read.
                let table = if rank == 2 && n(0) > 1 { dims.clone() } else { vec![1000, 256] };
                self.ones(&table)?
            }
            "x" if op == "affine" || op == "resample" || op == "crop_resize" => self.input("x", &dims).into(),
            "x" | "data" | "input" | "ref_tensor" | "cond" | "a" | "b" | "probabilities" => match p.name {
                "cond" => self.g.input("cond", DType::Bool, &dims).into(),
                name => self.input(name, &dims).into(),
            },
            "y" => {
                let other = c.y.clone().unwrap_or_else(|| dims.clone());
                match op.starts_with("logical") {
                    true => self.g.input("y", DType::Bool, &other).into(),
                    false => self.input("y", &other).into(),
                }
            }
            "values" if op == "einsum" => {
                let (a, b) = (self.input("a", &[1, 64, 32, 32]), self.input("b", &[1, 32, 32, 64]));
                vec![a, b].into()
            }
            "equation" => "nchw,nwhu->nchu".into(),
            "values" => {
                let [a, b] = ["a", "b"].map(|name| self.input(name, &dims));
                vec![a, b].into()
            }
            "axis" if op.starts_with("constexpr") => int(0),
            "axis" | "axes" if op == "expand_dims" => ints(vec![0]),
            "axis" => int(1),
            "dtype" => c.dtypes.get(1).or(c.dtypes.first()).map_or("fp32", |d| d.name()).into(),
            "output_dtype" if op == "constexpr_cast" => "fp16".into(),
            "output_dtype" => "int8".into(),
            "alpha" if op == "clip" => Arg::from(-1.0),
            "alpha" | "beta" if matches!(op, "prelu" | "softplus_parametric") => self.ones(&[n(1)])?,
            "alpha" => Arg::from(0.5),
            "beta" => Arg::from(1.0),
            "mean" | "variance" | "gamma" => self.ones(&[n(1)])?,
            "size" if op == "local_response_norm" => int(3),
            "size" if op == "sliding_windows" => int(4),
            "weight" => self.ones(&[64, n(rank.saturating_sub(1))])?,
            "shape" if op == "resize" => Arg::from(vec![resized(0) as i32, resized(1) as i32]),
            "resized_dims" => Arg::from(types::Tensor::scalar(DType::UInt32, 2.0)),
            "shape" => ints(c.to.clone().unwrap_or_else(|| vec![n(0), n(1), dims.iter().skip(2).product()])),
            "perm" => ints(
                (0..rank).map(|i| if i + 2 >= rank { (2 * rank).saturating_sub(3 + i) } else { i }).collect(),
            ),
            "lengths" => Arg::from(vec![2; n(1)]),
            "block_size" | "upscale_factor" | "downscale_factor" => int(factor),
            "block_shape" => ints(vec![factor, factor]),
            "crops" | "paddings" => {
                types::Tensor::from_f64s(DType::Int32, &[2, 2], &[0.0; 4]).map_err(|e| e.to_string())?.into()
            }
            "reps" => ints(vec![1, 2, 1, 2]),
            "end" if op == "range_1d" => int(64),
            "start" => int(0),
            "step" => int(1),
            "indices" if op == "one_hot" => self.g.input("indices", DType::Int32, &[1, 64]).into(),
            "one_hot_vector_size" => int(c.depth.unwrap_or(128) as usize),
            "begin" if op == "slice_update" => ints(vec![0; rank]),
            "begin" => ints(
                with_axis(rank.saturating_sub(1), 4)
                    .iter()
                    .enumerate()
                    .map(|(i, &d)| if i + 1 == rank { d } else { 0 })
                    .collect(),
            ),
            "end" if op == "slice_update" => ints(with_axis(rank.saturating_sub(1), 4)),
            "end" => ints(dims.clone()),
            "size" => ints(with_axis(rank.saturating_sub(1), 16)),
            "update" => self.g.input("update", DType::Fp16, &with_axis(rank.saturating_sub(1), 4)).into(),
            "crop_height" | "crop_width" => Arg::from(vec![1, 1]),
            "pad" => Arg::from(vec![2, 2, 2, 2]),
            "indices" if op == "gather_along_axis" && !c.at_run_time => {
                types::Tensor::zeros(DType::Int32, &dims).map_err(|e| e.to_string())?.into()
            }
            "indices" if op.ends_with("along_axis") => self.g.input("indices", DType::Int32, &dims).into(),
            "indices" if op == "gather_nd" => {
                types::Tensor::zeros(DType::Int32, &[1, 3]).map_err(|e| e.to_string())?.into()
            }
            "indices" if op == "scatter_nd" => self.g.input("indices", DType::Int32, &[4, 1]).into(),
            "indices" if op == "scatter" || c.at_run_time => {
                let many = if op == "scatter" { vec![4] } else { vec![1, 64] };
                self.g.input("indices", DType::Int32, &many).into()
            }
            "indices" => Arg::from(vec![0; 16]),
            "updates" => match op {
                "scatter_along_axis" => self.input("updates", &dims).into(),
                "scatter_nd" => {
                    self.input("updates", &[&[4], dims.get(1..).unwrap_or_default()].concat()).into()
                }
                _ => self
                    .input(
                        "updates",
                        &with_axis(c.axes.as_ref().and_then(|a| a.first()).map_or(0, |&a| a as usize), 4),
                    )
                    .into(),
            },
            "boxes" if op == "crop_resize" => self.input("boxes", &[1, 4]).into(),
            "boxes" | "scores" => {
                let boxes = c.x.as_ref().and_then(|x| x.get(1)).copied().unwrap_or(100);
                self.input(p.name, &[1, 4, boxes]).into()
            }
            "iou_threshold" => Arg::from(0.5),
            "target_size_height" => int(resized(0)),
            "target_size_width" => int(resized(1)),
            "coordinates" => self.g.input("coordinates", DType::Fp16, &[n(0), n(2), n(3), 2]).into(),
            "transform_matrix" => self.g.input("matrix", DType::Fp16, &[n(0), 6]).into(),
            "output_height" | "output_width" => int(32),
            "sampling_mode" => "bilinear".into(),
            "padding_mode" => "constant".into(),
            "padding_value" => Arg::from(0.0),
            "coordinates_mode" => "normalized_minus_one_to_one".into(),
            "align_corners" => Arg::from(true),
            "scale" if op.starts_with("constexpr_affine") => types::Tensor::scalar(DType::Fp16, 0.1).into(),
            "scale" => Arg::from(0.1),
            other => return Err(format!("nothing is known of `{other}` of `{op}`")),
        })
    }
}
