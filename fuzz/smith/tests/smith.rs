//! Programs of the generator are right, hold every op, and run alike on both engines.
#![allow(clippy::print_stdout)] // The coverage is worth reading.

use std::collections::BTreeMap;

use anemone::bundle::Weights;
use anemone::mil::{Block, Program};
use anemone::{ops, text, verify};
use anemone_smith::{Limits, bytes_of, case_of_seed, judge, one_call, spoiled};
use arbitrary::Unstructured;

#[track_caller]
fn verified(program: &Program, seed: u64) {
    let report = verify::verify(program, &Weights::none());
    assert!(report.verified.is_some(), "seed {seed}: {}\n{}", report.diagnostics, text::print(program));
}

fn count(block: &Block, seen: &mut BTreeMap<String, usize>) {
    for call in &block.calls {
        *seen.entry(call.op.to_string()).or_default() += 1;
        call.blocks.iter().for_each(|b| count(b, seen));
    }
}

#[test]
fn programs_are_right_and_hold_every_op() {
    let mut seen = BTreeMap::new();
    let mut functions = 0;
    for seed in 0..4000 {
        let case = case_of_seed(seed, &Limits::default());
        verified(&case.program, seed);
        functions += case.program.functions.len();
        case.program.functions.iter().for_each(|f| count(&f.body, &mut seen));
    }
    let calls: usize = seen.values().sum();
    let missing: Vec<&str> = ops::all().map(|op| op.name).filter(|name| !seen.contains_key(*name)).collect();
    println!("{} of {} ops in {calls} calls of {functions} functions", seen.len(), ops::all().count());
    let mut rare: Vec<_> = seen.iter().map(|(name, n)| (*n, name)).collect();
    rare.sort_unstable();
    println!("the rarest: {:?}", &rare[..rare.len().min(20)]);
    assert!(missing.is_empty(), "these ops never occur: {missing:?}");
}

#[test]
fn one_call_of_each_op_of_each_edition() {
    let mut poor = Vec::new();
    for op in ops::all() {
        for edition in op.editions {
            let cases: Vec<_> = (0..200u64)
                .filter_map(|seed| {
                    let bytes = bytes_of(seed, 512);
                    let case =
                        one_call(&mut Unstructured::new(&bytes), op, edition.since, &Limits::default())?;
                    verified(&case.program, seed);
                    Some(case)
                })
                .collect();
            if cases.len() < 50 {
                poor.push(format!("{} of {}: {} of 200", op.name, edition.since, cases.len()));
            }
        }
    }
    assert!(poor.is_empty(), "few proposals are accepted:\n{}", poor.join("\n"));
}

#[test]
fn programs_that_are_nearly_right_do_no_harm() {
    let mut accepted = 0;
    let mut wrong = Vec::new();
    for seed in 0..std::env::var("SMITH_SEEDS").map_or(2000, |s| s.parse().unwrap()) {
        let program = spoiled(&mut Unstructured::new(&bytes_of(seed, 1 << 12)));
        match std::panic::catch_unwind(|| judge::survives(&program)) {
            Ok(right) => accepted += usize::from(right),
            Err(_) => wrong.push(format!("seed {seed}:\n{}", text::print(&program))),
        }
    }
    println!("{accepted} of the programs that are nearly right are right");
    assert!(wrong.is_empty(), "{} panic:\n{}", wrong.len(), wrong.join("\n"));
}

/// `SMITH_SEEDS=100000 cargo test --release -p anemone-smith` tries more.
#[test]
fn engines_agree_on_programs() {
    let mut wrong = Vec::new();
    for seed in 0..std::env::var("SMITH_SEEDS").map_or(500, |s| s.parse().unwrap()) {
        let case = case_of_seed(seed, &Limits::default());
        let judged = std::panic::catch_unwind(|| judge::engines(&case));
        if let Err(why) = judged.unwrap_or_else(|_| Err("panics".to_string())) {
            wrong.push(format!("seed {seed}: {why}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
