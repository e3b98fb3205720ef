//! Schedules: evaluations with events, in every order that a seed gives.
//!
//! The engine has no threads here: a test takes its jobs one by one, in an order of its own, and so decides which thread
//! goes on at each point at which one could. The orders are the same for the same seed.

use std::sync::Arc;
use std::time::Duration;

use super::engine::Software;
use super::event::{SharedEvent, SharedEventEvalOptions};
use super::workers::Workers;
use super::{Client, CompileOptions, DeviceInfo, Engine, Model, ModelType, Pipeline, Request};
use crate::bundle;
use crate::chip::{Chip, Numerics};
use crate::error::Error;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

/// An engine whose jobs are done when the test says so, and a package of a program that adds one to a number.
struct Stage {
    workers: Arc<Workers>,
    client: Client,
    folder: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let workers = Arc::new(Workers::without_threads());
        let client = Client::of(
            Engine::Software(Software { workers: workers.clone(), numerics: Numerics::Ieee, faults: None }),
            DeviceInfo::software(Chip::M4),
        );
        let text = "program(1.3) { func main<ios18>(tensor<fp16, [1]> x) {
            tensor<fp16, [1]> y = add(x = x, y = fp16(1)); } -> (y); }";
        let folder = tempfile::tempdir().unwrap();
        let (mil, package) = (folder.path().join("model.mil"), folder.path().join("model.mlmodelc"));
        std::fs::write(&mil, text).unwrap();
        bundle::write_mlmodelc(&bundle::open(&mil).unwrap(), &package).unwrap();
        Self { workers, client, folder }
    }

    fn event(&self) -> SharedEvent {
        SharedEvent::on(&self.client).unwrap()
    }

    fn model(&self) -> Model {
        let package_path = self.folder.path().join("model.mlmodelc");
        let options =
            CompileOptions { model_type: ModelType::Package, package_path, ..CompileOptions::default() };
        self.client.compile(options).unwrap()
    }
}

fn bits(value: f32) -> [u8; 2] {
    half::f16::from_f32(value).to_le_bytes()
}

fn number(bytes: &[u8]) -> f32 {
    half::f16::from_le_bytes([bytes[0], bytes[1]]).to_f32()
}

/// Whether an evaluation has ended; that it has ended well.
fn is_done(request: &mut Request) -> bool {
    match request.finish(Duration::ZERO) {
        Ok(()) => true,
        Err(Error::TimedOut { .. }) => false,
        Err(e) => panic!("{e}"),
    }
}

/// The turns of a pipeline. One thread gives them ahead, as far as there are models; the engine does jobs in any order;
/// the other stage doubles what the engine has written, and writes it where the next turn reads.
fn turns(stage: &Stage, models: &mut [Model; 2], random: &mut Random, turns: u64) {
    let mut pipeline = Pipeline::on(&stage.client).unwrap();
    models[0].write_input_f32(0, &[1.0]).unwrap();
    // As a GPU, the other stage has the surfaces together with the engine, and has its turns by the events alone.
    let claim = |surface: &crate::Surface| surface.as_apple().claim().unwrap();
    let [a, b] = &*models;
    let read = [a, b].map(|m| claim(&m.output_surfaces()[0]));
    let written = [a, b].map(|m| claim(&m.input_surfaces()[0]));
    let (mut given, mut done, mut value) = (0, 0, 1.0);
    while done < turns {
        let model = &mut models[given as usize % 2];
        let gives = given < turns && is_done(model.request_mut());
        let (jobs, stage_can) = (stage.workers.waiting(), pipeline.ane_event().signaled_value() > done);
        let mut able = [gives, jobs > 0, stage_can].into_iter().enumerate().filter(|(_, able)| *able);
        let count = able.clone().count();
        assert!(count > 0, "a wake-up is lost: {given} turns given, {done} done");
        match able.nth(random.below(count)).unwrap().0 {
            0 => {
                match given {
                    0 => pipeline.ane_to_metal(model).unwrap(),
                    _ => pipeline.bidirectional(model).unwrap(),
                }
                given += 1;
                assert_eq!(pipeline.counter(), given);
            }
            1 => stage.workers.step(random.below(jobs)),
            _ => {
                value = (value + 1.0) * 2.0;
                let doubled = 2.0 * number(&read[done as usize % 2].read().unwrap());
                assert_eq!(doubled, value);
                done += 1;
                written[done as usize % 2].write().unwrap()[..2].copy_from_slice(&bits(doubled));
                pipeline.metal_event().signal(done).unwrap();
            }
        }
    }
    drop((read, written));
    // The last waits for the turn that was done last, and signals nothing.
    let last = &mut models[turns as usize % 2];
    pipeline.wait_on_ane(last).unwrap();
    while stage.workers.waiting() > 0 {
        stage.workers.step(0);
    }
    assert!(is_done(last.request_mut()));
    let mut y = [0.0];
    last.read_output_f32(0, &mut y).unwrap();
    assert_eq!((y[0], pipeline.counter()), (value + 1.0, turns));
}

/// Evaluations that wait for some of those before them, and for some of what the host signals, and are started in any
/// order: each begins when all that it waits for has come, and all end.
fn waits(stage: &Stage, requests: &mut [Request], random: &mut Random) {
    let hosts: Vec<_> = (0..2).map(|_| stage.event()).collect();
    let ends: Vec<_> = requests.iter().map(|_| stage.event()).collect();
    let mut needs = Vec::new();
    for i in 0..requests.len() {
        let before = ends[..i].iter().chain(&hosts);
        needs.push(before.filter(|_| random.below(3) == 0).collect::<Vec<_>>());
    }
    let mut unstarted: Vec<usize> = (0..requests.len()).collect();
    let mut unsignaled: Vec<&SharedEvent> = hosts.iter().collect();
    loop {
        let counts = [unstarted.len(), stage.workers.waiting(), unsignaled.len()];
        let Some(left) = counts.iter().sum::<usize>().checked_sub(1) else { break };
        let chosen = random.below(left + 1);
        if chosen < counts[0] {
            let i = unstarted.swap_remove(chosen);
            let wait: Vec<_> = needs[i].iter().map(|&e| (e, 1)).collect();
            requests[i].run_with_events(&wait, &[(&ends[i], 1)], PLAIN).unwrap();
        } else if chosen < counts[0] + counts[1] {
            let before: Vec<u64> = ends.iter().map(SharedEvent::signaled_value).collect();
            stage.workers.step(chosen - counts[0]);
            let ended = (0..ends.len()).find(|&i| ends[i].signaled_value() > before[i]).unwrap();
            assert!(needs[ended].iter().all(|e| e.signaled_value() == 1), "it began too early");
        } else {
            unsignaled.swap_remove(chosen - counts[0] - counts[1]).signal(1).unwrap();
        }
    }
    for (request, end) in requests.iter_mut().zip(&ends) {
        assert!(end.signaled_value() == 1 && is_done(request), "a wake-up is lost");
    }
}

const PLAIN: SharedEventEvalOptions =
    SharedEventEvalOptions { disable_io_fences_use_shared_events: false, enable_fw_to_fw_signal: false };

/// Rows J12, J5: in no order of a pipeline a wake-up is lost, or a turn begins before the one that it needs.
#[test]
fn a_pipeline_goes_on_in_every_order() {
    let stage = Stage::new();
    let mut models = [stage.model(), stage.model()];
    for seed in 0..50_000 {
        let mut random = Random(seed);
        let count = 1 + random.below(5) as u64;
        turns(&stage, &mut models, &mut random, count);
    }
}

/// Rows J6, J7, J8: what waits begins when all has come, whoever comes first.
#[test]
fn evaluations_begin_in_the_order_of_their_events() {
    let stage = Stage::new();
    let model = stage.model();
    let mut requests: Vec<_> = (0..5).map(|_| model.new_request().unwrap()).collect();
    for seed in 0..50_000 {
        let mut random = Random(seed);
        let count = 1 + random.below(5);
        waits(&stage, &mut requests[..count], &mut random);
    }
}
