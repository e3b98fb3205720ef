//! The corpus: `corpus/wrong` holds programs and models with a fault, and what anemone must say of each; what is in
//! `corpus/right` must be accepted, print to a fixed point, and give equal results on every engine.
//!
//! What is expected stands in the first lines of a text, or in a file `NAME.expect` beside anything that is no text:
//!
//! ```text
//! // error[unknown-op] 6:31                 a code, with line and column of the primary label if it lies in the text
//! // run                                    then run it, with seeded inputs
//! // run function decode                    … this function
//! // run without mask                       … and leave an input out
//! // run with tensor<int32, [2]> i = 0, 7   … or give one, or one too many, with these numbers
//! // run memory 4096                        … with a limit on bytes, or on the `turns` of loops
//! // pack                                   then write it as a package
//! // ane                                    then bring it into the form that the system's compiler takes
//! // place m4 direct                        then place it on a chip by a route, as `strict` if that is said
//! ```
//!
//! Errors and warnings must be exactly those. `BLESS=1 cargo test -p anemone --test corpus` writes down what was found,
//! here and in the pages of the diagnostics; the difference is then to be read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anemone::bundle::{self, Weights};
use anemone::chip::Profile;
use anemone::device::{self, Engine, Options, compare};
use anemone::mil::{self, Value};
use anemone::place::{self, Target};
use anemone::source::{Diagnostic, Diagnostics, Label, Place, Source, codes, render};
use anemone::text;
use anemone::types::{DType, Datum, Tensor, TensorType, Type};
use anemone::verify::{Function, Verified, verify};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus")
}

/// A file or folder of the corpus.
struct Case {
    path: PathBuf,
    /// The path below `corpus`.
    name: String,
    /// The file in which the expectations stand, its text, and what each of its first lines is.
    expectations: PathBuf,
    header: Vec<Line>,
    /// What follows the header.
    rest: String,
}

/// A line of a header.
enum Line {
    Expected(String),
    Run(String),
    Pack,
    Ane,
    Place(String),
    Remark(String),
}

impl Case {
    /// Reads what is expected of a file or folder; `None` if it is not a case but belongs to one.
    fn read(path: &Path) -> Option<Case> {
        let file = path.file_name()?.to_str()?;
        let sidecar = path.with_file_name(format!("{file}.expect"));
        let model = [".mil", ".mlpackage", ".mlmodelc"].iter().any(|e| file.ends_with(e));
        let (expectations, mark) = match (sidecar.exists(), model) {
            (true, _) => (sidecar, "# "),
            (false, true) => (path.to_path_buf(), "// "),
            (false, false) => return None,
        };
        let whole =
            if expectations.is_file() { fs::read_to_string(&expectations).ok()? } else { String::new() };
        let mut header = Vec::new();
        let mut rest = whole.as_str();
        while let Some((line, behind)) = rest.split_once('\n') {
            let bare = line.strip_prefix(mark).unwrap_or(line);
            header.push(match bare.split([' ', '[']).next() {
                Some("error" | "warning" | "note") if bare.contains('[') => Line::Expected(bare.to_string()),
                Some("run") => Line::Run(bare.strip_prefix("run").unwrap_or_default().trim().to_string()),
                Some("pack") if bare == "pack" => Line::Pack,
                Some("ane") if bare == "ane" => Line::Ane,
                Some("place") => Line::Place(bare.strip_prefix("place ").unwrap_or_default().to_string()),
                _ if line.starts_with(mark) => Line::Remark(bare.to_string()),
                _ => break,
            });
            rest = behind;
        }
        let name = path.strip_prefix(corpus()).unwrap_or(path).display().to_string();
        let rest = rest.to_string();
        Some(Case { path: path.to_path_buf(), name, expectations, header, rest })
    }

    fn expected(&self) -> Vec<String> {
        self.header
            .iter()
            .filter_map(|l| if let Line::Expected(e) = l { Some(e.clone()) } else { None })
            .collect()
    }

    /// What to do with the program after it was verified.
    fn then(&self) -> Then {
        let lines =
            self.header.iter().filter_map(|l| if let Line::Run(r) = l { Some(r.as_str()) } else { None });
        let place =
            self.header.iter().find_map(|l| if let Line::Place(p) = l { Some(target(p)) } else { None });
        Then { run: Run::read(lines), pack: self.has(&Line::Pack), ane: self.has(&Line::Ane), place }
    }

    fn has(&self, line: &Line) -> bool {
        self.header.iter().any(|l| std::mem::discriminant(l) == std::mem::discriminant(line))
    }

    /// Writes down what was found. Remarks stay on top, and line numbers follow the length of the header.
    fn bless(&self, found: &[Finding]) {
        let in_text = self.expectations == self.path;
        let shift = if in_text { found.len() as i64 - self.expected().len() as i64 } else { 0 };
        let mark = if in_text { "// " } else { "" };
        let mut out = String::new();
        for line in &self.header {
            if let Line::Remark(r) = line {
                out.push_str(&format!("{}{r}\n", if in_text { "// " } else { "# " }));
            }
        }
        for finding in found {
            out.push_str(&format!("{mark}{}\n", finding.line(shift)));
        }
        for line in &self.header {
            match line {
                Line::Run(r) => out.push_str(format!("{mark}run {r}").trim_end()),
                Line::Pack => out.push_str(&format!("{mark}pack")),
                Line::Ane => out.push_str(&format!("{mark}ane")),
                Line::Place(p) => out.push_str(&format!("{mark}place {p}")),
                Line::Expected(_) | Line::Remark(_) => continue,
            }
            out.push('\n');
        }
        fs::write(&self.expectations, out + &self.rest).unwrap();
    }
}

/// A diagnostic, and the text that it points into.
struct Finding {
    diagnostic: Diagnostic,
    source: Option<Source>,
}

impl Finding {
    /// The line by which it is expected.
    fn line(&self, shift: i64) -> String {
        let place = match (&self.source, self.diagnostic.span()) {
            (Some(source), Some(span)) => {
                let at = source.line_column(span.start);
                format!(" {}:{}", at.line as i64 + shift, at.column)
            }
            _ => String::new(),
        };
        format!("{}[{}]{place}", self.diagnostic.severity.word(), self.diagnostic.code.name)
    }

    fn rendered(&self) -> String {
        render(&self.diagnostic, self.source.as_ref(), false)
    }
}

/// What to do with a program after it was verified.
#[derive(Default)]
struct Then {
    run: Option<Run>,
    pack: bool,
    ane: bool,
    place: Option<Target>,
}

/// What a program is placed on: `m4 direct`, or `m4 direct strict`.
fn target(words: &str) -> Target {
    let mut words = words.split(' ');
    let mut next = || words.next().unwrap_or_default();
    let chip = next().parse().unwrap_or_else(|e| panic!("{e}"));
    let route = next().parse().unwrap_or_else(|e| panic!("{e}"));
    let profile = if next() == "strict" { Profile::Strict } else { Profile::Permissive };
    Target { route, profile, ..Target::new(chip) }
}

/// How to run a program.
#[derive(Default)]
struct Run {
    function: Option<String>,
    without: BTreeSet<String>,
    with: Vec<(String, Tensor)>,
    options: Options,
}

impl Run {
    /// Reads the lines that start with `run`; `None` if there are none.
    fn read<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Run> {
        let mut run = None;
        for line in lines {
            let run = run.get_or_insert_with(Run::default);
            match line.split_once(' ') {
                None => assert!(line.is_empty(), "`run {line}` says nothing"),
                Some(("function", name)) => run.function = Some(name.to_string()),
                Some(("without", name)) => _ = run.without.insert(name.to_string()),
                Some(("memory", bytes)) => run.options.memory = bytes.parse().unwrap(),
                Some(("turns", turns)) => run.options.turns = turns.parse().unwrap(),
                Some(("with", input)) => {
                    let (declaration, numbers) = input.split_once('=').unwrap_or((input, ""));
                    // The parser of the language reads the type.
                    let program = format!("program(1.3) {{ func f<ios18>({declaration}) {{ }} -> (); }}");
                    let program = text::parse(&program).unwrap_or_else(|e| panic!("`run with {input}`: {e}"));
                    let param = &program.functions[0].params[0];
                    let Type::Tensor(ty) = &param.ty else { panic!("`run with {input}`: not a tensor") };
                    let mut tensor = seeded(ty);
                    if !numbers.is_empty() {
                        let numbers: Vec<f64> =
                            numbers.split(',').map(|n| n.trim().parse().unwrap()).collect();
                        tensor = Tensor::from_f64s(ty.dtype, tensor.shape(), &numbers).unwrap();
                    }
                    run.with.push((param.name.to_string(), tensor));
                }
                Some(other) => panic!("`run {} {}` is not known", other.0, other.1),
            }
        }
        run
    }

    fn function<'v>(&self, verified: &'v Verified) -> &'v Function {
        match &self.function {
            Some(name) => verified.function(name).expect("`run function` names a function"),
            None => verified.main(),
        }
    }

    /// The inputs: those that are stated, and seeded ones.
    fn inputs(&self, function: &Function) -> Vec<(String, Tensor)> {
        let mut inputs = self.with.clone();
        for input in function.inputs() {
            let name = input.name.to_string();
            let ty = match &input.ty {
                Type::Tensor(t) => t.clone(),
                Type::Buffer(b) => TensorType::new(b.dtype, b.shape.clone()),
                other => panic!("`{name}` is `{other}`"),
            };
            if !self.without.contains(&name) && inputs.iter().all(|(n, _)| *n != name) {
                inputs.push((name, seeded(&ty)));
            }
        }
        inputs
    }

    /// Runs a function `turns` times on the same states, and gives the results of the last run.
    fn on(
        &self,
        function: &Function,
        engine: Engine,
        turns: usize,
    ) -> Result<device::Outputs, device::Error> {
        let model = device::load(function, engine, &self.options)?;
        let states = model.new_states()?;
        let inputs = self.inputs(function);
        let inputs: Vec<(&str, Tensor)> = inputs.iter().map(|(n, t)| (n.as_str(), t.clone())).collect();
        let mut outputs = Vec::new();
        for _ in 0..turns {
            outputs = model.run(&inputs, &states)?;
        }
        Ok(outputs)
    }
}

/// A tensor of numbers that look random: between -1 and 1, or 0 to 2. A dimension that is not known is 2.
fn seeded(ty: &TensorType) -> Tensor {
    let shape: Vec<usize> = ty.shape.iter().map(|d| d.known().unwrap_or(2) as usize).collect();
    let mut seed = 1u64;
    let numbers: Vec<f64> = (0..shape.iter().product::<usize>())
        .map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let unit = (seed >> 40) as f64 / (1u64 << 24) as f64;
            if ty.dtype.is_float() { unit * 2.0 - 1.0 } else { (unit * 3.0).floor() }
        })
        .collect();
    match ty.dtype {
        DType::Bool => {
            Tensor::from_f64s(DType::Bool, &shape, &numbers.iter().map(|n| n % 2.0).collect::<Vec<_>>())
        }
        dtype => Tensor::from_f64s(dtype, &shape, &numbers),
    }
    .expect("inputs in the corpus are small")
}

/// A program that was opened, and what was said of it on the way.
struct Opened {
    program: mil::Program,
    source: Source,
    weights: Weights,
}

/// Opens and verifies a model, and does with it what is wanted then. The findings are in the order of the text.
fn examine(path: &Path, then: &Then, findings: &mut Vec<Finding>) -> Option<(Opened, Verified)> {
    let mut add = |diagnostics: Diagnostics, source: Option<&Source>| {
        findings.extend(
            diagnostics.into_iter().map(|diagnostic| Finding { diagnostic, source: source.cloned() }),
        );
    };
    let bundle = match bundle::open(path) {
        Ok(bundle) => bundle,
        Err(bundle::Error::Refused { diagnostics, source }) => {
            add(diagnostics, source.as_deref());
            return None;
        }
        Err(e) => panic!("{}: {e}", path.display()),
    };
    let refused = |e| match e {
        bundle::Error::Refused { diagnostics, .. } => diagnostics,
        e => panic!("{}: {e}", path.display()),
    };
    let folder = tempfile::tempdir().unwrap();
    let packed = match then.pack {
        true => {
            bundle::write_mlpackage(&bundle, folder.path().join("model.mlpackage")).map_err(refused).err()
        }
        false => None,
    };
    let (program, source) = match bundle.source {
        Some(source) => (bundle.program, source),
        // A model without a text is pointed at in the text that it prints to.
        None => {
            let printed = text::print(&bundle.program);
            let program = text::parse(&printed)
                .unwrap_or_else(|e| panic!("{} does not come back: {e}", path.display()));
            (program, Source::new(path.display().to_string(), printed))
        }
    };
    let report = verify(&program, &bundle.weights);
    let mut all = bundle.warnings;
    all.append(report.diagnostics);
    all.sort();
    add(all, Some(&source));
    let verified = report.verified?;
    add(packed.unwrap_or_default(), Some(&source));
    if let Some(run) = &then.run
        && let Err(e) = run.on(run.function(&verified), Engine::Reference, 1)
    {
        add(e.diagnostic().clone().into(), Some(&source));
    }
    if then.ane
        && let Err(wrong) = device::ane::Source::of(&program, &verified, &bundle.weights)
    {
        add(wrong, Some(&source));
    }
    if let Some(target) = then.place {
        for function in verified.functions() {
            add(place::place(function, target).diagnostics, Some(&source));
        }
    }
    Some((Opened { program, source, weights: bundle.weights }, verified))
}

/// The cases in a folder, sorted.
fn cases(folder: &Path) -> Vec<Case> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths.iter().filter_map(|p| Case::read(p)).collect()
}

fn wrong_cases() -> Vec<Case> {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(corpus().join("wrong")).unwrap().map(|e| e.unwrap().path()).collect();
    folders.sort();
    folders.iter().flat_map(|f| cases(f)).collect()
}

/// What failed, to be shown all at once.
#[derive(Default)]
struct Failures(Vec<String>);

impl Failures {
    fn push(&mut self, name: &str, what: impl std::fmt::Display) {
        self.0.push(format!("── {name}\n{what}"));
    }

    /// Compares what is expected of a case with what was found; blesses if that is wanted.
    fn compare(&mut self, case: &Case, found: &[Finding]) {
        let lines: Vec<String> = found.iter().map(|f| f.line(0)).collect();
        if lines == case.expected() {
            return;
        }
        if blessing() {
            return case.bless(found);
        }
        let mut what = String::new();
        let list = |lines: &[String]| if lines.is_empty() { "nothing".to_string() } else { lines.join(", ") };
        writeln!(what, "expected {}\nfound    {}", list(&case.expected()), list(&lines)).unwrap();
        for f in found {
            writeln!(what, "{}", f.rendered()).unwrap();
        }
        self.push(&case.name, what);
    }

    fn finish(self) {
        assert!(self.0.is_empty(), "{} failed:\n\n{}", self.0.len(), self.0.join("\n"));
    }
}

fn blessing() -> bool {
    std::env::var_os("BLESS").is_some()
}

/// Rows B13, B14, B15, B16, B17, B19, C47, M6, T5, O10: one file for each thing that can be wrong.
#[test]
fn wrong_programs_are_refused_at_the_right_place() {
    let mut failures = Failures::default();
    for case in wrong_cases() {
        let mut found = Vec::new();
        examine(&case.path, &case.then(), &mut found);
        failures.compare(&case, &found);
        for f in &found {
            let d = &f.diagnostic;
            // An abbreviation keeps its capitals.
            let first = d.message.split(' ').next().unwrap_or_default();
            let starts = !first.starts_with(char::is_uppercase) || first.chars().all(char::is_uppercase);
            if !starts || d.message.ends_with('.') || d.message.matches('`').count() % 2 != 0 {
                failures.push(&case.name, format!("not in the style of the house: {d}"));
            }
            let silent = |l: &Label| matches!(l.place, Place::Text(_)) && l.text.is_empty();
            if d.labels.iter().any(silent) {
                failures.push(&case.name, format!("a label does not say what is at its place: {d}"));
            }
        }
    }
    failures.finish();
}

/// Rows B3, B8, B12: functions, constants in place, loops and choices.
#[test]
fn right_programs_are_accepted_and_engines_agree_on_them() {
    let mut failures = Failures::default();
    for case in cases(&corpus().join("right")) {
        let mut found = Vec::new();
        let examined = examine(&case.path, &Then::default(), &mut found);
        failures.compare(&case, &found);
        let Some((opened, verified)) = examined else { continue };
        let printed = text::print(&opened.program);
        match text::parse(&printed) {
            Err(e) => failures.push(&case.name, format!("what it prints to is not read: {e}\n{printed}")),
            Ok(again) if text::print(&again) != printed => {
                failures.push(&case.name, format!("printing it again gives something else:\n{printed}"));
            }
            Ok(again) => {
                let report = verify(&again, &opened.weights);
                if report.verified.is_none() {
                    failures
                        .push(&case.name, format!("what it prints to is refused: {}", report.diagnostics));
                }
            }
        }
        match text::format(&opened.source.text) {
            Err(e) => failures.push(&case.name, format!("it is not formatted: {e}")),
            Ok(formatted) => {
                if text::format(&formatted).ok().as_ref() != Some(&formatted) {
                    failures
                        .push(&case.name, format!("formatting it again gives something else:\n{formatted}"));
                }
            }
        }
        let run = case.then().run.unwrap_or_default();
        let functions: Vec<&Function> = match &run.function {
            Some(_) => vec![run.function(&verified)],
            None => verified.functions().iter().collect(),
        };
        for function in functions {
            if let Err(what) = engines_agree(&run, function) {
                failures.push(&case.name, what);
            }
        }
    }
    failures.finish();
}

/// Compares each step of a run with what its op means; then runs the function twice on each engine, with its states
/// carried on, and compares the results of the second run.
fn engines_agree(run: &Run, function: &Function) -> Result<(), String> {
    let inputs = run.inputs(function);
    let inputs: Vec<(&str, Tensor)> = inputs.iter().map(|(n, t)| (n.as_str(), t.clone())).collect();
    anemone_smith::judge::function(function, &inputs)?;
    let on = |engine| run.on(function, engine, 2).map_err(|e| e.to_string());
    let (reference, cpu) = (on(Engine::Reference)?, on(Engine::Cpu)?);
    let tolerance = compare::Tolerance::of(function);
    for ((name, expected), (_, found)) in reference.iter().zip(&cpu) {
        let (Datum::Tensor(expected), Datum::Tensor(found)) = (expected, found) else { continue };
        let c = compare::compare(found, expected, tolerance).map_err(|e| format!("`{name}`: {e}"))?;
        if !c.passes() {
            return Err(format!("the engines differ in `{name}`: {c:?}"));
        }
    }
    Ok(())
}

#[test]
fn every_diagnostic_has_files_and_no_file_is_astray() {
    let mut failures = Failures::default();
    let mut folders: BTreeMap<String, usize> = codes::ALL.iter().map(|c| (c.name.to_string(), 0)).collect();
    let cases = wrong_cases();
    assert!(cases.len() >= 150, "the corpus has shrunk to {} wrong files", cases.len());
    for case in cases {
        let code = case.path.parent().unwrap().file_name().unwrap().to_str().unwrap().to_string();
        match folders.get_mut(&code) {
            Some(count) => *count += 1,
            None => failures.push(&case.name, format!("there is no diagnostic `{code}`")),
        }
        if !case.expected().iter().any(|e| e.contains(&format!("[{code}]"))) {
            failures.push(&case.name, format!("`{code}` is not among what is expected"));
        }
        if !case.header.iter().any(|l| matches!(l, Line::Remark(_))) {
            failures.push(&case.name, "nothing says what this file is about");
        }
    }
    for (code, count) in folders {
        if count == 0 {
            failures.push(&code, "no file in the corpus triggers it");
        }
    }
    failures.finish();
}

/// The fenced blocks of a page, with the word behind the fence and where the block stands.
fn blocks(page: &str) -> Vec<(&str, std::ops::Range<usize>)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(open) = page[at..].find("```") {
        let word = at + open + 3;
        let start = word + page[word..].find('\n').map_or(0, |i| i + 1);
        let Some(length) = page[start..].find("```") else { break };
        found.push((page[word..start].trim(), start..start + length));
        at = start + length + 3;
    }
    found
}

#[test]
fn every_page_explains_its_diagnostic() {
    let mut failures = Failures::default();
    for code in codes::ALL {
        let page = code.page;
        let mut want = |is: bool, what: &str| {
            if !is {
                failures.push(code.name, format!("its page {what}"));
            }
        };
        want(page.starts_with(&format!("# {}\n\n", code.name)), "does not start with its name");
        let (meaning, _) = page.split_once("\n## Example\n").unwrap_or((page, ""));
        want(
            meaning.len() > code.name.len() + 120,
            "does not say what it means, in a paragraph before `## Example`",
        );
        let advice = page.split_once("\n## What to do\n").map_or("", |p| p.1);
        want(advice.trim().len() > 40, "does not say under `## What to do` what that is");
        let prose = page.split("```").step_by(2).flat_map(str::lines);
        want(prose.into_iter().all(|l| l.chars().count() <= 120), "has lines of more than 120 characters");
        if page.contains("```mil") {
            example(code.name, page, &mut failures);
        } else {
            layout(code.name, page, &mut failures);
        }
    }
    failures.finish();
}

/// The first MIL block of a page is wrong in the way that the page is about, the text block behind it is what anemone
/// says of it, and all further MIL blocks are right.
fn example(code: &str, page: &str, failures: &mut Failures) {
    let blocks = blocks(page);
    let mil = blocks.iter().filter(|b| b.0 == "mil");
    for (i, (_, range)) in mil.enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("example.mil");
        fs::write(&path, &page[range.clone()]).unwrap();
        let then = Case::read(&path).map(|c| c.then()).unwrap_or_default();
        let mut found = Vec::new();
        examine(&path, &then, &mut found);
        for f in &mut found {
            if let Some(source) = &mut f.source {
                source.name = "example.mil".to_string();
            }
        }
        if i > 0 {
            if let Some(f) = found.first() {
                failures.push(code, format!("its example {} is not right:\n{}", i + 1, f.rendered()));
            }
            continue;
        }
        let Some(first) = found.iter().find(|f| f.diagnostic.code.name == code) else {
            let found: Vec<String> = found.iter().map(Finding::rendered).collect();
            failures.push(code, format!("its example does not trigger it, but\n{}", found.join("\n")));
            continue;
        };
        let said = first.rendered() + "\n";
        let behind = blocks.iter().find(|b| b.0 == "text" && b.1.start > range.end);
        match behind {
            Some((_, text)) if page[text.clone()] == said => {}
            Some((_, text)) if blessing() => {
                let path = format!("{}/docs/diagnostics/{code}.md", env!("CARGO_MANIFEST_DIR"));
                let blessed = format!("{}{said}{}", &page[..text.start], &page[text.end..]);
                fs::write(path, blessed).unwrap();
            }
            _ => failures
                .push(code, format!("its page does not show behind the example what anemone says:\n{said}")),
        }
    }
}

/// The page of a fault of files shows their layout, and a message that a file of the corpus gives.
fn layout(code: &str, page: &str, failures: &mut Failures) {
    if blocks(page).len() < 2 {
        failures.push(code, "its page shows neither a program nor a layout and a message");
    }
    let folder = corpus().join("wrong").join(code);
    let mut said = Vec::new();
    for case in cases(&folder) {
        let mut found = Vec::new();
        examine(&case.path, &case.then(), &mut found);
        let here = format!("{}/", folder.display());
        said.extend(
            found
                .iter()
                .filter(|f| f.diagnostic.code.name == code)
                .map(|f| f.diagnostic.to_string().replace(&here, "")),
        );
    }
    if !said.iter().any(|s| page.contains(s)) {
        failures.push(code, format!("its page has none of the messages of its files:\n{}", said.join("\n")));
    }
}

/// Row N16: what Core ML's compiler says of each op: who could run it, who does and how long that takes, why another does
/// not.
#[test]
fn the_notes_of_the_segmenter_are_read() {
    let program = fs::read_to_string(corpus().join("right/segmenter.mil")).unwrap();
    let program = text::parse(&program).unwrap();
    let [view, tanh] = &program.functions[0].body.calls[..] else { panic!("the program has two calls") };
    let note = |call: &mil::Call, name: &str| call.attribute(name).unwrap().value.clone();
    let string = |text: &str| Value::string(text);
    let Value::List(_, backends) = note(view, "BackendSupport") else { panic!("it is a list") };
    assert_eq!(backends, ["bnns", "classic_cpu", "ane"].map(string));
    assert_eq!(note(view, "SelectedBackend"), string("bnns"));
    let Value::Dict(_, times) = note(view, "EstimatedRuntime") else { panic!("it is a dictionary") };
    assert_eq!(times[1], (string("bnns"), Value::Float(DType::Fp64, 6.311_080_318_275_018e-6)));
    let Value::Dict(_, why) = note(tanh, "ValidationMessage") else { panic!("it is a dictionary") };
    assert_eq!(why, [(string("ane"), string("Unsupported MIL operation \"gru\"."))]);
}
