//! The arithmetic of chips against results of chips, and its page.
//!
//! `BLESS=1 cargo test -p anemone --test silicon` writes the tables of `docs/numerics.md` anew.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anemone::Chip;
use anemone::mil::Opset;
use anemone::ops::{self, silicon};
use anemone::types::{Datum, Tensor, f16};

fn halves(digits: &str) -> Vec<f16> {
    let bits = |digits: &str| u16::from_str_radix(digits, 16).expect("hexadecimal digits");
    digits.split(' ').map(|digits| f16::from_bits(bits(digits))).collect()
}

fn tensor(shape: &[usize], halves: &[f16]) -> Datum {
    Tensor::from_slice(shape, halves).unwrap().into()
}

fn ints(values: &[i64]) -> Datum {
    Tensor::from_i64s(anemone::types::DType::Int32, &[values.len()], values).unwrap().into()
}

/// What a line of the table gives.
fn computed(chip: Chip, op: &str, x: &str, y: &str, bias: &str) -> f16 {
    let x = halves(x);
    let shape = [1, x.len(), 1, 1];
    let one = |digits: &str| tensor(&[1], &halves(digits));
    let mut arguments = match op {
        "conv" => vec![("x", tensor(&shape, &x)), ("weight", tensor(&shape, &halves(y)))],
        "slice_by_index" => {
            let bounds = [("begin", ints(&[0, 0, 0, 1])), ("end", ints(&[1, 1, 1, 2]))];
            [vec![("x", tensor(&[1, 1, 1, 2], &[f16::ZERO, x[0]]))], bounds.to_vec()].concat()
        }
        "inverse" | "rsqrt" | "log" => vec![("x", tensor(&[1], &x)), ("epsilon", one("0000"))],
        _ if y.is_empty() => vec![("x", tensor(&[1], &x))],
        _ => vec![("x", tensor(&[1], &x)), ("y", one(y))],
    };
    if !bias.is_empty() {
        arguments.push(("bias", one(bias)));
    }
    let op = ops::find(op).expect("the table has ops");
    let results = silicon::evaluate(op, Opset::Ios18, &arguments, chip, 2).unwrap();
    results[0].as_tensor().unwrap().as_slice::<f16>().unwrap()[0]
}

/// Rows I5, X7, X18: the results that were printed for single calls on chips.
#[test]
fn results_are_those_of_chips() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/silicon/numerics.tsv");
    let table = fs::read_to_string(path).unwrap();
    let mut chips = std::collections::BTreeSet::new();
    for line in table.lines().filter(|line| !line.starts_with('#')).skip(1) {
        let [chip, op, x, y, bias, expected, _] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let chip: Chip = chip.parse().unwrap();
        chips.insert(chip);
        assert_eq!(computed(chip, op, x, y, bias).to_bits(), halves(expected)[0].to_bits(), "{line}");
    }
    assert_eq!(Vec::from_iter(chips), [Chip::M1, Chip::M4, Chip::M6]);
}

/// What stands between the prose and the tables.
const MARK: &str =
    "<!-- From here on the page is written by `BLESS=1 cargo test -p anemone --test silicon`. -->\n";

fn tables() -> String {
    let mut page =
        "\n## Ops\n\n| op | unit | m1 | m2 | m3 | m4 | m5 | m6 | from chips, and what is peculiar |\n\
        |---|---|---|---|---|---|---|---|---|\n"
            .to_string();
    for rule in silicon::rules() {
        let known: Vec<&str> = Chip::ALL.iter().map(|&chip| rule.on(chip).name()).collect();
        let distance = rule.distance.map_or(String::new(), |d| format!("off by {d:.0e} at most: "));
        writeln!(
            page,
            "| `{}` | {:?} | {} | {distance}{} |",
            rule.op,
            rule.unit,
            known.join(" | "),
            rule.note
        )
        .unwrap();
    }
    page
}

#[test]
fn the_page_has_the_rules() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/numerics.md");
    let page = fs::read_to_string(&path).unwrap();
    let (prose, found) = page.split_once(MARK).expect("the page has the mark");
    let expected = tables();
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, format!("{prose}{MARK}{expected}")).unwrap();
    } else {
        assert!(found == expected, "the tables of docs/numerics.md are old: run this test with BLESS=1");
    }
}

/// Every op that computes with floats has a row, and no row is of another.
#[test]
fn ops_have_one_rule() {
    let rules = silicon::rules();
    for (i, rule) in rules.iter().enumerate() {
        assert!(ops::find(rule.op).is_some(), "there is no `{}`", rule.op);
        assert!(rules[..i].iter().all(|other| other.op != rule.op), "`{}` has two rows", rule.op);
        assert!(!rule.note.is_empty() && !rule.unit.arithmetic().is_empty());
    }
    // What is left computes shapes, indices and bools, makes numbers, unpacks weights, holds values, or runs blocks.
    let without = [
        "argsort",
        "band_part",
        "cast",
        "classify",
        "cond",
        "const",
        "constexpr_",
        "coreml_update_state",
        "dequantize",
        "equal",
        "fill",
        "fill_like",
        "greater",
        "less",
        "list_",
        "logical_",
        "make_list",
        "non_maximum_suppression",
        "non_zero",
        "not_equal",
        "one_hot",
        "quantize",
        "random_",
        "range_1d",
        "read_state",
        "reduce_arg",
        "scatter",
        "shape",
        "tensor_",
        "topk",
        "while_loop",
        "write_state",
    ];
    for op in ops::all().filter(|op| silicon::rule(op.name).is_none()) {
        assert!(without.iter().any(|name| op.name.starts_with(name)), "`{}` has no rule", op.name);
    }
}
