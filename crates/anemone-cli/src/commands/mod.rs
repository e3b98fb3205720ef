//! The commands, one file each.

mod bench;
mod bisect;
mod check;
mod compile_worker;
mod completions;
mod convert;
mod doctor;
mod evidence;
mod explain;
mod fmt;
mod info;
mod legalise;
mod ops;
mod print;
mod profile;
mod run;
mod verify;

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::failure::{Blame, Failure};
use crate::terminal::{Colour, Terminal};

/// The heading under which the options of every command stand.
const COMMON: &str = "Options of every command";

/// Check, run, print and convert programs for the Apple Neural Engine.
///
/// PATH is a `.mil` file with its weight files beside it, a `.mlmodelc` folder or a `.mlpackage` folder.
#[derive(Parser)]
#[command(
    name = "anemone",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 fine, 1 the program or model is at fault, 2 the world is (file, device, usage).\n\
                  `anemone COMMAND --help` shows examples."
)]
struct Cli {
    /// When to use colour
    #[arg(long, value_name = "WHEN", global = true, default_value = "auto", help_heading = COMMON)]
    color: Colour,
    /// Print results and errors only
    #[arg(short, long, global = true, help_heading = COMMON)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(check::Args),
    Run(run::Args),
    Verify(verify::Args),
    Bench(bench::Args),
    Bisect(bisect::Args),
    Profile(profile::Args),
    Print(print::Args),
    Fmt(fmt::Args),
    Convert(convert::Args),
    Legalise(legalise::Args),
    Ops(ops::Args),
    Explain(explain::Args),
    Info(info::Args),
    Doctor(doctor::Args),
    Completions(completions::Args),
    /// Compile for another process of anemone, which owns this one's standard input and output
    #[command(hide = true)]
    CompileWorker,
}

/// Runs the command that the arguments name.
pub(crate) fn run(arguments: Vec<OsString>, terminal: &mut Terminal) -> Result<(), Failure> {
    let command = command().color(terminal.colour().for_clap());
    let cli = match command.try_get_matches_from(arguments).and_then(|m| Cli::from_arg_matches(&m)) {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version are asked for; everything else is wrong usage.
            let usage = e.use_stderr();
            e.print()?;
            return if usage { Err(Failure::Told(Blame::World)) } else { Ok(()) };
        }
    };
    terminal.hush(cli.quiet);
    match cli.command {
        Command::Check(args) => check::run(&args, terminal),
        Command::Run(args) => run::run(&args, terminal),
        Command::Verify(args) => verify::run(&args, terminal),
        Command::Bench(args) => bench::run(&args, terminal),
        Command::Bisect(args) => bisect::run(&args, terminal),
        Command::Profile(args) => profile::run(&args, terminal),
        Command::Print(args) => print::run(&args, terminal),
        Command::Fmt(args) => fmt::run(&args, terminal),
        Command::Convert(args) => convert::run(&args, terminal),
        Command::Legalise(args) => legalise::run(&args, terminal),
        Command::Ops(args) => ops::run(&args, terminal),
        Command::Explain(args) => explain::run(&args, terminal),
        Command::Info(args) => info::run(&args, terminal),
        Command::Doctor(args) => doctor::run(&args, terminal),
        Command::Completions(args) => completions::run(&args, terminal),
        Command::CompileWorker => compile_worker::run(),
    }
}

/// The whole command line, for completions.
fn command() -> clap::Command {
    Cli::command()
}
