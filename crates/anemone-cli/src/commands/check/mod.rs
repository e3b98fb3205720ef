//! `anemone check`.

mod chips;
mod graph;
mod page;
mod ranges;
mod sarif;

use std::io::Write;
use std::path::PathBuf;

use anemone::mil::{Block, Call, Function, Param};
use anemone::place;
use anemone::source::{Diagnostic, Diagnostics, Severity, Source};
use anemone::types::Type;
use anemone::verify::Verified;
use serde::Serialize;

use self::chips::{CostReport, On, OpRow, Placed};
use self::ranges::{Asked, Ranged, RangesRow};
use crate::failure::{Blame, Failure};
use crate::model::{Model, Refused, draw};
use crate::output::write_file;
use crate::terminal::{Terminal, style};

/// Say what is wrong with a program, and what it consists of
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  anemone check model.mlpackage
  anemone check model.mil --json | jq '.diagnostics[] | [.line, .code, .message]'
  anemone print model.mlmodelc | anemone check -
  anemone check model.mlpackage --chip m4
  anemone check model.mil --sarif check.sarif
  anemone check model.mlpackage --chip m4 --html check.html
  anemone check model.mil --chip all --route direct --json | jq '.placement[] | [.name, .where, .why]'
  anemone check model.mlpackage --chip m4 --ranges --range image=0:1 -i image=cat.npy

With --chip, core-ml says where Core ML would run each op, and refuses nothing. The routes direct and e5rt take the
whole program or none of it: what they refuse is an error, and the exit code is 1.

Diagnostics of a package point into the program as `anemone print` prints it.
`anemone explain CODE` says more about one.")]
pub(crate) struct Args {
    /// A .mil file, a .mlmodelc or .mlpackage folder, or - for MIL text on the standard input
    #[arg(value_name = "PATH")]
    path: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Write what was found as SARIF, which code hosts show beside the lines
    #[arg(long, value_name = "FILE.sarif")]
    sarif: Option<PathBuf>,
    /// Write a page of it that needs nothing but a browser
    #[arg(long, value_name = "FILE.html")]
    html: Option<PathBuf>,
    #[command(flatten)]
    on: On,
    #[command(flatten)]
    asked: Asked,
}

/// What was found in one program: a model has one, a pipeline several.
struct Found {
    source: Option<Source>,
    diagnostics: Diagnostics,
    verified: Option<Verified>,
    functions: Vec<FunctionRow>,
    placed: Vec<Placed>,
    ranged: Vec<Ranged>,
}

#[derive(Serialize)]
struct Report<'a> {
    path: &'a str,
    ok: bool,
    functions: Vec<&'a FunctionRow>,
    diagnostics: Vec<DiagnosticRow<'a>>,
    /// Where each op runs: known for a chip.
    placement: Vec<OpRow<'a>>,
    /// What a run costs: known for a chip.
    cost: Option<CostReport<'a>>,
    /// Which numbers values can be, where that is asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ranges: Vec<RangesRow<'a>>,
}

#[derive(Serialize)]
struct FunctionRow {
    name: String,
    opset: String,
    inputs: Vec<FeatureRow>,
    outputs: Vec<FeatureRow>,
    ops: usize,
}

#[derive(Serialize)]
struct FeatureRow {
    name: String,
    #[serde(rename = "type")]
    ty: Option<String>,
}

#[derive(Serialize)]
struct DiagnosticRow<'a> {
    code: &'static str,
    severity: &'static str,
    message: &'a str,
    line: Option<usize>,
    column: Option<usize>,
    help: Option<&'a str>,
    /// When it shows: parse, type, lower, load or run.
    phase: &'static str,
    /// Further facts, such as how a limit is known.
    notes: &'a [String],
}

pub(crate) fn run(args: &Args, terminal: &mut Terminal) -> Result<(), Failure> {
    let progress = terminal.progress(&format!("checking {}", args.path), None);
    let opened = Model::open(&args.path)?;
    drop(progress);
    let found = examine(opened, args, terminal)?;
    let errors: usize = found.iter().map(|f| f.diagnostics.errors()).sum();
    if let Some(path) = &args.sarif {
        let report = sarif::of(&args.path, &found);
        write_file(path, format!("{report:#}\n").as_bytes())?;
    }
    if let Some(path) = &args.html {
        write_file(path, page::of(&args.path, &found, errors).as_bytes())?;
    }
    if args.json {
        terminal.json(&Report {
            path: &args.path,
            ok: errors == 0,
            functions: found.iter().flat_map(|f| &f.functions).collect(),
            diagnostics: found.iter().flat_map(rows).collect(),
            placement: found.iter().flat_map(|f| &f.placed).flat_map(Placed::rows).collect(),
            cost: CostReport::of(&found.iter().flat_map(|f| &f.placed).collect::<Vec<_>>()),
            ranges: found.iter().flat_map(|f| &f.ranged).map(Ranged::row).collect(),
        })?;
    } else {
        print(&found, errors, terminal)?;
    }
    if errors == 0 { Ok(()) } else { Err(Failure::Told(Blame::Program)) }
}

fn examine(
    opened: Result<Model, Refused>,
    args: &Args,
    terminal: &mut Terminal,
) -> Result<Vec<Found>, Failure> {
    match opened {
        Err(refused) => Ok(vec![Found {
            source: refused.source,
            diagnostics: refused.diagnostics,
            verified: None,
            functions: Vec::new(),
            placed: Vec::new(),
            ranged: Vec::new(),
        }]),
        Ok(mut model) => {
            let stages = std::mem::take(&mut model.stages);
            if stages.is_empty() {
                return Ok(vec![examine_program(model, "", args, terminal)?]);
            }
            let stage = |(name, stage)| examine_program(stage, &format!("{name}/"), args, terminal);
            stages.into_iter().map(stage).collect()
        }
    }
}

fn examine_program(
    mut model: Model,
    prefix: &str,
    args: &Args,
    terminal: &mut Terminal,
) -> Result<Found, Failure> {
    if args.on.is_asked() {
        model.give_text();
    }
    let progress = terminal.progress(&format!("checking {}", model.path), None);
    let report = model.verify();
    let mut diagnostics = std::mem::take(&mut model.warnings);
    diagnostics.append(report.diagnostics);
    let functions = &model.program.functions;
    let functions = functions.iter().map(|f| FunctionRow::of(f, report.verified.as_ref(), prefix)).collect();
    let mut placed = report.verified.as_ref().map_or_else(Vec::new, |v| args.on.place(v, prefix));
    diagnostics.append(place::together(placed.iter_mut().map(|p| &mut p.placement)));
    drop(progress);
    let ranged = match &report.verified {
        Some(verified) => args.asked.find(&model, verified, &args.on, prefix, terminal)?,
        None => Vec::new(),
    };
    Ok(Found { source: model.source, diagnostics, verified: report.verified, functions, placed, ranged })
}

impl FunctionRow {
    fn of(f: &Function, verified: Option<&Verified>, prefix: &str) -> Self {
        let known = verified.and_then(|v| v.function(&f.name));
        let feature = |name: &str, ty: Option<&Type>| FeatureRow {
            name: name.to_string(),
            ty: ty.map(ToString::to_string),
        };
        let outputs = f.body.outputs.iter().enumerate();
        Self {
            name: format!("{prefix}{}", f.name),
            opset: f.opset.as_str().to_string(),
            inputs: f.params.iter().map(|p| feature(&p.name, Some(&p.ty))).collect(),
            outputs: outputs
                .map(|(i, o)| {
                    let inferred = known.and_then(|k| k.outputs().nth(i)).map(|v| &v.ty);
                    feature(&o.name, inferred.or_else(|| declared(f, &o.name)))
                })
                .collect(),
            ops: ops(&f.body),
        }
    }
}

/// The declared type of what a function binds to a name.
fn declared<'f>(f: &'f Function, name: &str) -> Option<&'f Type> {
    let bound = |p: &&Param| p.name == *name;
    let results = f.body.calls.iter().flat_map(|c| &c.outputs);
    f.params.iter().chain(results).find(bound).map(|p| &p.ty)
}

/// How many ops a block uses, constants aside and nested blocks included.
fn ops(block: &Block) -> usize {
    let of = |c: &Call| usize::from(c.op != *"const") + c.blocks.iter().map(ops).sum::<usize>();
    block.calls.iter().map(of).sum()
}

fn rows(found: &Found) -> Vec<DiagnosticRow<'_>> {
    let row = |d: &'_ Diagnostic| {
        let source = found.source.as_ref();
        let span = d.span().filter(|s| !s.is_none());
        let at = span.and_then(|span| source.map(|s| s.line_column(span.start)));
        (at.map(|a| a.line), at.map(|a| a.column))
    };
    found
        .diagnostics
        .iter()
        .map(|d| {
            let (line, column) = row(d);
            DiagnosticRow {
                code: d.code.name,
                severity: d.severity.word(),
                message: &d.message,
                line,
                column,
                help: d.help.as_deref(),
                phase: d.phase.word(),
                notes: &d.notes,
            }
        })
        .collect()
}

fn print(found: &[Found], errors: usize, terminal: &mut Terminal) -> Result<(), Failure> {
    let quiet = terminal.is_quiet();
    let mut warnings = 0;
    for f in found {
        for d in f.diagnostics.iter() {
            warnings += usize::from(d.severity == Severity::Warning);
            // What Core ML runs elsewhere is in the tables of placement.
            let told = d.severity == Severity::Note && d.code.name.starts_with("chip-");
            if told || quiet && d.severity != Severity::Error {
                continue;
            }
            let drawn = draw(d, f.source.as_ref(), terminal.colour_out());
            writeln!(terminal, "{drawn}\n")?;
        }
        if f.diagnostics.more() > 0 {
            writeln!(terminal, "and {} more\n", f.diagnostics.more())?;
        }
    }
    if quiet {
        return Ok(());
    }
    for f in found.iter().flat_map(|f| &f.functions) {
        let name = terminal.paint(style::HEADING, &anemone::source::escape(&f.name));
        writeln!(terminal, "{name} ({}): {}", f.opset, count(f.ops, "op"))?;
        for (what, features) in [("takes", &f.inputs), ("gives", &f.outputs)] {
            for feature in features {
                let ty = feature.ty.as_deref().unwrap_or("?");
                let line = format!("  {what} {}: {ty}", feature.name);
                writeln!(terminal, "{}", anemone::source::escape(&line))?;
            }
        }
    }
    if found.iter().any(|f| !f.placed.is_empty()) {
        writeln!(terminal)?;
    }
    for p in found.iter().flat_map(|f| &f.placed) {
        p.print(terminal)?;
    }
    for r in found.iter().flat_map(|f| &f.ranged) {
        r.print(terminal)?;
    }
    let verdict = match errors {
        0 => terminal.paint(style::GOOD, "ok"),
        n => terminal.paint(style::BAD, &count(n, "error")),
    };
    match warnings {
        0 => writeln!(terminal, "{verdict}")?,
        n => writeln!(terminal, "{verdict}, {}", count(n, "warning"))?,
    }
    Ok(())
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
