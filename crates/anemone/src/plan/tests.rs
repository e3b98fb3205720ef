//! Plans of small programs.

use crate::bundle::Weights;
use crate::device::{self, Engine, Options};
use crate::text;
use crate::types::{DType, Tensor};
use crate::verify;

fn loaded(text: &str) -> device::Loaded {
    let program = text::parse(text).unwrap_or_else(|e| panic!("{e}"));
    let report = verify::verify(&program, &Weights::none());
    let verified = report.verified.unwrap_or_else(|| panic!("{}", report.diagnostics));
    device::load(verified.main(), Engine::Cpu, &Options::default()).unwrap()
}

fn function(params: &str, body: &str, results: &str) -> String {
    format!("program(1.3) {{ func main<ios18>({params}) {{ {body} }} -> ({results}); }}")
}

/// Runs a plan twice on the same arena, and compares with the engine that goes step by step.
fn check(text: &str, inputs: &[(&str, Tensor)]) {
    let model = loaded(text);
    let plan = model.plan().unwrap_or_else(|| panic!("no plan for {text}"));
    let given: Vec<&[u8]> = plan
        .inputs()
        .iter()
        .map(|io| inputs.iter().find(|(n, _)| io.name == **n).expect("every input is given").1.bytes())
        .collect();
    let mut expected = Vec::new();
    let states = model.new_states().unwrap();
    let results = model.run_observed(inputs, &states, &mut |_| {}).unwrap();
    for (_, result) in &results {
        expected.push(result.as_tensor().unwrap().bytes().to_vec());
    }
    let mut arena = plan.arena();
    for threads in [1, 2] {
        let mut outputs: Vec<Vec<u8>> = plan.outputs().iter().map(|io| vec![0xee; io.bytes]).collect();
        let mut slices: Vec<&mut [u8]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
        plan.run(&mut arena, &given, &mut slices, threads).unwrap();
        assert_eq!(outputs, expected, "{text}\n{plan}");
    }
}

fn x(shape: &[usize]) -> Tensor {
    let numbers: Vec<f64> = (0..shape.iter().product::<usize>()).map(|i| i as f64 / 8.0 - 1.0).collect();
    Tensor::from_f64s(DType::Fp16, shape, &numbers).unwrap()
}

const X: &str = "tensor<fp16, [2, 3]> x";

#[test]
fn a_plan_says_what_it_does() {
    let text = function(
        X,
        "tensor<fp16, [2, 3]> a = relu(x = x);
         tensor<fp16, [3, 2]> b = reshape(x = a, shape = tensor<int32, [2]>([3, 2]));
         tensor<fp16, [3, 2]> c = exp(x = b);
         tensor<fp16, [3, 2]> unread = sin(x = b);
         tensor<fp16, [3, 2]> d = mul(x = c, y = fp16(2));
         tensor<fp16, [3, 2]> e = add(x = d, y = b);",
        "e",
    );
    check(&text, &[("x", x(&[2, 3]))]);
    let shown = loaded(&text).plan().unwrap().to_string();
    assert_eq!(
        shown,
        "4 steps, an arena of 36 bytes in 3 slots\n\
         input 0: x tensor<fp16, [2, 3]>, 12 bytes\n\
         output 0: e tensor<fp16, [3, 2]>, 12 bytes\n\
         slot 0: 12 bytes\nslot 1: 12 bytes\nslot 2: 12 bytes\n\
         a: relu of input 0 to slot 0\n\
         c: exp of slot 0 to slot 1\n\
         d: mul of slot 1 to slot 2\n\
         e: add of slot 2, slot 0 to output 0\n"
    );
}

#[test]
fn slots_take_turns() {
    let mut body = String::new();
    let mut last = "x".to_string();
    for i in 0..20 {
        body += &format!("tensor<fp16, [2, 3]> v{i} = sin(x = {last});\n");
        last = format!("v{i}");
    }
    let text = function(X, &body, "v19");
    check(&text, &[("x", x(&[2, 3]))]);
    assert_eq!(loaded(&text).plan().unwrap().arena_bytes(), 24, "two slots are enough");
}

#[test]
fn results_may_be_inputs_constants_names_and_read_again() {
    let reshaped = "tensor<fp16, [6]> r = reshape(x = x, shape = tensor<int32, [1]>([6]));";
    check(&function(X, reshaped, "r"), &[("x", x(&[2, 3]))]);
    check(&function(X, reshaped, "r, x, r"), &[("x", x(&[2, 3]))]);
    let body = "tensor<fp16, [2, 3]> a = sin(x = x);
        tensor<fp16, [6]> r = reshape(x = a, shape = tensor<int32, [1]>([6]));
        tensor<fp16, [2, 3]> b = exp(x = a);
        tensor<fp16, [2, 3]> k = const()[val = tensor<fp16, [2, 3]>([[1, 2, 3], [4, 5, 6]])];
        tensor<fp16, [2, 3]> s = add(x = k, y = k);";
    check(&function(X, body, "a, r, b, k, s"), &[("x", x(&[2, 3]))]);
}

#[test]
fn a_step_may_have_several_results() {
    let body = "tensor<fp16, [2, 1]> a, tensor<fp16, [2, 2]> b = split(x = x, split_sizes = tensor<int32, [2]>([1, 2]), axis = int32(1));
        tensor<fp16, [2, 2]> y = mul(x = b, y = a);";
    check(&function(X, body, "y, a"), &[("x", x(&[2, 3]))]);
    check(&function(X, body, "y"), &[("x", x(&[2, 3]))]);
}

#[test]
fn what_an_op_finds_out_at_run_time_has_a_place() {
    let text = function(
        "tensor<fp16, [2, 3]> x, tensor<int32, [1]> i",
        "tensor<fp16, [1, 3]> y = gather(x = x, indices = i, axis = int32(0), validate_indices = bool(true));",
        "y",
    );
    let index = |i: i64| Tensor::from_i64s(DType::Int32, &[1], &[i]).unwrap();
    check(&text, &[("x", x(&[2, 3])), ("i", index(1))]);
    let model = loaded(&text);
    let e = model.run(&[("x", x(&[2, 3])), ("i", index(9))], &model.new_states().unwrap()).unwrap_err();
    assert!(e.diagnostic().span().is_some(), "{e}");
}

#[test]
fn what_cannot_be_planned_is_run_step_by_step() {
    let open = function("tensor<fp16, [?, 3]> x", "tensor<fp16, [?, 3]> y = relu(x = x);", "y");
    assert!(loaded(&open).plan().is_none());
    let state = function("state<tensor<fp16, [2]>> s", "tensor<fp16, [2]> v = read_state(input = s);", "v");
    assert!(loaded(&state).plan().is_none());
}
