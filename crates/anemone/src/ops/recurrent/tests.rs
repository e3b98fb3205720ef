//! Recurrent networks against NumPy, with the formulas of coremltools' own tests.

use super::*;
use crate::mil::Opset;
use crate::ops::testing::{arg, fast_agrees, infer, random, refuse, tensors, words};

const STEPS: usize = 3;
const BATCH: usize = 2;
const INPUTS: usize = 2;
const HIDDEN: usize = 2;

/// Numbers between -0.9 and 0.9, different for each `seed`.
fn some(shape: &[usize], seed: usize) -> Datum {
    let n: usize = shape.iter().product();
    let values: Vec<f64> = (0..n).map(|i| (((i * 37 + seed * 11 + 5) % 19) as f64 - 9.0) / 10.0).collect();
    arg(Fp32, shape, &values)
}

/// The arguments of an op: the required ones, the `given` ones, and the `rest`.
fn arguments<'a>(op: &str, given: &'a str, rest: &'a str) -> Vec<(&'a str, Datum)> {
    let rows = HIDDEN
        * match op {
            "lstm" => 4,
            "gru" => 3,
            _ => 1,
        };
    let width = if rest.contains("bidirectional") { 2 * HIDDEN } else { HIDDEN };
    let mut all = vec![
        ("x", some(&[STEPS, BATCH, INPUTS], 1)),
        ("initial_h", some(&[BATCH, width], 2)),
        ("weight_ih", some(&[rows, INPUTS], 4)),
        ("weight_hh", some(&[rows, HIDDEN], 5)),
    ];
    if op == "lstm" {
        all.push(("initial_c", some(&[BATCH, width], 3)));
    }
    for name in given.split_whitespace() {
        all.push((
            name,
            match name {
                "bias" => some(&[rows], 6),
                "input_bias" => some(&[rows], 7),
                "peephole" => some(&[3 * HIDDEN], 8),
                "weight_ih_back" => some(&[rows, INPUTS], 9),
                "weight_hh_back" => some(&[rows, HIDDEN], 10),
                "bias_back" => some(&[rows], 11),
                "peephole_back" => some(&[3 * HIDDEN], 12),
                _ => panic!("no values for `{name}`"),
            },
        ));
    }
    all.extend(words(rest));
    all
}

#[track_caller]
fn check(op: &str, opset: Opset, given: &str, rest: &str, expected: &[&[f64]]) {
    let results = tensors(op, opset, &arguments(op, given, rest)).unwrap();
    assert_eq!(results.len(), expected.len());
    for (found, expected) in results.iter().zip(expected) {
        let found = found.to_f64s();
        assert_eq!(found.len(), expected.len());
        for (y, v) in found.iter().zip(*expected) {
            assert!((y - v).abs() < 2e-6, "{found:?} where {expected:?} is expected");
        }
    }
}

#[test]
#[rustfmt::skip]
fn networks() {
    check("rnn", Ios15, "", "", &[&[0.423134, 0.578291, 0.630965, 0.814536], &[0.423134, 0.578291, 0.630965, 0.814536]]);
    check("rnn", Ios15, "bias", "output_sequence=true", &[&[0.716298, 0.537050, 0.800499, 0.744277, -0.221957, -0.589163, -0.447279, -0.721251, 0.763931, 0.810269, 0.825309, 0.895088], &[0.763931, 0.810269, 0.825309, 0.895088]]);
    check("rnn", Ios15, "bias", "output_sequence=true direction=reverse activation=relu", &[&[0.660000, 0.680000, 0.860000, 1.040000, 0.000000, 0.000000, 0.000000, 0.000000, 0.700000, 0.340000, 0.640000, 0.360000], &[0.700000, 0.340000, 0.640000, 0.360000]]);
    check("rnn", Ios15, "", "direction=reverse activation=hard_sigmoid", &[&[0.451570, 0.372165, 0.444946, 0.383230], &[0.451570, 0.372165, 0.444946, 0.383230]]);
    check("gru", Ios15, "", "", &[&[-0.455124, -0.398224, -0.441709, -0.333693], &[-0.455124, -0.398224, -0.441709, -0.333693]]);
    check("gru", Ios17, "bias", "output_sequence=true", &[&[-0.159996, -0.404367, -0.327438, -0.461829, -0.154505, -0.316362, -0.259835, -0.320549, -0.029441, -0.108510, -0.092160, -0.098859], &[-0.029441, -0.108510, -0.092160, -0.098859]]);
    check("gru", Ios15, "bias", "output_sequence=true direction=reverse recurrent_activation=tanh activation=sigmoid", &[&[0.447258, 0.414783, 0.312197, 0.162945, 0.507074, 0.487886, 0.514868, 0.533696, 0.441324, 0.302405, 0.462685, 0.350371], &[0.441324, 0.302405, 0.462685, 0.350371]]);
    check("gru", Ios18, "bias input_bias", "", &[&[-0.796561, -0.788934, -0.764647, -0.723449], &[-0.796561, -0.788934, -0.764647, -0.723449]]);
    check("gru", Ios18, "bias input_bias", "reset_after=true output_sequence=true", &[&[-0.561170, -0.749130, -0.647601, -0.757391, -0.791160, -0.842297, -0.791754, -0.812499, -0.836296, -0.824791, -0.804289, -0.767249], &[-0.836296, -0.824791, -0.804289, -0.767249]]);
    check("gru", Ios18, "bias", "reset_after=true direction=reverse", &[&[-0.091249, -0.357486, -0.126301, -0.279112], &[-0.091249, -0.357486, -0.126301, -0.279112]]);
    check("lstm", Ios15, "", "", &[&[0.033799, 0.092558, 0.027942, 0.006717], &[0.033799, 0.092558, 0.027942, 0.006717], &[0.058199, 0.160447, 0.042904, 0.010075]]);
    check("lstm", Ios15, "bias", "output_sequence=true", &[&[0.044490, 0.145430, 0.193347, 0.146691, 0.129362, 0.164321, 0.239564, 0.122013, 0.001344, 0.027507, 0.004220, -0.101598], &[0.001344, 0.027507, 0.004220, -0.101598], &[0.002218, 0.047285, 0.006257, -0.153431]]);
    check("lstm", Ios15, "bias peephole", "output_sequence=true direction=reverse clip=0.2", &[&[-0.103126, 0.110960, -0.017440, 0.010441, 0.037239, 0.071317, -0.012594, -0.032572, 0.069359, 0.052519, 0.078294, 0.062392], &[0.069359, 0.052519, 0.078294, 0.062392], &[0.200000, 0.200000, 0.200000, 0.191965]]);
    check("lstm", Ios15, "bias peephole", "recurrent_activation=hard_sigmoid cell_activation=relu activation=linear", &[&[0.151434, 0.270174, 0.444592, 0.246489], &[0.151434, 0.270174, 0.444592, 0.246489], &[0.243513, 0.448850, 0.609898, 0.362206]]);
    check("lstm", Ios15, "peephole", "recurrent_activation=sigmoid cell_activation=scaled_tanh activation=sigmoid clip=50.0", &[&[0.323372, 0.366017, 0.399539, 0.368295], &[0.323372, 0.366017, 0.399539, 0.368295], &[0.082062, 0.347521, 0.253852, 0.121006]]);
    check("lstm", Ios17, "bias peephole weight_ih_back weight_hh_back bias_back peephole_back", "direction=bidirectional output_sequence=true", &[&[0.042042, 0.205321, 0.053060, 0.057556, 0.202817, 0.159947, 0.019358, -0.005966, 0.139496, 0.253868, 0.007950, -0.022536, 0.289191, 0.145772, -0.137255, -0.053061, 0.004136, 0.107173, 0.012640, 0.060940, 0.022676, -0.092621, -0.152012, 0.022139], &[0.004136, 0.107173, 0.053060, 0.057556, 0.022676, -0.092621, 0.019358, -0.005966], &[0.006712, 0.180463, 0.290157, 0.079277, 0.033123, -0.140765, 0.070826, -0.009415]]);
    check("lstm", Ios17, "bias peephole weight_ih_back weight_hh_back bias_back peephole_back", "direction=bidirectional", &[&[0.004136, 0.107173, 0.053060, 0.057556, 0.022676, -0.092621, 0.019358, -0.005966], &[0.004136, 0.107173, 0.053060, 0.057556, 0.022676, -0.092621, 0.019358, -0.005966], &[0.006712, 0.180463, 0.290157, 0.079277, 0.033123, -0.140765, 0.070826, -0.009415]]);
}

#[test]
fn no_steps_leave_the_state_as_it_is() {
    for op in ["rnn", "gru", "lstm"] {
        for (rest, steps) in [("output_sequence=true", 0), ("output_sequence=false", 1)] {
            let mut all = arguments(op, "", rest);
            all[0].1 = some(&[0, BATCH, INPUTS], 1);
            let results = tensors(op, Ios15, &all).unwrap();
            assert_eq!(results[0].shape(), [steps, BATCH, HIDDEN]);
            assert!(results[1].same_bits(all[1].1.as_tensor().unwrap()));
        }
        let mut all = arguments(op, "", "");
        all[0].1 = some(&[STEPS, 0, INPUTS], 1);
        for (name, value) in &mut all {
            if name.starts_with("initial") {
                *value = some(&[0, HIDDEN], 2);
            }
        }
        assert_eq!(tensors(op, Ios15, &all).unwrap()[0].shape(), [1, 0, HIDDEN]);
    }
}

#[test]
fn a_nan_is_not_clipped_away() {
    let mut all = arguments("lstm", "", "clip=0.5");
    all[0].1 = arg(Fp32, &[STEPS, BATCH, INPUTS], &[f64::NAN; STEPS * BATCH * INPUTS]);
    assert!(tensors("lstm", Ios15, &all).unwrap()[2].to_f64s().iter().all(|c| c.is_nan()));
}

#[test]
fn the_fast_networks_agree() {
    let (steps, batch, inputs, hidden) = (20, 3, 17, 24);
    for dtype in [Fp32, Fp16] {
        for (op, gates, optional, rest) in [
            ("rnn", 1, "", ""),
            ("rnn", 1, "bias", "output_sequence=true direction=reverse activation=hard_sigmoid"),
            ("gru", 3, "", "output_sequence=true"),
            ("gru", 3, "bias", "direction=reverse"),
            ("gru", 3, "bias input_bias", "output_sequence=true"),
            ("gru", 3, "bias", "reset_after=true"),
            ("gru", 3, "bias input_bias", "reset_after=true output_sequence=true direction=reverse"),
            ("lstm", 4, "", ""),
            ("lstm", 4, "bias peephole", "output_sequence=true direction=reverse clip=0.5"),
            ("lstm", 4, "bias", "cell_activation=relu activation=linear recurrent_activation=hard_sigmoid"),
            (
                "lstm",
                4,
                "weight_ih_back weight_hh_back bias_back",
                "direction=bidirectional output_sequence=true",
            ),
            ("lstm", 4, "weight_ih_back weight_hh_back bias peephole_back", "direction=bidirectional"),
        ] {
            let width = if rest.contains("bidirectional") { 2 * hidden } else { hidden };
            let states = if op == "lstm" { "initial_h initial_c" } else { "initial_h" };
            let names = ["x weight_ih weight_hh", states, optional].join(" ");
            let mut all: Vec<(&str, Datum)> = names
                .split_whitespace()
                .zip(1..)
                .map(|(name, seed)| {
                    let shape = match name {
                        "x" => vec![steps, batch, inputs],
                        "initial_h" | "initial_c" => vec![batch, width],
                        "weight_ih" | "weight_ih_back" => vec![gates * hidden, inputs],
                        "weight_hh" | "weight_hh_back" => vec![gates * hidden, hidden],
                        "peephole" | "peephole_back" => vec![3 * hidden],
                        _ => vec![gates * hidden],
                    };
                    // Weights so large that a state would grow from step to step tell more of rounding than of the op.
                    let value = random(dtype, &shape, seed);
                    let scale = if name.starts_with("weight") { 0.2 } else { 1.0 };
                    let scaled: Vec<f64> =
                        value.as_tensor().unwrap().to_f64s().iter().map(|v| v * scale).collect();
                    (name, arg(dtype, &shape, &scaled))
                })
                .collect();
            for (name, value) in words(rest) {
                let clip = name == "clip";
                all.push((
                    name,
                    if clip { arg(dtype, &[], &value.as_tensor().unwrap().to_f64s()) } else { value },
                ));
            }
            assert!(fast_agrees(op, Ios18, &all), "{op} {rest}");
        }
    }
    let mut all = arguments("gru", "", "");
    all[0].1 = some(&[0, BATCH, INPUTS], 1);
    assert!(!fast_agrees("gru", Ios15, &all));
}

#[test]
fn refusals() {
    let refused = |op: &str, rest: &str, param: &str, shape: &[usize], code: &str| {
        let mut all: Vec<_> =
            arguments(op, "", rest).into_iter().filter(|(name, _)| *name != param).collect();
        all.push((param, some(shape, 1)));
        refuse(op, Ios18, &all, code);
    };
    for op in ["rnn", "gru", "lstm"] {
        refused(op, "", "x", &[STEPS, INPUTS], "wrong-rank");
        refused(op, "", "x", &[STEPS, BATCH, INPUTS + 1], "shape-mismatch");
        refused(op, "", "x", &[STEPS, BATCH + 1, INPUTS], "shape-mismatch");
        refused(op, "", "initial_h", &[BATCH, HIDDEN + 1], "shape-mismatch");
        refused(op, "", "initial_h", &[BATCH, 1, HIDDEN], "wrong-rank");
        refused(op, "", "weight_ih", &[HIDDEN], "wrong-rank");
        refused(op, "", "weight_ih", &[HIDDEN + 5, INPUTS], "shape-mismatch");
        refused(op, "", "weight_hh", &[HIDDEN + 5, HIDDEN], "shape-mismatch");
        refused(op, "", "bias", &[HIDDEN + 5], "shape-mismatch");
        refused(op, "direction=sideways", "x", &[STEPS, BATCH, INPUTS], "bad-value");
        refused(op, "activation=dummy", "x", &[STEPS, BATCH, INPUTS], "bad-value");
    }
    let same = &[STEPS, BATCH, INPUTS];
    refused("gru", "direction=bidirectional", "initial_h", &[BATCH, HIDDEN], "bad-value");
    refused("gru", "", "input_bias", &[HIDDEN], "shape-mismatch");
    refused("gru", "recurrent_activation=dummy", "x", same, "bad-value");
    refused("lstm", "recurrent_activation=dummy", "x", same, "bad-value");
    refused("lstm", "cell_activation=dummy", "x", same, "bad-value");
    refused("lstm", "", "peephole", &[HIDDEN], "shape-mismatch");
    refused("lstm", "", "initial_c", &[BATCH, HIDDEN + 1], "shape-mismatch");
    refused("lstm", "", "clip", &[1], "wrong-rank");
    refused("lstm", "direction=bidirectional", "x", same, "missing-parameter");
    let both = "direction=bidirectional";
    let back = "weight_ih_back weight_hh_back bias_back peephole_back";
    let mut all: Vec<_> =
        arguments("lstm", back, both).into_iter().filter(|(name, _)| !name.ends_with("_back")).collect();
    all.push(("weight_ih_back", some(&[4 * (HIDDEN + 1), INPUTS], 1)));
    all.push(("weight_hh_back", some(&[4 * (HIDDEN + 1), HIDDEN + 1], 1)));
    refuse("lstm", Ios18, &all, "shape-mismatch");
}

#[test]
fn hostile_dimensions_do_not_overflow() {
    for name in ["rnn", "gru", "lstm"] {
        let all = arguments(name, "bias", "output_sequence=true");
        for dim in [Dim::Known(u64::MAX), Dim::Known(0), Dim::Unknown] {
            let types: Vec<(&str, Type)> = all
                .iter()
                .filter(|(name, _)| *name != "output_sequence")
                .map(|(name, d)| {
                    let rank = d.as_tensor().unwrap().rank();
                    (*name, Type::tensor(Fp32, std::iter::repeat_n(dim, rank).collect::<Shape>()))
                })
                .collect();
            let _ = infer(name, Ios18, &all, &types);
        }
    }
}
