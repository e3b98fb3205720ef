//! Pipelines of an engine and another stage, and the GPU.

use std::time::Duration;

use anemone::{Chip, Client, Error, MetalDevice, Pipeline, SharedEvent};
use anemone_apple::fake::{Fake, Machine};

use crate::events::{get, increment, put};
use crate::{PATIENCE, check, each_engine, mil, on_each_engine};

const SOON: Duration = Duration::from_millis(5);

/// Row J12: turns between the engine and a stage on the CPU; the counter counts those that are signalled.
#[test]
fn an_engine_and_the_host_take_turns() {
    each_engine(2, |client| {
        let (mut model, mut last) = (increment(client), increment(client));
        let mut pipeline = Pipeline::on(client).unwrap();
        assert!(pipeline.metal().is_none() && pipeline.events_of_metal().is_none());
        put(&mut model, 1.0);
        pipeline.ane_to_metal(&mut model).unwrap();
        let mut value = 1.0;
        for turn in 1..=5 {
            assert_eq!(pipeline.counter(), turn);
            pipeline
                .host_stage(turn, PATIENCE, || {
                    value += 1.0;
                    assert_eq!(get(&model), value);
                    value *= 2.0;
                    put(&mut model, value);
                })
                .unwrap();
            assert_eq!(pipeline.metal_event().signaled_value(), turn);
            pipeline.bidirectional(&mut model).unwrap();
        }
        assert_eq!(pipeline.counter(), 6);
        model.finish(PATIENCE).unwrap();
        assert_eq!(get(&model), value + 1.0);
        // The sixth turn of the other stage is waited for, and the counter stays.
        put(&mut last, 7.0);
        pipeline.wait_on_ane(&mut last).unwrap();
        assert_eq!(pipeline.counter(), 6);
        assert!(last.finish(SOON).is_err());
        pipeline.host_stage(6, PATIENCE, || ()).unwrap();
        last.finish(PATIENCE).unwrap();
        assert_eq!((get(&last), pipeline.ane_event().signaled_value()), (8.0, 6));
        pipeline.close();
    });
}

/// Rows J12, J7: who waits for a turn that does not come is told of event and value; what was not started does not count.
#[test]
fn a_turn_that_does_not_come_is_named() {
    each_engine(1, |client| {
        let mut model = increment(client);
        let mut pipeline = Pipeline::on(client).unwrap();
        let e = pipeline.host_stage(1, SOON, || panic!("it is not its turn")).unwrap_err();
        let words =
            format!("turn 1 of the engine, whose shared event {} has reached 0", pipeline.ane_event().port());
        assert!(matches!(e, Error::TimedOut { .. }) && e.to_string().contains(&words), "{e}");
        pipeline.bidirectional(&mut model).unwrap();
        assert!(matches!(pipeline.bidirectional(&mut model), Err(Error::Surface(_))));
        assert_eq!(pipeline.counter(), 1);
        model.finish(PATIENCE).unwrap();
        // The next one needs the first turn of the other stage.
        pipeline.bidirectional(&mut model).unwrap();
        let e = model.finish(SOON).unwrap_err().to_string();
        assert!(e.contains("waits for 1 of the shared event") && e.contains("has reached 0"), "{e}");
        pipeline.metal_event().signal(1).unwrap();
        model.finish(PATIENCE).unwrap();
    });
    on_each_engine(|client| {
        let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) { tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
        let mut model = client.compile(mil(text)).unwrap();
        let mut pipeline = Pipeline::on(client).unwrap();
        let results = [
            pipeline.ane_to_metal(&mut model),
            pipeline.bidirectional(&mut model),
            pipeline.wait_on_ane(&mut model),
        ];
        assert!(results.iter().all(|r| matches!(r, Err(Error::SharedEventRequiresPackage))));
        assert_eq!(pipeline.counter(), 0);
    });
}

/// Rows J11, J12, J14: the GPU has the events of a pipeline, and whoever raises one raises it for both.
#[test]
fn a_pipeline_has_its_events_on_the_gpu() {
    let fake = Fake::new(crate::software::machine(anemone::device::Engine::Cpu));
    let client = Client::over(&fake.open().unwrap());
    {
        let device = MetalDevice::on(&client).unwrap();
        let event = SharedEvent::on(&client).unwrap();
        let of_metal = device.metal_shared_event(&event).unwrap();
        of_metal.signal(4).unwrap();
        assert_eq!(event.signaled_value(), 4);
        let software = SharedEvent::on(&Client::software(Chip::M4)).unwrap();
        assert!(matches!(device.metal_shared_event(&software), Err(Error::Invalid(_))));

        let mut pipeline = Pipeline::new(device).unwrap();
        assert!(!pipeline.metal().unwrap().as_apple().as_ptr().is_null());
        let mut model = increment(&client);
        put(&mut model, 1.0);
        pipeline.ane_to_metal(&mut model).unwrap();
        assert!(pipeline.ane_event().wait(1, PATIENCE));
        assert_eq!(pipeline.events_of_metal().unwrap().0.value().unwrap(), 1);
        model.finish(PATIENCE).unwrap();
        pipeline.bidirectional(&mut model).unwrap();
        assert!(model.finish(SOON).is_err());
        pipeline.events_of_metal().unwrap().1.signal(1).unwrap();
        model.finish(PATIENCE).unwrap();
        assert_eq!(get(&model), 2.0);
        pipeline.metal().unwrap().clone().close();
    }
    drop(client);
    check(fake, 1);
}

/// Row J11: elsewhere there is no GPU, which is an error of its own.
#[test]
fn elsewhere_there_is_no_gpu() {
    assert!(matches!(MetalDevice::on(&Client::software(Chip::M4)), Err(Error::NoMetal)));
    let machine = Machine { has_gpu: false, ..crate::software::machine(anemone::device::Engine::Cpu) };
    let fake = Fake::new(machine);
    assert!(matches!(MetalDevice::on(&Client::over(&fake.open().unwrap())), Err(Error::NoMetal)));
    check(fake, 0);
}

/// Rows G27, J14: the GPU's buffers over inputs and outputs are their memory; the software engine's are out of its reach.
#[test]
fn buffers_are_the_memory_of_inputs_and_outputs() {
    let fake = Fake::new(crate::software::machine(anemone::device::Engine::Cpu));
    let client = Client::over(&fake.open().unwrap());
    let device = MetalDevice::on(&client).unwrap();
    {
        let mut model = increment(&client);
        let input = model.metal_input_buffer(&device, 0).unwrap();
        let output = model.metal_output_buffer(&device, 0).unwrap();
        assert!(*input.surface() == *model.input_surface(0).unwrap().as_apple());
        put(&mut model, 3.0);
        model.eval().unwrap();
        let numbers = |buffer: &anemone::MetalBuffer| buffer.surface().read().unwrap()[..2].to_vec();
        assert_eq!((numbers(&input), numbers(&output)), (vec![0x00, 0x42], vec![0x00, 0x44]));
        assert!(matches!(model.metal_input_buffer(&device, 1), Err(Error::Invalid(_))));
        let elsewhere = increment(&Client::software(Chip::M4));
        assert!(matches!(elsewhere.metal_output_buffer(&device, 0), Err(Error::Surface(_))));
    }
    drop((device, client));
    check(fake, 0);
}
