//! Recurrent networks: `rnn`, `gru`, `lstm`.
//!
//! States are kept in f64 from step to step, and rounded once when they become results. What coremltools'
//! documentation leaves open follows its tests, which ran on Apple's engines: the results of `reverse` stand in the
//! order in which they are computed, the reset gate acts on the state before it is multiplied, `clip` bounds the
//! state of a cell, and the peephole of the output gate sees the new state.

mod fast;
#[cfg(test)]
mod tests;

use self::fast::{fast_gru, fast_lstm, fast_rnn};
use super::row::*;
use super::window::{not_known, zeros};

/// The parameters of `rnn`, on numbers of these dtypes.
macro_rules! rnn {
    ($dtypes:expr) => {
        &[
            tensor("x", $dtypes).domain('T'),
            tensor("initial_h", $dtypes).domain('T'),
            tensor("weight_ih", $dtypes).domain('T').constant(),
            tensor("weight_hh", $dtypes).domain('T').constant(),
            tensor("bias", $dtypes).domain('T').constant().or(Absent),
            tensor("direction", STR).constant().or(Str("forward")),
            tensor("output_sequence", BOOL).constant().or(Bool(false)),
            tensor("activation", STR).constant().or(Str("tanh")),
        ]
    };
}

/// The parameters of `gru`, on numbers of these dtypes, and others behind them.
macro_rules! gru {
    ($dtypes:expr $(, $more:expr)*) => {
        &[
            tensor("x", $dtypes).domain('T'),
            tensor("initial_h", $dtypes).domain('T'),
            tensor("weight_ih", $dtypes).domain('T').constant(),
            tensor("weight_hh", $dtypes).domain('T').constant(),
            tensor("bias", $dtypes).domain('T').constant().or(Absent),
            tensor("direction", STR).constant().or(Str("forward")),
            tensor("output_sequence", BOOL).constant().or(Bool(false)),
            tensor("recurrent_activation", STR).constant().or(Str("sigmoid")),
            tensor("activation", STR).constant().or(Str("tanh")),
            $($more,)*
        ]
    };
}

/// The parameters of `lstm`, on numbers of these dtypes.
macro_rules! lstm {
    ($dtypes:expr) => {
        &[
            tensor("x", $dtypes).domain('T'),
            tensor("initial_h", $dtypes).domain('T'),
            tensor("initial_c", $dtypes).domain('T'),
            tensor("weight_ih", $dtypes).domain('T').constant(),
            tensor("weight_hh", $dtypes).domain('T').constant(),
            tensor("bias", $dtypes).domain('T').constant().or(Absent),
            tensor("peephole", $dtypes).domain('T').constant().or(Absent),
            tensor("weight_ih_back", $dtypes).domain('T').constant().or(Absent),
            tensor("weight_hh_back", $dtypes).domain('T').constant().or(Absent),
            tensor("bias_back", $dtypes).domain('T').constant().or(Absent),
            tensor("peephole_back", $dtypes).domain('T').constant().or(Absent),
            tensor("direction", STR).constant().or(Str("forward")),
            tensor("output_sequence", BOOL).constant().or(Bool(false)),
            tensor("recurrent_activation", STR).constant().or(Str("sigmoid")),
            tensor("cell_activation", STR).constant().or(Str("tanh")),
            tensor("activation", STR).constant().or(Str("tanh")),
            tensor("clip", $dtypes).domain('T').constant().or(Absent),
        ]
    };
}

const RNN: &[Edition] = &[edition(Ios15, rnn!(F32)), edition(Ios17, rnn!(FLOATS))];

const GRU: &[Edition] = &[
    edition(Ios15, gru!(F32)),
    edition(Ios17, gru!(FLOATS)),
    edition(
        Ios18,
        gru!(
            FLOATS,
            // False.
            tensor("reset_after", BOOL).constant().or(Absent),
            tensor("input_bias", FLOATS).domain('T').constant().or(Absent)
        ),
    ),
];

const LSTM: &[Edition] = &[edition(Ios15, lstm!(F32)), edition(Ios17, lstm!(FLOATS))];

/// The way through the sequence.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Direction {
    Forward,
    Reverse,
    Both,
}

/// What stands in the parameters of one way through the sequence.
struct Names {
    ih: &'static str,
    hh: &'static str,
    bias: &'static str,
    peephole: &'static str,
}

const THERE: Names = Names { ih: "weight_ih", hh: "weight_hh", bias: "bias", peephole: "peephole" };
const BACK: Names =
    Names { ih: "weight_ih_back", hh: "weight_hh_back", bias: "bias_back", peephole: "peephole_back" };

/// The number of gates, each of which has its rows in the weights.
fn gates(args: &Args<'_>) -> u64 {
    match args.op.name {
        "lstm" => 4,
        "gru" => 3,
        _ => 1,
    }
}

fn direction(args: &Args<'_>) -> Result<Direction, Fault> {
    let op = args.op.name;
    match args.str("direction") {
        Some("forward") => Ok(Direction::Forward),
        Some("reverse") => Ok(Direction::Reverse),
        Some("bidirectional") if op == "lstm" => Ok(Direction::Both),
        Some(other) => Err(Fault::of(
            "direction",
            &codes::BAD_VALUE,
            format!("`direction` of `{op}` is `{other}`, which is not a direction of it"),
        )
        .help(if op == "lstm" {
            "use `forward`, `reverse` or `bidirectional`"
        } else {
            "use `forward` or `reverse`"
        })),
        None => Err(not_known(args, "direction")),
    }
}

/// The functions that gates and results go through.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Activation {
    Tanh,
    Linear,
    Sigmoid,
    HardSigmoid,
    Relu,
}

impl Activation {
    /// The function that a parameter names.
    fn read(args: &Args<'_>, param: &'static str) -> Result<Self, Fault> {
        let given = args.str(param).ok_or_else(|| not_known(args, param))?;
        match given.to_ascii_lowercase().as_str() {
            // The constants of `scaled_tanh` and `linear` are those that change nothing.
            "tanh" | "scaled_tanh" => Ok(Activation::Tanh),
            "linear" => Ok(Activation::Linear),
            "sigmoid" => Ok(Activation::Sigmoid),
            "hard_sigmoid" | "sigmoid_hard" => Ok(Activation::HardSigmoid),
            "relu" => Ok(Activation::Relu),
            _ => Err(Fault::of(
                param,
                &codes::BAD_VALUE,
                format!("`{param}` of `{}` is `{given}`, which is not an activation", args.op.name),
            )
            .help("use `tanh`, `scaled_tanh`, `sigmoid`, `hard_sigmoid`, `relu` or `linear`")),
        }
    }

    fn of(self, x: f64) -> f64 {
        match self {
            Activation::Tanh => x.tanh(),
            Activation::Linear => x,
            Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Activation::HardSigmoid => (0.2 * x + 0.5).clamp(0.0, 1.0),
            Activation::Relu => {
                if x > 0.0 || x.is_nan() {
                    x
                } else {
                    0.0
                }
            }
        }
    }

    fn of_f32(self, x: f32) -> f32 {
        match self {
            Activation::Tanh => x.tanh(),
            Activation::Linear => x,
            Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Activation::HardSigmoid => (0.2 * x + 0.5).clamp(0.0, 1.0),
            Activation::Relu => {
                if x > 0.0 || x.is_nan() {
                    x
                } else {
                    0.0
                }
            }
        }
    }

    /// What is left of 1, without the loss of digits that the difference has where the function is near 1.
    fn rest_f32(self, x: f32) -> f32 {
        match self {
            Activation::Tanh => 2.0 / (1.0 + (2.0 * x).exp()),
            Activation::Sigmoid => 1.0 / (1.0 + x.exp()),
            Activation::HardSigmoid => (0.5 - 0.2 * x).clamp(0.0, 1.0),
            Activation::Linear | Activation::Relu => 1.0 - self.of_f32(x),
        }
    }
}

/// Refuses an argument that is not of this shape; `words` say it in letters.
fn shaped(args: &Args<'_>, param: &'static str, shape: &[Dim], words: &str) -> Result<(), Fault> {
    let found = &args.ty(param)?.shape;
    let wanted: Shape = shape.iter().copied().collect();
    if found.fits(&wanted) {
        return Ok(());
    }
    let code = if found.rank() == wanted.rank() { &codes::SHAPE_MISMATCH } else { &codes::WRONG_RANK };
    Err(Fault::of(
        param,
        code,
        format!("`{param}` of `{}` is of shape {found}, where {words} is {wanted}", args.op.name),
    ))
}

/// The hidden size, when the weights of one way through the sequence fit each other and the input.
fn weights_fit(args: &Args<'_>, names: &Names, input: Dim) -> Result<Dim, Fault> {
    let gates = gates(args);
    let (ih, hh) = (args.ty(names.ih)?, args.ty(names.hh)?);
    for (param, ty) in [(names.ih, ih), (names.hh, hh)] {
        if ty.rank() != 2 {
            return Err(Fault::of(
                param,
                &codes::WRONG_RANK,
                format!("`{param}` of `{}` has {} dimensions, where the op takes 2", args.op.name, ty.rank()),
            ));
        }
    }
    let hidden = hh.shape[1];
    let rows = hidden.map(|h| h.saturating_mul(gates));
    let letters = if gates == 1 { "".into() } else { format!("{gates} ") };
    shaped(args, names.hh, &[rows, hidden], &format!("[{letters}hidden, hidden]"))?;
    shaped(args, names.ih, &[rows, input], &format!("[{letters}hidden, input]"))?;
    if args.has(names.bias) {
        shaped(args, names.bias, &[rows], &format!("[{letters}hidden]"))?;
    }
    if args.has(names.peephole) {
        shaped(args, names.peephole, &[hidden.map(|h| h.saturating_mul(3))], "[3 hidden]")?;
    }
    Ok(hidden.or(ih.shape[0].map(|r| r / gates)))
}

fn infer(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let (op, x) = (args.op.name, args.ty("x")?);
    let &[steps, batch, input] = &*x.shape else {
        return Err(Fault::of(
            "x",
            &codes::WRONG_RANK,
            format!("`x` of `{op}` has {} dimensions, where the op takes 3", x.rank()),
        )
        .help("give the sequence, the batch, and the inputs"));
    };
    let way = direction(args)?;
    Activation::read(args, "activation")?;
    if op != "rnn" {
        Activation::read(args, "recurrent_activation")?;
    }
    if op == "lstm" {
        Activation::read(args, "cell_activation")?;
    }
    let mut hidden = weights_fit(args, &THERE, input)?;
    if args.has("input_bias") {
        shaped(args, "input_bias", &[hidden.map(|h| h.saturating_mul(3))], "[3 hidden]")?;
    }
    if way == Direction::Both {
        for param in [BACK.ih, BACK.hh] {
            if !args.has(param) {
                return Err(Fault::of(
                    param,
                    &codes::MISSING_PARAMETER,
                    format!("`{op}` needs `{param}`, since its `direction` is `bidirectional`"),
                ));
            }
        }
        let back = weights_fit(args, &BACK, input)?;
        if !back.fits(hidden) {
            return Err(Fault::of(
                BACK.hh,
                &codes::SHAPE_MISMATCH,
                format!(
                    "`weight_hh_back` of `{op}` is for {back} hidden numbers, and `weight_hh` for {hidden}"
                ),
            )
            .against(THERE.hh));
        }
        hidden = hidden.or(back).map(|h| h.saturating_mul(2));
    }
    let letters = if way == Direction::Both { "[batch, 2 hidden]" } else { "[batch, hidden]" };
    let mut results = Vec::new();
    shaped(args, "initial_h", &[batch, hidden], letters)?;
    if args.has("initial_c") {
        shaped(args, "initial_c", &[batch, hidden], letters)?;
    }
    if args.has("clip") {
        shaped(args, "clip", &[], "a scalar")?;
    }
    let all = args.bool("output_sequence").ok_or_else(|| not_known(args, "output_sequence"))?;
    let sequence: Shape = [if all { steps } else { Dim::Known(1) }, batch, hidden].into_iter().collect();
    results.push(Type::tensor(x.dtype, sequence));
    let state: Shape = [batch, hidden].into_iter().collect();
    results.extend(vec![Type::tensor(x.dtype, state); if op == "lstm" { 2 } else { 1 }]);
    Ok(results)
}

/// The weights of one way through the sequence.
struct Weights {
    ih: Vec<f64>,
    hh: Vec<f64>,
    bias: Vec<f64>,
    peephole: Vec<f64>,
    inputs: usize,
    hidden: usize,
}

impl Weights {
    fn read(args: &Args<'_>, names: &Names) -> Result<Self, Fault> {
        let hh = args.tensor(names.hh)?;
        let (rows, hidden) = (hh.shape()[0], hh.shape()[1]);
        let or_zeros = |param, len: usize| {
            if args.has(param) { Ok(args.tensor(param)?.to_f64s()) } else { zeros(Fp32, &[len]) }
        };
        Ok(Self {
            ih: args.tensor(names.ih)?.to_f64s(),
            hh: hh.to_f64s(),
            bias: or_zeros(names.bias, rows)?,
            peephole: or_zeros(names.peephole, 3 * hidden)?,
            inputs: args.tensor("x")?.shape()[2],
            hidden,
        })
    }

    /// What row `row` of the weights makes of an input.
    fn of_input(&self, row: usize, x: &[f64]) -> f64 {
        dot(&self.ih[row * self.inputs..], x)
    }

    /// What row `row` of the weights makes of a state.
    fn of_state(&self, row: usize, h: &[f64]) -> f64 {
        dot(&self.hh[row * self.hidden..], h)
    }

    /// Number `j` of a gate, before its activation.
    fn gate(&self, gate: usize, j: usize, x: &[f64], h: &[f64]) -> f64 {
        let row = gate * self.hidden + j;
        self.of_input(row, x) + self.of_state(row, h) + self.bias[row]
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Goes through the sequence of each of the batch: `step` makes of an input, the state and the cell the next state,
/// and changes the cell.
fn compute(
    args: &Args<'_>,
    step: impl Fn(&Weights, &[f64], &[f64], &mut [f64]) -> Vec<f64>,
) -> Result<Vec<Datum>, Fault> {
    let types = infer(args)?;
    let (way, x) = (direction(args)?, args.tensor("x")?);
    let &[steps, batch, inputs] = x.shape() else { return Ok(Vec::new()) };
    let mut ways = vec![Weights::read(args, &THERE)?];
    if way == Direction::Both {
        ways.push(Weights::read(args, &BACK)?);
    }
    let hidden = ways[0].hidden;
    let width = ways.len() * hidden;
    let shape = super::loops::shape_of(&types[0]);
    let mut sequence = zeros(x.dtype(), &shape)?;
    let mut states = args.tensor("initial_h")?.to_f64s();
    let mut cells =
        if args.has("initial_c") { args.tensor("initial_c")?.to_f64s() } else { vec![0.0; states.len()] };
    let all = shape[0] == steps && args.bool("output_sequence").unwrap_or(false);
    let xs = x.to_f64s();
    for (w, weights) in ways.iter().enumerate().filter(|_| hidden > 0) {
        for b in 0..batch {
            let own = b * width + w * hidden..b * width + (w + 1) * hidden;
            let h = &mut states[own.clone()];
            let c = &mut cells[own.clone()];
            for t in 0..steps {
                let from = if way == Direction::Reverse || w == 1 { steps - 1 - t } else { t };
                h.copy_from_slice(&step(weights, &xs[(from * batch + b) * inputs..][..inputs], h, c));
                if all {
                    // Of two ways, both tell of the same input.
                    let to = if w == 1 { from } else { t };
                    sequence[to * batch * width..][own.clone()].copy_from_slice(h);
                }
            }
            if !all {
                sequence[own].copy_from_slice(h);
            }
        }
    }
    let mut results = vec![Tensor::from_f64s(x.dtype(), &shape, &sequence)?.into()];
    for state in [states, cells].into_iter().take(types.len() - 1) {
        results.push(Tensor::from_f64s(x.dtype(), &[batch, width], &state)?.into());
    }
    Ok(results)
}

fn compute_rnn(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let act = Activation::read(args, "activation")?;
    compute(args, |w, x, h, _| (0..w.hidden).map(|j| act.of(w.gate(0, j, x, h))).collect())
}

/// The gates are reset, output and update. With `reset_after` the state is multiplied first and reset then, and
/// `bias` belongs to it; without, the two biases are one.
fn compute_gru(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let gate = Activation::read(args, "recurrent_activation")?;
    let act = Activation::read(args, "activation")?;
    let after = args.bool("reset_after").unwrap_or(false);
    let input_bias = if args.has("input_bias") { args.tensor("input_bias")?.to_f64s() } else { Vec::new() };
    let bias = |row: usize| input_bias.get(row).copied().unwrap_or(0.0);
    compute(args, |w, x, h, _| {
        let hidden = w.hidden;
        let reset: Vec<f64> = (0..hidden).map(|j| gate.of(w.gate(0, j, x, h) + bias(j))).collect();
        let kept: Vec<f64> = reset.iter().zip(h).map(|(r, h)| r * h).collect();
        let next = |j: usize| {
            let row = hidden + j;
            let state = if after {
                reset[j] * (w.of_state(row, h) + w.bias[row])
            } else {
                w.of_state(row, &kept) + w.bias[row]
            };
            let output = act.of(w.of_input(row, x) + bias(row) + state);
            let update = gate.of(w.gate(2, j, x, h) + bias(2 * hidden + j));
            (1.0 - update) * output + update * h[j]
        };
        (0..hidden).map(next).collect()
    })
}

/// The gates are input, forget, output and cell.
fn compute_lstm(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let gate = Activation::read(args, "recurrent_activation")?;
    let cell = Activation::read(args, "cell_activation")?;
    let act = Activation::read(args, "activation")?;
    let clip = args.float("clip").unwrap_or(f64::INFINITY);
    // A NaN stays one.
    let clipped = |c: f64| {
        if c > clip {
            clip
        } else if c < -clip {
            -clip
        } else {
            c
        }
    };
    compute(args, |w, x, h, c| {
        let (hidden, p) = (w.hidden, &w.peephole);
        let next = |(j, c): (usize, &mut f64)| {
            let input = gate.of(w.gate(0, j, x, h) + *c * p[j]);
            let forget = gate.of(w.gate(1, j, x, h) + *c * p[hidden + j]);
            *c = clipped(forget * *c + input * cell.of(w.gate(3, j, x, h)));
            gate.of(w.gate(2, j, x, h) + *c * p[2 * hidden + j]) * act.of(*c)
        };
        c.iter_mut().enumerate().map(next).collect()
    })
}

/// A row of this family.
const fn recurrent(
    name: &'static str,
    summary: &'static str,
    editions: &'static [Edition],
    results: usize,
    compute: Compute,
    fast: Prepare,
) -> Op {
    Op {
        name,
        summary,
        editions,
        results: Results::Exactly(results),
        infer,
        meaning: Meaning::Compute(compute),
        fast: Fast::Prepared(fast),
        // As for the products; the gates hold the states, so that what one step loses the next does not multiply.
        tolerance: Tolerance::Sum(16),
        scalar: Scalar::None,
    }
}

pub(super) static OPS: &[Op] = &[
    recurrent("rnn", "a network whose output is also its next input", RNN, 2, compute_rnn, fast_rnn),
    recurrent(
        "gru",
        "a recurrent network with gates for what it forgets and keeps",
        GRU,
        2,
        compute_gru,
        fast_gru,
    ),
    recurrent("lstm", "a recurrent network with a memory behind gates", LSTM, 3, compute_lstm, fast_lstm),
];
