//! The engines: states, control flow, unknown dimensions, limits. Both engines run every case.

use anemone::bundle::Weights;
use anemone::device::{self, Engine, Loaded, Options};
use anemone::types::{DType, Tensor};
use anemone::{text, verify};

/// Loads `main` of a program, which must be right.
fn load(program: &str, engine: Engine, options: &Options) -> Result<Loaded, String> {
    let program = text::parse(program).unwrap_or_else(|e| panic!("{e}"));
    let report = verify::verify(&program, &Weights::none());
    let verified = report.verified.unwrap_or_else(|| panic!("{}", report.diagnostics));
    device::load(verified.main(), engine, options).map_err(|e| e.diagnostic().to_string())
}

/// Runs a program once on each engine and compares its results, as numbers.
fn check(program: &str, inputs: &[(&str, Tensor)], expected: &[&[f64]]) {
    for engine in Engine::ALL {
        let model = load(program, engine, &Options::default()).unwrap();
        let outputs =
            model.run(inputs, &model.new_states().unwrap()).unwrap_or_else(|e| panic!("{engine}: {e}"));
        let found: Vec<_> = outputs.iter().map(|(_, d)| d.as_tensor().unwrap().to_f64s()).collect();
        assert_eq!(found, expected, "{engine}");
    }
}

/// Runs a program on each engine and compares what it is refused with.
fn refused(program: &str, inputs: &[(&str, Tensor)], options: &Options, expected: &str) {
    for engine in Engine::ALL {
        let found = load(program, engine, options).and_then(|model| {
            let states = model.new_states().map_err(|e| e.to_string())?;
            model.run(inputs, &states).map_err(|e| e.to_string())
        });
        assert_eq!(found.err().as_deref(), Some(expected), "{engine}");
    }
}

fn f32s(values: &[f32]) -> Tensor {
    Tensor::from_slice(&[values.len()], values).unwrap()
}

const COUNT: &str = "program(1.3) { func main<ios18>(tensor<fp32, [2]> x, int32 n) {
    int32 i0 = const()[val = int32(0)];
    int32 i, tensor<fp32, [2]> y = while_loop(loop_vars = (i0, x))
        block (int32 a, tensor<fp32, [2]> b) { bool go = less(x = a, y = n); } -> (go)
        block (int32 a, tensor<fp32, [2]> b) {
            int32 next = add(x = a, y = int32(1));
            tensor<fp32, [2]> twice = mul(x = b, y = fp32(2));
        } -> (next, twice);
} -> (y, i); }";

#[test]
fn a_loop_turns_until_its_condition_is_false() {
    let n = Tensor::scalar(DType::Int32, 3.0);
    check(COUNT, &[("x", f32s(&[1.0, -1.0])), ("n", n)], &[&[8.0, -8.0], &[3.0]]);
    let n = Tensor::scalar(DType::Int32, 0.0);
    check(COUNT, &[("x", f32s(&[1.0, -1.0])), ("n", n)], &[&[1.0, -1.0], &[0.0]]);
}

#[test]
fn a_loop_that_does_not_end_is_ended() {
    let n = Tensor::scalar(DType::Int32, 1e9);
    let options = Options { turns: 10, ..Options::default() };
    let expected = "error[run-limit]: a loop has not ended after 10 turns";
    refused(COUNT, &[("x", f32s(&[1.0, 2.0])), ("n", n)], &options, expected);
}

#[test]
fn cond_runs_one_of_its_blocks() {
    let program = "program(1.3) { func main<ios18>(tensor<fp32, [1]> x, bool p) {
        tensor<fp32, [1]> y = cond(pred = p)
            block () { tensor<fp32, [1]> a = add(x = x, y = fp32(1)); } -> (a)
            block () { tensor<fp32, [1]> b = sub(x = x, y = fp32(1)); } -> (b);
    } -> (y); }";
    for (p, expected) in [(true, 6.0), (false, 4.0)] {
        let p = Tensor::from_bools(&[], &[p]).unwrap();
        check(program, &[("x", f32s(&[5.0])), ("p", p)], &[&[expected]]);
    }
}

/// Row M2: a state is kept from run to run.
#[test]
fn states_carry_on_from_run_to_run() {
    let program = "program(1.3) { func main<ios18>(state<tensor<fp16, [2]>> sum, tensor<fp16, [2]> x) {
        tensor<fp16, [2]> old = read_state(input = sum);
        tensor<fp16, [2]> new = add(x = old, y = x);
        write_state(data = new, input = sum);
    } -> (new); }";
    for engine in Engine::ALL {
        let model = load(program, engine, &Options::default()).unwrap();
        let states = model.new_states().unwrap();
        let x = Tensor::from_f64s(DType::Fp16, &[2], &[1.0, 2.0]).unwrap();
        for turn in 1..4 {
            let outputs = model.run(&[("x", x.clone())], &states).unwrap();
            let wanted = [f64::from(turn), 2.0 * f64::from(turn)];
            assert_eq!(outputs[0].1.as_tensor().unwrap().to_f64s(), wanted, "{engine}");
            assert_eq!(states["sum"].read().to_f64s(), wanted, "{engine}");
        }
        // Other states start anew.
        let outputs = model.run(&[("x", x.clone())], &model.new_states().unwrap()).unwrap();
        assert_eq!(outputs[0].1.as_tensor().unwrap().to_f64s(), [1.0, 2.0], "{engine}");
    }
}

/// Row B11: known when the program runs.
#[test]
fn dimensions_that_are_not_known_take_their_size_from_the_input() {
    let program = "program(1.3) { func main<ios18>(tensor<fp32, [?, 2]> x) {
        tensor<int32, [2]> s = shape(x = x);
        tensor<fp32, [?]> flat = reshape(x = x, shape = tensor<int32, [1]>([-1]));
        tensor<fp32, [?]> y = relu(x = flat);
    } -> (y, s); }";
    for rows in [1, 3, 0] {
        let x = Tensor::from_slice(&[rows, 2], &vec![1.5f32; 2 * rows]).unwrap();
        check(program, &[("x", x)], &[&vec![1.5; 2 * rows], &[rows as f64, 2.0]]);
    }
}

/// Row T6: names, dtypes and shapes.
#[test]
fn inputs_are_checked_against_the_function() {
    let program = "program(1.3) { func main<ios18>(tensor<fp32, [?, 2]> left, tensor<fp32, [2]> right) {
        tensor<fp32, [?, 2]> y = add(x = left, y = right);
    } -> (y); }";
    let (left, right) = (Tensor::zeros(DType::Fp32, &[3, 2]).unwrap(), f32s(&[1.0, 2.0]));
    let options = Options::default();
    check(program, &[("left", left.clone()), ("right", right.clone())], &[&[1.0, 2.0, 1.0, 2.0, 1.0, 2.0]]);
    let expected = "error[input-missing]: the input `right` is not given";
    refused(program, &[("left", left.clone())], &options, expected);
    let expected = "error[input-unknown]: the function has no input `rigth`";
    refused(program, &[("left", left.clone()), ("rigth", right.clone())], &options, expected);
    let expected =
        "error[input-type]: `left` is `tensor<fp32, [2]>`, and the function takes `tensor<fp32, [?, 2]>`";
    refused(program, &[("left", right.clone()), ("right", right)], &options, expected);
}

/// Row T8: a program is not trusted with memory.
#[test]
fn a_run_does_not_take_more_memory_than_it_may() {
    let program = "program(1.3) { func main<ios18>(tensor<fp32, [1024]> x) {
        tensor<fp32, [1024, 1024]> y = tile(x = x, reps = tensor<int32, [1]>([1024]));
    } -> (y); }";
    let program = program.replace("[1024, 1024]", "[1048576]");
    let options = Options { memory: 1 << 20, ..Options::default() };
    let expected =
        "error[run-limit]: with the result of `tile` the run would hold 4.0 MiB, and may hold 1.0 MiB";
    refused(&program, &[("x", Tensor::zeros(DType::Fp32, &[1024]).unwrap())], &options, expected);
}

#[test]
fn what_depends_on_constants_only_is_computed_once() {
    let program = "program(1.3) { func main<ios18>(tensor<fp32, [2]> x) {
        tensor<fp32, [2]> a = const()[val = tensor<fp32, [2]>([1, 2])];
        tensor<fp32, [2]> b = mul(x = a, y = fp32(3));
        tensor<fp32, [2]> c = add(x = b, y = a);
        tensor<fp32, [2]> y = add(x = x, y = c);
    } -> (y); }";
    check(program, &[("x", f32s(&[0.5, 0.5]))], &[&[4.5, 8.5]]);
    assert_eq!(load(program, Engine::Reference, &Options::default()).unwrap().steps(), 1);
}

#[test]
fn threads_do_not_change_the_bits() {
    let program = "program(1.3) { func main<ios18>(tensor<fp16, [64, 300]> x) {
        tensor<fp16, [64, 64]> y = matmul(x = x, y = x, transpose_x = bool(false), transpose_y = bool(true));
        tensor<fp16, [64, 64]> z = softmax(x = y, axis = int32(-1));
        tensor<fp16, [64]> s = reduce_sum(x = y, axes = tensor<int32, [1]>([0]), keep_dims = bool(false));
    } -> (y, z, s); }";
    let x: Vec<f64> = (0..64 * 300).map(|i| f64::from((i * 7919) % 1000) / 500.0 - 1.0).collect();
    let x = Tensor::from_f64s(DType::Fp16, &[64, 300], &x).unwrap();
    let run = |threads| {
        let model = load(program, Engine::Cpu, &Options { threads, ..Options::default() }).unwrap();
        model.run(&[("x", x.clone())], &model.new_states().unwrap()).unwrap()
    };
    for ((name, one), (_, two)) in run(1).iter().zip(&run(2)) {
        assert!(one.as_tensor().unwrap().same_bits(two.as_tensor().unwrap()), "{name}");
    }
}

#[test]
fn an_observer_sees_each_step_with_what_it_read_and_gave() {
    let numbers = |d: &anemone::types::Datum| d.as_tensor().map(Tensor::to_f64s);
    for engine in Engine::ALL {
        let model = load(COUNT, engine, &Options::default()).unwrap();
        let inputs = [("x", f32s(&[1.0, -1.0])), ("n", Tensor::scalar(DType::Int32, 1.0))];
        let mut seen = Vec::new();
        let observed = model.run_observed(&inputs, &model.new_states().unwrap(), &mut |o| {
            let read: Vec<_> = ["x", "y"].iter().filter_map(|p| numbers(o.args.arg(p)?.value?)).collect();
            seen.push((o.step.op.name, read, o.results.iter().filter_map(numbers).collect::<Vec<_>>()));
        });
        assert_eq!(
            format!("{:?}", observed.unwrap()),
            format!("{:?}", model.run(&inputs, &model.new_states().unwrap()).unwrap())
        );
        let seen: Vec<_> = seen.iter().map(|(op, read, gave)| format!("{op} {read:?} {gave:?}")).collect();
        let expected = [
            "less [[0.0], [1.0]] [[1.0]]",
            "add [[0.0], [1.0]] [[1.0]]",
            "mul [[1.0, -1.0], [2.0]] [[2.0, -2.0]]",
            "less [[1.0], [1.0]] [[0.0]]",
            "while_loop [] [[1.0], [2.0, -2.0]]",
        ];
        assert_eq!(seen, expected, "{engine}");
    }
}

#[test]
fn an_observer_sees_a_state_as_it_was_before_the_step() {
    let program = "program(1.3) { func main<ios18>(state<tensor<fp16, [1]>> s, tensor<fp16, [1]> x) {
        tensor<fp16, [1]> y = coreml_update_state(state = s, value = x);
    } -> (y); }";
    let model = load(program, Engine::Cpu, &Options::default()).unwrap();
    let states = model.new_states().unwrap();
    let x = Tensor::from_f64s(DType::Fp16, &[1], &[7.0]).unwrap();
    let mut before = Vec::new();
    let run = model.run_observed(&[("x", x)], &states, &mut |o| {
        if let Some(anemone::types::Datum::State(s)) = o.args.arg("state").and_then(|a| a.value) {
            before.push(s.read().to_f64s());
        }
    });
    run.unwrap();
    assert_eq!((before, states["s"].read().to_f64s()), (vec![vec![0.0]], vec![7.0]));
}
