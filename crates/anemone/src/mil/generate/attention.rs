//! Attention and its gradients.

use super::norm::normed;
use super::{built, made, parts, program, refused, turned, weights};
use crate::graph::{Built, Graph, Shape, Tensor};
use crate::source::{Diagnostics, codes};
use crate::types::DType;

/// The weights of the norm before attention, and of the projections to queries, keys and values.
///
/// ```
/// use anemone::mil::generate;
/// let w = [0.5; 16]; // [dim, dim]
/// let weights = generate::QkvWeights { norm: &[1.0; 4], wq: &w, wk: &w, wv: &w };
/// let built = generate::qkv_forward_rms(4, 3, &weights)?;
/// let shapes: Vec<String> = built.verified.main().outputs().map(|v| v.ty.to_string()).collect();
/// assert_eq!(shapes, ["tensor<fp16, [1, 12, 1, 3]>"]);
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QkvWeights<'a> {
    /// The norm: `[dim]`.
    pub norm: &'a [f32],
    /// Queries: `[dim, dim]`.
    pub wq: &'a [f32],
    /// Keys: `[dim, dim]`.
    pub wk: &'a [f32],
    /// Values: `[dim, dim]`.
    pub wv: &'a [f32],
}

/// How attention is cut into heads.
#[derive(Clone, Copy)]
struct Heads {
    dim: usize,
    heads: usize,
    /// The numbers of a head.
    size: usize,
    seq: usize,
}

impl Heads {
    #[track_caller]
    fn new(dim: usize, heads: usize, seq: usize) -> Result<Self, Diagnostics> {
        match dim.checked_div(heads) {
            Some(size) if size * heads == dim => Ok(Self { dim, heads, size, seq }),
            _ => {
                let message = format!("{dim} channels cannot be cut into {heads} heads");
                Err(refused(&codes::SHAPE_MISMATCH, message))
            }
        }
    }

    /// The channels of scores, `[1, heads * seq, 1, seq]`.
    fn scores(self) -> usize {
        self.heads.saturating_mul(self.seq)
    }

    fn scale(self) -> f64 {
        1.0 / (self.size as f64).sqrt()
    }

    /// `[1, dim, 1, seq]` as `[1, heads, seq, size]`.
    fn cut(self, g: &mut Graph, x: Tensor) -> Tensor {
        let x = g.reshape(x, [1, self.heads, self.size, self.seq]);
        g.transpose(x, [0, 1, 3, 2])
    }

    /// `[1, heads, seq, size]` as `[1, dim, 1, seq]`.
    fn join(self, g: &mut Graph, x: Tensor) -> Tensor {
        let x = g.transpose(x, [0, 1, 3, 2]);
        g.reshape(x, [1, self.dim, 1, self.seq])
    }

    /// The causal probabilities of queries and keys that are cut.
    fn probabilities(self, g: &mut Graph, q: Tensor, k: Tensor, mask: &[f32]) -> Tensor {
        let q = g.mul(q, self.scale());
        let scores = g.matrix_multiplication(q, k, false, true);
        let mask = g.constant(mask, Shape::spatial(1, self.seq, self.seq));
        let scores = g.addition(scores, mask);
        g.soft_max(scores, -1)
    }

    /// Causal attention of `[1, dim, 1, seq]` each.
    fn attend(self, g: &mut Graph, [q, k, v]: [Tensor; 3], mask: &[f32]) -> Tensor {
        let [q, k, v] = [q, k, v].map(|x| self.cut(g, x));
        let p = self.probabilities(g, q, k, mask);
        let a = g.matrix_multiplication(p, v, false, false);
        self.join(g, a)
    }
}

#[track_caller]
fn mask(seq: usize) -> Result<Vec<f32>, Diagnostics> {
    made(weights::causal_mask(seq))
}

/// The projections of the norm of `x`.
fn project(g: &mut Graph, x: Tensor, dim: usize, w: &QkvWeights<'_>) -> [Tensor; 3] {
    let x = normed(g, x, w.norm, dim);
    [w.wq, w.wk, w.wv].map(|w| g.inner_product(x, w, dim, dim))
}

/// Attention of all queries to all keys: `y = softmax(q · kᵀ / sqrt(head_dim)) · v`.
///
/// Inputs `q`, `k`, `v` and output `y` are `[1, heads, seq, head_dim]`.
///
/// ```
/// use anemone::{Chip, Client, mil::generate};
/// let built = generate::sdpa(2, 1, 1)?;
/// let client = Client::software(Chip::M4);
/// let mut model = client.compile_program(&built.program, &built.weights, &Default::default())?;
/// model.write_input_f32("q", &[1.0, 0.0])?;
/// model.write_input_f32("k", &[0.5, 0.5])?;
/// model.write_input_f32("v", &[3.0, 4.0])?;
/// model.eval()?;
/// let mut y = [0.0; 2];
/// model.read_output_f32(0, &mut y)?;
/// assert_eq!(y, [3.0, 4.0]); // one token sees itself
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn sdpa(head_dim: usize, heads: usize, seq: usize) -> Result<Built, Diagnostics> {
    let mut g = Graph::new();
    let [q, k, v] = ["q", "k", "v"].map(|name| g.input(name, DType::Fp16, &[1, heads, seq, head_dim]));
    let y = g.scaled_dot_product_attention(q, k, v, ());
    g.output("y", y);
    built(&g)
}

/// Heads of keys or values repeated for groups of queries: the head `h` of `y` is the head `h / (q_heads / kv_heads)` of
/// `x`, as PyTorch's `repeat_interleave` and grouped-query attention have it.
///
/// Input `x [1, kv_heads, seq, head_dim]`, output `y [1, q_heads, seq, head_dim]`. The program has no `tile`, after which
/// the engine of some machines refuses everything.
///
/// ```
/// use anemone::{Chip, Client, mil::generate};
/// let built = generate::gqa_expand(1, 2, 2, 1)?;
/// let client = Client::software(Chip::M4);
/// let mut model = client.compile_program(&built.program, &built.weights, &Default::default())?;
/// model.write_input_f32("x", &[3.0, 4.0])?;
/// model.eval()?;
/// let mut y = [0.0; 4];
/// model.read_output_f32(0, &mut y)?;
/// assert_eq!(y, [3.0, 4.0, 3.0, 4.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn gqa_expand(
    kv_heads: usize,
    q_heads: usize,
    head_dim: usize,
    seq: usize,
) -> Result<Built, Diagnostics> {
    /// As many copies are still a program that is compiled.
    const MOST: usize = 1024;
    let times = match q_heads.checked_div(kv_heads) {
        Some(times) if (1..=MOST).contains(&times) && times * kv_heads == q_heads => times,
        _ => {
            let message = format!("{kv_heads} heads cannot be repeated to {q_heads}");
            return Err(refused(&codes::SHAPE_MISMATCH, message));
        }
    };
    let mut g = Graph::new();
    let x = g.input("x", DType::Fp16, &[1, kv_heads, seq, head_dim]);
    // Copies of a head behind each other are as many heads.
    let y = g.concat(&vec![x; times], 2);
    let y = g.reshape(y, [1, q_heads, seq, head_dim]);
    g.output("y", y);
    built(&g)
}

/// Queries, keys and values: `wq · n`, `wk · n` and `wv · n`, where `n` is the [norm](super::final_rms_norm) of `x`.
///
/// Input `x [1, dim, 1, seq]`; output `out [1, 3 * dim, 1, seq]` has the three behind each other by channels.
///
/// ```
/// use anemone::mil::generate;
/// let w = [0.5; 16]; // [dim, dim]
/// let weights = generate::QkvWeights { norm: &[1.0; 4], wq: &w, wk: &w, wv: &w };
/// let built = generate::qkv_forward_rms(4, 3, &weights)?; // q, k and v
/// let shapes: Vec<String> = built.verified.main().outputs().map(|v| v.ty.to_string()).collect();
/// assert_eq!(shapes, ["tensor<fp16, [1, 12, 1, 3]>"]);
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[track_caller]
pub fn qkv_forward_rms(dim: usize, seq: usize, weights: &QkvWeights<'_>) -> Result<Built, Diagnostics> {
    program("x", dim, seq, "out", |g, x| {
        let all = project(g, x, dim, weights);
        g.concat(&all, 1)
    })
}

/// The gradient of the projections in [`qkv_forward_rms`] by the norm: `dn = wqᵀ · dq + wkᵀ · dk + wvᵀ · dv`.
///
/// Input `x [1, 3 * dim, 1, seq]` is `dq`, `dk` and `dv` by channels; output `dn` is `[1, dim, 1, seq]`, for
/// [`rms_norm_backward`](super::rms_norm_backward). The weights are those of the forward program, `[dim, dim]` each.
///
/// ```
/// use anemone::mil::generate;
/// let w = [0.5; 16]; // [dim, dim]
/// let built = generate::qkv_backward(4, 3, &w, &w, &w)?;
/// let shapes: Vec<String> = built.verified.main().outputs().map(|v| v.ty.to_string()).collect();
/// assert_eq!(shapes, ["tensor<fp16, [1, 4, 1, 3]>"]);
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[track_caller]
pub fn qkv_backward(
    dim: usize,
    seq: usize,
    wq: &[f32],
    wk: &[f32],
    wv: &[f32],
) -> Result<Built, Diagnostics> {
    program("x", dim.saturating_mul(3), seq, "dn", |g, x| {
        let [dq, dk, dv] = parts(g, x, [dim; 3], seq);
        let [dq, dk, dv] = [(dq, wq), (dk, wk), (dv, wv)].map(|(d, w)| turned(g, d, w, dim, dim));
        let sum = g.addition(dq, dk);
        g.addition(sum, dv)
    })
}

/// A block of causal attention: `y = x + wo · attention(wq · n, wk · n, wv · n)`, where `n` is the
/// [norm](super::final_rms_norm) of `x` and scores are divided by the root of the numbers of a head.
///
/// Input `x` and output `y` are `[1, dim, 1, seq]`; `wo` is `[dim, dim]`. A token sees itself and those before it.
///
/// ```
/// use anemone::mil::generate;
/// let w = [0.5; 16]; // [dim, dim]
/// let weights = generate::QkvWeights { norm: &[1.0; 4], wq: &w, wk: &w, wv: &w };
/// let built = generate::sdpa_forward(4, 2, 3, &weights, &w)?;
/// let shapes: Vec<String> = built.verified.main().outputs().map(|v| v.ty.to_string()).collect();
/// assert_eq!(shapes, ["tensor<fp16, [1, 4, 1, 3]>"]);
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[track_caller]
pub fn sdpa_forward(
    dim: usize,
    heads: usize,
    seq: usize,
    weights: &QkvWeights<'_>,
    wo: &[f32],
) -> Result<Built, Diagnostics> {
    let (cut, mask) = (Heads::new(dim, heads, seq)?, mask(seq)?);
    program("x", dim, seq, "y", |g, x| {
        let qkv = project(g, x, dim, weights);
        let attention = cut.attend(g, qkv, &mask);
        let o = g.inner_product(attention, wo, dim, dim);
        g.addition(x, o)
    })
}

/// [`sdpa_forward`] with what its gradient needs: the output `out [1, 5 * dim, 1, seq]` is `y`, `q`, `k`, `v` and the
/// attention before `wo`, one behind the other by channels.
///
/// ```
/// use anemone::mil::generate;
/// let w = [0.5; 16]; // [dim, dim]
/// let weights = generate::QkvWeights { norm: &[1.0; 4], wq: &w, wk: &w, wv: &w };
/// let built = generate::sdpa_forward_taps(4, 2, 3, &weights, &w)?;
/// let shapes: Vec<String> = built.verified.main().outputs().map(|v| v.ty.to_string()).collect();
/// assert_eq!(shapes, ["tensor<fp16, [1, 20, 1, 3]>"]);
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[track_caller]
pub fn sdpa_forward_taps(
    dim: usize,
    heads: usize,
    seq: usize,
    weights: &QkvWeights<'_>,
    wo: &[f32],
) -> Result<Built, Diagnostics> {
    let (cut, mask) = (Heads::new(dim, heads, seq)?, mask(seq)?);
    program("x", dim, seq, "out", |g, x| {
        let [q, k, v] = project(g, x, dim, weights);
        let attention = cut.attend(g, [q, k, v], &mask);
        let o = g.inner_product(attention, wo, dim, dim);
        let y = g.addition(x, o);
        g.concat(&[y, q, k, v, attention], 1)
    })
}

/// What [`sdpa_forward`] does behind the projections: `y = x + wo · attention(q, k, v)`.
///
/// Inputs `x [1, dim, 1, seq]` and `qkv [1, 3 * dim, 1, seq]`, as [`qkv_forward_rms`] gives it; output `out [1, 2 * dim, 1,
/// seq]` is `y` and behind it the attention before `wo`.
///
/// ```
/// use anemone::mil::generate;
/// let built = generate::sdpa_apply_forward(4, 2, 3, &[0.5; 16])?;
/// let shapes: Vec<String> = built.verified.main().outputs().map(|v| v.ty.to_string()).collect();
/// assert_eq!(shapes, ["tensor<fp16, [1, 8, 1, 3]>"]);
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[track_caller]
pub fn sdpa_apply_forward(dim: usize, heads: usize, seq: usize, wo: &[f32]) -> Result<Built, Diagnostics> {
    let (cut, mask) = (Heads::new(dim, heads, seq)?, mask(seq)?);
    let mut g = Graph::new();
    let x = g.input("x", DType::Fp16, &[1, dim, 1, seq]);
    let qkv = g.input("qkv", DType::Fp16, &[1, dim.saturating_mul(3), 1, seq]);
    let qkv = parts(&mut g, qkv, [dim; 3], seq);
    let attention = cut.attend(&mut g, qkv, &mask);
    let o = g.inner_product(attention, wo, dim, dim);
    let y = g.addition(x, o);
    let out = g.concat(&[y, attention], 1);
    g.output("out", out);
    built(&g)
}

/// The first half of the gradient of [`sdpa_forward`], down to the probabilities `p`: `da = woᵀ · dy`, `dv = pᵀ · da` and
/// `dp = da · vᵀ`.
///
/// Input `x [1, 4 * dim, 1, seq]` is `q`, `k`, `v` and `dy` by channels; output `out [1, dim + 2 * heads * seq, 1, seq]` is
/// `dv`, `p` and `dp`, the latter two with the rows of all heads as channels. `wo` is that of the forward program.
///
/// ```
/// use anemone::mil::generate;
/// let built = generate::sdpa_backward_1(4, 2, 3, &[0.5; 16])?; // dv, then p and dp of both heads
/// let shapes: Vec<String> = built.verified.main().outputs().map(|v| v.ty.to_string()).collect();
/// assert_eq!(shapes, ["tensor<fp16, [1, 16, 1, 3]>"]);
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[track_caller]
pub fn sdpa_backward_1(dim: usize, heads: usize, seq: usize, wo: &[f32]) -> Result<Built, Diagnostics> {
    let (cut, mask) = (Heads::new(dim, heads, seq)?, mask(seq)?);
    program("x", dim.saturating_mul(4), seq, "out", |g, x| {
        let [q, k, v, dy] = parts(g, x, [dim; 4], seq);
        let da = turned(g, dy, wo, dim, dim);
        let [q, k, v, da] = [q, k, v, da].map(|x| cut.cut(g, x));
        let p = cut.probabilities(g, q, k, &mask);
        let dv = g.matrix_multiplication(p, da, true, false);
        let dv = cut.join(g, dv);
        let dp = g.matrix_multiplication(da, v, false, true);
        let [p, dp] = [p, dp].map(|x| g.reshape(x, [1, cut.scores(), 1, seq]));
        g.concat(&[dv, p, dp], 1)
    })
}

/// The second half of the gradient of [`sdpa_forward`], from the probabilities to queries and keys: with `ds = p * (dp -
/// Σ p * dp) / sqrt(dim / heads)`, the sum over the keys of each query, `dq = ds · k` and `dk = dsᵀ · q`.
///
/// Input `x [1, 2 * heads * seq + 2 * dim, 1, seq]` is `p` and `dp`, as [`sdpa_backward_1`] gives them, `q` and `k` by
/// channels; output `out [1, 2 * dim, 1, seq]` is `dq` and `dk`.
///
/// ```
/// use anemone::mil::generate;
/// let built = generate::sdpa_backward_2(4, 2, 3)?;
/// let shapes: Vec<String> = built.verified.main().outputs().map(|v| v.ty.to_string()).collect();
/// assert_eq!(shapes, ["tensor<fp16, [1, 8, 1, 3]>"]);
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[track_caller]
pub fn sdpa_backward_2(dim: usize, heads: usize, seq: usize) -> Result<Built, Diagnostics> {
    let cut = Heads::new(dim, heads, seq)?;
    let scores = cut.scores();
    program("x", scores.saturating_add(dim).saturating_mul(2), seq, "out", |g, x| {
        let [p, dp, q, k] = parts(g, x, [scores, scores, dim, dim], seq);
        let [p, dp] = [p, dp].map(|x| g.reshape(x, [1, heads, seq, seq]));
        let [q, k] = [q, k].map(|x| cut.cut(g, x));
        let along = g.multiplication(p, dp);
        let along = g.reduce_sum(along, -1);
        let ds = g.subtraction(dp, along);
        let ds = g.multiplication(p, ds);
        let ds = g.mul(ds, cut.scale());
        let dq = g.matrix_multiplication(ds, k, false, false);
        let dk = g.matrix_multiplication(ds, q, true, false);
        let [dq, dk] = [dq, dk].map(|x| cut.join(g, x));
        g.concat(&[dq, dk], 1)
    })
}
