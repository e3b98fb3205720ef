//! Programs as MIL text, written layer by layer. Weights are named and not there: a cost is that of their types.

use std::fmt::Write;

/// How weights are stored, and inputs read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Form {
    /// In fp16.
    Fp16,
    /// In int8, beside inputs of fp16.
    Int8,
    /// In int8, and so are the inputs.
    Int8Both,
    /// Indices of four bits into a palette.
    Palette4,
    /// Without this part, which is zeros.
    Pruned(f64),
    /// The same, and what is left as indices of four bits.
    Pruned4(f64),
}

/// A convolution that keeps the size of its input.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conv {
    pub(super) inputs: u64,
    pub(super) outputs: u64,
    pub(super) kernel: (u64, u64),
    pub(super) stride: u64,
    pub(super) form: Form,
}

impl Conv {
    /// As many channels out as in, of this kernel.
    pub(super) fn square(channels: u64, height: u64, width: u64) -> Self {
        Self { inputs: channels, outputs: channels, kernel: (height, width), stride: 1, form: Form::Fp16 }
    }

    pub(super) fn stored(self, form: Form) -> Self {
        Self { form, ..self }
    }
}

/// A program with one input `x`, or several.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    params: Vec<String>,
    body: String,
    shape: Vec<u64>,
    values: usize,
    /// The last result.
    last: String,
}

impl Draft {
    pub(super) fn of(shape: &[u64]) -> Self {
        let mut draft = Self { shape: shape.to_vec(), ..Self::default() };
        draft.last = draft.input();
        draft
    }

    /// Another input of the shape that the last result has.
    fn input(&mut self) -> String {
        let name = format!("x{}", self.params.len());
        self.params.push(format!("{} {name}", ty("fp16", &self.shape)));
        name
    }

    pub(super) fn text(&self) -> String {
        let params = self.params.join(", ");
        format!("program(1.3) {{\nfunc main<ios18>({params}) {{\n{}}} -> ({});\n}}\n", self.body, self.last)
    }

    fn line(&mut self, line: &str) {
        // Writing into a string does not fail.
        let _ = writeln!(self.body, "{line}");
    }

    fn step(&mut self, shape: &[u64], call: &str) {
        self.values += 1;
        let line = format!("{} v{} = {call};", ty("fp16", shape), self.values);
        self.line(&line);
        self.last = format!("v{}", self.values);
        self.shape = shape.to_vec();
    }

    /// An op of the last result, which keeps its shape; its other arguments as MIL text.
    pub(super) fn same(mut self, op: &str, arguments: &str) -> Self {
        let shape = self.shape.clone();
        let call = format!("{op}(x = {}{arguments})", self.last);
        self.step(&shape, &call);
        self
    }

    /// An op of the last result, which gives this shape.
    pub(super) fn to(mut self, shape: &[u64], op: &str, arguments: &str) -> Self {
        let call = format!("{op}(x = {}{arguments})", self.last);
        self.step(shape, &call);
        self
    }

    /// The same numbers in this shape.
    pub(super) fn reshaped(self, shape: &[u64]) -> Self {
        self.to(shape, "reshape", &format!(", shape = tensor<int32, [{}]>({shape:?})", shape.len()))
    }

    /// The first input, of this shape, divided by the last result.
    pub(super) fn under(mut self, shape: &[u64]) -> Self {
        let call = format!("real_div(x = x0, y = {})", self.last);
        self.step(shape, &call);
        self
    }

    /// An op of the last result and another input.
    pub(super) fn with_input(mut self, op: &str) -> Self {
        let (other, shape) = (self.input(), self.shape.clone());
        let call = format!("{op}(x = {}, y = {other})", self.last);
        self.step(&shape, &call);
        self
    }

    /// Attention among three inputs.
    pub(super) fn attention(mut self) -> Self {
        let (key, value, shape) = (self.input(), self.input(), self.shape.clone());
        let call =
            format!("scaled_dot_product_attention(query = {}, key = {key}, value = {value})", self.last);
        self.step(&shape, &call);
        self
    }

    /// A product with a matrix of weights.
    pub(super) fn matmul(mut self, columns: u64, form: Form) -> Self {
        let inner = self.shape.last().copied().unwrap_or(1);
        let weights = self.weights(&[inner, columns], form);
        let mut shape = self.shape.clone();
        shape.pop();
        shape.push(columns);
        let x = self.read(form);
        self.step(&shape, &format!("matmul(x = {x}, y = {weights})"));
        self
    }

    pub(super) fn conv(mut self, conv: Conv) -> Self {
        let (height, width) = conv.kernel;
        let weights = self.weights(&[conv.outputs, conv.inputs, height, width], conv.form);
        let x = self.read(conv.form);
        let [batch, _, rows, columns] = self.shape[..] else { return self };
        let shape = [batch, conv.outputs, rows.div_ceil(conv.stride), columns.div_ceil(conv.stride)];
        let s = conv.stride;
        self.step(
            &shape,
            &format!(
                "conv(x = {x}, weight = {weights}, pad_type = string(\"same\"), groups = int32(1), strides = \
                 tensor<int32, [2]>([{s}, {s}]), dilations = tensor<int32, [2]>([1, 1]), pad = tensor<int32, \
                 [4]>([0, 0, 0, 0]))"
            ),
        );
        self
    }

    /// So many of a layer.
    pub(super) fn times(mut self, count: usize, layer: impl Fn(Self) -> Self) -> Self {
        for _ in 0..count {
            self = layer(self);
        }
        self
    }

    /// The last result, as the engine is to read it.
    fn read(&mut self, form: Form) -> String {
        if form != Form::Int8Both {
            return self.last.clone();
        }
        let (x, shape) = (self.last.clone(), self.shape.clone());
        self.values += 1;
        let q = self.values;
        self.line(&format!(
            "{} v{q} = quantize(input = {x}, scale = fp16(0.1), output_dtype = string(\"int8\"));",
            ty("int8", &shape)
        ));
        self.step(&shape, &format!("dequantize(input = v{q}, scale = fp16(0.1))"));
        self.last.clone()
    }

    /// Weights of this shape.
    fn weights(&mut self, shape: &[u64], form: Form) -> String {
        self.values += 1;
        let n = self.values;
        let all: u64 = shape.iter().product();
        let ones: Vec<u64> = shape.iter().map(|_| 1).collect();
        let left = |part: f64| ((all as f64 * (1.0 - part)).round() as u64).max(1);
        let mut constant = |name: &str, dtype: &str, shape: &[u64]| {
            let t = ty(dtype, shape);
            self.line(&format!(
                "{t} {name}{n} = const()[val = {t}(BLOBFILE(path = string(\"@model_path/weights/weight.bin\"), offset = \
                 uint64(64)))];"
            ));
        };
        let palette: Vec<u64> = ones.iter().copied().chain([16, 1]).collect();
        let call = match form {
            Form::Fp16 => {
                constant("w", "fp16", shape);
                return format!("w{n}");
            }
            Form::Int8 | Form::Int8Both => {
                constant("q", "int8", shape);
                constant("s", "fp16", &ones);
                format!("constexpr_blockwise_shift_scale(data = q{n}, scale = s{n})")
            }
            Form::Palette4 => {
                constant("q", "uint4", shape);
                constant("s", "fp16", &palette);
                format!("constexpr_lut_to_dense(indices = q{n}, lut = s{n})")
            }
            Form::Pruned(part) => {
                constant("m", "uint1", shape);
                constant("q", "fp16", &[left(part)]);
                format!("constexpr_sparse_to_dense(nonzero_data = q{n}, mask = m{n})")
            }
            Form::Pruned4(part) => {
                constant("m", "uint1", shape);
                constant("i", "uint4", &[left(part)]);
                constant("s", "fp16", &palette);
                let (mask, data) = (ty("uint1", shape), ty("fp16", &[left(part)]));
                self.line(&format!(
                    "{mask} k{n}, {data} q{n} = constexpr_lut_to_sparse(indices_mask = m{n}, indices_nonzero_data = i{n}, \
                     lut = s{n});"
                ));
                format!("constexpr_sparse_to_dense(nonzero_data = q{n}, mask = k{n})")
            }
        };
        let line = format!("{} w{n} = {call};", ty("fp16", shape));
        self.line(&line);
        format!("w{n}")
    }
}

fn ty(dtype: &str, shape: &[u64]) -> String {
    let dims: Vec<String> = shape.iter().map(u64::to_string).collect();
    format!("tensor<{dtype}, [{}]>", dims.join(", "))
}
