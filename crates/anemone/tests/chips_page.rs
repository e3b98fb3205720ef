//! The tables of `docs/chips.md` are those of `chip` and `place`.
//!
//! `BLESS=1 cargo test -p anemone --test chips_page` writes them anew. The prose before the tables is written by hand.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anemone::Chip;
use anemone::chip::{HARDWARE, LIMITS, Profile};
use anemone::place::{self, Form, OpRow};

/// What stands between the prose and the tables.
const MARK: &str =
    "<!-- From here on the page is written by `BLESS=1 cargo test -p anemone --test chips_page`. -->\n";

fn number(n: u64) -> String {
    match n {
        u64::MAX => "any".to_string(),
        n if n >= 1 << 20 && n.is_multiple_of(1 << 20) => format!("{} MiB", n >> 20),
        n => n.to_string(),
    }
}

fn limits(page: &mut String) {
    page.push_str("\n## Limits\n\n| at most | m1 | m2 | m3 | m4 | m5 | m6 | evidence |\n|---|---|---|---|---|---|---|---|\n");
    for row in LIMITS {
        write!(page, "| {} |", row.what).unwrap();
        for chip in Chip::ALL {
            let [loose, strict] =
                [Profile::Permissive, Profile::Strict].map(|p| chip.limit(row.quantity, p).value);
            match loose == strict {
                true => write!(page, " {} |", number(loose)).unwrap(),
                false => write!(page, " {} (strict: {}) |", number(loose), number(strict)).unwrap(),
            }
        }
        let seen: Vec<&str> = row.seen.iter().map(|c| c.name()).collect();
        let seen = if seen.is_empty() { "of no chip by itself".to_string() } else { seen.join(", ") };
        write!(page, " {}: {seen}", row.evidence).unwrap();
        if let Some((_, strict)) = row.strict {
            write!(page, "; strict: {strict}").unwrap();
        }
        page.push_str(" |\n");
    }
}

fn hardware(page: &mut String) {
    page.push_str(
        "\n## Tables of the compiler\n\n| parameter | m1 | m2 | m3 | m4 and later |\n|---|---|---|---|---|\n",
    );
    for row in HARDWARE {
        let cells = [Chip::M1, Chip::M2, Chip::M3, Chip::M4].map(|c| {
            let sure = row.evidence(c).confidence == anemone::chip::Confidence::Read;
            format!("{}{}", row.value(c), if sure { "" } else { " ?" })
        });
        writeln!(page, "| {} | {} |", row.name, cells.join(" | ")).unwrap();
    }
}

fn word(form: Form) -> &'static str {
    match form {
        Form::Native => "yes",
        Form::Bridged => "bridge",
        Form::Folded => "folded",
        Form::Later => "later",
        Form::Refused => "no",
    }
}

fn known(known: Option<bool>) -> &'static str {
    known.map_or("?", |yes| if yes { "yes" } else { "no" })
}

fn ops(page: &mut String) {
    page.push_str(
        "\n## Ops\n\n| op | m1 | m2 | m3 | m4 | m5 | m6 | Core ML | alone | instead |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    let line = |row: &OpRow| {
        let by_chip = Chip::ALL.map(|c| word(row.form(c))).join(" | ");
        format!(
            "| `{}` | {by_chip} | {} | {} | {} |",
            row.op,
            known(row.core_ml()),
            known(row.compiles_alone()),
            row.instead
        )
    };
    for row in place::rows() {
        writeln!(page, "{}", line(row)).unwrap();
    }
}

#[test]
fn the_page_of_the_chips_has_the_tables() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/chips.md");
    let page = fs::read_to_string(&path).unwrap();
    let (prose, tables) = page.split_once(MARK).expect("the page has the mark");
    let mut want = String::new();
    limits(&mut want);
    hardware(&mut want);
    ops(&mut want);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, format!("{prose}{MARK}{want}")).unwrap();
        return;
    }
    assert!(
        tables == want,
        "the tables of docs/chips.md are old: BLESS=1 cargo test -p anemone --test chips_page"
    );
}
