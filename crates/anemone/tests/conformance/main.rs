//! Conformance: programs with inputs, and what comes out of them by the account of others, on every engine.
//!
//! All of it is files. `golden/models` and `examples/models` have models and a `case.json`, `golden/programs` texts and a
//! line for each run; `golden/README.md` says how they are made. What an engine does not take stands in its list,
//! `golden/skipped/<engine>.tsv`, with what the engine says and why that is so. Nothing is skipped silently: an entry that says
//! something else than the engine, or whose program would pass, is an error.
//!
//! `ANEMONE_HW=1 cargo test -p anemone --test conformance hardware` takes the engine of this Mac.

mod cases;
mod engines;
#[path = "../golden/near.rs"]
mod near;
#[path = "../ane/software.rs"]
mod software;
#[path = "../golden/vectors.rs"]
mod vectors;

use std::io::Write;
use std::time::Instant;

use anemone::bundle::{self, Bundle};
use anemone::device::{Engine, ane::Framework, compare};
use anemone::mil::op::{Op, Tolerance};
use anemone::mil::{Block, Program};
use anemone::ops;
use anemone::types::{DType, Datum, Tensor, Type};
use anemone::verify::{self, Function, Verified};
use anemone_apple::fake::Fake;
use cases::{Case, Run, Skipped, cases, skipped};
use engines::On;
use near::Wanted;

/// The ops of a program, those of nested blocks too.
fn ops_of(block: &Block, found: &mut Vec<&'static Op>) {
    for call in &block.calls {
        found.extend(ops::find(&call.op));
        call.blocks.iter().for_each(|b| ops_of(b, found));
    }
}

/// The widest tolerance of the ops of a program.
fn tolerance_of(program: &Program) -> Tolerance {
    let mut found = Vec::new();
    program.functions.iter().for_each(|f| ops_of(&f.body, &mut found));
    let factor = |t: Tolerance| match t {
        Tolerance::Exact => 0,
        Tolerance::Ulp(n) | Tolerance::Sum(n) => n,
    };
    match found.into_iter().map(|op| factor(op.tolerance)).max() {
        None | Some(0) => Tolerance::Exact,
        Some(n) => Tolerance::Sum(n),
    }
}

/// A result as a tensor: of a dictionary, all its keys or all its values.
fn value_of(found: &Datum, keys: bool) -> Option<Tensor> {
    let Datum::Dict(pairs) = found else { return found.as_tensor().cloned() };
    let parts: Vec<&Tensor> = pairs.iter().map(|(key, value)| if keys { key } else { value }).collect();
    let dtype = parts.first()?.dtype();
    let texts = parts.iter().map(|t| t.as_strings().map(|s| s[0].clone())).collect::<Option<Vec<_>>>();
    match texts {
        Some(texts) => Tensor::from_strings(&[texts.len()], texts).ok(),
        None if dtype == DType::Int64 => {
            let numbers: Vec<i64> = parts.iter().flat_map(|t| t.to_i64s()).collect();
            Tensor::from_i64s(dtype, &[numbers.len()], &numbers).ok()
        }
        None => {
            let numbers: Vec<f64> = parts.iter().flat_map(|t| t.to_f64s()).collect();
            Tensor::from_f64s(dtype, &[numbers.len()], &numbers).ok()
        }
    }
}

/// What results have to be near to.
struct Judge<'a> {
    run: &'a Run,
    function: &'a Function,
    /// What the engine may add to what a run of a text states.
    tolerance: Tolerance,
}

impl Judge<'_> {
    fn near(&self, found: &Tensor, wanted: &Tensor) -> Result<(), String> {
        if let Some(within) = self.run.within {
            return Wanted { tensor: wanted, within, tolerance: self.tolerance }.check(found);
        }
        match compare::compare(found, wanted, compare::Tolerance::of(self.function)) {
            Ok(c) if c.passes() => Ok(()),
            Ok(c) => Err(format!("is outside: {c:?}")),
            Err(e) => Err(e.to_string()),
        }
    }
}

/// Opens a model and takes it through the gate.
fn open(case: &Case) -> Result<(Bundle, Verified), String> {
    let bundle = bundle::open(&case.model).map_err(|e| e.to_string())?;
    let report = verify::verify(&bundle.program, &bundle.weights);
    let verified = report.verified.ok_or_else(|| report.diagnostics.to_string())?;
    Ok((bundle, verified))
}

/// Runs a case on an engine: the runs follow each other, and share the states of their function.
fn check(case: &Case, on: &On) -> Result<(), String> {
    let (bundle, verified) = open(case)?;
    let ready = on.load(&bundle, &verified)?;
    let tolerance = match on {
        On::Software(Engine::Reference) => Tolerance::Exact,
        _ => tolerance_of(&bundle.program),
    };
    let mut wrong = Vec::new();
    for run in &case.runs {
        let function = match &run.function {
            Some(name) => verified.function(name).ok_or(format!("there is no function `{name}`"))?,
            None => verified.main(),
        };
        let mut fail = |what: String| wrong.push(format!("{}: {what}", run.note));
        let outputs = match ready.run(function, &run.inputs_of(function)?) {
            Ok(outputs) => outputs,
            Err(e) => {
                fail(e);
                continue;
            }
        };
        let judge = Judge { run, function, tolerance };
        for (name, wanted) in &run.outputs {
            let (of, keys) = name.strip_suffix(".keys").map_or((name.as_str(), false), |of| (of, true));
            let found = outputs.iter().find(|(n, _)| **n == *of).and_then(|(_, d)| value_of(d, keys));
            match found.map(|f| judge.near(&f, wanted)) {
                None => fail(format!("there is no result `{name}`")),
                Some(Err(e)) => fail(format!("`{name}` {e}")),
                Some(Ok(())) => {}
            }
        }
        for (name, wanted) in &run.states {
            match ready.state(function, name).map(|f| judge.near(&f, wanted)) {
                None => fail(format!("there is no state `{name}`")),
                Some(Err(e)) => fail(format!("the state `{name}` {e}")),
                Some(Ok(())) => {}
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n  ")) }
}

/// What is wrong with what came of a case: a failure that is not listed, or a listing that is not needed.
fn verdict(result: Result<(), String>, listed: Option<&Skipped>) -> Result<(), String> {
    match (result, listed) {
        (Ok(()), None) => Ok(()),
        (Ok(()), Some(_)) => Err("is listed as skipped, and passes: take it from the list".into()),
        (Err(e), None) => Err(e),
        (Err(e), Some(skipped)) if e.contains(&skipped.says) => Ok(()),
        (Err(e), Some(skipped)) => Err(format!("is listed because of `{}`, but says: {e}", skipped.says)),
    }
}

/// Runs the whole suite on an engine whose lists are these, and tells of each case.
fn conform(on: &On, lists: &[&str], mut tell: impl FnMut(&str, &Result<(), String>, Instant)) {
    let mut skipped: Vec<Skipped> = lists.iter().flat_map(|list| skipped(list)).collect();
    let mut wrong = Vec::new();
    for case in cases() {
        let listed = skipped.iter().position(|s| s.program == case.name).map(|i| skipped.swap_remove(i));
        let begin = Instant::now();
        let result = check(&case, on);
        tell(&case.name, &result, begin);
        if let Err(e) = verdict(result, listed.as_ref()) {
            wrong.push(format!("{}: {e}", case.name));
        }
    }
    wrong.extend(
        skipped.iter().map(|s| format!("{}: is listed as skipped twice, or is not there", s.program)),
    );
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Nobody is told.
fn silent(_: &str, _: &Result<(), String>, _: Instant) {}

/// Rows M2, M7: every program, also those with states.
#[test]
fn reference() {
    conform(&On::Software(Engine::Reference), &["reference"], silent);
}

/// Rows M2, M7: every program, also those with states.
#[test]
fn cpu() {
    conform(&On::Software(Engine::Cpu), &["cpu"], silent);
}

/// Every program by a plan, which allocates nothing when it runs again, but for those that have none.
#[test]
fn plans() {
    conform(&On::Plans, &["plans"], silent);
}

/// One process over a stand-in for Apple's side, with the budget of compilations that a process has.
#[test]
fn ane() {
    let fake = Fake::new(software::machine(Engine::Cpu));
    conform(&On::Ane(fake.open().unwrap()), &["ane"], silent);
    fake.finish().check();
}

#[test]
fn hardware() {
    let mut stderr = std::io::stderr();
    if std::env::var_os("ANEMONE_HW").is_none_or(|v| v != "1") {
        let _ = writeln!(stderr, "left out: the suite on hardware, which runs with ANEMONE_HW=1 on a Mac");
        return;
    }
    let framework = Framework::open().unwrap_or_else(|e| panic!("there is no Neural Engine here: {e}"));
    conform(&On::Ane(framework), &["ane", "hardware"], |name, result, begin| {
        // As it goes, since what goes wrong there may end the process.
        let came = result.as_ref().map_or_else(|e| e.lines().next().unwrap_or_default(), |()| "as expected");
        let _ = writeln!(stderr, "{:>8.1} ms  {name}: {came}", begin.elapsed().as_secs_f64() * 1e3);
    });
}

#[test]
fn lists_are_held_against_what_comes_of_a_case() {
    let listed = Skipped { program: "p".into(), says: "is a state".into() };
    let fails = |words: &str| Err(words.to_string());
    assert!(verdict(Ok(()), None).is_ok());
    assert!(verdict(fails("`s` is a state, and"), Some(&listed)).is_ok());
    for (result, listed, words) in [
        (Ok(()), Some(&listed), "and passes"),
        (fails("differs"), Some(&listed), "but says: differs"),
        (fails("differs"), None, "differs"),
    ] {
        assert!(verdict(result, listed).unwrap_err().contains(words));
    }
}

/// Whether a program has a call of such ops, or of such a form.
fn has_call(bundle: &Bundle, is: &dyn Fn(&str, usize) -> bool) -> bool {
    fn within(block: &Block, is: &dyn Fn(&str, usize) -> bool) -> bool {
        block.calls.iter().any(|c| is(&c.op, c.blocks.len()) || c.blocks.iter().any(|b| within(b, is)))
    }
    bundle.program.functions.iter().any(|f| within(&f.body, is))
}

#[test]
fn the_suite_has_programs_of_every_kind() {
    type Is = fn(&Case, &Bundle, &Verified) -> bool;
    let kinds: [(&str, usize, Is); 9] = [
        ("text", 10, |c, _, _| c.name.ends_with(".mil")),
        ("package", 40, |c, _, _| c.name.ends_with(".mlpackage")),
        ("compiled model", 1, |c, _, _| c.name.ends_with(".mlmodelc")),
        ("states", 3, |_, _, v| {
            v.main().params.iter().any(|p| matches!(v.main().value(*p).ty, Type::State(_)))
        }),
        ("several functions", 1, |_, _, v| v.functions().len() > 1),
        ("control flow", 4, |_, b, _| has_call(b, &|_, blocks| blocks > 0)),
        ("compressed weights", 4, |_, b, _| has_call(b, &|op, _| op.starts_with("constexpr_"))),
        ("open shapes", 2, |_, _, v| v.main().inputs().any(|i| !i.ty.is_known())),
        ("several runs", 10, |c, _, _| c.runs.len() > 1),
    ];
    let opened: Vec<_> = cases()
        .into_iter()
        .map(|c| {
            let (bundle, verified) = open(&c).unwrap_or_else(|e| panic!("{}: {e}", c.name));
            (c, bundle, verified)
        })
        .collect();
    for (kind, enough, is) in kinds {
        let found = opened.iter().filter(|(c, b, v)| is(c, b, v)).count();
        assert!(found >= enough, "{kind}: {found} cases");
    }
}
