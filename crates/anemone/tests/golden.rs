//! Every op against the results of others: the vectors below `golden/`, whose README says how they are made. Each case runs
//! on both engines, through a whole program that is verified and loaded. The programs beside them are run by the suite of
//! conformance; they count here, as cases of their ops.

#[path = "golden/calls.rs"]
mod calls;
#[path = "golden/near.rs"]
mod near;
#[path = "golden/vectors.rs"]
mod vectors;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anemone::bundle::Weights;
use anemone::device::{self, Engine, Options, States};
use anemone::mil::op::{Op, Tolerance};
use anemone::mil::{Block, Opset, Program};
use anemone::types::Tensor;
use anemone::verify::{self, Verified};
use anemone::{ops, text};
use calls::{Inputs, program_of};
use near::{Wanted, Within};
use vectors::{files, lines, named, tensor};

/// How many cases each op must have.
const ENOUGH: usize = 5;

fn verified(program: &Program) -> Result<Verified, String> {
    let report = verify::verify(program, &Weights::none());
    report.verified.ok_or_else(|| format!("is refused: {}", report.diagnostics))
}

/// Runs one case in one form on one engine.
fn run_case(op: &Op, cells: &[String], engine: Engine, inputs: Inputs) -> Result<(), String> {
    let [opset, _source, within, _note, rest @ ..] = cells else { return Err("has too few cells".into()) };
    let arrow = rest.iter().position(|c| c == "->").ok_or("has no results")?;
    let opset = Opset::from_name(opset).ok_or_else(|| format!("there is no opset `{opset}`"))?;
    let arguments = named(&rest[..arrow]);
    let wanted: Vec<Tensor> = rest[arrow + 1..].iter().map(|c| tensor(c)).collect();
    let (program, given) = program_of(op, opset, &arguments, &wanted, inputs)?;
    let verified = verified(&program)?;
    let options = Options { threads: 2, ..Options::default() };
    let model = device::load(verified.main(), engine, &options).map_err(|e| format!("does not load: {e}"))?;
    let given: Vec<(&str, Tensor)> = given.iter().map(|(n, t)| (n.as_str(), t.clone())).collect();
    let found = model.run(&given, &States::new()).map_err(|e| format!("does not run: {e}"))?;
    let tolerance = if engine == Engine::Cpu { op.tolerance } else { Tolerance::Exact };
    for (i, ((_, found), tensor)) in found.iter().zip(&wanted).enumerate() {
        let wanted = Wanted { tensor, within: Within::parse(within), tolerance };
        let found = found.as_tensor().ok_or("gives no tensor")?;
        wanted.check(found).map_err(|e| format!("result {i} {e}"))?;
    }
    Ok(())
}

/// The failures of one file of vectors.
fn check_vectors(path: &Path, lines: &[(usize, Vec<String>)], wrong: &mut Vec<String>) {
    let name = path.file_stem().unwrap().to_str().unwrap();
    let Some(op) = ops::find(name) else { return wrong.push(format!("there is no op `{name}`")) };
    for (number, cells) in lines {
        for engine in Engine::ALL {
            for (inputs, form) in [(Inputs::All, "all inputs"), (Inputs::First, "one input")] {
                if let Err(e) = run_case(op, cells, engine, inputs) {
                    let note = cells.get(3).map_or("", String::as_str);
                    wrong.push(format!(
                        "`{name}` golden/vectors/{name}.tsv:{number} ({note}), {engine}, {form}: {e}"
                    ));
                }
            }
        }
    }
}

/// What the cases say of the op table: for each op how many there are, and which parameters of which edition are given.
#[derive(Default)]
struct Coverage {
    cases: BTreeMap<String, usize>,
    given: BTreeSet<(&'static str, Opset, String)>,
}

impl Coverage {
    fn give(&mut self, op: &'static Op, opset: Opset, params: impl IntoIterator<Item = String>) {
        let since = op.edition(opset).map(|e| e.since);
        self.given.extend(params.into_iter().filter_map(|p| Some((op.name, since?, p))));
    }

    fn vectors(&mut self, name: &str, lines: &[(usize, Vec<String>)]) {
        *self.cases.entry(name.into()).or_default() += lines.len();
        let Some(op) = ops::find(name) else { return };
        for (_, cells) in lines {
            let arguments = cells.iter().skip(4).take_while(|c| *c != "->");
            let params = arguments.filter_map(|c| Some(c.split_once('=')?.0.to_string()));
            if let Some(opset) = cells.first().and_then(|c| Opset::from_name(c)) {
                self.give(op, opset, params);
            }
        }
    }

    fn block(&mut self, block: &Block, opset: Opset) {
        for call in &block.calls {
            if let Some(op) = ops::find(&call.op) {
                let opset = call.opset.as_ref().and_then(|o| o.known()).unwrap_or(opset);
                let names = call.arguments.iter().map(|a| &a.name);
                let names = names.chain(call.attributes.iter().map(|a| &a.name));
                self.give(op, opset, names.map(ToString::to_string));
            }
            call.blocks.iter().for_each(|b| self.block(b, opset));
        }
    }

    /// What the table has and no case covers.
    fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for op in ops::all() {
            let cases = self.cases.get(op.name).copied().unwrap_or(0);
            if cases < ENOUGH {
                missing.push(format!("`{}` has {cases} cases, {ENOUGH} are needed", op.name));
            }
            for e in op.editions {
                for p in e.params {
                    if !self.given.contains(&(op.name, e.since, p.name.to_string())) {
                        missing.push(format!("no case gives `{}` of `{}` of {}", p.name, op.name, e.since));
                    }
                }
            }
        }
        missing
    }
}

/// Rows C1, C2, C3, C4, C5, C6, C7, C10, C11, C12, C13, C14, C15, C16, C17, C18, C19, C20, C21, C22, C23, C24, C25, C26, C27, C28, C29, C30, C31, C32, C33, C34, C35, C36, C37, C38, C39, C40, C41, C42, C43, C44, C45, E9: each op by the account of others.
#[test]
fn ops_give_what_others_give() {
    let mut wrong = Vec::new();
    let mut coverage = Coverage::default();
    for path in files("vectors", "tsv") {
        let lines = lines(&path);
        coverage.vectors(path.file_stem().unwrap().to_str().unwrap(), &lines);
        check_vectors(&path, &lines, &mut wrong);
    }
    for path in files("programs", "mil") {
        let mut runs = lines(&path.with_extension("tsv"));
        let (_, subject) = runs.remove(0);
        for op in &subject[1..] {
            *coverage.cases.entry(op.clone()).or_default() += runs.len();
        }
        if let Ok(program) = text::parse(&fs::read_to_string(&path).unwrap()) {
            for f in &program.functions {
                f.opset.known().into_iter().for_each(|opset| coverage.block(&f.body, opset));
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    let missing = coverage.missing();
    assert!(missing.is_empty(), "{} cases are missing:\n{}", missing.len(), missing.join("\n"));
}
