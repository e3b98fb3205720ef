//! Plans of programs with choices and loops.

use super::{Options, X, check, function, loaded, x};
use crate::chip::{Chip, Numerics};
use crate::types::{DType, Tensor};

fn int(n: i64) -> Tensor {
    Tensor::from_i64s(DType::Int32, &[], &[n]).unwrap()
}

fn flag(yes: bool) -> Tensor {
    Tensor::from_bools(&[], &[yes]).unwrap()
}

/// Runs a choice both ways.
fn either(body: &str, results: &str) {
    let text = function(&format!("{X}, bool p"), body, results);
    for yes in [true, false] {
        check(&text, &[("x", x(&[2, 3])), ("p", flag(yes))]);
    }
}

/// Runs a loop, which has the variables that are given it and a limit, so many times.
fn repeated(times: &[i64], body: &str, results: &str) {
    let text = function(&format!("{X}, int32 n"), body, results);
    for &n in times {
        check(&text, &[("x", x(&[2, 3])), ("n", int(n))]);
    }
}

#[test]
fn a_choice_reads_what_lies_outside() {
    either(
        "tensor<fp16, [2, 3]> a = exp(x = x);
         tensor<fp16, [3, 2]> r = reshape(x = a, shape = tensor<int32, [2]>([3, 2]));
         tensor<fp16, [2, 3]> y, tensor<fp16, [3, 2]> z = cond(pred = p)
         block () {
             tensor<fp16, [2, 3]> b = mul(x = a, y = fp16(2));
             tensor<fp16, [2, 3]> c = relu(x = b);
             tensor<fp16, [3, 2]> s = sin(x = r);
         } -> (c, s)
         block () { tensor<fp16, [2, 3]> d = add(x = a, y = x); } -> (d, r);
         tensor<fp16, [2, 3]> w = add(x = y, y = a);",
        "w, z, y, r",
    );
}

#[test]
fn a_block_gives_what_is_given_constants_and_one_value_twice() {
    either(
        "tensor<fp16, [2]> k, tensor<fp16, [2, 3]> y, tensor<fp16, [2, 3]> z = cond(pred = p)
         block () { tensor<fp16, [2]> one = const()[val = tensor<fp16, [2]>([1, 2])]; } -> (one, x, x)
         block () {
             tensor<fp16, [2]> two = add(x = tensor<fp16, [2]>([1, 2]), y = fp16(2));
             tensor<fp16, [2, 3]> e = exp(x = x);
         } -> (two, e, e);",
        "k, y, z",
    );
}

/// What a choice depends on may be constant; results that nobody reads are computed all the same.
#[test]
fn a_choice_may_be_made_beforehand() {
    either(
        "tensor<fp16, [2, 3]> y, tensor<fp16, [2, 3]> unread = cond(pred = bool(false))
         block () { tensor<fp16, [2, 3]> a = exp(x = x); } -> (a, x)
         block () { tensor<fp16, [2, 3]> b = sin(x = x); } -> (b, b);",
        "y, x",
    );
}

#[test]
fn variables_change_places_and_stay() {
    // The Fibonacci numbers, with a step that is the same in each turn.
    repeated(
        &[0, 1, 2, 9],
        "int32 i, tensor<fp16, [2, 3]> a, tensor<fp16, [2, 3]> b, tensor<fp16, [2, 3]> same = while_loop(
             loop_vars = (int32(0), x, tensor<fp16, [2, 3]>([[1, 2, 3], [4, 5, 6]]), x))
         block (int32 i, tensor<fp16, [2, 3]> a, tensor<fp16, [2, 3]> b, tensor<fp16, [2, 3]> s) {
             bool more = less(x = i, y = n);
         } -> (more)
         block (int32 i, tensor<fp16, [2, 3]> a, tensor<fp16, [2, 3]> b, tensor<fp16, [2, 3]> s) {
             int32 next = add(x = i, y = int32(1));
             tensor<fp16, [2, 3]> sum = add(x = a, y = b);
             tensor<fp16, [2, 3]> less = mul(x = sum, y = s);
         } -> (next, b, less, s);
         tensor<fp16, [2, 3]> y = add(x = b, y = same);",
        "y, i, a, same",
    );
}

#[test]
fn blocks_stand_in_blocks() {
    repeated(
        &[0, 1, 5],
        "int32 i, tensor<fp16, [2, 3]> y = while_loop(loop_vars = (n, x))
         block (int32 i, tensor<fp16, [2, 3]> a) { bool more = greater(x = i, y = int32(0)); } -> (more)
         block (int32 j, tensor<fp16, [2, 3]> b) {
             int32 rest = mod(x = j, y = int32(2));
             bool odd = equal(x = rest, y = int32(1));
             tensor<fp16, [2, 3]> c = cond(pred = odd)
             block () {
                 int32 k, tensor<fp16, [2, 3]> d = while_loop(loop_vars = (j, b))
                 block (int32 k, tensor<fp16, [2, 3]> e) { bool on = less(x = k, y = int32(7)); } -> (on)
                 block (int32 k, tensor<fp16, [2, 3]> e) {
                     int32 l = add(x = k, y = j);
                     tensor<fp16, [2, 3]> f = add(x = e, y = x);
                 } -> (l, f);
             } -> (d)
             block () { tensor<fp16, [2, 3]> g = sin(x = b); } -> (g);
             int32 next = sub(x = j, y = int32(1));
         } -> (next, c);",
        "y, i",
    );
}

#[test]
fn blocks_compute_as_the_chip_does() {
    let text = function(
        &format!("{X}, int32 n"),
        "int32 i, tensor<fp16, [2, 3]> y = while_loop(loop_vars = (n, x))
         block (int32 i, tensor<fp16, [2, 3]> a) { bool more = greater(x = i, y = int32(0)); } -> (more)
         block (int32 i, tensor<fp16, [2, 3]> a) {
             int32 j = sub(x = i, y = int32(1));
             tensor<fp16, [2, 3]> b = sigmoid(x = a);
         } -> (j, b);",
        "y",
    );
    let inputs = [("x", x(&[2, 3])), ("n", int(3))];
    let run = |numerics| {
        let model = super::loaded_with(&text, &Options { numerics, ..Options::default() });
        assert!(model.plan().is_some());
        let states = model.new_states().unwrap();
        let planned = model.run(&inputs, &states).unwrap();
        let stepwise = model.run_observed(&inputs, &states, &mut |_| {}).unwrap();
        let bits = |outputs: &crate::types::Datum| outputs.as_tensor().unwrap().bytes().to_vec();
        assert_eq!(bits(&planned[0].1), bits(&stepwise[0].1));
        bits(&planned[0].1)
    };
    assert_ne!(run(Numerics::Ieee), run(Numerics::Chip(Chip::M4)));
}

/// As deep as the parser goes, which is what bounds all that follows a program down.
#[test]
fn blocks_are_planned_as_deep_as_they_are_read() {
    let nested = |depth: usize| {
        let open: String =
            (1..=depth).map(|i| format!("tensor<fp16, [2, 3]> y{i} = cond(pred = p) block () {{ ")).collect();
        let close: String = (1..=depth)
            .rev()
            .map(|i| match i == depth {
                true => "tensor<fp16, [2, 3]> e = exp(x = x); } -> (e) block () { } -> (x); ".to_string(),
                false => format!("}} -> (y{}) block () {{ }} -> (x); ", i + 1),
            })
            .collect();
        function(&format!("{X}, bool p"), &(open + &close), "y1")
    };
    let deepest = (1..).find(|&n| crate::text::parse(&nested(n + 1)).is_err()).unwrap();
    for yes in [true, false] {
        check(&nested(deepest), &[("x", x(&[2, 3])), ("p", flag(yes))]);
    }
}

/// A step with blocks reads a state as any other does; in blocks a state is not for plans.
#[test]
fn blocks_and_states() {
    let state = "state<tensor<fp16, [2, 3]>> s";
    let outside = "tensor<fp16, [2, 3]> old = read_state(input = s);
         tensor<fp16, [2, 3]> y = cond(pred = p)
         block () { tensor<fp16, [2, 3]> a = add(x = old, y = x); } -> (a)
         block () { } -> (old);
         write_state(input = s, data = y);
         tensor<fp16, [2, 3]> z = add(x = y, y = old);";
    let text = function(&format!("{X}, bool p, {state}"), outside, "z, y");
    for yes in [true, false] {
        check(&text, &[("x", x(&[2, 3])), ("p", flag(yes))]);
    }
    let inside = "tensor<fp16, [2, 3]> y = cond(pred = p)
         block () { tensor<fp16, [2, 3]> old = read_state(input = s); } -> (old)
         block () { } -> (x);";
    let model = loaded(&function(&format!("{X}, bool p, {state}"), inside, "y"));
    assert!(model.plan().is_none());
    let inputs = [("x", x(&[2, 3])), ("p", flag(true))];
    let y = model.run(&inputs, &model.new_states().unwrap()).unwrap();
    assert_eq!(y[0].1.as_tensor().unwrap().to_f64s(), [0.0; 6]);
}

#[test]
fn what_goes_wrong_in_a_block_has_a_place() {
    let endless = function(
        "int32 n",
        "int32 y = while_loop(loop_vars = (n))
         block (int32 i) { bool more = equal(x = i, y = i); } -> (more)
         block (int32 i) { int32 j = add(x = i, y = n); } -> (j);",
        "y",
    );
    let outside = function(
        &format!("{X}, int32 n"),
        "bool p = equal(x = n, y = int32(9));
         tensor<fp16, [3]> y = cond(pred = p)
         block () { tensor<fp16, [3]> a = gather(x = x, indices = n, axis = int32(0), validate_indices = bool(true)); } -> (a)
         block () { tensor<fp16, [3]> k = const()[val = tensor<fp16, [3]>([1, 2, 3])]; } -> (k);",
        "y",
    );
    for (text, n, code) in [(endless, 0, "run-limit"), (outside, 9, "index-out-of-range")] {
        let options = Options { turns: 50, ..Options::default() };
        let model = super::loaded_with(&text, &options);
        assert!(model.plan().is_some(), "{text}");
        let inputs = [("n", int(n)), ("x", x(&[2, 3]))];
        let inputs = &inputs[..model.inputs().len()];
        let states = model.new_states().unwrap();
        let e = model.run(inputs, &states).unwrap_err();
        let slow = model.run_observed(inputs, &states, &mut |_| {}).unwrap_err();
        assert_eq!(
            (e.diagnostic().code.name, e.diagnostic().span()),
            (code, slow.diagnostic().span()),
            "{e}"
        );
        assert_eq!(e.to_string(), slow.to_string());
    }
}

#[test]
fn the_memory_of_blocks_is_counted_and_shown() {
    let text = function(
        &format!("{X}, int32 n"),
        "int32 i, tensor<fp16, [2, 3]> y = while_loop(loop_vars = (n, x))
         block (int32 i, tensor<fp16, [2, 3]> a) { bool more = greater(x = i, y = int32(0)); } -> (more)
         block (int32 i, tensor<fp16, [2, 3]> a) {
             int32 j = sub(x = i, y = int32(1));
             tensor<fp16, [2, 3]> b = softmax(x = a, axis = int32(0));
             tensor<fp16, [2, 3]> c = softmax(x = b, axis = int32(1));
         } -> (j, c);",
        "y",
    );
    let model = loaded(&text);
    let plan = model.plan().unwrap();
    // The unread counter, twice both variables, and what lies between the two steps of the body.
    assert_eq!(plan.arena_bytes(), 4 + 2 * (4 + 12) + 12, "{plan}");
    let shown = plan.to_string();
    assert!(
        shown.contains("i: while_loop of input 1, input 0 to slot 0, output 0\n  16 bytes read, 16 written\n  a block of `i`:\n"),
        "{shown}"
    );
    assert!(shown.contains("\n    b: softmax of input 1 to slot 0\n"), "{shown}");
}
