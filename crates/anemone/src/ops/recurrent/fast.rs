//! The recurrent networks with the kernels: states in f32, one product for all inputs, then one for each step.

use std::borrow::Cow;

use anemone_kernels::gemm::{Bias, Matrix, gemm};

use super::super::fast::{self, for_float};
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
    /// What some rows of the weights make of a state of each of the batch.
    fn of_state(&self, rows: std::ops::Range<usize>, state: &[f32]) -> Vec<f32> {
        let mut products = vec![0.0; state.len() / self.hidden * rows.len()];
        let weights = &self.weights[rows.start * self.hidden..rows.end * self.hidden];
        let weights = Matrix::new(weights, rows.len(), self.hidden).transposed();
        let state = Matrix::new(state, state.len() / self.hidden, self.hidden);
        gemm(self.threads, &mut products, state, weights, Bias::None);
        products
    }

    /// Calls `each` for every number of the state: with its place in the state, the place of its row of the first gate
    /// in what the products gave, and its place in the hidden layer.
    fn numbers(hidden: usize, rows: usize, count: usize, mut each: impl FnMut(usize, usize, usize)) {
        for at in 0..count {
            each(at, at / hidden * rows + at % hidden, at % hidden);
        }
    }
}

pub(super) fn fast_rnn(
    args: &Args<'_>,
    types: &[Type],
    ctx: &Context<'_>,
) -> Result<Option<Vec<Datum>>, Fault> {
    let act = Activation::read(args, "activation")?;
    walk(args, types, ctx, "bias", |step| {
        let of_state = step.of_state(0..step.rows, step.h);
        for (h, (x, y)) in step.h.iter_mut().zip(step.of_input.iter().zip(&of_state)) {
            *h = act.of_f32(x + y);
        }
    })
}

pub(super) fn fast_gru(
    args: &Args<'_>,
    types: &[Type],
    ctx: &Context<'_>,
) -> Result<Option<Vec<Datum>>, Fault> {
    let gate = Activation::read(args, "recurrent_activation")?;
    let act = Activation::read(args, "activation")?;
    let after = args.bool("reset_after").unwrap_or(false);
    let bias = fast::singles_of(args, "bias")?;
    // With `reset_after`, `bias` belongs to the state; the input then has its own.
    let (input_bias, state_bias) = if after { ("input_bias", bias.as_deref()) } else { ("bias", None) };
    let more = if after { None } else { fast::singles_of(args, "input_bias")? };
    walk(args, types, ctx, input_bias, |step| {
        let (hidden, rows, count) = (step.hidden, step.rows, step.h.len());
        let mut sums = step.of_input.to_vec();
        if let Some(more) = &more {
            sums.chunks_exact_mut(rows).for_each(|s| s.iter_mut().zip(&**more).for_each(|(s, m)| *s += m));
        }
        let mut of_state = step.of_state(0..rows, step.h);
        if let Some(bias) = state_bias {
            of_state.chunks_exact_mut(rows).for_each(|s| s.iter_mut().zip(bias).for_each(|(s, b)| *s += b));
        }
        let mut reset = vec![0.0; count];
        Step::numbers(hidden, rows, count, |at, row, _| reset[at] = gate.of_f32(sums[row] + of_state[row]));
        if !after {
            let kept: Vec<f32> = reset.iter().zip(&*step.h).map(|(r, h)| r * h).collect();
            let of_kept = step.of_state(hidden..2 * hidden, &kept);
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

pub(super) fn fast_lstm(
    args: &Args<'_>,
    types: &[Type],
    ctx: &Context<'_>,
) -> Result<Option<Vec<Datum>>, Fault> {
    let gate = Activation::read(args, "recurrent_activation")?;
    let cell = Activation::read(args, "cell_activation")?;
    let act = Activation::read(args, "activation")?;
    let clip = args.float("clip").map_or(f32::INFINITY, |c| c as f32);
    let clipped = |c: f32| {
        if c > clip {
            clip
        } else if c < -clip {
            -clip
        } else {
            c
        }
    };
    walk(args, types, ctx, "bias", |step| {
        let (hidden, rows, p) = (step.hidden, step.rows, step.peephole);
        let of_state = step.of_state(0..rows, step.h);
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

/// Columns of a matrix, or the same columns written back.
fn columns(from: &[f32], width: usize, start: usize, count: usize) -> Vec<f32> {
    from.chunks_exact(width).flat_map(|row| row[start..start + count].iter().copied()).collect()
}

fn set_columns(to: &mut [f32], width: usize, start: usize, count: usize, from: &[f32]) {
    for (to, from) in to.chunks_exact_mut(width).zip(from.chunks_exact(count)) {
        to[start..start + count].copy_from_slice(from);
    }
}

/// Goes through the sequence with the whole batch at once. `bias` is added to what the weights make of the inputs.
fn walk(
    args: &Args<'_>,
    types: &[Type],
    ctx: &Context<'_>,
    bias: &'static str,
    step: impl Fn(&mut Step<'_>),
) -> Result<Option<Vec<Datum>>, Fault> {
    let x = args.tensor("x")?;
    let (shape, state) = (shape_of(&types[0]), shape_of(&types[1]));
    let (&[steps, batch, inputs], &[_, width]) = (x.shape(), &*state) else { return Ok(None) };
    if [steps, batch, inputs, width].contains(&0) {
        return Ok(None);
    }
    let way = direction(args)?;
    let ways: &[Names] = if way == Direction::Both { &[THERE, BACK] } else { &[THERE] };
    let hidden = width / ways.len();
    let mut sequence = vec![0.0; shape.iter().product()];
    let mut states = fast::singles(args.tensor("initial_h")?).into_owned();
    let mut cells = fast::singles_of(args, "initial_c")?.map_or_else(Vec::new, Cow::into_owned);
    let all = args.bool("output_sequence").unwrap_or(false);
    for (w, names) in ways.iter().enumerate() {
        let (ih, hh) = (args.tensor(names.ih)?, args.tensor(names.hh)?);
        let rows = hh.shape()[0];
        let bias = fast::singles_of(args, if w == 1 { names.bias } else { bias })?;
        let mut of_inputs = vec![0.0; steps * batch * rows];
        for_float!(x.dtype(), T => {
            let x = Matrix::new(fast::elements::<T>(x), steps * batch, inputs);
            let weights = Matrix::new(fast::elements::<T>(ih), rows, inputs).transposed();
            gemm(ctx.threads, &mut of_inputs, x, weights, bias.as_deref().map_or(Bias::None, Bias::Columns));
        });
        let peephole = fast::singles_of(args, names.peephole)?;
        let mut h = columns(&states, width, w * hidden, hidden);
        let mut c = columns(&cells, width, w * hidden, hidden);
        let weights = fast::singles(hh);
        for t in 0..steps {
            let from = if way == Direction::Reverse || w == 1 { steps - 1 - t } else { t };
            step(&mut Step {
                threads: ctx.threads,
                of_input: &of_inputs[from * batch * rows..][..batch * rows],
                weights: &weights,
                peephole: peephole.as_deref().unwrap_or(&[]),
                h: &mut h,
                c: &mut c,
                hidden,
                rows,
            });
            if all {
                let to = if w == 1 { from } else { t };
                set_columns(
                    &mut sequence[to * batch * width..][..batch * width],
                    width,
                    w * hidden,
                    hidden,
                    &h,
                );
            }
        }
        set_columns(&mut states, width, w * hidden, hidden, &h);
        set_columns(&mut cells, width, w * hidden, hidden, &c);
    }
    if !all {
        sequence.copy_from_slice(&states);
    }
    let mut results = Vec::new();
    for_float!(x.dtype(), T => {
        let rounded = |shape: &[usize], from: &[f32]| fast::result::<T>(shape, |y| {
            <T as anemone_kernels::Float>::narrow(y, from);
        });
        results.push(rounded(&shape, &sequence)?);
        for values in [states, cells].iter().take(types.len() - 1) {
            results.push(rounded(&state, values)?);
        }
    });
    Ok(Some(results))
}
