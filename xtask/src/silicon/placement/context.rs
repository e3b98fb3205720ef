//! Where Core ML puts the ops of small models, against the table of what it chose.
//!
//! Each model has one op of interest, between convolutions and activations that are worth going to the engine for. What an
//! activation costs is the same on every device, so that it stands on either side of a switch for nothing: activations
//! are therefore left out of the comparison.

use std::collections::BTreeMap;

use anemone::place::{self, Target, Where};
use anemone::{Chip, ops};

use super::condition::Condition;
use super::{Comparison, programs};

/// The devices of ops in the words of the table: `N*8 C` is eight on the engine, and one on the CPU.
fn devices(pattern: &str) -> Option<Vec<Where>> {
    let mut devices = Vec::new();
    for word in pattern.split(' ') {
        let (device, count) = word.split_once('*').unwrap_or((word, "1"));
        let device = match device {
            "N" => Where::Ane,
            "C" => Where::Cpu,
            _ => return None,
        };
        devices.extend(std::iter::repeat_n(device, count.parse().ok().filter(|n| *n < 1000)?));
    }
    Some(devices)
}

/// What the table of single ops says of the operands, by the name of the op.
pub(super) fn conditions(table: &str) -> BTreeMap<&str, (&str, &str)> {
    let rows = super::super::cells(table).skip(1);
    let of_core_ml = |cells: &Vec<&str>| cells.len() == 9 && cells[4].contains("one-op Core ML model");
    rows.filter(of_core_ml).map(|cells| (cells[2], (cells[3], cells[4]))).collect()
}

/// Compares every row of a table of models.
pub(super) fn compare(table: &str, conditions: &BTreeMap<&str, (&str, &str)>) -> Result<Comparison, String> {
    let mut comparison = Comparison::default();
    for cells in super::super::cells(table).skip(1) {
        let &[chip, name, pattern, ..] = cells.as_slice() else {
            return Err(format!("a row has {} cells", cells.len()));
        };
        let chip = Chip::ALL.into_iter().find(|c| c.name().eq_ignore_ascii_case(chip));
        let Some(chip) = chip else {
            *comparison.apart.entry("no chip of m1 to m6".to_string()).or_default() += 1;
            continue;
        };
        let (dtype, condition) = conditions.get(name).copied().unwrap_or(("fp16", ""));
        let Some(condition) = Condition::read(name, dtype, Some(condition)) else {
            *comparison.apart.entry("an op that no program of MIL can hold".to_string()).or_default() += 1;
            continue;
        };
        let count = comparison.counts.entry((chip.name().to_string(), "in context".to_string())).or_default();
        count.total += 1;
        match agrees(chip, &condition, pattern) {
            Ok(()) => count.agree += 1,
            Err(why) => comparison.disagreements.push(format!("{} | {name} | {pattern}: {why}", cells[0])),
        }
    }
    Ok(comparison)
}

fn agrees(chip: Chip, condition: &Condition, pattern: &str) -> Result<(), String> {
    // A model that Core ML leaves as it is: one op, on the CPU.
    let (built, seen) = match pattern {
        "unchanged" => (programs::program(condition)?, None),
        _ => (programs::in_context(condition)?, devices(pattern)),
    };
    if ops::find(&condition.op).is_none() {
        return Err("no op of MIL".to_string());
    }
    let ours = place::place(built.verified.main(), Target::new(chip)).ops;
    let shown: Vec<String> = ours.iter().map(|o| format!("{}:{}", o.op, o.at.word())).collect();
    let Some(seen) = seen else {
        let stays = ours.iter().all(|o| o.at == Where::Cpu);
        return if stays { Ok(()) } else { Err(format!("we say {}", shown.join(" "))) };
    };
    let differs = if ours.len() == seen.len() {
        ours.iter().zip(&seen).any(|(o, s)| o.op != "relu" && o.at != *s)
    } else {
        // Other helpers around the op: what is left is whether anything goes to the engine, and whether all does.
        let (ends, seen_ends) = (|o: &[Where]| (o.contains(&Where::Ane), o.contains(&Where::Cpu)), &seen);
        let heavy: Vec<Where> = ours.iter().filter(|o| o.op != "relu").map(|o| o.at).collect();
        let all_but_last = &seen_ends[..seen_ends.len() - 1];
        ends(&heavy) != ends(seen_ends) && ends(&heavy) != ends(all_but_last)
    };
    if differs { Err(format!("we say {}", shown.join(" "))) } else { Ok(()) }
}
