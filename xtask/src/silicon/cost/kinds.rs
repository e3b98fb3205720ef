//! Which program a row of a table of costs stands for.

use anemone::place::cost::Boundary;

use super::draft::{Conv, Draft, Form};
use super::{Row, Timed};

/// What the row is the time of, and that time in seconds; or why no program stands for it.
pub(super) fn timed(row: &Row) -> Result<(Timed, f64), &'static str> {
    if row.kind != "measured" {
        return Err("an estimate or a fit, and not a measurement");
    }
    if row.backend.starts_with("CPU") || row.backend.starts_with("GPU") {
        return Err("measured on another device");
    }
    if row.op.contains("(bridge") {
        return Err("over a bridge of its own, which is not MIL");
    }
    let figure = seconds(row);
    if matches!(figure, Some(Figure::Apart(_)) | None) && !is_rate(row) {
        return Err(match figure {
            Some(Figure::Apart(why)) => why,
            _ => "not a time: a rating, a power, a limit",
        });
    }
    for kind in KINDS {
        let (Some(mut numbers), Some(more)) = (fit(kind.op, &row.op), fit(kind.config, &row.config)) else {
            continue;
        };
        numbers.extend(more);
        let Some(timed) = (kind.make)(&numbers, row) else { continue };
        let time = match figure {
            Some(Figure::Seconds(time)) => time,
            // Operations a second: the time follows from those that the program has.
            _ => match &timed {
                Timed::Call(draft, _) => {
                    let rate: f64 = row.value.parse().map_err(|_| "not a number")?;
                    super::operations(draft).ok_or("of unknown work")? / (rate * 1e12)
                }
                _ => return Err("not a time: a rating, a power, a limit"),
            },
        };
        return Ok((timed, time));
    }
    Err(APART
        .iter()
        .find(|(op, config, _)| fit(op, &row.op).is_some() && fit(config, &row.config).is_some())
        .map_or("the program is not described", |(_, _, why)| why))
}

enum Figure {
    Seconds(f64),
    Apart(&'static str),
}

fn is_rate(row: &Row) -> bool {
    matches!(&*row.unit, "TFLOPS" | "TOPS")
}

/// The time that a row states. Of the least and the median of many calls the least is taken: it has the least of what
/// else the machine did.
fn seconds(row: &Row) -> Option<Figure> {
    let (value, unit) = match &*row.unit {
        "(in value)" => row.value.rsplit_once(' ')?,
        "us (min/p50)" => (row.value.split('/').next()?, "us"),
        unit => (&*row.value, unit),
    };
    let scale = match unit {
        "s" => 1.0,
        "ms" => 1e-3,
        "us" | "microseconds" => 1e-6,
        _ => return None,
    };
    // `39.0 (31.0 TFLOPS)` is the first; `41-44` is the middle.
    let value = value.split(" (").next()?;
    let number = match value.split_once('-') {
        Some((low, high)) => (low.parse::<f64>().ok()? + high.parse::<f64>().ok()?) / 2.0,
        None => match value.parse() {
            Ok(number) => number,
            Err(_) => return Some(Figure::Apart("not one time")),
        },
    };
    Some(Figure::Seconds(number * scale))
}

/// The numbers of a text that has the form of a pattern, in which `#` is a number and `*` at the end is anything.
fn fit(pattern: &str, text: &str) -> Option<Vec<f64>> {
    let (mut numbers, mut rest) = (Vec::new(), text);
    for c in pattern.chars() {
        match c {
            '*' => return Some(numbers),
            '#' => {
                let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
                numbers.push(rest[..end].parse().ok()?);
                rest = &rest[end..];
            }
            c => rest = rest.strip_prefix(c)?,
        }
    }
    rest.is_empty().then_some(numbers)
}

/// A kind of rows.
struct Kind {
    op: &'static str,
    config: &'static str,
    /// The program, of the numbers in op and config.
    make: fn(&[f64], &Row) -> Option<Timed>,
}

const fn kind(op: &'static str, config: &'static str, make: fn(&[f64], &Row) -> Option<Timed>) -> Kind {
    Kind { op, config, make }
}

fn arrays(draft: Draft) -> Option<Timed> {
    Some(Timed::Call(draft, Boundary::Arrays))
}

fn surfaces(draft: Draft) -> Option<Timed> {
    Some(Timed::Call(draft, Boundary::Surfaces))
}

fn layer(chain: impl Fn(usize) -> Draft + 'static) -> Option<Timed> {
    Some(Timed::Layer(Box::new(chain)))
}

fn whole(numbers: &[f64]) -> Vec<u64> {
    numbers.iter().map(|&n| n as u64).collect()
}

fn product(rows: f64, inner: f64, columns: f64, form: Form) -> Draft {
    Draft::of(&whole(&[rows, inner])).matmul(columns as u64, form)
}

/// Layers of convolutions on one input.
fn chain(input: [f64; 4], conv: Conv, layers: usize) -> Draft {
    Draft::of(&whole(&input)).times(layers, |d| d.conv(conv))
}

fn square(channels: f64, kernel: (f64, f64)) -> Conv {
    Conv::square(channels as u64, kernel.0 as u64, kernel.1 as u64)
}

/// How weights and inputs are stored, by a name in the row.
fn form(row: &Row) -> Form {
    let text = format!("{} {}", row.op, row.config);
    let pruned = text.split_once("pruned ").and_then(|(_, rest)| rest.split(' ').next()?.parse::<f64>().ok());
    match pruned {
        Some(part) if text.contains("4 bit") => Form::Pruned4(part / 100.0),
        Some(part) => Form::Pruned(part / 100.0),
        None if text.contains("W8A8") => Form::Int8Both,
        None if text.contains("W8") || text.contains("int8") => Form::Int8,
        None if text.contains("int4") => Form::Palette4,
        None => Form::Fp16,
    }
}

/// Layers of one kind, whose input has this shape.
fn layers(input: [f64; 4], conv: Conv) -> Option<Timed> {
    layer(move |n| chain(input, conv, n))
}

/// An op of one tensor.
fn unary(row: &Row, shape: &[f64]) -> Option<Draft> {
    let shape = whole(shape);
    let draft = Draft::of(&shape);
    let axis = ", axes = tensor<int32, [1]>([-1])";
    Some(match &*row.op {
        "relu" | "sigmoid" | "tanh" | "silu" | "exp" | "erf" | "softplus" | "softsign" | "abs" | "sqrt"
        | "square" | "sign" | "floor" | "ceil" | "round" | "sin" | "cos" | "relu6" => draft.same(&row.op, ""),
        "gelu" => draft.same("gelu", ", mode = string(\"EXACT\")"),
        "elu" | "leaky_relu" => draft.same(&row.op, ", alpha = fp16(0.1)"),
        "log" | "rsqrt" | "inverse" => draft.same(&row.op, ", epsilon = fp16(0.001)"),
        "softmax" => draft.same("softmax", ", axis = int32(-1)"),
        "layer_norm" => draft.same("layer_norm", &format!("{axis}, epsilon = fp16(0.001)")),
        // As ANEForge writes it: by the norm of each row.
        "l2_norm" => {
            let one = of_each_row(&shape);
            draft
                .to(&one, "reduce_l2_norm", &format!("{axis}, keep_dims = bool(true)"))
                .same("maximum", ", y = fp16(0.001)")
                .under(&shape)
        }
        // As ANEForge wrote it when it was timed: the sums are those of channels, of which each element is one.
        "rms_norm" => {
            let [rows, columns] = shape[..] else { return None };
            let channels = "axes = tensor<int32, [1]>([1]), keep_dims = bool(true)";
            draft
                .same("square", "")
                .reshaped(&[rows, columns, 1, 1])
                .to(&[rows, 1, 1, 1], "reduce_sum", &format!(", {channels}"))
                .reshaped(&[rows, 1])
                .same("rsqrt", ", epsilon = fp16(0.001)")
                .to(&shape, "mul", ", y = x0")
                .same("mul", ", y = fp16(0.5)")
        }
        "instance_norm" | "group_norm" if shape.len() == 4 => draft.same("instance_norm", ""),
        "sum" | "reduce_sum" | "sum last axis" => {
            draft.to(&whole_but_last(&shape), "reduce_sum", &format!("{axis}, keep_dims = bool(false)"))
        }
        "max last axis" | "mean last axis" => {
            let op = if row.op.starts_with("max") { "reduce_max" } else { "reduce_mean" };
            draft.to(&whole_but_last(&shape), op, &format!("{axis}, keep_dims = bool(false)"))
        }
        "avg_pool" | "max_pool" => {
            let [n, c, h, w] = shape[..] else { return None };
            let more = if row.op == "avg_pool" { ", exclude_padding_from_average = bool(false)" } else { "" };
            draft.to(
                &[n, c, h / 2, w / 2],
                &row.op,
                &format!(
                    ", kernel_sizes = tensor<int32, [2]>([2, 2]), strides = tensor<int32, [2]>([2, 2]), pad_type = \
                     string(\"valid\"), pad = tensor<int32, [4]>([0, 0, 0, 0]){more}"
                ),
            )
        }
        "pixel_shuffle" => {
            let [n, c, h, w] = shape[..] else { return None };
            draft.to(&[n, c / 4, h * 2, w * 2], "pixel_shuffle", ", upscale_factor = int32(2)")
        }
        _ => return None,
    })
}

/// The shape of one number for each row.
fn of_each_row(shape: &[u64]) -> Vec<u64> {
    shape[..shape.len() - 1].iter().copied().chain([1]).collect()
}

fn whole_but_last(shape: &[u64]) -> Vec<u64> {
    shape[..shape.len() - 1].to_vec()
}

/// Every kind of rows that a program stands for. The shape of a layer whose row states none is that of the study.
const KINDS: &[Kind] = &[
    kind("linear NxN", "N=#", |n, r| arrays(product(n[0], n[0], n[0], form(r)))),
    kind("conv#x# #x# same", "C# B#", |n, r| {
        arrays(chain([n[5], n[4], n[2], n[3]], square(n[4], (n[0], n[1])).stored(form(r)), 1))
    }),
    kind("*", "[#,#] fp16 call", |n, r| arrays(unary(r, n)?)),
    kind("*", "[#,#]", |n, r| arrays(unary(r, n)?)),
    kind("*", "[#,#,#,#]", |n, r| arrays(unary(r, n)?)),
    kind("attention", "[#,#,#,#]", |n, _| arrays(Draft::of(&whole(n)).attention())),
    kind("GEMV", "K=N=#", |n, r| arrays(product(1.0, n[0], n[0], form(r)))),
    kind("# fused conv#x#", "B# C# #x#", |n, r| {
        let conv = square(n[4], (n[1], n[2])).stored(form(r));
        arrays(chain([n[3], n[4], n[5], n[6]], conv, n[0] as usize))
    }),
    kind("matmul x[1,K]@W[K,K]", "K=#", |n, r| arrays(product(1.0, n[0], n[0], form(r)))),
    kind("matmul", "#x#@#x#", |n, r| arrays(product(n[0], n[1], n[3], form(r)))),
    kind("conv", "C=# #x# s# #x#*", |n, r| {
        let conv = Conv { stride: n[3] as u64, ..square(n[0], (n[1], n[2])).stored(form(r)) };
        arrays(chain([1.0, n[0], n[4], n[5]], conv, 1))
    }),
    // The guide's tables.
    kind("#x# C# to # at #", "c18-conv-compare: Measured*", |n, _| {
        let conv = Conv { outputs: n[3] as u64, ..square(n[2], (n[0], n[1])) };
        arrays(chain([1.0, n[2], n[4], n[4]], conv, 1))
    }),
    kind("#x#", "c11-convramp: Latency", |n, _| {
        arrays(chain([1.0, 64.0, n[0], n[1]], square(64.0, (3.0, 3.0)), 1))
    }),
    kind("#", "c7-int8-matmul: fp16 latency", |n, _| arrays(product(1.0, n[0], n[0], Form::Fp16))),
    kind("#", "c7-int8-matmul: int8 latency", |n, _| arrays(product(1.0, n[0], n[0], Form::Int8))),
    // Chains of layers, on bound surfaces.
    kind("conv1x1 #ch #x# chain*", "# layers", |n, r| {
        surfaces(chain([1.0, n[0], n[1], n[2]], square(n[0], (1.0, 1.0)).stored(form(r)), n[3] as usize))
    }),
    kind("conv1x1 chain*", "# layers", |n, r| {
        surfaces(chain([1.0, 512.0, 32.0, 32.0], square(512.0, (1.0, 1.0)).stored(form(r)), n[0] as usize))
    }),
    kind("conv1x1 #ch chain", "# layers W#", |n, r| {
        surfaces(chain([1.0, n[0], 1.0, n[2]], square(n[0], (1.0, 1.0)).stored(form(r)), n[1] as usize))
    }),
    kind("tiny chain", "# layers", |n, _| {
        surfaces(chain([1.0, 64.0, 1.0, 16.0], square(64.0, (1.0, 1.0)), n[0] as usize))
    }),
    kind("conv #x# chain", "# layers C# #x#", |n, r| {
        surfaces(chain([1.0, n[3], n[4], n[5]], square(n[3], (n[0], n[1])).stored(form(r)), n[2] as usize))
    }),
    kind("product", "#x#@#x#", |n, r| surfaces(product(n[0], n[1], n[3], form(r)))),
    kind("conv #x#", "C# to # on #x#", |n, r| {
        let conv = Conv { outputs: n[3] as u64, ..square(n[2], (n[0], n[1])).stored(form(r)) };
        surfaces(chain([1.0, n[2], n[4], n[5]], conv, 1))
    }),
    // Layers, each as what one more of them takes.
    kind("conv #x#", "#ch #x#*", |n, r| {
        layers([1.0, n[2], n[3], n[4]], square(n[2], (n[0], n[1])).stored(form(r)))
    }),
    kind("conv#x# #ch #x#", "*", |n, r| {
        layers([1.0, n[2], n[3], n[4]], square(n[2], (n[0], n[1])).stored(form(r)))
    }),
    kind("conv1x1 channel sweep", "C=#*", |n, r| {
        layers([1.0, n[0], 1.0, 64.0], square(n[0], (1.0, 1.0)).stored(form(r)))
    }),
    kind("conv1x1 #ch single", "*", |n, r| {
        layers([1.0, n[0], 1.0, 128.0], square(n[0], (1.0, 1.0)).stored(form(r)))
    }),
    kind("conv1x1 #ch dual", "*", |n, r| {
        layers([1.0, n[0], 1.0, 256.0], square(n[0], (1.0, 1.0)).stored(form(r)))
    }),
    kind("c1x1 layer", "", |_, r| {
        layers([1.0, 512.0, 1.0, 128.0], square(512.0, (1.0, 1.0)).stored(form(r)))
    }),
    kind("sparse c1x1 layer", "*", |_, r| {
        layers([1.0, 512.0, 1.0, 128.0], square(512.0, (1.0, 1.0)).stored(form(r)))
    }),
    kind("3x3 layer", "", |_, r| layers([1.0, 512.0, 16.0, 16.0], square(512.0, (3.0, 3.0)).stored(form(r)))),
    kind("3x3 pruned # %", "", |_, r| {
        layers([1.0, 512.0, 16.0, 16.0], square(512.0, (3.0, 3.0)).stored(form(r)))
    }),
    kind("m2048*", "", |_, r| {
        let form = form(r);
        layer(move |n| Draft::of(&[64, 2048]).times(n, |d| d.matmul(2048, form)))
    }),
    kind("sparse m2048 layer", "*", |_, r| {
        let form = form(r);
        layer(move |n| Draft::of(&[64, 2048]).times(n, |d| d.matmul(2048, form)))
    }),
    kind("weight-bound layer # MB", "", |n, _| {
        // A product of as many weights, by one row.
        let side = (n[0] * 0.5e6).sqrt();
        layer(move |layers| {
            Draft::of(&whole(&[1.0, side])).times(layers, |d| d.matmul(side as u64, Form::Fp16))
        })
    }),
    kind("PE elementwise one input*", "elements #*", |n, _| {
        let elements = n[0];
        layer(move |layers| {
            Draft::of(&whole(&[1.0, elements / 64.0, 1.0, 64.0])).times(layers, |d| d.same("relu", ""))
        })
    }),
    kind("PE elementwise two inputs*", "elements #*", |n, _| {
        let elements = n[0];
        layer(move |layers| {
            Draft::of(&whole(&[1.0, elements / 64.0, 1.0, 64.0])).times(layers, |d| d.with_input("add"))
        })
    }),
    // The compiler.
    kind("compile time conv chain # layers", "*", |n, _| {
        Some(Timed::Compile(chain([1.0, 64.0, 1.0, 64.0], square(64.0, (1.0, 1.0)), n[0] as usize)))
    }),
    kind("compile time elementwise # steps", "*", |n, _| Some(elementwise(n[0]))),
    kind("compile time elementwise chain", "steps # (*", |n, _| Some(elementwise(n[0]))),
];

fn elementwise(steps: f64) -> Timed {
    Timed::Compile(Draft::of(&[1, 64, 1, 64]).times(steps as usize, |d| d.same("tanh", "")))
}

/// Why no program stands for rows that state a time.
const APART: &[(&str, &str, &str)] = &[
    ("PE elementwise*", "elements sweep point*", "the size is not stated"),
    ("compile time elementwise chain", "steps point*", "the size is not stated"),
    ("conv#x# dilated", "*", "the size is not stated"),
    ("decode step*", "*", "a model whose sizes are not all stated"),
    ("topk wrap*", "*", "the size is not stated"),
    ("host*", "*", "a part of each call"),
    ("cold wake*", "*", "a part of the first call"),
    ("*", "exec-budget*", "a part of each call"),
    ("*", "roofline*", "a part of each call"),
    ("*", "c10-formats*", "the size is not stated"),
];
