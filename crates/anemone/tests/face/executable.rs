//! Graphs, compiled and run on tensors of the caller's.

use anemone::types::DType;
use anemone::{
    Client, CompileOptions, Error, Executable, Graph, NSQualityOfService, QualityOfService, Shape,
    TensorData, source::Place, with,
};

use crate::{count, messages, on_each_engine};

const SHAPE: Shape = Shape { batch: 1, channels: 2, height: 1, width: 64 };

/// `2 * (a - b)`, and `a - b`: two inputs, of which the first is not the first by its name, and two outputs.
fn difference(client: &Client) -> Executable {
    let mut g = Graph::new();
    let a = g.input("z", DType::Fp16, &SHAPE.dims());
    let b = g.placeholder(SHAPE);
    let d = g.subtraction(a, b);
    let two = g.constant_with_scalar(2.0, Shape::channels(1));
    let twice = g.multiplication(d, two);
    g.output("twice", twice);
    g.output("once", d);
    g.compile_on(client, CompileOptions::default()).unwrap()
}

fn filled(client: &Client, value: f32) -> TensorData {
    let data = TensorData::on(client, SHAPE).unwrap();
    data.copy_from_f32(&[value; 128]);
    data
}

type Run = fn(&Executable, &[&TensorData], &[&TensorData]) -> Result<(), Error>;

const WAYS: [Run; 4] = [
    Executable::run,
    Executable::run_cached,
    |exe, i, o| exe.run_cached_with_stats(i, o).map(drop),
    Executable::run_cached_direct,
];

/// Rows F54, H13, H14, H15, H16: all ways give the same, in the order of placeholders and outputs, whatever the names.
#[test]
fn all_ways_to_run_give_the_same() {
    on_each_engine(|client| {
        let exe = difference(client);
        let names = |ports: &[anemone::Port]| ports.iter().map(|p| p.name.to_string()).collect::<Vec<_>>();
        assert_eq!(
            (names(exe.inputs()), names(exe.outputs())),
            (vec!["z".into(), "input_1".into()], vec!["twice".into(), "once".into()])
        );
        let [a, b] = [5.0, 1.5].map(|v| filled(client, v));
        for way in WAYS {
            for _ in 0..2 {
                let [twice, once] = [(); 2].map(|()| filled(client, f32::NAN));
                way(&exe, &[&a, &b], &[&twice, &once]).unwrap();
                assert_eq!((&*twice.read_f32(), &*once.read_f32()), (&[7.0; 128][..], &[3.5; 128][..]));
                // Contents change, the binding stays.
                way(&exe, &[&b, &a], &[&twice, &once]).unwrap();
                assert_eq!(once.read_f32()[127], -3.5);
                way(&exe, &[&a, &a], &[&twice, &once]).unwrap();
                assert_eq!(once.read_f32()[127], 0.0);
            }
        }
    });
}

/// Rows F2, A7: a tensor may be of any width. What others know as a least width is that of rows of 64 bytes in surfaces
/// without padding.
#[test]
fn tensors_are_of_any_width() {
    on_each_engine(|client| {
        for width in [1, 2, 31, 32, 33, 63, 64, 65] {
            let shape = Shape { batch: 1, channels: 3, height: 2, width };
            let mut g = Graph::new();
            let x = g.placeholder(shape);
            g.addition(x, x);
            let exe = g.compile_on(client, CompileOptions::default()).unwrap();
            let [x, y] = [(); 2].map(|()| TensorData::on(client, shape).unwrap());
            x.write_f32_with(|i| i as f32).unwrap();
            exe.run(&[&x], &[&y]).unwrap();
            assert!(y.as_f32_slice().iter().enumerate().all(|(i, &y)| y == 2.0 * i as f32), "{width}");
        }
    });
}

/// Rows H13, H14: a run binds anew, a cached one only what it has not seen; others than those of the last run are not
/// taken for them.
#[test]
fn what_is_cached_is_known_by_its_surfaces() {
    messages(|client, sent| {
        let exe = difference(client);
        let data: Vec<TensorData> = (0..6).map(|i| filled(client, i as f32)).collect();
        let bound = |way: Run, a: usize, b: usize| {
            let [a, b] = [a, b].map(|i| &data[i]);
            sent();
            way(&exe, &[a, b], &[&data[4], &data[5]]).unwrap();
            assert_eq!(data[5].read_f32()[0], a.read_f32()[0] - b.read_f32()[0]);
            let lines = sent();
            let evaluations = count(&lines, "evaluateWithQoS") + count(&lines, "doEvaluateDirect");
            assert_eq!(evaluations, 1, "{lines:?}");
            count(&lines, "requestWithInputs")
        };
        assert_eq!([bound(Executable::run, 0, 1), bound(Executable::run, 0, 1)], [1, 1]);
        let cached = |a, b| bound(Executable::run_cached, a, b);
        assert_eq!([cached(0, 1), cached(0, 1), cached(1, 0), cached(0, 1), cached(1, 0)], [1, 0, 1, 0, 0]);
        assert_eq!([cached(2, 3), cached(3, 2), cached(2, 2), cached(0, 1)], [1, 1, 1, 1]);
        // The direct way has the same binding.
        assert_eq!(bound(Executable::run_cached_direct, 0, 1), 0);
    });
}

/// Row H14: ⚠ threads share an executable.
#[test]
fn threads_share_an_executable() {
    on_each_engine(|client| {
        let exe = difference(client);
        std::thread::scope(|scope| {
            for t in 0..6u8 {
                let exe = &exe;
                scope.spawn(move || {
                    let [a, b] = [f32::from(t), 1.0].map(|v| filled(client, v));
                    let [twice, once] = [(); 2].map(|()| filled(client, 0.0));
                    for _ in 0..5 {
                        exe.run_cached(&[&a, &b], &[&twice, &once]).unwrap();
                        assert_eq!(*twice.read_f32(), [2.0 * (f32::from(t) - 1.0); 128]);
                    }
                });
            }
        });
    });
}

/// Row H15: ⚠ the time is asked for before the load, so that there is one; the program is loaded once more for it, once.
#[test]
fn the_time_is_asked_for_in_time() {
    messages(|client, sent| {
        let exe = difference(client);
        let [a, b, twice, once] = [(); 4].map(|()| filled(client, 0.0));
        let time = || exe.run_cached_with_stats(&[&a, &b], &[&twice, &once]).unwrap();
        sent();
        assert_eq!(time(), 123_456);
        let lines = sent();
        assert_eq!((count(&lines, "loadWithQoS"), count(&lines, " compileWithQoS")), (1, 0), "{lines:?}");
        assert_eq!(time(), 123_456);
        assert_eq!(count(&sent(), "loadWithQoS"), 0);
        assert_eq!(client.compile_count(), 2);
    });
    on_each_engine(|client| {
        let mut g = Graph::new();
        let x = g.placeholder(SHAPE);
        g.relu(x);
        let exe = g.compile_on(client, CompileOptions { perf_stats_mask: 15, ..Default::default() }).unwrap();
        let [x, y] = [(); 2].map(|()| filled(client, 1.0));
        assert!(exe.run_cached_with_stats(&[&x], &[&y]).unwrap() > 0);
        assert_eq!(client.compile_count(), 1);
    });
}

/// Rows H13, H14, G18: tensors that do not fit, are missing or in use are refused, whatever the way.
#[test]
fn tensors_are_looked_at() {
    on_each_engine(|client| {
        let exe = difference(client);
        let [a, b, c, d] = [(); 4].map(|()| filled(client, 0.0));
        let other = TensorData::on(client, Shape { channels: 1, height: 2, ..SHAPE }).unwrap();
        for way in WAYS {
            let refused = |inputs: &[&TensorData], outputs: &[&TensorData], word: &str| {
                let e = way(&exe, inputs, outputs).unwrap_err().to_string();
                assert!(e.contains(word), "{e}");
            };
            refused(&[&a], &[&c, &d], "the list of inputs takes 2, and 1 were given");
            refused(&[&a, &b], &[&c, &d, &d], "the list of outputs takes 2, and 3 were given");
            refused(
                &[&a, &other],
                &[&c, &d],
                "`input_1` is fp16 [1, 2, 1, 64], and the tensor is fp16 [1, 1, 2, 64]",
            );
            refused(&[&a, &b], &[&c, &c], "a second time");
            refused(&[&a, &b], &[&c, &a], "a second time");
            let held = b.as_f32_slice_mut();
            assert!(matches!(way(&exe, &[&a, &b], &[&c, &d]), Err(Error::Surface(_))));
            drop(held);
            let held = d.as_f32_slice();
            assert!(matches!(way(&exe, &[&a, &b], &[&c, &d]), Err(Error::Surface(_))));
            drop(held);
            way(&exe, &[&a, &b], &[&c, &d]).unwrap();
        }
    });
}

/// Rows F54, G1: tensors that an executable makes are of the dtype and shape of its inputs and outputs.
#[test]
fn executables_make_their_tensors() {
    on_each_engine(|client| {
        let mut g = Graph::new();
        let x = g.input("x", DType::Fp32, &[3, 70]);
        g.op("relu", with! { x: x });
        let exe = g.compile_on(client, CompileOptions::default()).unwrap();
        let (x, y) = (exe.new_input("x").unwrap(), exe.new_output(0).unwrap());
        assert_eq!((x.dtype(), x.shape()), (DType::Fp32, Shape::spatial(1, 3, 70)));
        let numbers: Vec<f32> = (0..210).map(|i| i as f32 * 0.1 - 9.0).collect();
        x.copy_from_f32(&numbers);
        exe.run_cached(&[&x], &[&y]).unwrap();
        assert!(y.as_f32_slice().iter().zip(&numbers).all(|(y, x)| *y == x.max(0.0)));
        assert!(matches!(exe.new_input(1), Err(Error::Invalid(_))));
        assert!(matches!(exe.new_output("x"), Err(Error::Invalid(_))));

        let mut g = Graph::new();
        let x = g.input("x", DType::Int32, &[5]);
        g.op("identity", with! { x: x });
        let exe = g.compile_on(client, CompileOptions::default()).unwrap();
        let (x, y) = (exe.new_input(0).unwrap(), exe.new_output(0).unwrap());
        x.write_elements(&[1i32, -2, i32::MAX, 0, 7]).unwrap();
        exe.run(&[&x], &[&y]).unwrap();
        let mut back = [0i32; 5];
        y.read_elements(&mut back).unwrap();
        assert_eq!(back, [1, -2, i32::MAX, 0, 7]);
        assert!(matches!(y.try_read_f32(), Err(Error::Invalid(_))));
        assert!(matches!(y.try_as_f32_slice(), Err(Error::Invalid(_))));
        assert!(matches!(y.try_write_f32_at(0, 1.0), Err(Error::Invalid(_))));
    });
}

/// Rows F54, H27: the sample of the crate ane, for every quality of service.
#[test]
fn a_graph_is_compiled_for_the_engine_that_there_is() {
    let (in_ch, out_ch) = (3, 2);
    let (shape, out_shape) = (Shape::spatial(in_ch, 1, 64), Shape::spatial(out_ch, 1, 64));
    let weights = [1.0, 2.0, 3.0, 0.5, 0.25, 0.125];
    for quality in QualityOfService::ALL.into_iter().chain([NSQualityOfService::UserInteractive]) {
        let mut g = Graph::new();
        let x = g.placeholder(shape);
        let y = g.inner_product(x, &weights, in_ch, out_ch);
        assert_eq!(y.shape(), Some(out_shape));
        let exe = g.compile(quality).unwrap();
        let input = TensorData::new(shape);
        let output = TensorData::new(out_shape);
        input.as_f32_slice_mut().fill(2.0);
        exe.run(&[&input], &[&output]).unwrap();
        let data = output.as_f32_slice();
        assert_eq!((data[0], data[127]), (12.0, 1.75));
    }
}

/// Row F54: what is wrong with a graph is said at the line of the caller; what an executable cannot keep is refused.
#[test]
fn what_cannot_be_compiled_is_refused() {
    on_each_engine(|client| {
        let mut g = Graph::new();
        let x = g.placeholder(SHAPE);
        let line = line!() + 1;
        g.reshape(x, Shape::channels(7));
        let Err(Error::Program(faults)) = g.compile_on(client, CompileOptions::default()) else { panic!() };
        assert!(
            matches!(faults.iter().next().unwrap().labels[0].place, Place::Rust(at) if at.line() == line)
        );

        let mut g = Graph::new();
        let x = g.placeholder(SHAPE);
        g.relu(x);
        let e = g.compile_on(client, CompileOptions { qos: 5, ..Default::default() }).unwrap_err();
        assert!(matches!(e, Error::Invalid(_)), "{e}");

        let mut g = Graph::new();
        let kept = g.state("kept", &[1, 2, 1, 64]);
        let x = g.placeholder(SHAPE);
        let old = g.read_state(kept);
        g.addition(old, x);
        let e = g.compile_on(client, CompileOptions::default()).unwrap_err().to_string();
        assert!(e.contains("`kept` is a state"), "{e}");
        assert_eq!(client.compile_count(), 0);
    });
}
