//! `cargo xtask silicon`: holds the models of the chips against what was measured on them.

pub(crate) mod cost;
mod numerics;
mod placement;

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
    /// Where ops run, and what is refused: the rows of `placement.tsv`.
    ///
    /// A program is made of the condition of each row and placed on its chip by its route. Prints the agreement for each
    /// chip, each disagreement, and the rows that are about no op or limit of a chip. The exit code is 1 when any row
    /// disagrees.
    Placement {
        /// The folder of tables.
        folder: PathBuf,
    },
    /// What chips compute: mac.tsv, elementwise.tsv, int8.tsv, activations.tsv, activation_stats.tsv,
    /// reduce_softmax_norm.tsv and digests.tsv.
    ///
    /// Prints for each table and chip how many rows are reproduced, and each other row with the reason. The exit code is 1
    /// when a row is missed.
    Numerics {
        /// The folder of tables.
        folder: PathBuf,
        /// Leaves out digests.tsv, which takes minutes.
        #[arg(long)]
        quick: bool,
    },
}

/// Prints the table.
pub(crate) fn run(what: &What) -> Result<bool, String> {
    match what {
        What::Cost { folder, brief } => cost::run(folder, *brief),
        What::Placement { folder } => placement::run(folder),
        What::Numerics { folder, quick } => numerics::run(folder, !quick),
    }
}

/// The lines of a table that are no comments, cut into cells; the first is the heading.
fn cells(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().filter(|l| !l.starts_with('#') && !l.is_empty()).map(|l| l.split('\t').collect())
}
