//! `anemone completions`.

use std::io::Write;

use clap_complete::Shell;

use crate::failure::Failure;
use crate::terminal::Terminal;

/// Print a completion script for a shell
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  anemone completions bash > ~/.local/share/bash-completion/completions/anemone
  anemone completions zsh > \"${fpath[1]}/_anemone\"
  anemone completions fish > ~/.config/fish/completions/anemone.fish")]
pub(crate) struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(crate) fn run(args: &Args, terminal: &mut Terminal) -> Result<(), Failure> {
    // The generator panics when it cannot write, so it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "anemone", &mut script);
    terminal.write_all(&script)?;
    Ok(())
}
