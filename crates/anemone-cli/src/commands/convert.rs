//! `anemone convert`.

use std::io::Write;
use std::path::{Path, PathBuf};

use anemone::bundle::{self, Bundle, Written};
use anemone::mil::Version;
use anemone::verify;

use super::print::Dialect;
use crate::failure::{Blame, Failure};
use crate::model::tell;
use crate::terminal::Terminal;

/// Write a program in another form, with its weights
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  anemone convert model.mlpackage model.mlmodelc    compile, without a Mac
  anemone convert model.mlmodelc model.mil          text, and the weight files beside it
  anemone convert model.mil model.mlpackage --force

The form follows from the name of OUT.")]
pub(crate) struct Args {
    /// A .mil or .mlmodel file, or a .mlmodelc or .mlpackage folder
    #[arg(value_name = "IN")]
    from: PathBuf,
    /// A .mil file, or a .mlmodelc or .mlpackage folder
    #[arg(value_name = "OUT")]
    to: PathBuf,
    /// The dialect of the text [default: the program's own]
    #[arg(long, value_name = "VERSION")]
    dialect: Option<Dialect>,
    /// Replace OUT if it is there
    #[arg(long)]
    force: bool,
}

/// Writes a bundle in one form.
pub(super) type Writer = fn(&Bundle, &Path) -> Result<Written, bundle::Error>;

pub(crate) fn run(args: &Args, terminal: &mut Terminal) -> Result<(), Failure> {
    let writer = writer(&args.to)?;
    may_write(&args.from, &args.to, args.force)?;
    let progress = terminal.progress(&format!("converting {}", args.from.display()), None);
    let result = convert(args, writer);
    drop(progress);
    let (written, errors) = result.map_err(|e| failure(e, terminal))?;
    for note in &written.notes {
        terminal.note(note);
    }
    if errors > 0 {
        terminal.warn(&format!(
            "the program has {errors} errors and was written as it is; `anemone check {}` says which",
            args.from.display()
        ));
    }
    if !terminal.is_quiet() {
        writeln!(terminal, "written to {}", written.path.display())?;
    }
    Ok(())
}

/// What is there is replaced on request only, and never by itself.
pub(super) fn may_write(from: &Path, to: &Path, force: bool) -> Result<(), Failure> {
    if !to.exists() {
        return Ok(());
    }
    if !force {
        let to = to.display();
        return Err(Failure::world(format!("`{to}` is there already; use `--force` to replace it")));
    }
    let same = |a: &Path, b: &Path| matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if same(from, to) {
        return Err(Failure::world("IN and OUT are the same; give OUT another name"));
    }
    Ok(())
}

/// The way to write what the name says.
pub(super) fn writer(to: &Path) -> Result<Writer, Failure> {
    let extension = to.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    match extension.as_deref() {
        Some("mil") => Ok(|b, p| bundle::write_mil(b, p)),
        Some("mlmodelc") => Ok(|b, p| bundle::write_mlmodelc(b, p)),
        Some("mlpackage") => Ok(|b, p| bundle::write_mlpackage(b, p)),
        _ => Err(Failure::world(format!(
            "the form of `{}` is not known; OUT ends in `.mil`, `.mlmodelc` or `.mlpackage`",
            to.display()
        ))),
    }
}

/// Writes the bundle; also gives the number of errors in its program.
fn convert(args: &Args, writer: Writer) -> Result<(Written, usize), bundle::Error> {
    let mut bundle = bundle::open(&args.from)?;
    if let Some(dialect) = args.dialect {
        bundle.program.version = Version::from(dialect);
    }
    let errors = verify::verify(&bundle.program, &bundle.weights).diagnostics.errors();
    Ok((writer(&bundle, &args.to)?, errors))
}

pub(super) fn failure(error: bundle::Error, terminal: &mut Terminal) -> Failure {
    match error {
        bundle::Error::Refused { diagnostics, source } => {
            tell(&diagnostics, source.as_deref(), terminal);
            Failure::Told(Blame::Program)
        }
        bundle::Error::Io { path, source } => Failure::world(format!("`{}`: {source}", path.display())),
    }
}
