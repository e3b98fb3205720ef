//! Whole tensors: the relative error of a chip's result on numbers of a seed, which was printed with 16 digits.

use std::collections::BTreeMap;

use anemone::Chip;
use anemone::types::{DType, f16};

use super::random::Normal;
use super::{Cells, Outcome, Row, compute, ints, rows, tensor};

/// How far a digest may be from the printed one, where every bit is reproduced: what the order of the reference's sums does.
const EXACT: f64 = 1e-14;

/// The same, where the reference was computed in single precision.
const SINGLE: f64 = 1e-9;

/// The largest size that is computed.
const MOST: usize = 16384;

/// Which numbers, which op.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Recipe {
    /// `n × n` numbers times as many; 256 rows count.
    Linear(usize),
    /// So many channels and images; the first image counts.
    Conv(usize, usize),
    /// An op on rows of 4096, and how many rows were drawn before.
    Rows { op: String, rows: usize, before: usize },
}

impl Recipe {
    fn of(cells: &Cells<'_>, chip: Chip) -> Option<Self> {
        let (op, shape) = (cells.of("op"), cells.of("shape"));
        let numbers: Vec<usize> =
            shape.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect();
        Some(match op.split(' ').next()? {
            "linear" => Self::Linear(*numbers.first().filter(|n| (1..=MOST).contains(*n))?),
            "conv3x3" => {
                let &[channels, batch, 64, 64, ..] = &numbers[..] else { return None };
                (channels <= MOST && batch <= MOST).then_some(Self::Conv(channels, batch))?
            }
            name @ ("relu" | "gelu" | "reduce_sum" | "softmax" | "layer_norm") => {
                let rows = *numbers.first()?;
                let sizes: &[usize] = match chip {
                    Chip::M4 => &[64, 256, 1024, 2048, 4096, 8192, 16384],
                    _ => &[256, 2048, 8192],
                };
                // The numbers of a size that was not drawn by the recipe are not known.
                let at = sizes.iter().position(|&size| size == rows)?;
                let before = sizes[..at].iter().sum();
                Self::Rows { op: name.into(), rows, before }
            }
            _ => return None,
        })
    }

    /// How far the printed digest may be, where the rule of the op is known.
    fn tolerance(&self) -> Option<f64> {
        match self {
            Self::Linear(_) | Self::Conv(..) => Some(EXACT),
            Self::Rows { op, .. } if op == "relu" => Some(EXACT),
            Self::Rows { op, .. } if op == "gelu" => Some(SINGLE),
            Self::Rows { .. } => None,
        }
    }
}

/// Compares all rows; those of one recipe share numbers and reference.
pub(super) fn compare(text: &str) -> Result<Vec<Row>, String> {
    let mut done = Vec::new();
    let mut groups: BTreeMap<Recipe, Vec<(Chip, String, f64)>> = BTreeMap::new();
    rows(text, |cells| {
        let what = format!("{} {}", cells.of("op"), cells.of("shape"));
        let mut left = |chip, why: &str| {
            let outcome = Outcome::Left(why.into());
            done.push(Row { chip, what: what.clone(), outcome });
        };
        let Some(chip) = cells.chip() else {
            left(None, "an engine that is none of m1 to m6");
            return Ok(None::<()>);
        };
        match (Recipe::of(cells, chip), cells.of("relerr_published").parse::<f64>()) {
            (Some(recipe), Ok(printed)) => groups.entry(recipe).or_default().push((chip, what, printed)),
            (None, _) => left(Some(chip), "no numbers are drawn by its recipe"),
            (_, Err(_)) => left(Some(chip), "no digest is printed"),
        }
        Ok(None)
    })?;
    for (recipe, cases) in groups {
        let drawn = Drawn::of(&recipe)?;
        let mut found: BTreeMap<Chip, f64> = BTreeMap::new();
        for (chip, what, printed) in cases {
            let digest = match found.get(&chip) {
                Some(&digest) => digest,
                None => *found.entry(chip).or_insert(drawn.digest(chip)?),
            };
            let outcome = match recipe.tolerance() {
                Some(tolerance) if (digest - printed).abs() <= tolerance => Outcome::Reproduced,
                Some(_) => Outcome::Missed(format!("{digest:?} for {printed:?}")),
                None => Outcome::Left(format!(
                    "no rule: the exact result rounded once has {digest:.6}, the chip {printed:.6}"
                )),
            };
            done.push(Row { chip: Some(chip), what, outcome });
        }
    }
    done.sort_by_key(|row| row.chip);
    Ok(done)
}

/// The arguments of a recipe, and the reference.
struct Drawn {
    op: &'static str,
    arguments: Vec<(&'static str, anemone::types::Datum)>,
    reference: Vec<f64>,
}

impl Drawn {
    fn of(recipe: &Recipe) -> Result<Self, String> {
        match recipe {
            Recipe::Linear(n) => linear(*n),
            Recipe::Conv(channels, batch) => conv(*channels, *batch),
            Recipe::Rows { op, rows, before } => of_rows(op, *rows, *before),
        }
    }

    /// The distance of the chip's result from the reference, relative to the length of that.
    fn digest(&self, chip: Chip) -> Result<f64, String> {
        let found = compute(chip, self.op, &self.arguments)?;
        let (mut error, mut length) = (0f64, 0f64);
        for (y, r) in found.iter().zip(&self.reference) {
            error += (y.to_f64() - r).powi(2);
            length += r * r;
        }
        Ok((error / length).sqrt())
    }
}

fn halves(numbers: &[f32]) -> Vec<f16> {
    numbers.iter().map(|&x| f16::from_f32(x)).collect()
}

fn linear(n: usize) -> Result<Drawn, String> {
    let mut normal = Normal::new(0);
    let scale = (n as f64).sqrt() as f32;
    let mut scaled = || normal.singles(n * n).into_iter().map(|x| x / scale).collect::<Vec<f32>>();
    let (x, w) = (scaled(), scaled());
    let rows = n.min(256);
    let x = &x[..rows * n];
    let mut reference = vec![0.0; rows * n];
    columns(&mut reference, n, |j, to| products(x, &w[j * n..][..to.len() / rows * n], n, to));
    let arguments = vec![("x", tensor(&[rows, n], &halves(x))?), ("weight", tensor(&[n, n], &halves(&w))?)];
    Ok(Drawn { op: "linear", arguments, reference })
}

/// How many columns of a product are computed at once.
const TOGETHER: usize = 8;

/// Has `work` write some columns at a time, of a first one on: column after column.
fn columns(reference: &mut [f64], n: usize, work: impl Fn(usize, &mut [f64]) + Sync) {
    let rows = reference.len() / n;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut turned = vec![0.0; reference.len()];
    let part = n.div_ceil(threads).next_multiple_of(TOGETHER);
    std::thread::scope(|scope| {
        for (i, part_of) in turned.chunks_mut(part * rows).enumerate() {
            let work = &work;
            scope.spawn(move || {
                for (k, to) in part_of.chunks_mut(TOGETHER * rows).enumerate() {
                    work(i * part + k * TOGETHER, to);
                }
            });
        }
    });
    for (i, r) in reference.iter_mut().enumerate() {
        *r = turned[i % n * rows + i / n];
    }
}

/// The products of all rows of `x` with some rows of `w`, in double precision.
fn products(x: &[f32], w: &[f32], n: usize, to: &mut [f64]) {
    let rows = x.len() / n;
    for (i, x) in x.chunks_exact(n).enumerate() {
        for (j, w) in w.chunks_exact(n).enumerate() {
            let mut sums = [0f64; 8];
            let (xs, ws) = (x.chunks_exact(8), w.chunks_exact(8));
            for (x, w) in xs.zip(ws) {
                for l in 0..8 {
                    sums[l] += f64::from(x[l]) * f64::from(w[l]);
                }
            }
            to[j * rows + i] = sums.iter().sum();
        }
    }
}

fn conv(channels: usize, batch: usize) -> Result<Drawn, String> {
    const SIDE: usize = 64;
    let plane = SIDE * SIDE;
    let mut normal = Normal::new(1);
    let x = normal.singles(batch * channels * plane);
    let x = &x[..channels * plane];
    let scale = (2.0 / (9 * channels) as f64).sqrt();
    let w: Vec<f64> =
        normal.singles(channels * channels * 9).into_iter().map(|w| f64::from(w) * scale).collect();
    let mut reference = vec![0.0; channels * plane];
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let part = channels.div_ceil(threads);
    std::thread::scope(|scope| {
        for (i, planes) in reference.chunks_mut(part * plane).enumerate() {
            let (x, w) = (&x, &w);
            scope.spawn(move || {
                for (o, y) in planes.chunks_exact_mut(plane).enumerate() {
                    sum_of_windows(y, x, &w[(i * part + o) * channels * 9..][..channels * 9], SIDE);
                }
            });
        }
    });
    // Rounded once: by way of single precision some would become another half.
    let halved: Vec<f16> = w.iter().map(|&w| f16::from_f64(DType::Fp16.round(w))).collect();
    let arguments = vec![
        ("x", tensor(&[1, channels, SIDE, SIDE], &halves(x))?),
        ("weight", tensor(&[channels, channels, 3, 3], &halved)?),
        (
            "pad_type",
            anemone::types::Tensor::from_strings(&[], vec!["custom".into()])
                .map_err(|e| e.to_string())?
                .into(),
        ),
        ("pad", ints(&[1, 1, 1, 1])?),
    ];
    Ok(Drawn { op: "conv", arguments, reference })
}

/// One channel of the result: the sums of the windows of 3 × 3 over planes with a border of zeros.
fn sum_of_windows(y: &mut [f64], x: &[f32], w: &[f64], side: usize) {
    for (x, w) in x.chunks_exact(side * side).zip(w.chunks_exact(9)) {
        for (tap, &w) in w.iter().enumerate() {
            let (down, across) = (tap / 3, tap % 3);
            for (line, y) in y.chunks_exact_mut(side).enumerate() {
                let Some(from) = (line + down).checked_sub(1).filter(|&from| from < side) else { continue };
                let x = &x[from * side..][..side];
                let (y, x) = match across {
                    0 => (&mut y[1..], &x[..side - 1]),
                    1 => (&mut *y, x),
                    _ => (&mut y[..side - 1], &x[1..]),
                };
                y.iter_mut().zip(x).for_each(|(y, &x)| *y += w * f64::from(x));
            }
        }
    }
}

fn of_rows(op: &str, rows: usize, before: usize) -> Result<Drawn, String> {
    const WIDTH: usize = 4096;
    let mut normal = Normal::new(11);
    for _ in 0..before * WIDTH {
        normal.next();
    }
    let x = normal.singles(rows * WIDTH);
    let input = ("x", tensor(&[rows, WIDTH], &halves(&x))?);
    let lanes = || x.chunks_exact(WIDTH);
    let wide = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
    Ok(match op {
        "relu" => Drawn {
            op: "relu",
            arguments: vec![input],
            reference: x.iter().map(|&x| f64::from(x.max(0.0))).collect(),
        },
        "gelu" => {
            let of = |x: f32| {
                let inner = (2.0 / std::f32::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
                f64::from(x * 0.5 * (1.0 + inner.tanh()))
            };
            Drawn { op: "gelu", arguments: vec![input], reference: x.iter().map(|&x| of(x)).collect() }
        }
        "reduce_sum" => {
            let reference = lanes().map(|lane| wide(lane).iter().sum()).collect();
            Drawn { op: "reduce_sum", arguments: vec![input, ("axes", ints(&[1])?)], reference }
        }
        "softmax" => {
            let of = |lane: &[f32]| {
                let lane = wide(lane);
                let most = lane.iter().copied().fold(f64::MIN, f64::max);
                let powers: Vec<f64> = lane.iter().map(|x| (x - most).exp()).collect();
                let sum: f64 = powers.iter().sum();
                powers.into_iter().map(move |p| p / sum).collect::<Vec<f64>>()
            };
            Drawn { op: "softmax", arguments: vec![input], reference: lanes().flat_map(of).collect() }
        }
        _ => {
            let mut normal = Normal::new(13);
            let gamma: Vec<f32> = normal.singles(WIDTH).into_iter().map(|g| g * 0.1 + 1.0).collect();
            let beta: Vec<f32> = normal.singles(WIDTH).into_iter().map(|b| b * 0.1).collect();
            let of = |lane: &[f32]| {
                let lane = wide(lane);
                let mean = lane.iter().sum::<f64>() / WIDTH as f64;
                let variance = lane.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / WIDTH as f64;
                let each = lane.into_iter().zip(gamma.iter().zip(&beta));
                each.map(|(x, (&g, &b))| (x - mean) / (variance + 1e-5).sqrt() * f64::from(g) + f64::from(b))
                    .collect::<Vec<f64>>()
            };
            let reference = lanes().flat_map(of).collect();
            let arguments = vec![
                input,
                ("axes", ints(&[1])?),
                ("gamma", tensor(&[WIDTH], &halves(&gamma))?),
                ("beta", tensor(&[WIDTH], &halves(&beta))?),
            ];
            Drawn { op: "layer_norm", arguments, reference }
        }
    })
}
