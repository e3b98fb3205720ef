//! The committed part of the table.

use super::*;

/// Rows that are compared in every run of the tests: some of each kind.
const TABLE: &str = include_str!("../../../../golden/silicon/placement.tsv");

#[test]
fn most_rows_of_each_chip_agree() {
    let c = compare(TABLE);
    assert!(c.total().total > 300, "{:?}", c.total());
    for (chip, count) in c.by_chip() {
        assert!(count.agree * 100 >= count.total * 97, "{chip}: {count:?}\n{}", c.disagreements.join("\n"));
    }
}
