//! What the host does for a run, over the fake: `cargo bench -p anemone-apple --features fake`.
//!
//! The fake's own part is in each row; what tells the rows apart is ours.

#[path = "../tests/seam/engine.rs"]
mod engine;

use anemone_apple::Surface;
use anemone_apple::fake::Fake;
use anemone_apple::neural::{Loaded, Program, QualityOfService};
use divan::Bencher;

fn main() {
    divan::main();
}

struct Setting {
    _fake: Fake,
    model: Loaded,
    x: Surface,
    y: Surface,
}

fn setting() -> Setting {
    let fake = Fake::new(engine::machine());
    let framework = fake.open().expect("the tables are those of a system that works");
    let program = Program { text: "# bench\nmain inputs x:1x1x4 outputs y:1x1x4", weights: &[] };
    let model = Loaded::new(&framework, &program, QualityOfService::Default).expect("the program is right");
    let p = &model.attributes().procedures[0];
    let surface = |s| model.surface(s).expect("there is room");
    let (x, y) = (surface(&p.inputs[0]), surface(&p.outputs[0]));
    Setting { _fake: fake, x, y, model }
}

/// A request that was bound once: what `run_cached` does.
#[divan::bench]
fn run_of_a_bound_request(bencher: Bencher<'_, '_>) {
    let s = setting();
    let mut request = s.model.request("main", &[("x", &s.x)], &[("y", &s.y)]).expect("the names are right");
    bencher.bench_local(|| request.run());
}

/// A request that is bound for each run: what `run` does.
#[divan::bench]
fn run_of_a_new_request(bencher: Bencher<'_, '_>) {
    let s = setting();
    bencher.bench_local(|| s.model.request("main", &[("x", &s.x)], &[("y", &s.y)]).and_then(|mut r| r.run()));
}

/// Compiled programs from the cache, loaded, run once and unloaded.
#[divan::bench]
fn load_from_the_cache_run_unload(bencher: Bencher<'_, '_>) {
    let s = setting();
    let program = Program { text: "# bench\nmain inputs x:1x1x4 outputs y:1x1x4", weights: &[] };
    bencher.bench_local(|| {
        let model = Loaded::new(s.model.framework(), &program, QualityOfService::Default)?;
        model.request("main", &[("x", &s.x)], &[("y", &s.y)])?.run()
    });
}
