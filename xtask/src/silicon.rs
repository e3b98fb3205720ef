//! `cargo xtask silicon`: holds the models of the chips against what was measured on them.

pub(crate) mod cost;

use std::path::PathBuf;

/// What to hold against measurements.
#[derive(clap::Subcommand)]
pub(crate) enum What {
    /// How long programs take: the rows of `cost*.tsv`.
    ///
    /// Prints each row with the predicted time, and for each machine the median error and the rank correlation. Rows that
    /// no program stands for are counted by their reason.
    Cost {
        /// The folder of tables.
        folder: PathBuf,
        /// Only the summary.
        #[arg(long)]
        brief: bool,
    },
}

/// Prints the table.
pub(crate) fn run(what: &What) -> Result<bool, String> {
    match what {
        What::Cost { folder, brief } => cost::run(folder, *brief),
    }
}
