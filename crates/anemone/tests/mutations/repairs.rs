//! Programs that a chip refuses, or gets wrong, are rewritten so that it does not, and mean the same.

use anemone::bundle::Weights;
use anemone::device::compare::{Tolerance, compare};
use anemone::device::{self, Engine, Options};
use anemone::place;
use anemone::types::{DType, Tensor};
use anemone::verify::{self, Value, Verified};
use anemone::{passes, text};

use super::{Rule, SHAPES, chips, wrong};

/// What no other ops of the engine say: with inputs and outputs as they are, whole numbers and fp32 stay what they are, an axis
/// stays as long, and what is chosen, sorted or drawn at random is not computed.
const BEYOND: &[&str] = &[
    "reduce_argmax",
    "argsort",
    "random_normal",
    "tensor<int32, [1, {C}, {H}, {W}]> r",
    "r = pad(x = l",
    "expand_dims",
    "slice_by_size(x = a, begin = i",
    // A sum with an infinity is one; where slices are joined, and what becomes a part of a scale, is no matter of one op.
    "[-inf]",
    "(s, s)",
    "r = mul(",
];

/// As programs in fp16 are held to; the products of many small numbers have few digits left.
const WITHIN: Tolerance = Tolerance { absolute: 2.5e-7, ..Tolerance::FP16 };

fn checked(text: &str) -> Verified {
    let program = text::parse(text).unwrap_or_else(|e| panic!("{e}"));
    let report = verify::verify(&program, &Weights::none());
    report.verified.unwrap_or_else(|| panic!("{}\n{text}", report.diagnostics))
}

/// Numbers between 0 and 1 for an input.
fn input(v: &Value) -> (String, Tensor) {
    let ty = v.ty.as_tensor().expect("inputs are tensors");
    let shape = ty.shape.known().expect("shapes are known");
    let n = shape.iter().product::<usize>();
    let values: Vec<f64> = (0..n).map(|k| ((k * 37 + 5) % 61) as f64 / 61.0).collect();
    let values = if ty.dtype == DType::Int32 { vec![0.0; n] } else { values };
    (v.name.to_string(), Tensor::from_f64s(ty.dtype, &shape, &values).unwrap())
}

/// What the faster engine gives; the tests of the rules hold them on both.
fn outputs(verified: &Verified) -> Vec<Tensor> {
    let inputs: Vec<(String, Tensor)> = verified.main().inputs().map(input).collect();
    let named: Vec<(&str, Tensor)> = inputs.iter().map(|(n, t)| (n.as_str(), t.clone())).collect();
    let model = device::load(verified.main(), Engine::Cpu, &Options::default()).unwrap();
    let outputs = model.run(&named, &model.new_states().unwrap()).unwrap();
    outputs.iter().map(|(_, v)| v.as_tensor().expect("outputs are tensors").clone()).collect()
}

/// Rewrites the programs of a rule; what is still wrong with them.
fn left(rule: &Rule) -> Vec<String> {
    let target = rule.on.expect("it is of a chip");
    let mut left = Vec::new();
    for i in 0..SHAPES.len() {
        let before = wrong(rule, i);
        let program = text::parse(&before).unwrap();
        let done = passes::legalise(&program, &Weights::none(), target).unwrap();
        let [repaired] = &done.programs[..] else { panic!("{before}") };
        let printed = text::print(repaired);
        let after = checked(&printed);
        let refused = place::place(after.main(), target).diagnostics;
        if refused.has_errors() || done.changes.is_empty() {
            left.push(format!("{}: {}\n{before}\n{refused}", rule.code, rule.to));
            continue;
        }
        let before = checked(&before);
        for (e, f) in outputs(&before).iter().zip(&outputs(&after)) {
            let c = compare(f, e, WITHIN).unwrap();
            assert!(c.passes(), "{c:?}\n{printed}");
        }
    }
    left
}

// The numbers are what the test is for; `--nocapture` shows them.
#[allow(clippy::print_stdout)]
#[test]
fn what_can_be_repaired_is() {
    let can = |r: &&Rule| !BEYOND.iter().any(|w| r.to.contains(w));
    let rules: Vec<&Rule> = chips::RULES.iter().filter(can).collect();
    let wrong: Vec<String> = rules.iter().flat_map(|r| left(r)).collect();
    let all = rules.len() * SHAPES.len();
    println!("{} rules, {all} programs, {} rewritten", rules.len(), all - wrong.len());
    wrong.iter().filter_map(|w| w.lines().next()).for_each(|w| println!("not {w}"));
    assert!(rules.len() >= 20 && wrong.len() * 10 <= all, "{} of {all}:\n{}", wrong.len(), wrong.join("\n"));
}
