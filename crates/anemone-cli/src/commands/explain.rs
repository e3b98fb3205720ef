//! `anemone explain`.

use std::io::Write;

use anemone::source::{codes, suggest};

use crate::failure::Failure;
use crate::table::{Align, Table};
use crate::terminal::Terminal;

/// Print the page of a diagnostic
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  anemone explain shape-mismatch    what it means, an example, and what to do
  anemone explain                   every diagnostic in one line each")]
pub(crate) struct Args {
    /// The code of the diagnostic, such as `unknown-op`; without it all are listed
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

pub(crate) fn run(args: &Args, terminal: &mut Terminal) -> Result<(), Failure> {
    let Some(name) = &args.code else {
        let mut table = Table::new(&[("CODE", Align::Left), ("IS", Align::Left), ("SAYS", Align::Left)]);
        for c in codes::ALL {
            table.row([c.name.to_string(), c.severity.word().to_string(), c.summary.to_string()]);
        }
        table.print(terminal)?;
        return Ok(());
    };
    // A code is often copied with its brackets, as in `error[unknown-op]`.
    let word = name.trim_start_matches("error").trim_start_matches("warning");
    let word = word.trim_matches(['[', ']']).to_lowercase().replace('_', "-");
    match codes::find(&word) {
        Some(code) => {
            writeln!(terminal, "{}", code.page.trim_end())?;
            Ok(())
        }
        None => Err(Failure::world(match suggest(&word, codes::ALL.iter().map(|c| c.name)) {
            Some(near) => format!("there is no diagnostic `{name}`; did you mean `{near}`?"),
            None => format!("there is no diagnostic `{name}`; `anemone explain` lists all"),
        })),
    }
}
