//! States in plans: what is copied, and what is not.

use super::{check, loaded};
use crate::types::{DType, Tensor};

/// Holds a function of two states and two inputs against the engine that goes step by step, and its steps against what is
/// expected of them.
fn plans(body: &str, results: &str, expected: &[&str]) {
    let text = format!(
        "program(1.3) {{ func main<ios18>(state<tensor<fp16, [3, 2]>> s, state<tensor<fp16, [3, 2]>> t,
        tensor<fp16, [3, 2]> x, tensor<fp16, [1, 2]> row, tensor<int32, [2]> at) {{ {body} }} -> ({results}); }}"
    );
    let numbers = |shape: &[usize], from: f64| {
        let numbers: Vec<f64> = (0..shape.iter().product::<usize>()).map(|i| i as f64 / 4.0 + from).collect();
        Tensor::from_f64s(DType::Fp16, shape, &numbers).unwrap()
    };
    let at = Tensor::from_i64s(DType::Int32, &[2], &[1, 0]).unwrap();
    check(&text, &[("x", numbers(&[3, 2], -0.5)), ("row", numbers(&[1, 2], 7.0)), ("at", at)]);
    let shown = loaded(&text).plan().unwrap().to_string();
    let steps: Vec<&str> = shown.lines().skip_while(|l| !l.starts_with("state 1")).skip(1).collect();
    let steps: Vec<&str> =
        steps.into_iter().filter(|l| !l.starts_with("slot") && !l.starts_with(" ")).collect();
    assert_eq!(steps, expected, "{text}");
}

/// `to` is `from` with one row written.
fn update(to: &str, from: &str, row: usize) -> String {
    format!(
        "tensor<fp16, [3, 2]> {to} = slice_update(x = {from}, update = row, \
         begin = tensor<int32, [2]>([{row}, 0]), end = tensor<int32, [2]>([{}, 2]));",
        row + 1
    )
}

fn read(to: &str, state: &str) -> String {
    format!("tensor<fp16, [3, 2]> {to} = read_state(input = {state});")
}

fn write(state: &str, data: &str) -> String {
    format!("write_state(input = {state}, data = {data});")
}

fn relu(to: &str, from: &str) -> String {
    format!("tensor<fp16, [3, 2]> {to} = relu(x = {from});")
}

/// Of a cache only the row that changes is written.
#[test]
fn a_cache_is_changed_where_it_lies() {
    let body =
        [read("a", "s"), update("b", "a", 1), write("s", "b"), read("c", "s"), relu("y", "c")].concat();
    plans(&body, "y", &["b: slice_update of input 1 to state 0", "y: relu of state 0 to output 0"]);
    // Several in turn, as of the layers of a model that share one.
    let body = [
        read("a", "s"),
        update("b", "a", 0),
        write("s", "b"),
        read("c", "s"),
        relu("y", "c"),
        update("d", "c", 2),
        write("s", "d"),
        read("e", "s"),
        relu("z", "e"),
    ];
    let steps = [
        "b: slice_update of input 1 to state 0",
        "y: relu of state 0 to output 0",
        "d: slice_update of input 1 to state 0",
        "z: relu of state 0 to output 1",
    ];
    plans(&body.concat(), "y, z", &steps);
    // Two states, and a place that is known when it runs.
    let later = "tensor<int32, [2]> end = add(x = at, y = tensor<int32, [2]>([1, 2]));
        tensor<fp16, [3, 2]> b = slice_update(x = a, update = row, begin = at, end = end);";
    let body = [read("a", "t"), later.into(), write("t", "b"), read("c", "t"), relu("y", "c")].concat();
    let steps = [
        "end: add of input 2 to slot 0",
        "b: slice_update of input 1, input 2, slot 0 to state 1",
        "y: relu of state 1 to output 0",
    ];
    plans(&body, "y", &steps);
}

#[test]
fn a_result_is_computed_in_the_state_that_it_is_written_to() {
    let body = [relu("b", "x"), write("s", "b"), read("c", "s"), relu("y", "c")].concat();
    plans(&body, "y", &["b: relu of input 0 to state 0", "y: relu of state 0 to output 0"]);
    // It is a result of the function too.
    let body = [relu("b", "x"), write("s", "b")].concat();
    plans(&body, "b", &["b: relu of input 0 to state 0", "output 0 is a copy of state 0"]);
    let body = "tensor<fp16, [3, 2]> c = coreml_update_state(state = s, value = b);";
    let body = [relu("b", "x"), body.into(), relu("y", "c")].concat();
    plans(&body, "y", &["b: relu of input 0 to state 0", "y: relu of state 0 to output 0"]);
}

#[test]
fn what_is_still_needed_is_copied() {
    // A kernel does not write what it reads.
    let sum = "tensor<fp16, [3, 2]> b = add(x = a, y = x);";
    let body = [read("a", "s"), sum.into(), write("s", "b")].concat();
    let steps = ["b: add of state 0, input 0 to output 0", "write_state: write_state of output 0 to state 0"];
    plans(&body, "b", &steps);
    // What was there before is a result.
    let body = [read("a", "s"), write("s", "x")].concat();
    let steps = ["a: read_state of state 0 to output 0", "write_state: write_state of input 0 to state 0"];
    plans(&body, "a", &steps);
    // Two states change places.
    let body = [read("a", "s"), read("b", "t"), write("s", "b"), write("t", "a"), relu("y", "b")].concat();
    check_only(&body, "y, a");
    // The old cache is read after the new one was made, and two are made of one.
    let body =
        [read("a", "s"), update("b", "a", 1), write("s", "b"), relu("y", "a"), relu("z", "b")].concat();
    check_only(&body, "y, z");
    let body =
        [read("a", "s"), update("b", "a", 1), update("c", "a", 2), write("s", "b"), write("t", "c")].concat();
    check_only(&body, "b, c");
    // It changes by what it holds.
    let own = "tensor<fp16, [1, 2]> r = slice_by_index(x = a, begin = tensor<int32, [2]>([0, 0]), \
               end = tensor<int32, [2]>([1, 2]));
        tensor<fp16, [3, 2]> b = slice_update(x = a, update = r, begin = tensor<int32, [2]>([2, 0]), \
               end = tensor<int32, [2]>([3, 2]));";
    check_only(
        &[read("a", "s"), own.into(), write("s", "b"), update("c", "b", 0), write("s", "c")].concat(),
        "b",
    );
}

/// [`plans`] where the steps may be any.
fn check_only(body: &str, results: &str) {
    let text = format!(
        "program(1.3) {{ func main<ios18>(state<tensor<fp16, [3, 2]>> s, state<tensor<fp16, [3, 2]>> t,
        tensor<fp16, [1, 2]> row) {{ {body} }} -> ({results}); }}"
    );
    check(&text, &[("row", Tensor::from_f64s(DType::Fp16, &[1, 2], &[7.0, -8.0]).unwrap())]);
}

#[test]
fn what_is_there_already_is_not_written() {
    let body = [read("a", "s"), write("s", "a"), relu("y", "a")].concat();
    plans(&body, "y", &["y: relu of state 0 to output 0"]);
    let body = [write("s", "x"), read("a", "s"), write("s", "a"), relu("y", "a")].concat();
    plans(&body, "y", &["write_state: write_state of input 0 to state 0", "y: relu of input 0 to output 0"]);
}

#[test]
fn a_state_is_set_to_constants_and_to_what_another_holds() {
    let one = "tensor<fp16, [3, 2]> k = const()[val = tensor<fp16, [3, 2]>([[1, 2], [3, 4], [5, 6]])];";
    let body = [one.into(), write("s", "k"), read("a", "s"), write("t", "a"), relu("y", "a")].concat();
    check_only(&body, "y");
    check_only(&[read("a", "s"), write("t", "a"), update("b", "a", 1), write("s", "b")].concat(), "a");
    check_only(
        &[read("a", "s"), update("b", "a", 1), write("s", "b"), write("t", "b"), write("s", "a")].concat(),
        "b",
    );
}

/// What refuses leaves in the state what the program has written.
#[test]
fn a_run_that_is_refused_writes_no_more_than_the_program_did() {
    let text = "program(1.3) { func main<ios18>(state<tensor<fp16, [2]>> s, tensor<fp16, [2]> x, tensor<int32, [1]> i) {
        tensor<fp16, [2]> b = relu(x = x);
        tensor<fp16, [1]> g = gather(x = b, indices = i, axis = int32(0), validate_indices = bool(true));
        write_state(input = s, data = b); } -> (g); }";
    let model = loaded(text);
    let states = model.new_states().unwrap();
    let run = |index: i64| {
        let x = Tensor::from_f64s(DType::Fp16, &[2], &[1.0, 2.0]).unwrap();
        let i = Tensor::from_i64s(DType::Int32, &[1], &[index]).unwrap();
        model.run(&[("x", x), ("i", i)], &states).map(|results| results[0].1.as_tensor().unwrap().to_f64s())
    };
    assert!(run(9).is_err());
    assert_eq!(states["s"].read().to_f64s(), [0.0, 0.0]);
    assert_eq!(run(1).unwrap(), [2.0]);
    assert_eq!(states["s"].read().to_f64s(), [1.0, 2.0]);
}

#[test]
fn a_state_that_is_bound_twice_is_run_step_by_step() {
    let text = "program(1.3) { func main<ios18>(state<tensor<fp16, [1]>> s, state<tensor<fp16, [1]>> t, tensor<fp16, [1]> x) {
        write_state(input = s, data = x);
        tensor<fp16, [1]> y = read_state(input = t); } -> (y); }";
    let model = loaded(text);
    let mut states = model.new_states().unwrap();
    let shared = states["s"].clone();
    states.insert("t".into(), shared);
    let x = Tensor::from_f64s(DType::Fp16, &[1], &[3.0]).unwrap();
    assert_eq!(model.run(&[("x", x)], &states).unwrap()[0].1.as_tensor().unwrap().to_f64s(), [3.0]);
}

/// Who reads a view reads what lies in the state; of what it held before it was set only what is needed is copied.
#[test]
fn views_of_a_cache_are_read_where_it_lies() {
    let turned = |to: &str, from: &str| {
        format!("tensor<fp16, [2, 3]> {to} = transpose(x = {from}, perm = tensor<int32, [2]>([1, 0]));")
    };
    let product = |to: &str, y: &str| {
        format!(
            "tensor<fp16, [3, 3]> {to} = matmul(x = x, y = {y}, transpose_x = bool(false), transpose_y = bool(false));"
        )
    };
    let after =
        [read("a", "s"), update("b", "a", 1), write("s", "b"), turned("u", "b"), product("y", "u")].concat();
    plans(
        &after,
        "y",
        &["b: slice_update of input 1 to state 0", "y: matmul of input 0, state 0 by transpose to output 0"],
    );
    let before =
        [read("a", "s"), turned("u", "a"), update("b", "a", 1), write("s", "b"), product("y", "u")].concat();
    plans(
        &before,
        "y",
        &[
            "u: transpose of state 0 to slot 0",
            "b: slice_update of input 1 to state 0",
            "y: matmul of input 0, slot 0 to output 0",
        ],
    );
}
