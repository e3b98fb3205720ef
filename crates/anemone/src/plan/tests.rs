//! Plans of small programs.

mod bands;
mod blocks;
mod layout;
mod states;
mod views;

use crate::bundle::Weights;
use crate::device::{self, Engine, Options};
use crate::text;
use crate::types::{DType, Tensor};
use crate::verify;

fn loaded(text: &str) -> device::Loaded {
    loaded_with(text, &Options::default())
}

fn loaded_with(text: &str, options: &Options) -> device::Loaded {
    let program = text::parse(text).unwrap_or_else(|e| panic!("{e}"));
    let report = verify::verify(&program, &Weights::none());
    let verified = report.verified.unwrap_or_else(|| panic!("{}", report.diagnostics));
    device::load(verified.main(), Engine::Cpu, options).unwrap()
}

fn function(params: &str, body: &str, results: &str) -> String {
    format!("program(1.3) {{ func main<ios18>({params}) {{ {body} }} -> ({results}); }}")
}

/// Runs a plan twice on the same arena, so that states go on, and compares with the engine that goes step by step.
fn check(text: &str, inputs: &[(&str, Tensor)]) {
    let model = loaded(text);
    let plan = model.plan().unwrap_or_else(|| panic!("no plan for {text}"));
    let given: Vec<&[u8]> = plan
        .inputs()
        .iter()
        .map(|io| inputs.iter().find(|(n, _)| io.name == **n).expect("every input is given").1.bytes())
        .collect();
    let mut arena = plan.arena();
    for threads in [1, 2] {
        let states = model.new_states().unwrap();
        let mut kept: Vec<Vec<u8>> = plan.states().iter().map(|io| vec![0; io.bytes]).collect();
        for turn in 0..2 {
            let results = model.run_observed(inputs, &states, &mut |_| {}).unwrap();
            let expected: Vec<&[u8]> = results.iter().map(|(_, r)| r.as_tensor().unwrap().bytes()).collect();
            let mut outputs: Vec<Vec<u8>> = plan.outputs().iter().map(|io| vec![0xee; io.bytes]).collect();
            let mut slices: Vec<&mut [u8]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
            let mut variables: Vec<&mut [u8]> = kept.iter_mut().map(Vec::as_mut_slice).collect();
            plan.run(&mut arena, &given, &mut slices, &mut variables, threads).unwrap();
            assert_eq!(outputs, expected, "turn {turn} of {text}\n{plan}");
            for (io, kept) in plan.states().iter().zip(&kept) {
                assert_eq!(
                    kept,
                    states[&io.name].read().bytes(),
                    "`{}` in turn {turn} of {text}\n{plan}",
                    io.name
                );
            }
        }
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
        "3 steps, an arena of 24 bytes in 2 slots\n\
         input 0: x tensor<fp16, [2, 3]>, 12 bytes\n\
         output 0: e tensor<fp16, [3, 2]>, 12 bytes\n\
         slot 0: 12 bytes\nslot 1: 12 bytes\n\
         a: relu of input 0 to slot 0\n  12 bytes read, 12 written\n\
         c: exp of slot 0 to slot 1\n  12 bytes read, 12 written\n\
         e: mul, add of slot 1, slot 0 to output 0\n  26 bytes read, 12 written\n"
    );
}

#[test]
fn slots_take_turns() {
    let mut body = String::new();
    let mut last = "x".to_string();
    for i in 0..20 {
        body += &format!("tensor<fp16, [2, 3]> v{i} = softmax(x = {last}, axis = int32(0));\n");
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
    check(&function(X, reshaped, "r, x"), &[("x", x(&[2, 3]))]);
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
}

/// What a plan of a body does, a line for each step: its ops, and what it reads.
fn steps(body: &str, results: &str) -> Vec<String> {
    let weights =
        "tensor<fp16, [3, 3]> w = const()[val = tensor<fp16, [3, 3]>([[1, 2, 3], [4, 5, 6], [7, 8, 9]])];";
    let params = format!("{X}, tensor<fp16, [2, 3]> r, tensor<fp16, [3]> b");
    let text = function(&params, &format!("{weights} {body}"), results);
    let b = Tensor::from_f64s(DType::Fp16, &[3], &[0.5, -2.0, 3.0]).unwrap();
    check(&text, &[("x", x(&[2, 3])), ("r", x(&[2, 3])), ("b", b)]);
    let model = loaded(&text);
    let plan = model.plan().unwrap();
    let names = |step: crate::plan::StepInfo<'_>| {
        std::iter::once(step.op).chain(step.after.iter().map(|op| op.name)).collect::<Vec<_>>().join(" ")
    };
    plan.steps().map(names).collect()
}

const LINEAR: &str = "tensor<fp16, [2, 3]> l = linear(x = x, weight = w);";

#[test]
fn what_follows_a_kernel_is_done_by_it() {
    let with = |rest: &str, results: &str| steps(&format!("{LINEAR} {rest}"), results);
    // Activations, a residual on either side, several in a row.
    let relu = "tensor<fp16, [2, 3]> a = relu(x = l);";
    assert_eq!(with(relu, "a"), ["linear relu"]);
    let residual = "tensor<fp16, [2, 3]> a = sub(x = r, y = l); tensor<fp16, [2, 3]> c = tanh(x = a);";
    assert_eq!(with(residual, "c"), ["linear sub tanh"]);
    // Also where the residual is made in between.
    let later = "tensor<fp16, [2, 3]> e = exp(x = r); tensor<fp16, [2, 3]> a = add(x = l, y = e);";
    assert_eq!(with(later, "a"), ["linear", "exp add"]);
    let earlier = format!(
        "tensor<fp16, [2, 3]> e = softmax(x = r, axis = int32(1)); {LINEAR} tensor<fp16, [2, 3]> a = add(x = l, y = e);"
    );
    assert_eq!(steps(&earlier, "a"), ["softmax", "linear add"]);
    // What lies under another shape has the same elements.
    let flat = "tensor<fp16, [6]> f = reshape(x = l, shape = tensor<int32, [1]>([6])); tensor<fp16, [6]> a = relu(x = f);";
    assert_eq!(with(flat, "a"), ["linear relu"]);
    // A gate, and one of the kernel's own.
    let gate = "tensor<fp16, [2, 3]> g = sigmoid(x = l); tensor<fp16, [2, 3]> a = mul(x = l, y = g);";
    assert_eq!(with(gate, "a"), ["linear mul"]);
    let chain = "tensor<fp16, [2, 3]> a = add(x = x, y = r); tensor<fp16, [2, 3]> c = mul(x = a, y = x); tensor<fp16, [2, 3]> d = relu(x = c);";
    assert_eq!(steps(chain, "d"), ["add mul relu"]);
}

#[test]
fn what_others_read_is_written() {
    let with = |rest: &str, results: &str| steps(&format!("{LINEAR} {rest}"), results);
    // A result of the function, and one that is read twice.
    let relu = "tensor<fp16, [2, 3]> a = relu(x = l);";
    assert_eq!(with(relu, "l, a"), ["linear", "relu"]);
    let twice = "tensor<fp16, [2, 3]> a = relu(x = l); tensor<fp16, [2, 3]> c = add(x = l, y = a); tensor<fp16, [2, 3]> d = sub(x = l, y = c);";
    assert_eq!(with(twice, "d"), ["linear", "relu add sub"]);
    let square = "tensor<fp16, [2, 3]> a = mul(x = l, y = l);";
    assert_eq!(with(square, "a"), ["linear", "mul"]);
    // Broadcasting, and a gate that is read elsewhere.
    let broadcast = "tensor<fp16, [2, 3]> a = add(x = l, y = b);";
    assert_eq!(with(broadcast, "a"), ["linear", "add"]);
    let gate = "tensor<fp16, [2, 3]> g = sigmoid(x = l); tensor<fp16, [2, 3]> a = mul(x = l, y = g);";
    assert_eq!(with(gate, "a, g"), ["linear", "sigmoid", "mul"]);
    // A kernel that takes in nothing, and one that does not know the function.
    let moved = "tensor<fp16, [3, 2]> t = transpose(x = x, perm = tensor<int32, [2]>([1, 0])); tensor<fp16, [3, 2]> a = relu(x = t);";
    assert_eq!(steps(moved, "a"), ["transpose", "relu"]);
    let unknown = "tensor<fp16, [2, 3]> a = atan(x = l);";
    assert_eq!(with(unknown, "a"), ["linear", "atan"]);
}

#[test]
fn convolutions_finish_whichever_way_they_go() {
    for (channels, groups) in [(1, 1), (8, 1), (8, 8), (16, 2)] {
        let each = channels / groups;
        let nest = |count: usize, inner: &str| format!("[{}]", vec![inner; count].join(", "));
        let weights = nest(channels, &nest(each, &nest(3, &nest(3, "0.5"))));
        let body = format!(
            "tensor<fp16, [{channels}, {each}, 3, 3]> w = const()[val = tensor<fp16, [{channels}, {each}, 3, 3]>({weights})];
             tensor<fp16, [1, {channels}, 5, 7]> y = conv(x = x, weight = w, pad_type = string(\"same\"), groups = int32({groups}),
                 strides = tensor<int32, [2]>([1, 1]), dilations = tensor<int32, [2]>([1, 1]), pad = tensor<int32, [4]>([0, 0, 0, 0]));
             tensor<fp16, [1, {channels}, 5, 7]> a = add(x = y, y = x);
             tensor<fp16, [1, {channels}, 5, 7]> g = sigmoid_hard(x = a, alpha = fp16(0.2), beta = fp16(0.5));
             tensor<fp16, [1, {channels}, 5, 7]> z = mul(x = g, y = a);"
        );
        let text = function(&format!("tensor<fp16, [1, {channels}, 5, 7]> x"), &body, "z");
        check(&text, &[("x", x(&[1, channels, 5, 7]))]);
        let model = loaded(&text);
        assert_eq!(model.plan().unwrap().steps().len(), 1, "{}", model.plan().unwrap());
    }
}

/// What is computed twice is computed once, unless a shape or a constant is another.
#[test]
fn the_same_is_not_computed_again() {
    let given = x(&[2, 3]);
    let check = |body: &str, count: usize| {
        let text = function(X, body, "a, b");
        check(&text, &[("x", given.clone())]);
        assert_eq!(loaded(&text).plan().unwrap().steps().count(), count, "{body}");
    };
    check("tensor<fp16, [2, 3]> a = exp(x = x); tensor<fp16, [2, 3]> b = exp(x = x);", 1);
    check(
        "tensor<fp16, [2, 3]> a = mul(x = x, y = fp16(2)); tensor<fp16, [2, 3]> b = mul(x = x, y = fp16(2));",
        1,
    );
    check(
        "tensor<fp16, [2, 3]> a = mul(x = x, y = fp16(2)); tensor<fp16, [2, 3]> b = mul(x = x, y = fp16(3));",
        2,
    );
    check("tensor<fp16, [2, 3]> a = sin(x = x); tensor<fp16, [2, 3]> b = cos(x = x);", 2);
    // The same elements in another shape are summed along other axes.
    check(
        "tensor<fp16, [3, 2]> y = reshape(x = x, shape = tensor<int32, [2]>([3, 2]));
         tensor<fp16, [2]> a = reduce_sum(x = x, axes = tensor<int32, [1]>([1]), keep_dims = bool(false));
         tensor<fp16, [3]> b = reduce_sum(x = y, axes = tensor<int32, [1]>([1]), keep_dims = bool(false));",
        2,
    );
    // What follows is the same too, and each of several results.
    check(
        "tensor<fp16, [2, 1]> p, tensor<fp16, [2, 2]> q = split(x = x, split_sizes = tensor<int32, [2]>([1, 2]), axis = int32(1));
         tensor<fp16, [2, 1]> r, tensor<fp16, [2, 2]> s = split(x = x, split_sizes = tensor<int32, [2]>([1, 2]), axis = int32(1));
         tensor<fp16, [2, 2]> a = exp(x = q);
         tensor<fp16, [2, 2]> b = exp(x = s);",
        2,
    );
}

/// A literal of this shape.
fn literal(dtype: &str, shape: &[usize], number: impl Fn(usize) -> String) -> String {
    fn nested(shape: &[usize], next: &mut dyn Iterator<Item = String>) -> String {
        let Some((&first, rest)) = shape.split_first() else { return next.next().unwrap() };
        let parts: Vec<String> = (0..first).map(|_| nested(rest, next)).collect();
        format!("[{}]", parts.join(", "))
    }
    let numbers = nested(shape, &mut (0..).map(number));
    format!("tensor<{dtype}, {shape:?}>({numbers})")
}

/// A layer of one row makes parts of its weights from what is stored; others get them whole.
#[test]
fn a_row_meets_weights_as_they_are_stored() {
    let (outputs, inputs) = (260, 512);
    let whole = [outputs, inputs];
    let scales = |shape: &[usize]| literal("fp16", shape, |i| ((i % 5 + 1) as f64 / 512.0).to_string());
    let codes = |dtype: &str, shape: &[usize], low: i64, count: usize| {
        literal(dtype, shape, |i| (low + (i * 7 % count) as i64).to_string())
    };
    let blockwise = |dtype: &str, low, count, blocks: usize, offset: &str| {
        let (data, scale) = (codes(dtype, &whole, low, count), scales(&[outputs, blocks]));
        format!("constexpr_blockwise_shift_scale(data = {data}, {offset} scale = {scale})")
    };
    let offset = format!("offset = {},", codes("uint4", &[outputs, 4], 0, 16));
    let weights = [
        blockwise("int8", -128, 256, 1, ""),
        blockwise("int4", -8, 16, 16, ""),
        blockwise("uint4", 0, 16, 4, &offset),
        format!(
            "constexpr_lut_to_dense(indices = {}, lut = {})",
            codes("uint4", &whole, 0, 16),
            scales(&[outputs / 4, 1, 16, 1])
        ),
        format!(
            "constexpr_affine_dequantize()[quantized_data = {}, axis = int32(0), scale = {}, zero_point = {}]",
            codes("uint8", &whole, 0, 256),
            scales(&[outputs]),
            codes("uint8", &[outputs], 100, 50)
        ),
    ];
    for (i, weight) in weights.iter().enumerate() {
        for rows in [1, 2] {
            let text = function(
                &format!("tensor<fp16, [{rows}, {inputs}]> x"),
                &format!(
                    "tensor<fp16, {whole:?}> w = {weight};
                     tensor<fp16, [{rows}, {outputs}]> y = linear(x = x, weight = w);
                     tensor<fp16, [{rows}, {outputs}]> z = relu(x = y);"
                ),
                "z",
            );
            let small: Vec<f64> = x(&[rows, inputs]).to_f64s().into_iter().map(|v| v / 64.0).collect();
            check(&text, &[("x", Tensor::from_f64s(DType::Fp16, &[rows, inputs], &small).unwrap())]);
            let read = loaded(&text).plan().unwrap().steps().map(|step| step.read).sum::<usize>();
            assert_eq!(read < 2 * outputs * inputs, rows == 1, "{i}: {read} bytes");
        }
    }
}
