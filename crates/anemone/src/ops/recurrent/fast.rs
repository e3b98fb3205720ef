//! The recurrent networks with the kernels: states in f32, one product for all inputs, then one for each step.

use std::ops::Range;

use anemone_kernels::Float;
use anemone_kernels::gemm::{Bias, Matrix, gemm};
use anemone_kernels::scratch::scratch;

use super::super::fast::{Ready, Singles, dims, for_float, idle, nothing, ready, singles};
use super::super::loops::shape_of;
use super::super::row::*;
use super::{Activation, BACK, Direction, Names, THERE, direction};

/// One step of one way through the sequence: what the products gave, and the state that it changes.
struct Step<'a> {
    threads: usize,
    /// What the weights make of the inputs of this step, with the bias: for each of the batch, a number of each row.
    of_input: &'a [f32],
    /// The weights of the state, by rows.
    weights: &'a [f32],
    peephole: &'a [f32],
    h: &'a mut [f32],
    c: &'a mut [f32],
    hidden: usize,
    /// The rows of the weights.
    rows: usize,
}

impl Step<'_> {
    /// Writes what some rows of the weights make of a state of each of the batch.
    fn of_state(&self, products: &mut [f32], rows: Range<usize>, state: &[f32]) {
        let weights = &self.weights[rows.start * self.hidden..rows.end * self.hidden];
        let weights = Matrix::new(weights, rows.len(), self.hidden).transposed();
        let state = Matrix::new(state, state.len() / self.hidden, self.hidden);
        gemm(self.threads, products, state, weights, Bias::None);
    }

    /// Calls `each` for every number of the state: with its place in the state, the place of its row of the first gate
    /// in what the products gave, and its place in the hidden layer.
    fn numbers(hidden: usize, rows: usize, count: usize, mut each: impl FnMut(usize, usize, usize)) {
        for at in 0..count {
            each(at, at / hidden * rows + at % hidden, at % hidden);
        }
    }
}

pub(super) fn fast_rnn(args: &Args<'_>, types: &[Type]) -> Ready {
    let act = Activation::read(args, "activation")?;
    walk(args, types, "bias", move |step| {
        let mut of_state = scratch::<f32>(step.of_input.len());
        step.of_state(&mut of_state, 0..step.rows, step.h);
        for (h, (x, y)) in step.h.iter_mut().zip(step.of_input.iter().zip(&*of_state)) {
            *h = act.of_f32(x + y);
        }
    })
}

pub(super) fn fast_gru(args: &Args<'_>, types: &[Type]) -> Ready {
    let gate = Activation::read(args, "recurrent_activation")?;
    let act = Activation::read(args, "activation")?;
    let after = args.bool("reset_after").unwrap_or(false);
    let given = |param| match args.has(param) {
        true => Ok::<_, Fault>(singles(args.tensor(param)?).into_owned()),
        false => Ok(Vec::new()),
    };
    // With `reset_after`, `bias` belongs to the state; the input then has its own.
    let input_bias = if after { "input_bias" } else { "bias" };
    let state_bias = if after { given("bias")? } else { Vec::new() };
    let more = if after { Vec::new() } else { given("input_bias")? };
    walk(args, types, input_bias, move |step| {
        let (hidden, rows, count) = (step.hidden, step.rows, step.h.len());
        let sums_len = step.of_input.len();
        let mut memory = scratch::<f32>(2 * sums_len + 3 * count);
        let (sums, rest) = memory.split_at_mut(sums_len);
        let (of_state, rest) = rest.split_at_mut(sums_len);
        let (reset, rest) = rest.split_at_mut(count);
        let (kept, of_kept) = rest.split_at_mut(count);
        sums.copy_from_slice(step.of_input);
        sums.chunks_exact_mut(rows).for_each(|s| s.iter_mut().zip(&more).for_each(|(s, m)| *s += m));
        step.of_state(of_state, 0..rows, step.h);
        of_state
            .chunks_exact_mut(rows)
            .for_each(|s| s.iter_mut().zip(&state_bias).for_each(|(s, b)| *s += b));
        Step::numbers(hidden, rows, count, |at, row, _| reset[at] = gate.of_f32(sums[row] + of_state[row]));
        if !after {
            for (kept, (r, h)) in kept.iter_mut().zip(reset.iter().zip(&*step.h)) {
                *kept = r * h;
            }
            step.of_state(of_kept, hidden..2 * hidden, kept);
            Step::numbers(hidden, rows, count, |at, row, _| of_state[row + hidden] = of_kept[at]);
            reset.fill(1.0);
        }
        let h = &mut *step.h;
        Step::numbers(hidden, rows, count, |at, row, _| {
            let output = act.of_f32(sums[row + hidden] + reset[at] * of_state[row + hidden]);
            let update = sums[row + 2 * hidden] + of_state[row + 2 * hidden];
            h[at] = gate.rest_f32(update) * output + gate.of_f32(update) * h[at];
        });
    })
}

pub(super) fn fast_lstm(args: &Args<'_>, types: &[Type]) -> Ready {
    let gate = Activation::read(args, "recurrent_activation")?;
    let cell = Activation::read(args, "cell_activation")?;
    let act = Activation::read(args, "activation")?;
    let clip = args.float("clip").map_or(f32::INFINITY, |c| c as f32);
    let clipped = move |c: f32| {
        if c > clip {
            clip
        } else if c < -clip {
            -clip
        } else {
            c
        }
    };
    walk(args, types, "bias", move |step| {
        let (hidden, rows, p) = (step.hidden, step.rows, step.peephole);
        let mut of_state = scratch::<f32>(step.of_input.len());
        step.of_state(&mut of_state, 0..rows, step.h);
        let sum = |row: usize| step.of_input[row] + of_state[row];
        let see = |gate: usize, j: usize, c: f32| p.get(gate * hidden + j).map_or(0.0, |p| p * c);
        let (h, c) = (&mut *step.h, &mut *step.c);
        Step::numbers(hidden, rows, h.len(), |at, row, j| {
            let input = gate.of_f32(sum(row) + see(0, j, c[at]));
            let forget = gate.of_f32(sum(row + hidden) + see(1, j, c[at]));
            c[at] = clipped(forget * c[at] + input * cell.of_f32(sum(row + 3 * hidden)));
            h[at] = gate.of_f32(sum(row + 2 * hidden) + see(2, j, c[at])) * act.of_f32(c[at]);
        });
    })
}

/// Columns of a matrix.
fn columns(to: &mut [f32], from: &[f32], width: usize, columns: Range<usize>) {
    for (to, from) in to.chunks_exact_mut(columns.len()).zip(from.chunks_exact(width)) {
        to.copy_from_slice(&from[columns.clone()]);
    }
}

/// The same columns written back.
fn set_columns(to: &mut [f32], from: &[f32], width: usize, columns: Range<usize>) {
    for (to, from) in to.chunks_exact_mut(width).zip(from.chunks_exact(columns.len())) {
        to[columns.clone()].copy_from_slice(from);
    }
}

/// The weights of one way through the sequence.
struct Weights {
    ih: Reader,
    hh: Singles,
    bias: Option<Singles>,
    peephole: Option<Singles>,
    rows: usize,
    /// Whether the way starts at the end.
    back: bool,
}

impl Weights {
    fn of(args: &Args<'_>, names: &Names, bias: &'static str, back: bool) -> Result<Self, Fault> {
        Ok(Self {
            ih: args.reader(names.ih)?,
            hh: Singles::of(args, names.hh)?,
            bias: Singles::opt(args, bias)?,
            peephole: Singles::opt(args, names.peephole)?,
            rows: dims(args, names.hh)?[0],
            back,
        })
    }
}

/// Goes through the sequence with the whole batch at once. `bias` is added to what the weights make of the inputs.
fn walk(
    args: &Args<'_>,
    types: &[Type],
    bias: &'static str,
    step: impl Fn(&mut Step<'_>) + Send + Sync + 'static,
) -> Ready {
    let (dtype, x) = (args.ty("x")?.dtype, args.reader("x")?);
    let (sequence, state) = (shape_of(&types[0]).iter().product::<usize>(), shape_of(&types[1]));
    let (&[steps, batch, inputs], &[_, width]) = (&dims(args, "x")?[..], &state[..]) else { return Ok(None) };
    if nothing(types) {
        return idle();
    }
    if [steps, batch, inputs, width].contains(&0) {
        return Ok(None);
    }
    let (initial_h, initial_c) = (Singles::of(args, "initial_h")?, Singles::opt(args, "initial_c")?);
    let all = args.bool("output_sequence").unwrap_or(false);
    let way = direction(args)?;
    let mut ways = vec![Weights::of(args, &THERE, bias, way == Direction::Reverse)?];
    if way == Direction::Both {
        ways.push(Weights::of(args, &BACK, BACK.bias, true)?);
    }
    let hidden = width / ways.len();
    let rows = ways.iter().map(|w| w.rows).max().unwrap_or(0);
    let (own, states) = (batch * hidden, batch * width);
    for_float!(dtype, T => ready(move |run| {
        let (threads, x): (_, &[T]) = (run.threads, run.read(&x));
        let mut memory = scratch::<f32>(sequence + 2 * states + steps * batch * rows + 2 * own);
        let (sequence, rest) = memory.split_at_mut(sequence);
        let (last_h, rest) = rest.split_at_mut(states);
        let (last_c, rest) = rest.split_at_mut(states);
        let (h, rest) = rest.split_at_mut(own);
        let (c, of_inputs) = rest.split_at_mut(own);
        last_h.copy_from_slice(&initial_h.read(run));
        if let Some(initial_c) = &initial_c {
            last_c.copy_from_slice(&initial_c.read(run));
        }
        for (w, weights) in ways.iter().enumerate() {
            let (ih, hh, bias) = (run.read::<T>(&weights.ih), weights.hh.read(run), weights.bias.as_ref());
            let (bias, peephole) = (bias.map(|b| b.read(run)), weights.peephole.as_ref().map(|p| p.read(run)));
            let of_inputs = &mut of_inputs[..steps * batch * weights.rows];
            gemm(
                threads,
                of_inputs,
                Matrix::new(x, steps * batch, inputs),
                Matrix::new(ih, weights.rows, inputs).transposed(),
                bias.as_deref().map_or(Bias::None, Bias::Columns),
            );
            let these = w * hidden..(w + 1) * hidden;
            columns(h, last_h, width, these.clone());
            columns(c, last_c, width, these.clone());
            for t in 0..steps {
                let from = if weights.back { steps - 1 - t } else { t };
                step(&mut Step {
                    threads,
                    of_input: &of_inputs[from * batch * weights.rows..][..batch * weights.rows],
                    weights: &hh,
                    peephole: peephole.as_deref().unwrap_or(&[]),
                    h,
                    c,
                    hidden,
                    rows: weights.rows,
                });
                if all {
                    // Of two ways, both tell of the same input.
                    let to = if w == 1 { from } else { t };
                    set_columns(&mut sequence[to * states..][..states], h, width, these.clone());
                }
            }
            set_columns(last_h, h, width, these.clone());
            set_columns(last_c, c, width, these);
        }
        if !all {
            sequence.copy_from_slice(last_h);
        }
        T::narrow(run.write(0), sequence);
        T::narrow(run.write(1), last_h);
        if initial_c.is_some() {
            T::narrow(run.write(2), last_c);
        }
    }))
}
