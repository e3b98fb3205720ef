//! Caches of keys and values that a model writes at a place that is known when it runs: by a mask, and by an index; as a ring,
//! of which attention sees a window.

use anemone::types::DType;
use anemone::{Chip, Client, CompileOptions, Graph, Model, StateHandle, with};
use proptest::prelude::*;

use crate::on_each_engine;

/// The numbers of a row.
const SIZE: usize = 4;

/// How a row gets into the cache.
#[derive(Clone, Copy, PartialEq)]
enum Write {
    /// `cache * (1 - here) + row * here`, with a 1 at the place and zeros elsewhere.
    Mask,
    /// `slice_update`.
    Index,
}

/// Where the cache is kept.
#[derive(Clone, Copy, PartialEq)]
enum Kept {
    /// In an input, and the output that is this input of the next evaluation.
    Explicit,
    /// In a state.
    State,
}

/// One step of attention over a ring of so many rows: the row is written, and looks at all that are not hidden from it.
fn attention(client: &Client, rows: usize, write: Write, kept: Kept) -> Model {
    let shape = [1, 1, rows, SIZE];
    let mut g = Graph::new();
    let state = (kept == Kept::State).then(|| g.state("kept", &shape));
    let cache = match state {
        Some(state) => g.read_state(state),
        None => g.input("cache", DType::Fp16, &shape),
    };
    let row = g.input("row", DType::Fp16, &[1, 1, 1, SIZE]);
    let hidden = g.input("hidden", DType::Fp16, &[1, 1, 1, rows]);
    let cache = match write {
        Write::Mask => {
            let here = g.input("here", DType::Fp16, &[1, 1, rows, 1]);
            let elsewhere = g.sub(1.0, here);
            let old = g.mul(cache, elsewhere);
            let new = g.mul(row, here);
            g.add(old, new)
        }
        Write::Index => {
            let [begin, end] = ["begin", "end"].map(|name| g.input(name, DType::Int32, &[4]));
            g.slice_update(cache, row, begin, end, ())
        }
    };
    if let Some(state) = state {
        g.write_state(state, cache);
    }
    let y = g.scaled_dot_product_attention(row, cache, cache, with! { attn_mask: hidden });
    g.output("y", y);
    g.output("cache_out", cache);
    let built = g.build().unwrap();
    client.compile_program(&built.program, &built.weights, &CompileOptions::default()).unwrap()
}

fn sequence(model: &Model, kept: Kept) -> StateHandle<'_> {
    match kept {
        Kept::Explicit => StateHandle::with_caches(model, 100, &[("cache", "cache_out")]),
        Kept::State => StateHandle::new(model, 100),
    }
    .unwrap()
}

/// Evaluates with the next row, of which a window of so many is to be seen: what attention gives, and the cache.
fn step(
    s: &mut StateHandle<'_>,
    rows: usize,
    window: usize,
    write: Write,
    row: &[f32],
) -> (Vec<f32>, Vec<f32>) {
    let (now, place) = (s.position(), s.position() % rows);
    s.write_input_f32("row", row).unwrap();
    // The row in a place was written as many steps ago as the place is behind this one.
    let ago = |p: usize| (place + rows - p) % rows;
    let hidden: Vec<f32> =
        (0..rows).map(|p| if ago(p) < window.min(now + 1) { 0.0 } else { -65504.0 }).collect();
    s.write_input_f32("hidden", &hidden).unwrap();
    match write {
        Write::Mask => {
            let here: Vec<f32> = (0..rows).map(|p| if p == place { 1.0 } else { 0.0 }).collect();
            s.write_input_f32("here", &here).unwrap();
        }
        Write::Index => {
            let (p, size) = (place as i32, SIZE as i32);
            s.write_input_elements("begin", &[0, 0, p, 0]).unwrap();
            s.write_input_elements("end", &[1, 1, p + 1, size]).unwrap();
        }
    }
    s.eval().unwrap();
    s.advance(1).unwrap();
    let (mut y, mut cache) = (vec![0.0; SIZE], vec![0.0; rows * SIZE]);
    s.read_output_f32("y", &mut y).unwrap();
    s.read_output_f32("cache_out", &mut cache).unwrap();
    (y, cache)
}

/// The row of a step.
fn row(step: usize) -> Vec<f32> {
    (0..SIZE).map(|i| ((step * 5 + i * 3) % 7) as f32 * 0.5 - 1.5).collect()
}

/// Attention of the last row to the last rows, in f64.
fn wanted(past: &[Vec<f32>]) -> Vec<f64> {
    let wide = |r: &Vec<f32>| r.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
    let q = wide(past.last().unwrap());
    let scores: Vec<f64> = past
        .iter()
        .map(|k| wide(k).iter().zip(&q).map(|(k, q)| k * q).sum::<f64>() / (SIZE as f64).sqrt())
        .collect();
    let all: f64 = scores.iter().map(|s| s.exp()).sum();
    (0..SIZE).map(|i| past.iter().zip(&scores).map(|(v, s)| f64::from(v[i]) * s.exp() / all).sum()).collect()
}

/// Runs steps, and looks at what they give.
fn check(s: &mut StateHandle<'_>, rows: usize, window: usize, write: Write, steps: usize) -> Vec<Vec<f32>> {
    let mut past: Vec<Vec<f32>> = Vec::new();
    let mut results = Vec::new();
    for now in 0..steps {
        past.push(row(now));
        let (y, cache) = step(s, rows, window, write, &past[now]);
        for (p, kept) in cache.chunks_exact(SIZE).enumerate() {
            // The last row that belongs here; before there is one, zeros.
            let last = (0..=now).rev().find(|t| t % rows == p);
            assert_eq!(kept, last.map_or(vec![0.0; SIZE], |t| past[t].clone()), "step {now}, place {p}");
        }
        let seen = &past[(now + 1).saturating_sub(window)..];
        for (y, w) in y.iter().zip(wanted(seen)) {
            assert!((f64::from(*y) - w).abs() < 3e-3, "step {now}: {y} and {w}");
        }
        results.push(y);
    }
    results
}

/// Rows M3, M4, M5: a row is written by a mask into an explicit cache, on both engines, round and round.
#[test]
fn a_mask_writes_one_row() {
    on_each_engine(|client| {
        for (rows, window) in [(1, 1), (5, 5), (5, 2)] {
            let model = attention(client, rows, Write::Mask, Kept::Explicit);
            let mut s = sequence(&model, Kept::Explicit);
            let first = check(&mut s, rows, window, Write::Mask, 2 * rows + 3);
            s.reset().unwrap();
            assert_eq!(check(&mut s, rows, window, Write::Mask, 2 * rows + 3), first);
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Rows M2, M3, M4, M5: mask and index, state and explicit cache give the same bits, and a ring holds the last rows
    /// however often it went round.
    #[test]
    fn all_ways_to_keep_a_cache_are_one(rows in 1usize..6, window in 1usize..6, steps in 1usize..14) {
        let window = window.min(rows);
        let client = Client::software(Chip::M4);
        let mut results = Vec::new();
        for write in [Write::Mask, Write::Index] {
            for kept in [Kept::Explicit, Kept::State] {
                let model = attention(&client, rows, write, kept);
                results.push(check(&mut sequence(&model, kept), rows, window, write, steps));
            }
        }
        prop_assert!(results.windows(2).all(|r| r[0] == r[1]));
    }
}
