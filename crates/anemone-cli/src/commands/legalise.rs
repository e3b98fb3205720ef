//! `anemone legalise`.

use std::io::Write;
use std::path::{Path, PathBuf};

use anemone::Chip;
use anemone::bundle::{self, Bundle};
use anemone::chip::Profile;
use anemone::mil::Program;
use anemone::passes;
use anemone::place::{Route, Target};
use serde::Serialize;

use super::convert::{failure, may_write, writer};
use crate::failure::{Blame, Failure};
use crate::model::tell;
use crate::output::write_file;
use crate::table::{Align, Table};
use crate::terminal::Terminal;

/// Rewrite what an engine refuses or gets wrong, and say what was done
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  anemone legalise model.mlpackage fixed.mlpackage --chip m1
  anemone legalise model.mil fixed.mil --chip m4 --profile strict --json | jq '.changes[] | [.name, .rule]'

The form follows from the name of OUT. The exit code is 1 when something is left that the engine does not take; OUT is \
written all the same.

A program that is too deep or too heavy for one becomes several: of OUT `fixed.mil` there are `fixed.1.mil`, `fixed.2.mil`, …, and \
`fixed.chain.json`, which lists them in the order in which they run, with their inputs and outputs. An output of one is the input \
of this name of those behind it.")]
pub(crate) struct Args {
    /// A .mil file, or a .mlmodelc or .mlpackage folder
    #[arg(value_name = "IN")]
    from: PathBuf,
    /// A .mil file, or a .mlmodelc or .mlpackage folder
    #[arg(value_name = "OUT")]
    to: PathBuf,
    /// The chip: m1 to m6
    #[arg(long, value_name = "CHIP")]
    chip: Chip,
    /// How the program comes to the engine: core-ml, direct or e5rt
    #[arg(long, value_name = "ROUTE", default_value = "direct")]
    route: Route,
    /// Which side to take where sources contradict each other: permissive or strict
    #[arg(long, value_name = "PROFILE", default_value = "permissive")]
    profile: Profile,
    /// Replace OUT if it is there
    #[arg(long)]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was done, as JSON.
#[derive(Serialize)]
struct Report<'a> {
    from: String,
    to: String,
    ok: bool,
    parts: Vec<Part>,
    changes: Vec<Change<'a>>,
    left: Vec<Left<'a>>,
}

/// A program that was written.
#[derive(Serialize)]
struct Part {
    path: String,
    inputs: Vec<String>,
    outputs: Vec<String>,
}

impl Part {
    /// A program beside others, which has one function.
    fn of(path: &Path, program: &Program) -> Self {
        let function = program.functions.first();
        let inputs = function.map_or(&[][..], |f| &f.params).iter().map(|p| p.name.to_string());
        let outputs = function.map_or(&[][..], |f| &f.body.outputs).iter().map(|o| o.name.to_string());
        Self { path: path.display().to_string(), inputs: inputs.collect(), outputs: outputs.collect() }
    }
}

#[derive(Serialize)]
struct Change<'a> {
    rule: &'static str,
    function: &'a str,
    name: &'a str,
    op: &'a str,
    what: &'static str,
}

/// An op that the engine still does not take.
#[derive(Serialize)]
struct Left<'a> {
    function: &'a str,
    name: &'a str,
    op: &'static str,
    why: &'a str,
    change: Option<&'a str>,
}

pub(crate) fn run(args: &Args, terminal: &mut Terminal) -> Result<(), Failure> {
    let writer = writer(&args.to)?;
    may_write(&args.from, &args.to, args.force)?;
    let mut bundle = bundle::open(&args.from).map_err(|e| failure(e, terminal))?;
    if !bundle.stages.is_empty() {
        return Err(Failure::world("a pipeline has several programs; rewrite its stages one by one"));
    }
    let target = Target { route: args.route, profile: args.profile, ..Target::new(args.chip) };
    let progress = terminal.progress(&format!("rewriting {}", args.from.display()), None);
    let done = passes::legalise(&bundle.program, &bundle.weights, target);
    drop(progress);
    let done = done.map_err(|diagnostics| {
        tell(&diagnostics, bundle.source.as_ref(), terminal);
        Failure::Told(Blame::Program)
    })?;
    let mut parts = Vec::new();
    let count = done.programs.len();
    for (i, program) in done.programs.into_iter().enumerate() {
        let path = if count == 1 { args.to.clone() } else { numbered(&args.to, &(i + 1).to_string()) };
        if count > 1 {
            may_write(&args.from, &path, args.force)?;
            bundle = Bundle::new(program, bundle.weights);
        } else {
            (bundle.program, bundle.source) = (program, None);
        }
        let written = writer(&bundle, &path).map_err(|e| failure(e, terminal))?;
        for note in &written.notes {
            terminal.note(note);
        }
        parts.push(Part::of(&written.path, &bundle.program));
    }
    if count > 1 {
        let chain = serde_json::json!({ "parts": parts });
        write_file(&args.to.with_extension("chain.json"), format!("{chain:#}\n").as_bytes())?;
    }
    let report = Report {
        from: args.from.display().to_string(),
        to: parts.iter().map(|p| p.path.as_str()).collect::<Vec<_>>().join(", "),
        parts,
        ok: done.left.is_empty(),
        changes: done
            .changes
            .iter()
            .map(|c| Change { rule: c.rule, function: &c.function, name: &c.name, op: &c.op, what: c.what })
            .collect(),
        left: done
            .left
            .iter()
            .map(|(function, op)| Left {
                function,
                name: &op.name,
                op: op.op,
                why: &op.why,
                change: op.change.as_deref(),
            })
            .collect(),
    };
    if args.json {
        terminal.json(&report)?
    } else {
        print(&report, terminal)?
    }
    if report.ok { Ok(()) } else { Err(Failure::Told(Blame::Program)) }
}

/// The name of a program of several.
fn numbered(to: &Path, number: &str) -> PathBuf {
    let extension = to.extension().unwrap_or_default().to_string_lossy();
    to.with_extension(format!("{number}.{extension}"))
}

fn print(report: &Report<'_>, terminal: &mut Terminal) -> Result<(), Failure> {
    let columns =
        |last| [("function", Align::Left), ("name", Align::Left), ("op", Align::Left), (last, Align::Left)];
    if !terminal.is_quiet() && !report.changes.is_empty() {
        let mut table = Table::new(&columns("now"));
        for c in &report.changes {
            table.row([c.function.to_string(), c.name.to_string(), c.op.to_string(), c.what.to_string()]);
        }
        table.print(terminal)?;
        writeln!(terminal)?;
    }
    if !report.left.is_empty() {
        writeln!(terminal, "left as it is:")?;
        let mut table = Table::new(&columns("why"));
        for l in &report.left {
            table.row([l.function.to_string(), l.name.to_string(), l.op.to_string(), l.why.to_string()]);
        }
        table.print(terminal)?;
        writeln!(terminal)?;
    }
    if !terminal.is_quiet() {
        let n = report.changes.len();
        writeln!(terminal, "{n} rewritten, {} left; written to {}", report.left.len(), report.to)?;
    }
    Ok(())
}
