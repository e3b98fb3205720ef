//! Recurrent networks, a step a frame.

use super::{PARTS, TABLE, floats, number};
use crate::passes::draft::{Draft, concat, reshape};
use crate::passes::site::Site;
use crate::types::{DType, Tensor};

/// One way through the sequence, as it is written.
struct Way {
    dtype: DType,
    steps: u64,
    batch: u64,
    hidden: u64,
    /// The products of all inputs with their weights, a row a frame and item.
    inputs: String,
    gates: u64,
}

impl Way {
    /// The products with the inputs, which do not wait for each other; `bias` is what stands behind the weights.
    fn of(site: &Site<'_>, draft: &mut Draft, weight: &str, bias: &str, gates: u64) -> Option<Self> {
        let (dtype, _) = floats(site)?;
        let &[steps, batch, given] = &site.dims("x")?[..] else { return None };
        let &[rows, _] = &site.dims(weight)?[..] else { return None };
        let hidden = rows / gates;
        if steps == 0 || steps > PARTS || hidden == 0 {
            return None;
        }
        let frames = steps.checked_mul(batch)?;
        let x = draft.reshape("arg_x", dtype, &[frames, given]);
        let call = format!("linear(x = {x}, weight = arg_{weight}{bias})");
        let inputs = draft.step(dtype, &[frames, rows], &call);
        Some(Self { dtype, steps, batch, hidden, inputs, gates })
    }

    /// What the inputs of a frame give.
    fn frame(&self, draft: &mut Draft, t: u64) -> String {
        let dims = [self.steps * self.batch, self.gates * self.hidden];
        draft.slice(&self.inputs, self.dtype, &dims, 0, t * self.batch, self.batch)
    }

    fn state(&self) -> [u64; 2] {
        [self.batch, self.hidden]
    }

    fn step(&self, draft: &mut Draft, call: &str) -> String {
        draft.step(self.dtype, &self.state(), call)
    }

    fn two(&self, draft: &mut Draft, op: &str, x: &str, y: &str) -> String {
        self.step(draft, &format!("{op}(x = {x}, y = {y})"))
    }

    /// Gate `i` of several side by side.
    fn gate(&self, draft: &mut Draft, gates: &str, count: u64, i: u64) -> String {
        draft.slice(gates, self.dtype, &[self.batch, count * self.hidden], 1, i * self.hidden, self.hidden)
    }

    /// A function that gates or results go through.
    fn through(&self, draft: &mut Draft, function: &str, x: String) -> Option<String> {
        let call = match function.to_ascii_lowercase().as_str() {
            "tanh" | "scaled_tanh" => format!("tanh(x = {x})"),
            "sigmoid" => format!("sigmoid(x = {x})"),
            "relu" => format!("relu(x = {x})"),
            "hard_sigmoid" | "sigmoid_hard" => {
                let (alpha, beta) = (number(self.dtype, 0.2), number(self.dtype, 0.5));
                format!("sigmoid_hard(x = {x}, alpha = {alpha}, beta = {beta})")
            }
            "linear" => return Some(x),
            _ => return None,
        };
        Some(self.step(draft, &call))
    }

    /// The frames in the order of their way.
    fn order(&self, reverse: bool) -> Vec<u64> {
        if reverse { (0..self.steps).rev().collect() } else { (0..self.steps).collect() }
    }
}

/// The bias, where there is one.
fn bias(site: &Site<'_>, param: &str) -> String {
    site.value(param).map_or_else(String::new, |_| format!(", bias = arg_{param}"))
}

/// Writes the results: the states of all frames or that of the last, and what is kept at the end.
fn results(site: &Site<'_>, mut draft: Draft, all: &[String], last: &[String]) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let state = site.result_dims(1)?;
    let sequence = if site.flag("output_sequence")? {
        format!("stack(values = ({}), axis = int32(0))", all.join(", "))
    } else {
        reshape(last.first()?, &dims)
    };
    draft.output(0, dtype, &dims, &sequence);
    for (i, last) in last.iter().enumerate() {
        draft.output(i + 1, dtype, &state, &format!("identity(x = {last})"));
    }
    Some(draft)
}

/// Some rows of constant weights.
fn rows(site: &Site<'_>, param: &str, first: u64, count: u64) -> Option<Tensor> {
    let whole = site.constant(param).filter(|w| w.len() as u64 <= TABLE)?;
    let (&all, rest) = whole.shape().split_first()?;
    let width = whole.len().checked_div(all)?;
    let (first, count) = (usize::try_from(first).ok()?, usize::try_from(count).ok()?);
    let numbers = whole.to_f64s();
    let part = numbers.get(first * width..(first + count) * width)?;
    Tensor::from_f64s(whole.dtype(), &[&[count], rest].concat(), part).ok()
}

pub(super) fn rnn(site: &Site<'_>) -> Option<Draft> {
    let mut draft = Draft::default();
    let way = Way::of(site, &mut draft, "weight_ih", &bias(site, "bias"), 1)?;
    let activation = site.word_or("activation", "tanh")?;
    let mut h = "arg_initial_h".to_string();
    let mut all = Vec::new();
    for t in way.order(site.word_or("direction", "forward")? == "reverse") {
        let x = way.frame(&mut draft, t);
        let kept = way.step(&mut draft, &format!("linear(x = {h}, weight = arg_weight_hh)"));
        let sum = way.two(&mut draft, "add", &x, &kept);
        h = way.through(&mut draft, activation, sum)?;
        all.push(h.clone());
    }
    results(site, draft, &all, &[h])
}

/// The gates are reset, output and update.
pub(super) fn gru(site: &Site<'_>) -> Option<Draft> {
    let mut draft = Draft::default();
    let after = site.flag("reset_after")?;
    let way = Way::of(site, &mut draft, "weight_ih", &bias(site, "input_bias"), 3)?;
    let n = way.hidden;
    let (gate, act) = (site.word_or("recurrent_activation", "sigmoid")?, site.word_or("activation", "tanh")?);
    let own = |draft: &mut Draft, first: u64, count: u64| {
        let weight = draft.constant(rows(site, "weight_hh", first * n, count * n)?);
        let bias = match site.value("bias") {
            None => String::new(),
            Some(_) => format!(", bias = {}", draft.constant(rows(site, "bias", first * n, count * n)?)),
        };
        Some(format!("weight = {weight}{bias}"))
    };
    let [of_reset, of_output, of_update] = [0, 1, 2].map(|i| own(&mut draft, i, 1));
    let (of_reset, of_output, of_update) = (of_reset?, of_output?, of_update?);
    let mut h = "arg_initial_h".to_string();
    let mut all = Vec::new();
    for t in way.order(site.word_or("direction", "forward")? == "reverse") {
        let x = way.frame(&mut draft, t);
        let [x_reset, x_output, x_update] = [0, 1, 2].map(|i| way.gate(&mut draft, &x, 3, i));
        let opened = |draft: &mut Draft, x: &str, own: &str| {
            let kept = way.step(draft, &format!("linear(x = {h}, {own})"));
            let sum = way.two(draft, "add", x, &kept);
            way.through(draft, gate, sum)
        };
        let reset = opened(&mut draft, &x_reset, &of_reset)?;
        let update = opened(&mut draft, &x_update, &of_update)?;
        let state = if after {
            let kept = way.step(&mut draft, &format!("linear(x = {h}, {of_output})"));
            way.two(&mut draft, "mul", &reset, &kept)
        } else {
            let kept = way.two(&mut draft, "mul", &reset, &h);
            way.step(&mut draft, &format!("linear(x = {kept}, {of_output})"))
        };
        let sum = way.two(&mut draft, "add", &x_output, &state);
        let new = way.through(&mut draft, act, sum)?;
        // `(1 - u) new + u h` with one product.
        let change = way.two(&mut draft, "sub", &h, &new);
        let part = way.two(&mut draft, "mul", &update, &change);
        h = way.two(&mut draft, "add", &new, &part);
        all.push(h.clone());
    }
    results(site, draft, &all, &[h])
}

/// One way of an `lstm`: the states in the order of the frames, the last state, and the cell. The gates are input,
/// forget, output and cell.
fn lstm_way(
    site: &Site<'_>,
    draft: &mut Draft,
    back: bool,
    whole: u64,
) -> Option<(Vec<String>, String, String)> {
    let param = |name: &str| if back { format!("{name}_back") } else { name.to_string() };
    let way = Way::of(site, draft, &param("weight_ih"), &bias(site, &param("bias")), 4)?;
    let n = way.hidden;
    let words = ["recurrent_activation", "cell_activation", "activation"];
    let defaults = ["sigmoid", "tanh", "tanh"];
    let gate = site.word_or(words[0], defaults[0])?;
    let (cell, act) = (site.word_or(words[1], defaults[1])?, site.word_or(words[2], defaults[2])?);
    let peephole = param("peephole");
    let peepholes = match site.value(&peephole) {
        None => None,
        Some(_) => {
            let all = [0, 1, 2].map(|i| Some(draft.constant(rows(site, &peephole, i * n, n)?)));
            let [input, forget, output] = all;
            Some([input?, forget?, output?])
        }
    };
    let clip = site.value("clip").map(|_| site.float_or("clip", 0.0));
    let first = if back { whole - n } else { 0 };
    let start =
        |draft: &mut Draft, param: &str| draft.slice(param, way.dtype, &[way.batch, whole], 1, first, n);
    let mut h = start(draft, "arg_initial_h");
    let mut c = start(draft, "arg_initial_c");
    let weight = param("weight_hh");
    let mut all = Vec::new();
    for t in way.order(back || site.word_or("direction", "forward")? == "reverse") {
        let x = way.frame(draft, t);
        let dims = [way.batch, 4 * n];
        let kept = draft.step(way.dtype, &dims, &format!("linear(x = {h}, weight = arg_{weight})"));
        let sums = draft.step(way.dtype, &dims, &format!("add(x = {x}, y = {kept})"));
        let [input, forget, output, new] = [0, 1, 2, 3].map(|i| way.gate(draft, &sums, 4, i));
        let seen = |draft: &mut Draft, i: usize, sum: String, c: &str| match &peepholes {
            None => sum,
            Some(all) => {
                let seen = way.two(draft, "mul", c, &all[i]);
                way.two(draft, "add", &sum, &seen)
            }
        };
        let (input, forget) = (seen(draft, 0, input, &c), seen(draft, 1, forget, &c));
        let input = way.through(draft, gate, input)?;
        let forget = way.through(draft, gate, forget)?;
        let new = way.through(draft, cell, new)?;
        let old = way.two(draft, "mul", &forget, &c);
        let new = way.two(draft, "mul", &input, &new);
        c = way.two(draft, "add", &old, &new);
        if let Some(clip) = clip {
            let (low, high) = (number(way.dtype, -clip?), number(way.dtype, clip?));
            c = way.step(draft, &format!("clip(x = {c}, alpha = {low}, beta = {high})"));
        }
        let output = seen(draft, 2, output, &c);
        let output = way.through(draft, gate, output)?;
        let shown = way.through(draft, act, c.clone())?;
        h = way.two(draft, "mul", &output, &shown);
        all.push(h.clone());
    }
    if back {
        all.reverse();
    }
    Some((all, h, c))
}

pub(super) fn lstm(site: &Site<'_>) -> Option<Draft> {
    let state = site.result_dims(1)?;
    let &[batch, width] = &state[..] else { return None };
    let mut draft = Draft::default();
    let (mut all, mut h, mut c) = lstm_way(site, &mut draft, false, width)?;
    if site.word_or("direction", "forward")? == "bidirectional" {
        let (dtype, _) = floats(site)?;
        let (back, last, cell) = lstm_way(site, &mut draft, true, width)?;
        let mut both =
            |a: &String, b: &String| draft.step(dtype, &[batch, width], &concat(&[a.clone(), b.clone()], 1));
        all = all.iter().zip(&back).map(|(a, b)| both(a, b)).collect();
        (h, c) = (both(&h, &last), both(&c, &cell));
    }
    results(site, draft, &all, &[h, c])
}
