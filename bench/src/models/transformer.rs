//! Transformers: an encoder, one token of a decoder, and the smallest perceptron.

use anemone::types::{self, DType};
use anemone::{Graph, Tensor, with};

use super::Folder;
use crate::Failure;

/// The tokens that a decoder has seen before.
pub(super) const PAST: usize = 128;

/// A layer of weights `[out, in]`, with a bias if there is one.
fn linear(g: &mut Graph, from: &Folder, x: Tensor, name: &str) -> Result<Tensor, Failure> {
    let weight = from.constant(g, &format!("{name}.weight"))?;
    Ok(match from.constant(g, &format!("{name}.bias")) {
        Ok(bias) => g.mil_linear(x, weight, with! { bias: bias }),
        Err(_) => g.mil_linear(x, weight, ()),
    })
}

fn reshape(g: &mut Graph, x: Tensor, shape: &[usize]) -> Tensor {
    let shape: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
    g.op("reshape", with! { x: x, shape: shape }).into()
}

/// An encoder whose norms come before its layers.
pub(super) fn encoder(g: &mut Graph, from: &Folder) -> Result<(), Failure> {
    let (seq, dim, heads) = (from.count("seq")?, from.count("dim")?, from.count("heads")?);
    let eps = from.number("eps")?;
    let norm = |g: &mut Graph, x: Tensor, name: &str| -> Result<Tensor, Failure> {
        let gamma = from.constant(g, &format!("{name}.weight"))?;
        let beta = from.constant(g, &format!("{name}.bias"))?;
        Ok(g.layer_norm(x, with! { axes: [-1], gamma: gamma, beta: beta, epsilon: eps }))
    };
    let mut x = g.input("x", DType::Fp16, &[1, seq, dim]);
    for i in 0..from.count("layers")? {
        let layer = format!("layers.{i}");
        let h = norm(g, x, &format!("{layer}.ln1"))?;
        let mut split = |part: &str| -> Result<Tensor, Failure> {
            let y = linear(g, from, h, &format!("{layer}.attn.{part}"))?;
            let y = reshape(g, y, &[1, seq, heads, dim / heads]);
            Ok(g.transpose(y, [0, 2, 1, 3]))
        };
        let (q, k, v) = (split("q")?, split("k")?, split("v")?);
        let mixed = g.scaled_dot_product_attention(q, k, v, ());
        let mixed = g.transpose(mixed, [0, 2, 1, 3]);
        let mixed = reshape(g, mixed, &[1, seq, dim]);
        let mixed = linear(g, from, mixed, &format!("{layer}.attn.o"))?;
        x = g.add(x, mixed);
        let h = norm(g, x, &format!("{layer}.ln2"))?;
        let h = linear(g, from, h, &format!("{layer}.ffn.up"))?;
        let h = g.gelu(h, with! { mode: "EXACT" });
        let h = linear(g, from, h, &format!("{layer}.ffn.down"))?;
        x = g.add(x, h);
    }
    let y = norm(g, x, "ln_f")?;
    g.output("y", y);
    Ok(())
}

/// One token of a decoder whose keys and values are inputs, and go on as outputs with one more.
pub(super) fn decoder(g: &mut Graph, from: &Folder) -> Result<(), Failure> {
    let (heads, groups) = (from.count("num_attention_heads")?, from.count("num_key_value_heads")?);
    let (size, eps) = (from.count("head_dim")?, from.number("rms_norm_eps")?);
    let token = g.input("token", DType::Int32, &[1]);
    let position = g.input("position", DType::Int32, &[1]);
    let [cos, sin] = rotations(from)?.map(|table| g.constant_tensor(table));
    let [cos, sin] = [cos, sin].map(|table| g.gather(table, position, with! { axis: 0 }));
    let norm = |g: &mut Graph, x: Tensor, name: &str| -> Result<Tensor, Failure> {
        let squares = g.mul(x, x);
        let mean = g.mil_reduce_mean(squares, with! { axes: [-1], keep_dims: true });
        let scale = g.rsqrt(mean, with! { epsilon: eps });
        let y = g.mul(x, scale);
        let gamma = from.constant(g, &format!("{name}.weight"))?;
        Ok(g.mul(y, gamma))
    };
    let rotate = |g: &mut Graph, x: Tensor| {
        let [low, high]: [Tensor; 2] = g.split(x, -1, with! { num_splits: 2 }).into();
        let high = g.mul(high, -1.0);
        let turned = g.mil_concat(&[high, low][..], -1, ());
        let (x, turned) = (g.mul(x, cos), g.mul(turned, sin));
        g.add(x, turned)
    };
    let table = from.constant(g, "model.embed_tokens.weight")?;
    let mut x = g.gather(table, token, with! { axis: 0 });
    for i in 0..from.count("num_hidden_layers")? {
        let layer = format!("model.layers.{i}");
        let h = norm(g, x, &format!("{layer}.input_layernorm"))?;
        let split = |g: &mut Graph, part: &str, heads: usize| -> Result<Tensor, Failure> {
            let y = linear(g, from, h, &format!("{layer}.self_attn.{part}_proj"))?;
            Ok(reshape(g, y, &[1, heads, 1, size]))
        };
        let q = split(g, "q", heads)?;
        let q = rotate(g, q);
        let k = split(g, "k", groups)?;
        let k = rotate(g, k);
        let v = split(g, "v", groups)?;
        let [k, v] = [("key", k), ("value", v)].map(|(what, new)| {
            let past = g.input(&format!("past_{i}_{what}"), DType::Fp16, &[1, groups, PAST, size]);
            let all = g.mil_concat(&[past, new][..], 2, ());
            g.output(&format!("present_{i}_{what}"), all);
            all
        });
        // The heads of a group read the same keys: they are rows of one matrix.
        let q = reshape(g, q, &[1, groups, heads / groups, size]);
        let mixed = g.scaled_dot_product_attention(q, k, v, ());
        let mixed = reshape(g, mixed, &[1, heads * size]);
        let mixed = linear(g, from, mixed, &format!("{layer}.self_attn.o_proj"))?;
        x = g.add(x, mixed);
        let h = norm(g, x, &format!("{layer}.post_attention_layernorm"))?;
        let gate = linear(g, from, h, &format!("{layer}.mlp.gate_proj"))?;
        let gate = g.silu(gate);
        let up = linear(g, from, h, &format!("{layer}.mlp.up_proj"))?;
        let h = g.mul(gate, up);
        let h = linear(g, from, h, &format!("{layer}.mlp.down_proj"))?;
        x = g.add(x, h);
    }
    let h = norm(g, x, "model.norm")?;
    let logits = g.mil_linear(h, table, ());
    g.output("logits", logits);
    Ok(())
}

/// The cosines and sines by which queries and keys are turned, a row for each position.
fn rotations(from: &Folder) -> Result<[types::Tensor; 2], Failure> {
    let (size, theta) = (from.count("head_dim")?, from.number("rope_theta")?);
    let angle = |i: usize| {
        let (position, frequency) = (i / size, i % size % (size / 2));
        position as f64 / theta.powf(2.0 * frequency as f64 / size as f64)
    };
    let table = |f: fn(f64) -> f64| {
        let numbers: Vec<f64> = (0..2 * PAST * size).map(|i| f(angle(i))).collect();
        types::Tensor::from_f64s(DType::Fp16, &[2 * PAST, size], &numbers)
    };
    Ok([table(f64::cos)?, table(f64::sin)?])
}

/// Two layers with a rectifier between them.
pub(super) fn perceptron(g: &mut Graph, from: &Folder) -> Result<(), Failure> {
    let inputs = from.weight("fc1.weight")?.shape()[1];
    let x = g.input("x", DType::Fp16, &[1, inputs]);
    let h = linear(g, from, x, "fc1")?;
    let h = g.relu(h);
    let y = linear(g, from, h, "fc2")?;
    g.output("y", y);
    Ok(())
}
