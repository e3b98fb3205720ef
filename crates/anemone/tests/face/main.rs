//! The interfaces above the client: every test runs on the software engine, and on the hardware's path over a stand-in
//! for Apple's side.

mod arrays;
mod driver;
mod errors;
mod executable;
mod faults;
#[path = "../client/metrics.rs"]
mod metrics;
mod parts;
#[path = "../ane/software.rs"]
mod software;
mod surface;
mod telemetry;
mod tensor_data;

use anemone::device::Engine;
use anemone::{Client, chip::Chip};
use anemone_apple::fake::Fake;

/// Runs a test on each engine. Interpreted it is on the software engine only: what is below the other is interpreted by the
/// tests of the seam.
fn on_each_engine(test: impl Fn(&Client)) {
    test(&Client::software(Chip::M4));
    if cfg!(miri) {
        return;
    }
    let fake = Fake::new(software::machine(Engine::Cpu));
    test(&Client::over(&fake.open().unwrap()));
    fake.finish().check();
}

/// The messages that a test sends to the stand-in.
fn messages(test: impl Fn(&Client, &dyn Fn() -> Vec<String>)) {
    let fake = Fake::new(software::machine(Engine::Cpu));
    let log = anemone_apple::Log::new();
    let client = Client::over(&fake.open_logged(&log).unwrap());
    test(&client, &|| log.take().iter().map(ToString::to_string).collect());
    drop(client);
    fake.finish().check();
}

/// How often a message is among those that were sent.
fn count(lines: &[String], message: &str) -> usize {
    lines.iter().filter(|l| l.contains(message)).count()
}
