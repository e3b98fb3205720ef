//! What a row says of the program that was tried, in the words of the table.

use anemone::ops;
use anemone::types::DType;

/// What is said of a program; what is not said has a default.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Condition {
    /// The op of MIL.
    pub(super) op: String,
    pub(super) x: Option<Vec<usize>>,
    pub(super) y: Option<Vec<usize>>,
    pub(super) to: Option<Vec<usize>>,
    pub(super) weight: Option<Vec<usize>>,
    /// The weights or indices are given when the program runs.
    pub(super) at_run_time: bool,
    pub(super) kernel: Option<Vec<usize>>,
    pub(super) same: bool,
    pub(super) stride: Option<usize>,
    pub(super) dilation: Option<usize>,
    pub(super) groups: Option<usize>,
    pub(super) axes: Option<Vec<i64>>,
    pub(super) perm: Option<Vec<i64>>,
    pub(super) reps: Option<Vec<i64>>,
    pub(super) k: Option<i64>,
    pub(super) factor: Option<usize>,
    pub(super) depth: Option<i64>,
    /// The mode, as MIL spells it.
    pub(super) mode: Option<&'static str>,
    pub(super) transposed: bool,
    pub(super) interleave: bool,
    /// What the op computes in, and what a cast gives.
    pub(super) dtypes: Vec<DType>,
    /// The inputs of the model are in fp32, and cast.
    pub(super) interface: bool,
    /// Layers that depend on each other.
    pub(super) layers: Option<usize>,
}

/// Names that the table has for ops of MIL.
const ALIASES: &[(&str, &str)] = &[
    ("argmax", "reduce_argmax"),
    ("embedding", "gather"),
    ("global_avg", "reduce_mean"),
    ("hard_sigmoid", "sigmoid_hard"),
    ("linear_act", "linear_activation"),
    ("native sdpa", "scaled_dot_product_attention"),
    ("nms", "non_maximum_suppression"),
    ("nonzero", "non_zero"),
    ("q_dq", "dequantize"),
    ("resize_down", "resize"),
    ("resize_nearest", "resize_nearest_neighbor"),
    ("sdpa", "scaled_dot_product_attention"),
    ("sort", "argsort"),
    ("upsample_nearest", "upsample_nearest_neighbor"),
];

/// The op of MIL that a name starts with, and what follows it.
fn split_op(name: &str) -> Option<(&'static str, &str)> {
    let lower = name.to_lowercase();
    let fits = |n: &str| lower.starts_with(n).then(|| &name[n.len()..]);
    let table = ops::all().map(|op| (op.name, op.name));
    let named = table.chain(ALIASES.iter().copied()).filter_map(|(n, op)| Some((n.len(), op, fits(n)?)));
    // `conv3x3` and `relu6` go on with digits, `conv_dynw` with a line; `addition` is no `add`.
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphabetic());
    let (_, op, rest) = named.filter(|(_, _, rest)| ends(rest)).max_by_key(|(length, ..)| *length)?;
    Some((op, rest))
}

/// The numbers of `1x64x32x32`, if it is such a word.
fn shape(word: &str) -> Option<Vec<usize>> {
    let word = word.trim_matches(|c| matches!(c, ',' | ';' | '(' | ')' | ':'));
    let dims: Option<Vec<usize>> = word.split('x').map(|d| d.parse().ok()).collect();
    dims.filter(|d| d.len() >= 2)
}

/// The axes of a tensor by the letters of its layout.
fn axes(word: &str) -> Option<Vec<i64>> {
    if word == "all" {
        return Some(vec![0, 1, 2, 3]);
    }
    let axes: Option<Vec<i64>> = word.chars().map(|c| "nchw".find(c).map(|i| i as i64)).collect();
    axes.filter(|a| !a.is_empty())
}

fn dtype(word: &str) -> Option<DType> {
    Some(match word {
        "f16" | "fp16" => DType::Fp16,
        "f32" | "fp32" => DType::Fp32,
        "i32" | "int32" => DType::Int32,
        "i8" | "int8" => DType::Int8,
        "uint8" => DType::UInt8,
        "bf16" => DType::Bf16,
        _ => return None,
    })
}

impl Condition {
    /// Reads the name of a row and its condition, if that tells of a program; none when the row is not about an op of MIL.
    pub(super) fn read(name: &str, dtype: &str, condition: Option<&str>) -> Option<Condition> {
        let (op, rest) = split_op(name)?;
        let mut c = Condition { op: op.to_string(), ..Self::default() };
        if dtype == "int32" {
            c.dtypes.push(DType::Int32);
        }
        c.name(rest, name);
        let Some(condition) = condition else { return Some(c) };
        // What is said of the compute units is no part of the program.
        let program = condition.split('|').next().unwrap_or_default();
        match program.split_once(" Nx64x32x32:") {
            Some((_, value)) => c.swept(name, value.trim()),
            None => c.words(program),
        }
        Some(c)
    }

    /// What follows the op in the name of a row: `3x3_d2`, `_c`, ` K=16384`, ` 1x16 valid`.
    fn name(&mut self, rest: &str, name: &str) {
        self.transposed |= name.ends_with("_tr");
        for word in rest.split(['_', ' ']).filter(|w| !w.is_empty()) {
            let number = |w: &str| w.parse::<usize>().ok();
            if let Some((what, n)) = word.split_once('=').and_then(|(w, n)| Some((w, number(n)?))) {
                match what {
                    "K" => self.inner(n),
                    "W" => self.x = Some(vec![1, 1, 1, n]),
                    "H" => self.x = Some(vec![1, 1, n, 1]),
                    "C" => self.x = Some(vec![1, n, 1, 1]),
                    _ => {}
                }
            } else if let Some(dims) = shape(word) {
                self.kernel = Some(dims);
            } else if let Some(dtype) = dtype(word) {
                self.dtypes.push(dtype);
            } else if let (Some(n), true) = (word.get(1..).and_then(number), word.is_ascii()) {
                match &word[..1] {
                    "k" => self.kernel = Some(vec![n, n]),
                    "s" => self.stride = Some(n),
                    "d" => self.dilation = Some(n),
                    "r" => self.x = Some(vec![2; n]),
                    "x" => self.factor = Some(n),
                    "c" => self.x = Some(vec![1, n, 1, 1]),
                    "h" => self.x = Some(vec![1, 1, n, 1]),
                    "w" => self.x = Some(vec![1, 1, 1, n]),
                    _ => {}
                }
            } else if let Some(dims) = word.strip_prefix('k').and_then(shape) {
                self.kernel = Some(dims);
            } else {
                match word {
                    "1d" => self.x = Some(vec![1, 64, 256]),
                    "3d" => self.x = Some(vec![1, 16, 8, 16, 16]),
                    "dyn" | "dynw" => self.at_run_time = true,
                    "dw" => self.groups = Some(64),
                    "valid" => self.same = false,
                    "same" => self.same = true,
                    "exact" => self.mode = Some("EXACT"),
                    "tanh" => self.mode = Some("TANH_APPROXIMATION"),
                    "sigmoid" => self.mode = Some("SIGMOID_APPROXIMATION"),
                    "reflect" => self.mode = Some("reflect"),
                    "replicate" => self.mode = Some("replicate"),
                    "interleave" => self.interleave = true,
                    word => self.axes = axes(word).or_else(|| self.axes.take()),
                }
            }
        }
        if self.op == "conv_transpose" && self.kernel.is_none() {
            self.stride = Some(2);
        }
        self.at_run_time |= name == "embedding";
        let lines = ["conv KxK", "conv Kx1", "conv 1xK", "max_pool KxK", "avg_pool KxK"];
        if lines.iter().any(|l| name.starts_with(l)) {
            self.same = true;
        }
        // The compiler was given kernels with padding unless the row says `valid`.
        self.same |= self.kernel.is_some() && !name.ends_with("valid");
        if name.starts_with("topk") && name.ends_with("large") {
            self.x = Some(vec![1, 32000]);
        }
    }

    /// A product with sums of `n` terms.
    fn inner(&mut self, n: usize) {
        (self.x, self.y) = (Some(vec![1, 16, n]), Some(vec![1, n, 16]));
    }

    /// The value of a sweep, of the quantity that the name of the row tells.
    fn swept(&mut self, name: &str, value: &str) {
        self.x = Some(vec![1, 64, 32, 32]);
        self.same = !value.ends_with("valid");
        let number: Option<usize> = value.split(' ').next().and_then(|v| v.parse().ok());
        match (name.rsplit(' ').next().unwrap_or_default(), number) {
            ("groups", n) => self.groups = n,
            ("stride", n) => self.stride = n,
            ("dilation", n) => self.dilation = n,
            ("K", Some(n)) => self.inner(n),
            ("N", Some(n)) => self.x = Some(vec![n, 64, 32, 32]),
            ("W", Some(n)) => self.x = Some(vec![1, 1, 1, n]),
            ("H", Some(n)) => self.x = Some(vec![1, 1, n, 1]),
            ("C", Some(n)) => self.x = Some(vec![1, n, 1, 1]),
            ("rank", Some(n)) => self.x = Some(vec![2; n]),
            _ => self.kernel = value.split(' ').next().and_then(shape).or_else(|| self.kernel.take()),
        }
    }

    /// The words of a condition, each by the words before it.
    fn words(&mut self, text: &str) {
        let text = text.replace([',', ';'], " ");
        let words: Vec<&str> = text.split_whitespace().collect();
        let windowed = ["conv", "conv_transpose"].contains(&self.op.as_str());
        let pooled = self.op.ends_with("_pool");
        for (i, word) in words.iter().enumerate() {
            let before = i.checked_sub(1).map_or("", |i| words[i]);
            let next = words.get(i + 1).copied().unwrap_or("");
            let number = |w: &str| w.parse::<i64>().ok();
            if let Some(dims) = shape(word) {
                match before {
                    "->" | "to" => self.to = Some(dims),
                    "@" | "+" => self.y = Some(dims),
                    "const" if self.op == "matmul" => self.y = Some(dims),
                    "block" => self.factor = dims.first().copied(),
                    "coordinates" | "indices" => self.y = Some(dims),
                    _ if self.x.is_none() => self.x = Some(dims),
                    _ if windowed => self.weight = Some(dims),
                    _ if pooled => self.kernel = Some(dims),
                    _ if self.y.is_none() && before != "hidden" => self.y = Some(dims),
                    _ => {}
                }
                continue;
            }
            let list = || {
                let list: Vec<i64> = words[i + 1..].iter().map_while(|w| number(w)).collect();
                (!list.is_empty()).then_some(list)
            };
            match *word {
                "same" => self.same = true,
                "valid" => self.same = false,
                "interface" => self.interface = true,
                "3-D" => self.x = Some(vec![1, 8, 4, 8, 8]),
                "stride" => self.stride = number(next).map(|n| n as usize).or(self.stride),
                "dilation" => self.dilation = number(next).map(|n| n as usize),
                "groups" => self.groups = number(next).map(|n| n as usize),
                "factor" => self.factor = number(next).map(|n| n as usize),
                "axis" | "axes" => self.axes = list(),
                "reps" => self.reps = list(),
                "depth" => self.depth = number(next),
                "k" => self.k = number(next),
                "perm" => self.perm = Some(next.bytes().map(|b| i64::from(b) - i64::from(b'0')).collect()),
                "(1x128x256)^T" => {
                    (self.y, self.transposed) = (Some(vec![1, 128, 256]), true);
                }
                "int32" if before == "with" || next == "index" || next == "indices" => {
                    self.at_run_time = true
                }
                "EXACT" => self.mode = Some("EXACT"),
                "SIGMOID_APPROXIMATION" => self.mode = Some("SIGMOID_APPROXIMATION"),
                "x2" | "x3" => self.factor = number(&word[1..]).map(|n| n as usize),
                "input" if before == "an" => self.at_run_time = true,
                _ => {}
            }
        }
        if self.op == "one_hot" || self.op == "gather" && self.at_run_time {
            self.at_run_time = true;
        }
        if self.interface {
            self.dtypes.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, condition: &str, want: Condition) {
        assert_eq!(Condition::read(name, "fp16", Some(condition)), Some(want));
    }

    #[test]
    fn names_and_conditions_are_read() {
        let of = |op: &str| Condition { op: op.to_string(), ..Condition::default() };
        check(
            "conv3x3_d2",
            "x 1x64x32x32; 64x64x3x3 same dilation 2 | one-op Core ML model",
            Condition {
                x: Some(vec![1, 64, 32, 32]),
                weight: Some(vec![64, 64, 3, 3]),
                kernel: Some(vec![3, 3]),
                same: true,
                dilation: Some(2),
                ..of("conv")
            },
        );
        check(
            "max_pool",
            "boundary sweep; relu batch Nx64x32x32: 9x9 valid",
            Condition { x: Some(vec![1, 64, 32, 32]), kernel: Some(vec![9, 9]), ..of("max_pool") },
        );
        check(
            "matmul inner dimension K",
            "sweep; matmul 1x16xK @ 1xKx16; relu batch Nx64x32x32: 40000",
            Condition {
                x: Some(vec![1, 16, 40000]),
                y: Some(vec![1, 40000, 16]),
                same: true,
                ..of("matmul")
            },
        );
        check(
            "softmax_h",
            "x 1x64x32x32; axis 2",
            Condition { x: Some(vec![1, 64, 32, 32]), axes: Some(vec![2]), ..of("softmax") },
        );
        assert_eq!(Condition::read("texture engine", "-", None), None);
        assert_eq!(Condition::read("ne_matmul", "fp16", None), None);
    }
}
