//! The tables of `docs/ops.md` are those of the op table and of what stands below `golden/`.
//!
//! `BLESS=1 cargo test -p anemone --test ops_page` writes them anew. The prose before the tables is written by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anemone::mil::op::{Edition, Op, Parameter, Tolerance};
use anemone::mil::{Block, Opset, OpsetName, Program};
use anemone::types::{DType, DTypes};
use anemone::{bundle, ops, text};

/// What stands between the prose and the tables.
const MARK: &str =
    "<!-- From here on the page is written by `BLESS=1 cargo test -p anemone --test ops_page`. -->\n";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What is known of one edition of an op.
#[derive(Default)]
struct Evidence {
    /// How many calls are recorded in vectors.
    calls: usize,
    /// How many runs of programs have the op in them.
    runs: usize,
    /// How many models have it.
    models: usize,
    /// The tolerances of each source, as the vectors state them.
    sources: BTreeMap<String, BTreeSet<String>>,
}

/// The evidence for each op and the opset of its edition.
type Found = BTreeMap<(&'static str, Opset), Evidence>;

/// The evidence for the edition of an op that a program of this opset means.
fn of<'a>(found: &'a mut Found, op: &str, opset: &str) -> Option<&'a mut Evidence> {
    let op = ops::find(op)?;
    let edition = op.edition(OpsetName::from(opset).known()?)?;
    Some(found.entry((op.name, edition.since)).or_default())
}

/// The files of a folder below `golden` that end so, in order.
fn files(name: &str, end: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("golden").join(name)).unwrap().map(|e| e.unwrap().path());
    let mut found: Vec<_> = entries.filter(|p| p.extension().is_some_and(|e| e == end)).collect();
    found.sort();
    found
}

/// The lines of a file that are no comments, cut into cells.
fn lines(path: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|l| !l.starts_with('#'));
    lines.map(|l| l.split('\t').map(str::to_string).collect()).collect()
}

/// The ops of a block and of the blocks in it, with the opset that each is taken from.
fn calls<'a>(block: &'a Block, opset: &'a str, found: &mut BTreeSet<(&'a str, &'a str)>) {
    for call in &block.calls {
        found.insert((&call.op, call.opset.as_ref().map_or(opset, OpsetName::as_str)));
        for inner in &call.blocks {
            calls(inner, opset, found);
        }
    }
}

/// The ops that a program has.
fn ops_of(program: &Program) -> BTreeSet<(&str, &str)> {
    let mut found = BTreeSet::new();
    for function in &program.functions {
        calls(&function.body, function.opset.as_str(), &mut found);
    }
    found
}

fn gather() -> Found {
    let mut found = Found::new();
    for path in files("vectors", "tsv") {
        let op = path.file_stem().unwrap().to_str().unwrap().to_string();
        for line in lines(&path) {
            let evidence = of(&mut found, &op, &line[0])
                .unwrap_or_else(|| panic!("{}: there is no `{op}` in {}", path.display(), line[0]));
            evidence.calls += 1;
            evidence.sources.entry(line[1].clone()).or_default().insert(line[2].clone());
        }
    }
    for path in files("programs", "mil") {
        let program = text::parse(&fs::read_to_string(&path).unwrap()).unwrap();
        let runs = lines(&path.with_extension("tsv"));
        let (named, runs): (Vec<_>, Vec<_>) = runs.iter().partition(|line| line[0] == "ops");
        for (op, opset) in ops_of(&program) {
            if !named.iter().flat_map(|line| &line[1..]).any(|n| n == op) {
                continue;
            }
            let Some(evidence) = of(&mut found, op, opset) else { continue };
            evidence.runs += runs.len();
            for run in &runs {
                evidence.sources.entry(run[0].clone()).or_default().insert(run[1].clone());
            }
        }
    }
    for model in fs::read_dir(root().join("golden/models")).unwrap() {
        let opened = bundle::open(model.unwrap().path().join("model.mlpackage")).unwrap();
        for (op, opset) in ops_of(&opened.program) {
            if let Some(evidence) = of(&mut found, op, opset) {
                evidence.models += 1;
            }
        }
    }
    found
}

/// Runs of dtypes that differ in their width alone: `int8–int32`.
const RUNS: &[&[DType]] = &[
    &[DType::UInt1, DType::UInt2, DType::UInt3, DType::UInt4, DType::UInt6, DType::UInt8],
    &[DType::UInt8, DType::UInt16, DType::UInt32, DType::UInt64],
    &[DType::Int8, DType::Int16, DType::Int32, DType::Int64],
    &[DType::Int8, DType::Int16, DType::Int32],
    &[DType::Fp16, DType::Fp32, DType::Fp64],
];

/// A set of dtypes in few letters.
fn dtypes(set: DTypes) -> String {
    if set == DTypes::ANY {
        return "any".into();
    }
    let mut rest: Vec<DType> = set.iter().collect();
    let mut parts = Vec::new();
    for run in RUNS {
        if run.iter().all(|d| rest.contains(d)) {
            parts.push(format!("{}–{}", run[0].name(), run[run.len() - 1].name()));
            rest.retain(|d| !run.contains(d));
        }
    }
    let mut shown: Vec<String> = rest.iter().map(|d| d.name().to_string()).collect();
    shown.extend(parts);
    shown.join(" ")
}

/// The dtypes of the parameters that need not be constant, of all if every one must: those with the same together.
fn dtypes_of(edition: &Edition) -> String {
    let mut params: Vec<&Parameter> = edition.params.iter().filter(|p| !p.constant).collect();
    if params.is_empty() {
        params = edition.params.iter().collect();
    }
    let mut groups: Vec<(DTypes, Vec<&str>)> = Vec::new();
    for p in params {
        match groups.iter_mut().find(|(set, _)| *set == p.dtypes) {
            Some((_, names)) => names.push(p.name),
            None => groups.push((p.dtypes, vec![p.name])),
        }
    }
    let one = groups.len() == 1;
    let shown =
        groups.iter().map(
            |(set, names)| {
                if one { dtypes(*set) } else { format!("{}: {}", names.join(", "), dtypes(*set)) }
            },
        );
    shown.collect::<Vec<_>>().join("; ").replace('_', "\\_")
}

fn tolerance(op: &Op) -> String {
    match op.tolerance {
        Tolerance::Ulp(n) if op.fast.has_kernels() => format!("{n} ulp"),
        Tolerance::Sum(n) if op.fast.has_kernels() => format!("{n} ε"),
        _ => "exact".into(),
    }
}

/// The widest of the tolerances that vectors state: `rel` is wider than `ulp`, and that wider than `exact`.
fn widest(tolerances: &BTreeSet<String>) -> &str {
    let rank = |t: &str| match t.split_once(' ') {
        Some(("rel", r)) => (2, r.parse().unwrap_or(f64::MAX)),
        Some((_, n)) => (1, n.parse().unwrap_or(f64::MAX)),
        None => (0, 0.0),
    };
    let wider = tolerances.iter().max_by(|a, b| rank(a).partial_cmp(&rank(b)).unwrap());
    wider.map_or("", String::as_str)
}

fn tables() -> String {
    let found = gather();
    let none = Evidence::default();
    let mut all: Vec<&Op> = ops::all().collect();
    all.sort_by_key(|op| op.name);
    let mut page = String::new();
    let (calls, runs) = found.values().fold((0, 0), |(c, r), e| (c + e.calls, r + e.runs));
    let models = fs::read_dir(root().join("golden/models")).unwrap().count();
    let editions: usize = all.iter().map(|op| op.editions.len()).sum();
    let kernels = all.iter().filter(|op| op.fast.has_kernels()).count();
    write!(
        page,
        "\n{} ops in {editions} editions; {kernels} have kernels. {calls} recorded calls, {runs} runs of programs that are there \
         for an op, {models} models.\n\n\
         | op | since | dtypes | reference | cpu | calls | runs | models | tolerance | source |\n\
         |---|---|---|---|---|---:|---:|---:|---|---|\n",
        all.len()
    )
    .unwrap();
    for op in &all {
        for edition in op.editions {
            let evidence = found.get(&(op.name, edition.since)).unwrap_or(&none);
            let reference = match op.name {
                _ if !op.has_meaning() => "no",
                "conv_quantized" => "yes, but for `lut`",
                _ => "yes",
            };
            let cpu = if op.fast.has_kernels() { "kernels" } else { "as the meaning" };
            let sources: Vec<_> =
                evidence.sources.iter().map(|(s, t)| format!("{s} {}", widest(t))).collect();
            let (name, since, dtypes) = (op.name, edition.since.name(), dtypes_of(edition));
            let (calls, runs, models) = (evidence.calls, evidence.runs, evidence.models);
            let (tolerance, sources) = (tolerance(op), sources.join(", "));
            writeln!(
                page,
                "| `{name}` | {since} | {dtypes} | {reference} | {cpu} | {calls} | {runs} | {models} | {tolerance} | {sources} |"
            )
            .unwrap();
        }
    }
    page += "\n## Ops inside coremltools\n\n\
             coremltools has ops of its own while it converts. It lowers each before it writes a program, so that no file holds \
             one;\na program that does is refused with `unknown-op`, and the help says what to write instead.\n\n\
             | op | becomes |\n|---|---|\n";
    for op in ops::LOWERED {
        writeln!(page, "| `{}` | {} |", op.name, op.becomes).unwrap();
    }
    page
}

#[test]
fn the_page_of_ops_is_true() {
    let path = root().join("docs/ops.md");
    let page = fs::read_to_string(&path).unwrap();
    let (prose, found) = page.split_once(MARK).expect("the page has its mark");
    let wanted = tables();
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, format!("{prose}{MARK}{wanted}")).unwrap();
        return;
    }
    let differs = wanted.lines().zip(found.lines()).find(|(w, f)| w != f);
    assert!(
        found == wanted,
        "docs/ops.md is not as the table; BLESS=1 cargo test -p anemone --test ops_page writes it anew. {differs:?}"
    );
}
