//! Hints for products, convolutions, pools, norms, attention and recurrences.

use anemone::types::{DType, Tensor};

use super::{Hint, axes, by_table};
use crate::draft::Draft;

pub(super) fn propose(d: &mut Draft<'_, '_, '_, '_>) -> Hint {
    Some(match d.op.name {
        "linear" => linear(d),
        "matmul" => matmul(d),
        "einsum" => einsum(d),
        "conv" | "conv_quantized" => conv(d, false),
        "conv_transpose" => conv(d, true),
        "avg_pool" | "max_pool" | "l2_pool" => pool(d),
        "scaled_dot_product_attention" => attention(d),
        "rnn" => recurrent(d, 1),
        "gru" => recurrent(d, 3),
        "lstm" => recurrent(d, 4),
        "prelu" | "softplus_parametric" => channels(d, 2, &["alpha", "beta"]),
        "batch_norm" => batch_norm(d),
        "instance_norm" => channels(d, 3, &["gamma", "beta"]),
        "layer_norm" => layer_norm(d),
        "local_response_norm" => local_response_norm(d),
        "clip" | "clamped_relu" => bounds(d),
        _ => return None,
    })
}

fn extent(d: &mut Draft<'_, '_, '_, '_>) -> usize {
    d.b.dice.extent().min(40)
}

fn linear(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let x = d.ranked("x", 1..=4)?;
    let outputs = extent(d);
    d.shaped("weight", &[outputs, *x.last()?])?;
    if d.wants("bias") {
        d.shaped("bias", &[outputs])?;
    }
    Some(())
}

fn matmul(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let x = d.ranked("x", 1..=4)?;
    let (tx, ty) = (x.len() > 1 && d.b.dice.chance(30), d.b.dice.chance(40));
    let inner = x[x.len() - if tx { 2 } else { 1 }];
    let columns = extent(d);
    let mut y: Vec<usize> = match x.len().checked_sub(2) {
        Some(batches) => x[..batches].iter().map(|&n| if d.b.dice.chance(25) { 1 } else { n }).collect(),
        None => Vec::new(),
    };
    let skipped = if d.b.dice.chance(25) { d.b.dice.below(y.len() + 1) } else { 0 };
    y.drain(..skipped);
    if d.b.dice.chance(8) {
        y = vec![inner];
    } else {
        y.extend(if ty { [columns, inner] } else { [inner, columns] });
    }
    d.shaped("y", &y)?;
    if tx || d.wants("transpose_x") {
        d.flag("transpose_x", tx)?;
    }
    if ty || d.wants("transpose_y") {
        d.flag("transpose_y", ty)?;
    }
    Some(())
}

fn einsum(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let dtype = d.b.dice.one(&[DType::Fp16, DType::Fp32]);
    let [a, b, c, e, f] = [(); 5].map(|()| extent(d));
    let (equation, x, y) = match d.b.dice.below(3) {
        0 => ("nchw,nwhu->nchu", vec![a, b, c, e], vec![a, e, c, f]),
        1 => ("abcd,adce->abce", vec![a, b, c, e], vec![a, e, c, f]),
        _ => ("chw,whr->chr", vec![a, b, c], vec![c, b, e]),
    };
    for shape in [x, y] {
        let tensor = d.b.dice.tensor(dtype, &shape)?;
        d.given("values", tensor)?;
    }
    d.given("equation", Tensor::string(equation))
}

/// The arguments that say where windows lie.
fn windows(d: &mut Draft<'_, '_, '_, '_>, spatial: usize, dilations: bool) -> Option<()> {
    let some = |d: &mut Draft<'_, '_, '_, '_>, most: i64| -> Vec<i64> {
        (0..spatial).map(|_| if d.b.dice.chance(40) { d.b.dice.within(1, most) } else { 1 }).collect()
    };
    if d.wants("strides") {
        let strides = some(d, 3);
        d.ints("strides", &strides)?;
    }
    if dilations && d.wants("dilations") {
        let dilations = some(d, 2);
        d.ints("dilations", &dilations)?;
    }
    if d.wants("pad_type") {
        let kind = d.b.dice.one(&["valid", "custom", "same", "same_lower"]);
        d.given("pad_type", Tensor::string(kind))?;
        if kind == "custom" || d.b.dice.chance(15) {
            let pad: Vec<i64> = (0..2 * spatial).map(|_| d.b.dice.within(0, 2)).collect();
            d.ints("pad", &pad)?;
        }
    }
    Some(())
}

fn conv(d: &mut Draft<'_, '_, '_, '_>, transposed: bool) -> Option<()> {
    let x = d.ranked("x", 3..=5)?;
    let channels = x[1];
    let groups = match d.b.dice.below(10) {
        0..5 => 1,
        5..8 => channels.max(1),
        _ => 2,
    };
    if channels % groups != 0 || channels == 0 {
        return None;
    }
    let each = 1 + d.b.dice.below(9);
    let mut weight = if transposed { vec![channels, each] } else { vec![each * groups, channels / groups] };
    for _ in 2..x.len() {
        weight.push(d.b.dice.one(&[1, 3, 2, 1, 3, 5, 4]));
    }
    d.shaped("weight", &weight)?;
    if d.wants("bias") {
        d.shaped("bias", &[each * groups])?;
    }
    windows(d, x.len() - 2, true)?;
    if groups > 1 || d.wants("groups") {
        d.int("groups", groups as i64)?;
    }
    if d.has("quant_scale") {
        d.word("quantization_type", &["linear"])?;
        for name in ["quant_scale", "quant_bias"] {
            let n = if d.b.dice.chance(50) { each * groups } else { 1 };
            d.shaped(name, &[n])?;
        }
        if d.wants("nbits") {
            d.int("nbits", 8)?;
        }
    }
    Some(())
}

fn pool(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let x = d.ranked("x", 3..=5)?;
    let kernel: Vec<i64> = x[2..].iter().map(|_| d.b.dice.within(1, 4)).collect();
    d.ints("kernel_sizes", &kernel)?;
    windows(d, x.len() - 2, false)?;
    by_table(d, &["pad", "strides", "pad_type"])
}

fn attention(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let query = d.ranked("query", 3..=5)?;
    let (batch, last) = query.split_at(query.len() - 2);
    let (keys, width) = (1 + extent(d), extent(d));
    d.shaped("key", &[batch, &[keys, last[1]]].concat())?;
    d.shaped("value", &[batch, &[keys, width]].concat())?;
    if d.wants("attn_mask") {
        let whole = [batch, &[last[0], keys]].concat();
        let skipped = d.b.dice.below(whole.len() - 1);
        let mask: Vec<usize> =
            whole[skipped..].iter().map(|&n| if d.b.dice.chance(20) { 1 } else { n }).collect();
        d.shaped("attn_mask", &mask)?;
    }
    Some(())
}

fn recurrent(d: &mut Draft<'_, '_, '_, '_>, gates: usize) -> Option<()> {
    let x = d.ranked("x", 3..=3)?;
    let hidden = 1 + d.b.dice.below(9);
    let both = gates == 4 && d.b.dice.chance(30);
    let state = [x[1], hidden * if both { 2 } else { 1 }];
    d.shaped("initial_h", &state)?;
    d.shaped("initial_c", &state)?;
    let mut ways = vec![["weight_ih", "weight_hh", "bias", "peephole"]];
    if both {
        ways.push(["weight_ih_back", "weight_hh_back", "bias_back", "peephole_back"]);
    }
    for [ih, hh, bias, peephole] in ways {
        d.shaped(ih, &[gates * hidden, x[2]])?;
        d.shaped(hh, &[gates * hidden, hidden])?;
        if d.wants(bias) {
            d.shaped(bias, &[gates * hidden])?;
        }
        if d.wants(peephole) && d.b.dice.chance(50) {
            d.shaped(peephole, &[3 * hidden])?;
        }
    }
    if d.wants("input_bias") {
        d.shaped("input_bias", &[3 * hidden])?;
    }
    if both {
        d.word("direction", &["bidirectional"])?;
    } else if d.wants("direction") {
        d.word("direction", &["forward", "reverse"])?;
    }
    for (name, steps) in [("activation", 4), ("cell_activation", 4), ("recurrent_activation", 2)] {
        if !d.wants(name) {
            continue;
        }
        // Without a bound the numbers soon grow out of the range of f32, where there is nothing to compare.
        if x[0] > steps {
            d.word(name, &["tanh", "sigmoid", "hard_sigmoid", "scaled_tanh"])?;
        } else {
            d.word(name, &["tanh", "sigmoid", "relu", "linear", "hard_sigmoid", "scaled_tanh"])?;
        }
    }
    for name in ["output_sequence", "reset_after"] {
        if d.wants(name) {
            let value = d.b.dice.chance(50);
            d.flag(name, value)?;
        }
    }
    if d.wants("clip") && d.b.dice.chance(50) {
        d.float("clip", 0.75)?;
    }
    Some(())
}

/// Vectors with an element for each channel of `x`.
fn channels(d: &mut Draft<'_, '_, '_, '_>, lowest: usize, names: &[&'static str]) -> Option<()> {
    let x = d.ranked("x", lowest.max(3)..=if lowest == 2 { 5 } else { 4 })?;
    for &name in names {
        if d.wants(name) {
            d.shaped(name, &[x[1]])?;
        }
    }
    epsilon(d)
}

fn epsilon(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    if d.wants("epsilon") {
        let value = d.b.dice.one(&[1e-5, 1e-3, 0.1]);
        d.float("epsilon", value)?;
    }
    Some(())
}

fn batch_norm(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let x = d.ranked("x", 3..=5)?;
    for name in ["mean", "variance"] {
        let dtype = d.dtype(name);
        let drawn = d.b.dice.tensor(dtype, &[x[1]])?;
        // The square root of a negative variance is no number, which is not what there is to compare.
        let low = if name == "variance" { 0.0 } else { f64::NEG_INFINITY };
        let values: Vec<f64> = drawn.to_f64s().iter().map(|v| v.max(low)).collect();
        d.given(name, Tensor::from_f64s(dtype, &[x[1]], &values).ok()?)?;
    }
    for name in ["gamma", "beta"] {
        if d.wants(name) {
            d.shaped(name, &[x[1]])?;
        }
    }
    epsilon(d)
}

fn layer_norm(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let x = d.ranked("x", 1..=5)?;
    let mut normed: Vec<usize> = (0..x.len()).collect();
    if d.wants("axes") {
        let axes = axes(d, x.len());
        d.ints("axes", &axes)?;
        normed = axes.iter().map(|a| a.rem_euclid(x.len() as i64) as usize).collect();
        normed.sort_unstable();
    }
    let shape: Vec<usize> = normed.iter().map(|&a| x[a]).collect();
    for name in ["gamma", "beta"] {
        if d.wants(name) {
            d.shaped(name, &shape)?;
        }
    }
    epsilon(d)
}

fn local_response_norm(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    d.ranked("x", 3..=4)?;
    let size = d.b.dice.within(1, 5);
    d.int("size", size)?;
    for (name, values) in [("alpha", [1e-4, 0.5]), ("beta", [0.75, 1.0]), ("k", [1.0, 2.0])] {
        if d.wants(name) {
            let value = d.b.dice.one(&values);
            d.float(name, value)?;
        }
    }
    Some(())
}

fn bounds(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    d.ranked("x", 0..=5)?;
    let low = d.b.dice.one(&[-1.0, 0.0, 0.25, -0.5]);
    let width = d.b.dice.one(&[1.0, 0.0, 6.0, 0.125]);
    d.float("alpha", low)?;
    d.float("beta", low + width)
}
