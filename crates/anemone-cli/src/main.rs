//! The command `anemone`: check, run, print and convert programs for the Apple Neural Engine.
//!
//! The library never prints; this program is the only place that does. Each command is a file in [`commands`];
//! here is only what becomes of its result: 0 when all is fine, 1 when the program or model is at fault, 2 when the
//! world is.
#![forbid(unsafe_code)]

mod bug;
mod case;
mod commands;
mod engine;
mod failure;
mod faulty;
mod inputs;
mod model;
mod npy;
mod output;
mod page;
mod roofline;
mod segments;
mod statistics;
mod table;
mod terminal;

use std::process::ExitCode;

use terminal::Terminal;

fn main() -> ExitCode {
    bug::install_hook();
    let arguments: Vec<_> = std::env::args_os().collect();
    let mut terminal = Terminal::of_this_process(&arguments);
    match commands::run(arguments, &mut terminal).and_then(|()| terminal.finish()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => ExitCode::from(failure.report(&mut terminal)),
    }
}
