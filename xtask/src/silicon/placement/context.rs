//! Which ops of small models are on the engine, against the table of what Core ML chose for them between others.
//!
//! The table was made to see where models are divided; what is compared here is what it says of the op itself. Most of its
//! names have no row in the table of single ops, so that the rows of these say how well what is known of ops holds of others.

use std::collections::BTreeSet;

use anemone::Chip;
use anemone::place::{self, Target};

use super::condition::Condition;
use super::{Count, programs};

/// Compares every row of a table of models: how many agree, how many of those have a name that stands in no other table, and
/// what disagrees.
pub(super) fn compare(table: &str, singles: &str) -> Result<(Count, Count, Vec<String>), String> {
    let known: BTreeSet<&str> = super::super::cells(singles)
        .skip(1)
        .filter(|cells| cells.get(1).is_some_and(|route| route.starts_with("macOS")))
        .filter_map(|cells| cells.get(2).copied())
        .collect();
    let (mut all, mut new, mut wrong) = (Count::default(), Count::default(), Vec::new());
    for cells in super::super::cells(table).skip(1) {
        let &[chip, name, pattern, .., note, _] = cells.as_slice() else {
            return Err(format!("a row has {} cells", cells.len()));
        };
        let chip = Chip::ALL.into_iter().find(|c| c.name().eq_ignore_ascii_case(chip));
        let (Some(chip), Some(condition)) = (chip, Condition::read(name, "fp16", Some(""))) else { continue };
        let Ok(built) = programs::program(&condition) else {
            wrong.push(format!("{name}: no program"));
            continue;
        };
        let placement = place::place(built.verified.main(), Target::new(chip));
        let ours = placement.ops.iter().rev().find(|o| o.op == condition.op);
        let agrees = ours.is_some_and(|o| o.on_engine() != note.contains("CPU-only"));
        for count in [Some(&mut all), (!known.contains(name)).then_some(&mut new)].into_iter().flatten() {
            count.total += 1;
            count.agree += usize::from(agrees);
        }
        if !agrees {
            let why = ours.map_or("no such op in our program".into(), |o| o.why.clone());
            wrong.push(format!("{name} ({pattern}; {note}): {why}"));
        }
    }
    Ok((all, new, wrong))
}
