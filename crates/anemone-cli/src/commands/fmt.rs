//! `anemone fmt`.

use std::io::Write;
use std::path::{Path, PathBuf};

use anemone::source::Source;
use anemone::text;

use crate::failure::{Blame, Failure};
use crate::model::{standard_input, tell};
use crate::output;
use crate::terminal::Terminal;

/// Lay out MIL text; comments and the way things are written stay
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  anemone fmt model.mil              print it, laid out
  anemone fmt -w model.mil           lay out the file itself
  anemone fmt --check model.mil      exit with 1 if it is not laid out
  anemone fmt < a.mil > b.mil        as a filter")]
pub(crate) struct Args {
    /// A .mil file, or - for the standard input
    #[arg(value_name = "PATH", default_value = "-")]
    path: PathBuf,
    /// Change nothing, and fail if the text is not laid out
    #[arg(long, conflicts_with_all = ["write", "output"])]
    check: bool,
    /// Write the result into the file
    #[arg(short, long, conflicts_with = "output")]
    write: bool,
    /// Write to a file, not to the standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, terminal: &mut Terminal) -> Result<(), Failure> {
    let piped = args.path == Path::new("-");
    if piped && args.write {
        return Err(Failure::world(
            "the standard input cannot be written into; leave out `-w`, or name a file",
        ));
    }
    let name = if piped { "standard input".to_string() } else { args.path.display().to_string() };
    let text = if piped { standard_input()? } else { read(&args.path)? };
    let formatted = text::format(&text).map_err(|diagnostics| {
        tell(&diagnostics, Some(&Source::new(&name, &text)), terminal);
        Failure::Told(Blame::Program)
    })?;
    if args.check {
        if formatted == text {
            return Ok(());
        }
        let line = formatted.lines().zip(text.lines()).take_while(|(a, b)| a == b).count() + 1;
        return Err(Failure::program(format!(
            "`{name}` is not laid out from line {line} on; run `anemone fmt -w`"
        )));
    }
    match &args.output {
        Some(file) => output::write_file(file, formatted.as_bytes()),
        // A file that is laid out already keeps its time.
        None if args.write && formatted == text => Ok(()),
        None if args.write => output::write_file(&args.path, formatted.as_bytes()),
        None => Ok(terminal.write_all(formatted.as_bytes())?),
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    let bytes = std::fs::read(path)
        .map_err(|e| Failure::world(format!("`{}` cannot be read: {e}", path.display())))?;
    text::decode(bytes).map_err(|d| Failure::program(format!("`{}`: {d}", path.display())))
}
