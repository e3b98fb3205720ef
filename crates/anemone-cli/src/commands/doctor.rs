//! `anemone doctor`.

use std::io::Write;
use std::path::PathBuf;

use anemone_apple::Finding;
use anemone_apple::doctor::{self, Checked, Checkup, Item};
use anemone_apple::neural::DeviceInfo;
use serde::Serialize;

use crate::failure::{Blame, Failure};
use crate::output::write_file;
use crate::terminal::Terminal;

/// Say what of the path to Apple's engine works on this machine
///
/// On a Mac the prototype of every message is compared with the system's, the engine and the folders are looked at, and a
/// small program is compiled, loaded and run. Elsewhere it says what it would do. Nothing stays on the machine but FILE.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  anemone doctor
  anemone doctor --record doctor.log
  anemone doctor --json | jq '.checks[] | select(.state != \"ok\")'")]
pub(crate) struct Args {
    /// Write what the system has and what was sent: no path, name or number of yours is in it
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    checks: Vec<Check<'a>>,
    device: Option<Device<'a>>,
    messages: Vec<Message>,
}

#[derive(Serialize)]
struct Check<'a> {
    check: &'static str,
    state: &'static str,
    says: &'a str,
    help: Option<&'a str>,
}

#[derive(Serialize)]
struct Device<'a> {
    has_engine: Option<bool>,
    engines: Option<u32>,
    cores: Option<u32>,
    architecture: Option<&'a str>,
    sub_type: Option<&'a str>,
    board: Option<i64>,
    product: Option<&'a str>,
    build: Option<&'a str>,
    is_virtual_machine: Option<bool>,
    is_internal_build: Option<bool>,
}

#[derive(Serialize)]
struct Message {
    message: String,
    state: &'static str,
    expected: String,
    found: Option<String>,
    feature: &'static str,
    /// How sure the expected prototype is.
    confidence: &'static str,
}

pub(crate) fn run(args: &Args, terminal: &mut Terminal) -> Result<(), Failure> {
    let checkup = doctor::examine();
    if args.json {
        terminal.json(&report(&checkup))?;
    } else {
        write!(terminal, "{checkup}")?;
    }
    if let Some(file) = &args.record {
        let Some(recording) = &checkup.recording else {
            return Err(Failure::world("there is nothing to record on this machine"));
        };
        write_file(file, recording.to_string().as_bytes())?;
        terminal.say(&format!("written to {}", file.display()));
    }
    if checkup.works() { Ok(()) } else { Err(Failure::Told(Blame::World)) }
}

fn report(checkup: &Checkup) -> Report<'_> {
    Report {
        ok: checkup.works(),
        checks: checkup
            .items
            .iter()
            .map(|Item { check, state, says, help }| Check {
                check,
                state: state.name(),
                says,
                help: help.as_deref(),
            })
            .collect(),
        device: checkup.device.as_ref().map(device),
        messages: checkup.messages.iter().map(message).collect(),
    }
}

fn device(info: &DeviceInfo) -> Device<'_> {
    Device {
        has_engine: info.has_engine,
        engines: info.engines,
        cores: info.cores,
        architecture: info.architecture.as_deref(),
        sub_type: info.sub_type.as_deref(),
        board: info.board,
        product: info.product.as_deref(),
        build: info.build.as_deref(),
        is_virtual_machine: info.is_virtual_machine,
        is_internal_build: info.is_internal_build,
    }
}

fn message(checked: &Checked) -> Message {
    Message {
        message: checked.row.to_string(),
        state: match checked.finding {
            Finding::Found => "found",
            Finding::Drifted(_) => "drifted",
            Finding::NoClass | Finding::NoSelector => "missing",
        },
        expected: checked.expected(),
        found: checked.found(),
        feature: checked.row.feature.name(),
        confidence: doctor::confidence(checked.row.confidence),
    }
}
