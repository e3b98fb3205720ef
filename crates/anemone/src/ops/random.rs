//! Random numbers, which are the same in every run and on every machine.
//!
//! The generator is SplitMix64. Its state starts at the seed and grows by a constant for each draw, and the draw is a
//! mix of the state. Each call of an op starts anew, so that its results are a function of its arguments. Core ML has
//! another generator: results agree with it in their distribution, not in their values.

use anemone_kernels::Float as _;
use anemone_kernels::scratch::scratch;
use anemone_kernels::threads::parallel_chunks;

use super::elementwise::larger;
use super::fast::{Numbers, Ready, dims, for_float, ready};
use super::loops::{check_scalar, floats, from_floats, number, room, shape_of};
use super::moves::{as_declared, known_int, result};
use super::row::*;
use crate::types::{MAX_RANK, f16};

/// The seed that stands for -1, which asks for any: 2^64 divided by the golden ratio.
const ANY_SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// What a draw adds to the state.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The generator SplitMix64 (Steele, Lea and Flood, 2014).
struct Generator(u64);

impl Generator {
    fn of(args: &Args<'_>) -> Self {
        Self(match args.int("seed") {
            None | Some(-1) => ANY_SEED,
            Some(seed) => seed as u64,
        })
    }

    /// The generator after so many draws.
    fn after(&self, draws: u64) -> Self {
        Self(self.0.wrapping_add(draws.wrapping_mul(STEP)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 up to 1, without 1: one of 2^53 at equal distances.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 * 2f64.powi(-53)
    }

    /// A number of the normal distribution, by the method of Box and Muller, from two draws.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

/// A row of this family.
const fn row(
    name: &'static str,
    summary: &'static str,
    editions: &'static [Edition],
    infer: Infer,
    compute: Compute,
    fast: Prepare,
) -> Op {
    Op {
        name,
        summary,
        editions,
        results: Results::Exactly(1),
        infer,
        meaning: Meaning::Compute(compute),
        fast: Fast::Prepared(fast),
        tolerance: Tolerance::Exact,
        scalar: Scalar::None,
    }
}

pub(super) static OPS: &[Op] = &[
    row(
        "random_bernoulli",
        "1 with probability prob, else 0, in each place of a tensor",
        &[edition(
            Ios15,
            &[
                tensor("shape", I32),
                tensor("prob", FLOATS).domain('T').constant().or(Float(0.5)),
                tensor("seed", I32).constant().or(Int(-1)),
            ],
        )],
        |args| infer_shape(args, &["prob"]),
        draw,
        fast_draw,
    ),
    row(
        "random_categorical",
        "indices drawn with the probabilities, or the logits, of the last dimension of x",
        &[edition(
            Ios15,
            &[
                tensor("x", FLOATS).domain('T'),
                tensor("mode", STR).constant().or(Str("logits")),
                tensor("size", I32).constant().or(Int(1)),
                tensor("seed", I32).constant().or(Int(-1)),
            ],
        )],
        infer_categorical,
        compute_categorical,
        fast_categorical,
    ),
    row(
        "random_normal",
        "numbers of the normal distribution in each place of a tensor",
        &[edition(
            Ios15,
            &[
                tensor("shape", I32),
                tensor("mean", FLOATS).domain('T').constant().or(Float(0.0)),
                tensor("stddev", FLOATS).domain('T').constant().or(Float(1.0)),
                tensor("seed", I32).constant().or(Int(-1)),
            ],
        )],
        |args| infer_shape(args, &["mean", "stddev"]),
        draw,
        fast_draw,
    ),
    row(
        "random_uniform",
        "numbers between low and high, all equally likely, in each place of a tensor",
        &[edition(
            Ios15,
            &[
                tensor("shape", I32),
                tensor("low", FLOATS).domain('T').constant().or(Float(0.0)),
                tensor("high", FLOATS).domain('T').constant().or(Float(1.0)),
                tensor("seed", I32).constant().or(Int(-1)),
            ],
        )],
        |args| infer_shape(args, &["low", "high"]),
        draw,
        fast_draw,
    ),
];

/// A tensor of the shape that `shape` says, of the dtype of these parameters, or fp32 where none is given.
fn infer_shape(args: &Args<'_>, params: &[&'static str]) -> Result<Vec<Type>, Fault> {
    for &param in params.iter().chain(&["seed"]) {
        check_scalar(args, param)?;
    }
    let dtype = params.iter().find_map(|p| args.opt_ty(p)).map_or(Fp32, |ty| ty.dtype);
    let ty = args.ty("shape")?;
    if ty.rank() != 1 {
        let message = format!("`shape` of `{}` must be a vector, not of shape {}", args.op.name, ty.shape);
        return Err(Fault::of("shape", &codes::WRONG_RANK, message));
    }
    let shape = match (args.value("shape"), ty.shape[0]) {
        (Some(dims), _) => {
            dims.to_i64s().into_iter().map(|dim| dimension(args, dim)).collect::<Result<_, _>>()?
        }
        (None, Dim::Known(rank)) => Shape::unknown(rank.min(MAX_RANK as u64 + 1) as usize),
        (None, Dim::Unknown) => return as_declared(args, "shape", dtype),
    };
    result(args, dtype, shape)
}

fn dimension(args: &Args<'_>, dim: i64) -> Result<Dim, Fault> {
    u64::try_from(dim).map(Dim::Known).map_err(|_| {
        let message = format!("`shape` of `{}` has a dimension of {dim}", args.op.name);
        Fault::of("shape", &codes::BAD_VALUE, message).help("give dimensions of 0 or more")
    })
}

/// A distribution: how many draws a number of it takes, and the number.
type Law = (u64, Box<dyn Fn(&mut Generator) -> f64 + Send + Sync>);

fn law(args: &Args<'_>) -> Result<Law, Fault> {
    Ok(match args.op.name {
        "random_bernoulli" => {
            let prob = number(args, "prob")?;
            (1, Box::new(move |random| f64::from(u8::from(random.unit() < prob))))
        }
        "random_normal" => {
            let (mean, deviation) = (number(args, "mean")?, number(args, "stddev")?);
            (2, Box::new(move |random| mean + deviation * random.normal()))
        }
        _ => {
            let (low, high) = (number(args, "low")?, number(args, "high")?);
            (1, Box::new(move |random| low + (high - low) * random.unit()))
        }
    })
}

/// On several threads, each of which starts the generator where its numbers begin.
fn fast_draw(args: &Args<'_>, types: &[Type]) -> Ready {
    const BLOCK: usize = 1 << 12;
    let (draws, one) = law(args)?;
    let random = Generator::of(args);
    let from = move |block: usize| random.after((block * BLOCK) as u64 * draws);
    match types[0].as_tensor().map(|t| t.dtype) {
        Some(Fp32) => ready(move |run| {
            parallel_chunks(run.threads, run.write::<f32>(0), BLOCK, 1, |i, y| {
                let mut random = from(i);
                y.iter_mut().for_each(|y| *y = one(&mut random) as f32);
            });
        }),
        Some(Fp16) => ready(move |run| {
            parallel_chunks(run.threads, run.write::<f16>(0), BLOCK, 1, |i, y| {
                let mut random = from(i);
                y.iter_mut().for_each(|y| *y = f16::from_f64(Fp16.round(one(&mut random))));
            });
        }),
        _ => Ok(None),
    }
}

/// Fills the result with draws, in row-major order.
fn draw(args: &Args<'_>, types: &[Type]) -> Result<Vec<Datum>, Fault> {
    let shape = shape_of(&types[0]);
    let (_, one) = law(args)?;
    let mut random = Generator::of(args);
    let mut values = room(&shape)?;
    values.extend((0..shape.iter().product()).map(|_| one(&mut random)));
    from_floats(types, &values)
}

fn infer_categorical(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    for param in ["mode", "size", "seed"] {
        check_scalar(args, param)?;
    }
    let x = args.ty("x")?;
    let mut shape = x.shape.clone();
    let Some(last) = shape.last_mut() else {
        let message = "`x` of `random_categorical` is a scalar; its last dimension must hold the categories";
        return Err(Fault::of("x", &codes::WRONG_RANK, message));
    };
    if *last == Dim::Known(0) {
        let message = "`x` of `random_categorical` has no categories: its last dimension is 0";
        return Err(Fault::of("x", &codes::SHAPE_MISMATCH, message));
    }
    if let Some(mode) = args.str("mode").filter(|mode| !["logits", "probs"].contains(mode)) {
        return Err(Fault::of(
            "mode",
            &codes::BAD_VALUE,
            format!("`random_categorical` has no mode `{mode}`"),
        )
        .help("use `logits` or `probs`"));
    }
    let size = known_int(args, "size")?;
    if size < 1 {
        let message = format!("`size` of `random_categorical` is {size}; it must be at least 1");
        return Err(Fault::of("size", &codes::BAD_VALUE, message));
    }
    *last = Dim::Known(size as u64);
    result(args, x.dtype, shape)
}

/// How categories are drawn.
struct Categories {
    logits: bool,
    size: usize,
    random: Generator,
}

impl Categories {
    fn of(args: &Args<'_>, types: &[Type]) -> Self {
        let size = shape_of(&types[0]).last().copied().unwrap_or(0);
        Self { logits: args.str("mode") != Some("probs"), size, random: Generator::of(args) }
    }

    /// Calls `give` with what is drawn by the numbers of each lane, in order.
    fn draw(&self, x: &[f64], categories: usize, mut give: impl FnMut(usize)) {
        let (mut random, mut weights) = (self.random.after(0), scratch::<f64>(categories));
        for lane in x.chunks_exact(categories) {
            let top = lane.iter().copied().fold(f64::NEG_INFINITY, larger);
            // A weight that is not a number, or is below 0, is never drawn.
            let weight = |x: f64| if self.logits { (x - top).exp() } else { x }.max(0.0);
            weights.iter_mut().zip(lane).for_each(|(to, &x)| *to = weight(x));
            let total = weights.iter().fold(0.0, |sum, w| sum + w);
            for _ in 0..self.size {
                let mut left = random.unit() * total;
                let drawn = weights.iter().position(|w| {
                    left -= w;
                    left < 0.0
                });
                give(drawn.unwrap_or(0));
            }
        }
    }
}

fn compute_categorical(args: &Args<'_>, types: &[Type]) -> Result<Vec<Datum>, Fault> {
    let categories = args.tensor("x")?.shape().last().copied().unwrap_or(1);
    let mut drawn: Vec<f64> = room(&shape_of(&types[0]))?;
    Categories::of(args, types).draw(&floats(args, "x")?, categories, |number| drawn.push(number as f64));
    from_floats(types, &drawn)
}

fn fast_categorical(args: &Args<'_>, types: &[Type]) -> Ready {
    let (x, categories) = (Numbers::<f64>::of(args, "x")?, dims(args, "x")?.last().copied().unwrap_or(1));
    let all = Categories::of(args, types);
    for_float!(args.ty("x")?.dtype, T => ready(move |run| {
        let x = x.read(run);
        let mut to = run.write::<T>(0).iter_mut();
        all.draw(&x, categories, |number| {
            if let Some(to) = to.next() {
                *to = T::from_f32(number as f32);
            }
        });
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::*;
    use crate::ops::testing;

    fn values(op: &str, arguments: &[(&str, Tensor)]) -> Vec<f64> {
        let arguments: Vec<(&str, Datum)> = arguments.iter().map(|(n, t)| (*n, t.clone().into())).collect();
        testing::run(op, Ios15, &arguments).unwrap()[0].as_tensor().unwrap().to_f64s()
    }

    /// The mean and the variance.
    fn moments(x: &[f64]) -> (f64, f64) {
        let n = x.len() as f64;
        let mean = x.iter().sum::<f64>() / n;
        (mean, x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n)
    }

    #[test]
    fn the_generator_is_splitmix64() {
        // The first draws of the reference implementation from state 1234567.
        let mut random = Generator(1234567);
        let draws: Vec<u64> = (0..3).map(|_| random.next()).collect();
        assert_eq!(draws, [6457827717110365317, 3203168211198807973, 9817491932198370423]);
    }

    #[test]
    fn a_seed_says_everything() {
        let of = |seed| values("random_uniform", &[("shape", i(&[4])), ("seed", i1(seed))]);
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
        assert_eq!(of(-1), values("random_uniform", &[("shape", i(&[4]))]));
    }

    #[test]
    fn distributions() {
        let n = 20_000;
        let with = |op, rest: &[(&'static str, Tensor)]| {
            values(op, &[&[("shape", i(&[n])), ("seed", i1(1))], rest].concat())
        };
        let near = |(mean, variance): (f64, f64), (m, v): (f64, f64)| {
            assert!((mean - m).abs() < 0.05 && (variance - v).abs() < 0.1, "{mean} {variance}");
        };
        near(moments(&with("random_uniform", &[("low", f1(-1.0)), ("high", f1(3.0))])), (1.0, 16.0 / 12.0));
        near(moments(&with("random_normal", &[("mean", f1(3.0)), ("stddev", f1(2.0))])), (3.0, 4.0));
        near(moments(&with("random_bernoulli", &[("prob", f1(0.25))])), (0.25, 0.1875));
        assert!(with("random_bernoulli", &[("prob", f1(0.0))]).iter().all(|&x| x == 0.0));
        assert!(with("random_bernoulli", &[("prob", f1(1.0))]).iter().all(|&x| x == 1.0));
    }

    #[test]
    fn categories_come_as_often_as_they_should() {
        let count = |x: Tensor, mode: &str| {
            let drawn = values("random_categorical", &[("x", x), ("mode", s(mode)), ("size", i1(10_000))]);
            [0.0, 1.0, 2.0].map(|c| drawn.iter().filter(|&&d| d == c).count() as f64 / 10_000.0)
        };
        for of in
            [count(f(&[0.0, 0.25, 0.75]), "probs"), count(f(&[f64::NEG_INFINITY, 0.0, 3f64.ln()]), "logits")]
        {
            assert!(of[0] == 0.0 && (of[1] - 0.25).abs() < 0.02 && (of[2] - 0.75).abs() < 0.02, "{of:?}");
        }
        let batch = t(Fp32, &[2, 2], &[0.0, 1.0, 1.0, 0.0]);
        check(
            "random_categorical",
            Ios15,
            &[("x", batch), ("mode", s("probs"))],
            &t(Fp32, &[2, 1], &[1.0, 0.0]),
        );
        // Without any weight there is nothing to draw, and the first category is given.
        check("random_categorical", Ios15, &[("x", f(&[f64::NAN, f64::NAN]))], &f(&[0.0]));
    }

    #[test]
    fn types() {
        let fp16 = ("mean", Tensor::scalar(Fp16, 2.0));
        let still = ("stddev", Tensor::scalar(Fp16, 0.0));
        check("random_normal", Ios15, &[("shape", i(&[2, 1])), fp16, still], &t(Fp16, &[2, 1], &[2.0, 2.0]));
        check("random_uniform", Ios15, &[("shape", i(&[0, 3]))], &t(Fp32, &[0, 3], &[]));
        let zero = ("prob", f1(0.0));
        check("random_bernoulli", Ios15, &[("shape", i(&[])), zero], &f1(0.0));
        refuse("random_uniform", Ios15, &[("shape", i(&[2, -1]))], "bad-value", Some("shape"));
        refuse("random_uniform", Ios15, &[("shape", i1(2))], "wrong-rank", Some("shape"));
        refuse("random_uniform", Ios15, &[("shape", i(&[1 << 30, 1 << 30]))], "tensor-too-large", None);
        refuse("random_uniform", Ios15, &[("shape", i(&[1; 100]))], "wrong-rank", None);
        let x = f(&[1.0]);
        refuse(
            "random_categorical",
            Ios15,
            &[("x", x.clone()), ("mode", s("log"))],
            "bad-value",
            Some("mode"),
        );
        refuse("random_categorical", Ios15, &[("x", x), ("size", i1(0))], "bad-value", Some("size"));
        refuse("random_categorical", Ios15, &[("x", f1(1.0))], "wrong-rank", Some("x"));
        refuse("random_categorical", Ios15, &[("x", f(&[]))], "shape-mismatch", Some("x"));
    }

    #[test]
    fn a_shape_that_is_computed() {
        let unknown = [("shape", TensorType::new(Int32, [3usize].as_slice()).into())];
        testing::infers("random_uniform", Ios15, &[], &unknown, "tensor<fp32, [?, ?, ?]>");
        let unknown = [("shape", TensorType::new(Int32, Shape::unknown(1)).into())];
        testing::infers("random_uniform", Ios15, &[], &unknown, "bad-value");
    }
}
