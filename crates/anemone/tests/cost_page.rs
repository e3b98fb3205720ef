//! The tables of `docs/cost.md` are those of `chip::cost`.

use std::fmt::Write;
use std::path::Path;

use anemone::chip::{Figure, RATES, common_figures};

const MARK: &str = "<!-- From here on the page is written by";

/// A number in the unit that it is read in.
fn shown(unit: &str, f: Figure) -> String {
    let (value, unit) = match unit {
        "s" if f.value < 1e-3 => (f.value * 1e6, " µs"),
        "s" if f.value < 1.0 => (f.value * 1e3, " ms"),
        "s" => (f.value, " s"),
        "B/s" => (f.value / 1e9, " GB/s"),
        "1/s" => (f.value / 1e9, " G/s"),
        "times" => (f.value, "x"),
        "W" => (f.value, " W"),
        "B" => (f.value, " B"),
        _ => (f.value, ""),
    };
    // Three digits after the point at most, and none that say nothing.
    let digits = format!("{value:.3}");
    format!("{}{unit}", digits.trim_end_matches('0').trim_end_matches('.'))
}

fn tables() -> String {
    let mut page = String::from("\n## Every machine\n\n| number | value | evidence |\n|---|---|---|\n");
    for (name, unit, f) in common_figures() {
        writeln!(page, "| {name} | {} | {} |", shown(unit, f), f.evidence).unwrap();
    }
    for rates in &RATES {
        writeln!(page, "\n## {}\n\n| number | value | evidence |\n|---|---|---|", rates.name).unwrap();
        for (name, unit, f) in rates.figures() {
            writeln!(page, "| `{name}` | {} | {} |", shown(unit, f), f.evidence).unwrap();
        }
        writeln!(
            page,
            "\nRoofline: {:.1} TFLOP/s, ridge at {:.0} operations a byte.",
            rates.peak_flops() / 1e12,
            rates.ridge()
        )
        .unwrap();
    }
    page
}

#[test]
fn the_page_has_the_numbers_of_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cost.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = page.split_once(MARK).expect("the page has the mark");
    let (line, written) = rest.split_once('\n').expect("the mark is a line");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, format!("{head}{MARK}{line}\n{}", tables())).unwrap();
        return;
    }
    assert!(written == tables(), "docs/cost.md is old: BLESS=1 cargo test -p anemone --test cost_page");
}
