//! How much of what is known of ops on chips follows from the rest: each row of the matrix is left out in turn, and filled in from
//! the other rows by the rules that the table of ops keeps to.
//!
//! The rules are two. What an engine does, later ones do. And an op that comes late, or changes late, does so with a part of
//! the engine: where that part came is in the compiler's own table, and not in the row of the op.

use std::collections::BTreeMap;

use anemone::Chip;
use anemone::place::{self, Form};

use super::Count;
use super::answer::seen_form;

/// The rows of the matrix of ops and chips: of each op, what is said of each chip.
fn matrix(table: &str) -> BTreeMap<&str, BTreeMap<Chip, Form>> {
    let mut matrix: BTreeMap<&str, BTreeMap<Chip, Form>> = BTreeMap::new();
    for cells in super::super::cells(table).skip(1) {
        let &[chip, "ane-guide direct e5rt route", op, _, _, outcome, ..] = cells.as_slice() else {
            continue;
        };
        let chip = Chip::ALL.into_iter().find(|c| c.name().eq_ignore_ascii_case(chip));
        if let (Some(chip), Some(form)) = (chip, seen_form(outcome)) {
            matrix.entry(op).or_default().insert(chip, form);
        }
    }
    matrix
}

/// What the other rows of the op say of it on a chip.
fn filled(op: &str, chip: Chip, rest: &BTreeMap<Chip, Form>) -> Option<Form> {
    // What stays the same on both sides is the same between, and the nearest row tells of what lies outside.
    let (below, above) = (rest.range(..chip).next_back(), rest.range(chip..).next());
    let nearest = match (below, above) {
        (Some((_, b)), Some((_, a))) if b == a => *b,
        (Some((b, form)), Some((a, other))) => {
            if chip.index() - b.index() <= a.index() - chip.index() {
                *form
            } else {
                *other
            }
        }
        (Some((_, form)), None) | (None, Some((_, form))) => *form,
        (None, None) => return None,
    };
    // A part of the engine that came with some chip divides the rows, whatever is nearest.
    let Some(part) = anemone::ops::find(op).and_then(|op| place::row(op.name).part()) else {
        return Some(nearest);
    };
    let side: Vec<Form> =
        rest.iter().filter(|(c, _)| (**c < part.since) == (chip < part.since)).map(|(_, f)| *f).collect();
    Some(side.first().copied().unwrap_or(if chip < part.since { part.before } else { Form::Native }))
}

/// Leaves out each row in turn: how many follow from the rest, how many have no other row, and which do not follow.
pub(super) fn leave_out(table: &str) -> (Count, usize, Vec<String>) {
    let (mut count, mut alone, mut wrong) = (Count::default(), 0, Vec::new());
    for (op, forms) in matrix(table) {
        for (&chip, &form) in &forms {
            let rest: BTreeMap<Chip, Form> =
                forms.iter().filter(|(c, _)| **c != chip).map(|(c, f)| (*c, *f)).collect();
            let Some(found) = filled(op, chip, &rest) else {
                alone += 1;
                continue;
            };
            count.total += 1;
            count.agree += usize::from(found == form);
            if found != form {
                wrong.push(format!("{op} on {chip}: {form:?}, and by the other rows {found:?}"));
            }
        }
    }
    (count, alone, wrong)
}
