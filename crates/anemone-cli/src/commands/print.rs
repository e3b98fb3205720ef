//! `anemone print`.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use anemone::mil::Version;
use anemone::text;

use crate::failure::{Blame, Failure};
use crate::model::{Model, tell};
use crate::output;
use crate::terminal::Terminal;

/// Print a program as MIL text
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  anemone print model.mlpackage | less
  anemone print model.mlmodelc -o model.mil
  anemone print old.mil --dialect 1.3    scalars as `int32(1)`, not `tensor<int32, []>(1)`

The text is byte for byte what Apple's compiler writes. Weights stay where they are;
`anemone convert` writes them too.")]
pub(crate) struct Args {
    /// A .mil file, a .mlmodelc or .mlpackage folder, or - for MIL text on the standard input
    #[arg(value_name = "PATH")]
    path: String,
    /// The dialect [default: the program's own]
    #[arg(long, value_name = "VERSION")]
    dialect: Option<Dialect>,
    /// Write to a file, not to the standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// A dialect of MIL text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Dialect {
    /// Of specification versions 6 to 8: scalars are `tensor<int32, []>(1)`
    #[value(name = "1.0")]
    V1_0,
    /// Of specification versions 9 and later: scalars are `int32(1)`
    #[value(name = "1.3")]
    V1_3,
}

impl From<Dialect> for Version {
    fn from(d: Dialect) -> Self {
        match d {
            Dialect::V1_0 => Version::V1_0,
            Dialect::V1_3 => Version::V1_3,
        }
    }
}

pub(crate) fn run(args: &Args, terminal: &mut Terminal) -> Result<(), Failure> {
    let model = Model::open(&args.path)?.map_err(|refused| {
        tell(&refused.diagnostics, refused.source.as_ref(), terminal);
        Failure::Told(Blame::Program)
    })?;
    if let Some((stage, _)) = model.stages.first() {
        terminal.note(&format!("`{}` is a pipeline; the program of `{stage}` is printed", args.path));
    }
    let version = args.dialect.map_or(model.program.version, Version::from);
    let text = text::print_as(&model.program, version);
    match &args.output {
        Some(file) => output::write_file(file, text.as_bytes()),
        None => {
            terminal.write_all(text.as_bytes())?;
            // The compiler's text has no line end, which files must not get and prompts need.
            if std::io::stdout().is_terminal() {
                writeln!(terminal)?;
            }
            Ok(())
        }
    }
}
