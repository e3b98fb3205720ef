//! Every row of the message table is sent by a safe type: a tour of all that there is.

use std::collections::BTreeSet;

use anemone_apple::fake::{Faults, Machine};
use anemone_apple::messages::MESSAGES;
use anemone_apple::neural::experimental::{Chain, ProcedureWeights, ProgramParts, instance};
use anemone_apple::neural::{
    Cache, ClientInfo, DeviceInfo, EvaluateOptions, Events, HostInfo, Model, Package, Program,
    QualityOfService, RealTimeTask, SessionHint, SharedEvent, Statistics, StatisticsMask,
};
use anemone_apple::{Log, Row, Sent, Surface};

use crate::engine::machine;
use crate::scene::{COPY, Folder, Job, PATIENCE, Scene};
use crate::tables::tables;

const QUALITY: QualityOfService = QualityOfService::Default;

/// What is sent and in which form is in `factories.txt`.
///
/// Rows U1, U2, U3, U4, U5, U6, U7, U8, U9, U10, U11, U12, U13, U14: each message of the table, by a safe type.
#[test]
fn every_row_of_the_table_is_sent() {
    let scene = Scene::logged(Machine { entitled: true, ..machine() }, Faults::default(), Log::new());
    DeviceInfo::read(&scene.framework);
    ClientInfo::read(&scene.framework).unwrap();
    StatisticsMask::ALL.system_driver_bits(&scene.framework).unwrap();
    Statistics::check(&scene.framework).unwrap();
    of_text(&scene);
    of_a_folder(&scene);
    chained(&scene);
    let mut messages = scene.log.take();
    scene.end_with(1);
    // Other machines, where other ways are taken.
    for (machine, faults, what) in others() {
        let scene = Scene::on(machine, faults);
        what(&scene);
        messages.extend(scene.log.take());
        scene.end();
    }
    let sent: BTreeSet<String> = messages.iter().map(|s| s.row().to_string()).collect();
    let missing: Vec<String> =
        MESSAGES.iter().map(ToString::to_string).filter(|row| !sent.contains(row)).collect();
    assert_eq!(missing, [""; 0]);
    let expected: Vec<&str> = FACTORIES.lines().filter(|l| !l.starts_with('#')).collect();
    assert_eq!(factories(&messages), expected);
}

/// How each factory of the engine's classes is sent.
const FACTORIES: &str = include_str!("factories.txt");

/// How each message to a class of the engine that gives an object was sent first, in the order of the table.
fn factories(messages: &[Sent]) -> Vec<String> {
    let rows = MESSAGES.iter().filter(|row| row.to_class && row.class_name().starts_with("_ANE"));
    let first = |row: &Row| messages.iter().find(|s| std::ptr::eq(s.row(), row));
    // Objects are told by class and number; the numbers say only in which order they came.
    let plain = |message: &Sent| {
        let line = message.to_string();
        let mut parts = line.split('#');
        let first = parts.next().unwrap_or_default().to_string();
        parts.fold(first, |all, part| all + part.trim_start_matches(|c: char| c.is_ascii_digit()))
    };
    let gives = |line: &String| !line.ends_with(" = nil") && !line.ends_with(|c: char| c.is_ascii_digit());
    rows.filter_map(first).map(plain).filter(gives).collect()
}

/// What is done on machines of other kinds.
type Doings = fn(&Scene);

fn others() -> Vec<(Machine, Faults, Doings)> {
    let none = Faults::default();
    let client: Doings = |scene| drop(ClientInfo::read(&scene.framework));
    vec![
        (machine(), Faults { no_shared_client: true, no_own_client: true, ..none.clone() }, client),
        (Machine { virtual_machine: true, ..machine() }, none.clone(), |scene| {
            HostInfo::read(&scene.framework).unwrap();
        }),
        (machine(), Faults { no_controllers: true, ..none.clone() }, |scene| {
            ProgramParts::new(&scene.text("rows without controllers", COPY), 1).unwrap();
        }),
        (Machine { tables: tables("macos-13"), ..machine() }, none, |scene| {
            Job::new(&scene.text("rows of an older system", COPY)).request.run().unwrap();
        }),
    ]
}

fn of_text(scene: &Scene) {
    let text = format!("# rows\n{COPY}");
    let weights = [("@model_path/weights/bias.bin", &[0u8][..])];
    let program = Program { text: &text, weights: &weights };
    let described = Model::describe(&scene.framework, &program).unwrap();
    let identity = described.identity().to_string();
    let compiled = described
        .with_queue_depth(127)
        .unwrap()
        .with_statistics(StatisticsMask::ALL)
        .unwrap()
        .compile(QUALITY)
        .unwrap();
    let cache = Cache::new(&scene.framework).unwrap();
    assert!(cache.has(&identity).unwrap() && cache.folder().is_some());
    let model = compiled.load(QUALITY).unwrap();
    model.diagnostics();
    model.uuid().unwrap();
    model.session_hint(SessionHint::Start { energy_efficient: true }).unwrap();
    let mut job = Job::new(&model);
    job.request.map().unwrap();
    job.request.run().unwrap();
    job.request.run_direct().unwrap();
    job.request.run_program().unwrap();
    job.request.unmap().unwrap();
    let parts = ProgramParts::new(&model, 2).unwrap();
    parts.map(&mut job.request).unwrap().unmap().unwrap();
    drop(parts);
    job.request.map().unwrap();
    let task = RealTimeTask::begin(&scene.framework).unwrap();
    job.request.run_real_time().unwrap();
    drop(task);
    job.request.start().wait().unwrap();
    assert!(job.request.statistics().unwrap().is_some());
    assert!(job.request.nanoseconds().unwrap().is_some());
    // Something that is refused, for the messages of errors.
    scene.fake.set_faults(Faults { evaluate_status: Some(0x15), ..Faults::default() });
    assert!(job.request.run().is_err());
    scene.fake.set_faults(Faults::default());
    let wide = Surface::new(&scene.framework, 128).unwrap();
    let part = wide.from_byte(64).unwrap();
    model.request("main", &[("x", &part)], &[("y", &job.y)]).unwrap().run().unwrap();
    drop((job, model));
    Model::describe(&scene.framework, &program).unwrap().purge().unwrap();
    cache.purge(&identity).unwrap();
}

fn of_a_folder(scene: &Scene) {
    let folder = Folder::new("rows", COPY);
    let package = Package::describe(&scene.framework, folder.path(), Package::KEY).unwrap();
    let model = package.compile(QUALITY).unwrap().load(QUALITY).unwrap();
    let mut job = Job::new(&model);
    job.request.map().unwrap();
    job.request.run().unwrap();
    job.request.run_program().unwrap();
    model.diagnostics();
    let event = SharedEvent::new(&scene.framework).unwrap();
    let same = SharedEvent::from_port(&scene.framework, event.port()).unwrap();
    let done = SharedEvent::new(&scene.framework).unwrap();
    for round in 1..=2 {
        let events = Events { wait: &[(&event, round)], signal: &[(&done, round)] };
        let mut run = job.request.run_with_events(&events, EvaluateOptions::default()).unwrap();
        same.signal(round).unwrap();
        run.wait(PATIENCE).unwrap();
    }
    let weights: &[(&str, &std::path::Path)] = &[("w", folder.path())];
    drop(instance(&model, "rows", &[ProcedureWeights { procedure: "main", weights }]).unwrap());
    drop((job, model));
    // Another, which had no events and is unloaded.
    let package = Package::describe(&scene.framework, folder.path(), Package::KEY).unwrap();
    drop(package.compile(QUALITY).unwrap().load(QUALITY).unwrap());
    Package::describe(&scene.framework, folder.path(), Package::KEY).unwrap().purge().unwrap();
}

fn chained(scene: &Scene) {
    let model = scene.text("rows of chains", COPY);
    let job = Job::new(&model);
    let chain = Chain::new(&model, "main", &[("x", &job.x)], &[("y", &job.y)]).unwrap();
    chain.prepare().unwrap().run(PATIENCE).unwrap();
}
