//! Numbers cast between fp16 and fp32, beside a copy of as many bytes and beside the crate `half`.

use std::time::{Duration, Instant};

use anemone::fp16;
use half::f16;
use half::slice::HalfFloatSliceExt;
use serde_json::json;

use crate::{Failure, say};

/// Bytes that are read and written in all: what the nearest caches hold, and what none does.
const TRAFFIC: [(&str, usize); 2] = [("1 MB", 1_000_000), ("256 MB", 256_000_000)];

/// In each round every way runs once for a while.
const ROUNDS: usize = 9;

/// For how long.
const WHILE: Duration = Duration::from_millis(40);

/// What is cast, and where to.
struct Numbers {
    halves: Vec<f16>,
    floats: Vec<f32>,
    /// As many bytes as are read of the numbers and written, by half.
    bytes: (Vec<u8>, Vec<u8>),
}

/// From one to the other.
struct Cast {
    name: &'static str,
    /// What the others are held against.
    own: fn(&mut Numbers),
    half: fn(&mut Numbers),
    clear: fn(&mut Numbers),
    /// Whether each number is that of the scalar cast, bit for bit.
    is_right: fn(&Numbers) -> bool,
}

const CASTS: [Cast; 2] = [
    Cast {
        name: "fp16 to fp32",
        own: |n| fp16::cast_f16_f32(&mut n.floats, n.halves.reinterpret_cast()),
        half: |n| n.halves.convert_to_f32_slice(&mut n.floats),
        clear: |n| n.floats.fill(0.0),
        is_right: |n| n.halves.iter().zip(&n.floats).all(|(h, f)| h.to_f32().to_bits() == f.to_bits()),
    },
    Cast {
        name: "fp32 to fp16",
        own: |n| fp16::cast_f32_f16(n.halves.reinterpret_cast_mut(), &n.floats),
        half: |n| n.halves.convert_from_f32_slice(&n.floats),
        clear: |n| n.halves.fill(f16::ZERO),
        is_right: |n| n.floats.iter().zip(&n.halves).all(|(f, h)| f16::from_f32(*f).to_bits() == h.to_bits()),
    },
];

fn copy(numbers: &mut Numbers) {
    numbers.bytes.1.copy_from_slice(&numbers.bytes.0);
}

/// Measures every cast of every size on one thread, and prints a line of JSON for each way.
pub(crate) fn measure() -> Result<(), Failure> {
    for (size, traffic) in TRAFFIC {
        let count = traffic / 6;
        let mut numbers = Numbers {
            halves: (0..count).map(|i| f16::from_bits(i as u16)).collect(),
            floats: vec![0.0; count],
            bytes: (vec![1; traffic / 2], vec![0; traffic / 2]),
        };
        for cast in &CASTS {
            for (engine, way) in [("anemone", cast.own), ("half", cast.half)] {
                (cast.clear)(&mut numbers);
                way(&mut numbers);
                if !(cast.is_right)(&numbers) {
                    return Err(format!("{engine} casts {} otherwise than one by one", cast.name).into());
                }
            }
            let ways = [("anemone", cast.own), ("memcpy", copy), ("half", cast.half)];
            let mut times = ways.map(|_| Vec::with_capacity(ROUNDS));
            for round in 0..ROUNDS {
                for i in 0..ways.len() {
                    let i = (i + round) % ways.len();
                    times[i].push(seconds(|| ways[i].1(&mut numbers)));
                }
            }
            for ((engine, _), own) in ways.iter().zip(&times) {
                let ratios = own.iter().zip(&times[0]).map(|(t, first)| t / first).collect();
                let seconds = median(own.clone());
                say(&json!({
                    "workload": "casts", "case": format!("{}, {size}", cast.name), "threads": 1, "engine": engine,
                    "ms": seconds * 1e3, "gb_s": traffic as f64 / seconds / 1e9, "ratio_to_ref": median(ratios),
                }))?;
            }
        }
    }
    Ok(())
}

/// How long a call takes: the median of as many as fit.
fn seconds(mut call: impl FnMut()) -> f64 {
    let (begin, mut times) = (Instant::now(), Vec::new());
    while times.is_empty() || begin.elapsed() < WHILE {
        let start = Instant::now();
        call();
        times.push(start.elapsed().as_secs_f64());
    }
    median(times)
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
