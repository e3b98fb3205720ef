//! What runs allocate, on this side of the seam: nothing.

#[path = "../../../anemone-apple/tests/soak/allocations.rs"]
mod allocations;
mod plans;
#[path = "../ane/software.rs"]
mod software;

use anemone::chip::Chip;
use anemone::device::Engine;
use anemone::driver::{Program, Source};
use anemone::dynamic_matmul::{DynamicMatmul, Options};
use anemone::telemetry::HwTimer;
use anemone::{Client, CompileOptions, Graph, Shape, TensorData, linear};
use anemone_apple::Framework;
use anemone_apple::fake::Fake;

/// Runs once, so that what is kept is there, and then counts.
fn count(mut run: impl FnMut()) -> usize {
    run();
    (0..3).map(|_| allocations::above(&mut run).1).max().unwrap_or_default()
}

/// Rows H14, H16, N4, P3, P4, P5, P8, P9: what is bound to the same tensors is run without an allocation.
#[test]
fn cached_runs_allocate_nothing() {
    let fake = Fake::new(software::machine(Engine::Cpu));
    let framework = fake.raw(|abi| Framework::over(allocations::beneath(abi), None)).unwrap();
    let client = Client::over(&framework);
    let shape = Shape::spatial(2, 1, 64);
    let mut g = Graph::new();
    let x = g.placeholder(shape);
    g.relu(x);
    let exe = g.compile_on(&client, CompileOptions::default()).unwrap();
    let [x, y, z] = [(); 3].map(|()| TensorData::on(&client, shape).unwrap());
    // The measure measures: what is bound anew allocates.
    assert!(count(|| exe.run(&[&x], &[&y]).unwrap()) > 10);
    assert_eq!(count(|| exe.run_cached(&[&x], &[&y]).unwrap()), 0);
    assert_eq!(
        count(|| {
            exe.run_cached(&[&x], &[&z]).unwrap();
            exe.run_cached(&[&x], &[&y]).unwrap();
        }),
        0
    );

    let mut program = Program::compile_on(&client, &Source::matmul(2, 32, 32), &[]).unwrap();
    program.load().unwrap();
    let product = TensorData::on(&client, Shape::spatial(32, 1, 32)).unwrap();
    assert_eq!(count(|| program.run(x.surface(), product.surface()).unwrap()), 0);

    let built = g.build().unwrap();
    let options = CompileOptions { perf_stats_mask: 15, ..CompileOptions::default() };
    let mut model = client.compile_program(&built.program, &built.weights, &options).unwrap();
    let mut timer = HwTimer::new(&mut model);
    assert_eq!(count(|| assert_eq!(timer.eval().unwrap(), Some(123_456))), 0);

    products(&client);

    // Numbers go in and out through memory that is kept.
    let numbers = [0.5; 128];
    assert_eq!(count(|| x.copy_from_f32(&numbers)), 0);
    assert_eq!(count(|| x.write_f32_at(7, 1.0)), 0);
    assert_eq!(count(|| x.as_f32_slice_mut()[7] += 1.0), 0);
    assert_eq!(count(|| assert_eq!(x.as_f32_slice()[0], 0.5)), 0);
    assert!(allocations::below() > 0, "the stand-in allocates, and that is told apart");
    drop((model, exe, program, product, x, y, z, client, framework));
    fake.finish().check();
}

/// Products with weights that are given anew, and layers that are kept.
fn products(client: &Client) {
    let mut matmul = DynamicMatmul::new(client, 2, 3, 40, Options { qos: 0, tile_out: 32 }).unwrap();
    let (rows, weights, mut results) = ([0.5; 6], [0.25; 120], [0.0; 80]);
    assert_eq!(count(|| _ = matmul.eval_into(&mut results, &rows, &weights).unwrap()), 0);
    assert_eq!(count(|| _ = matmul.eval_cf_io_into(&mut results, &rows).unwrap()), 0);
    assert_eq!(count(|| _ = matmul.eval_one_hot_io_into(&mut results, &[2, 1]).unwrap()), 0);
    assert_eq!(count(|| matmul.update_weights_io_rows(&weights, &[1]).unwrap()), 0);
    let layers = linear::Executor::new(client, linear::Options::default()).unwrap();
    let mut layer = || layers.linear_into_with_stats(&mut results, &rows, &weights, 2, 3, 40).unwrap();
    assert_eq!(count(|| _ = layer()), 0);
    let layers = linear::DynamicExecutor::new(client, linear::Options::default()).unwrap();
    let mut layer = || layers.linear_into_with_stats(&mut results, &rows, &weights, 2, 3, 40).unwrap();
    assert_eq!(count(|| _ = layer()), 0);
}

/// Rows H14, N4: a run on surfaces that are bound allocates nothing, whether they have padding or not.
#[test]
fn a_bound_request_runs_without_allocating() {
    for width in [5, 64] {
        let text = format!(
            "program(1.3) {{ func main<ios18>(tensor<fp16, [1, 8, 1, {width}]> x, tensor<fp16, [1, 8, 1, {width}]> b) {{
            tensor<fp16, [1, 8, 1, {width}]> y = mul(x = x, y = x);
            tensor<fp16, [1, 8, 1, {width}]> s = add(x = y, y = b);
            tensor<fp16, [1, 8, 1, {width}]> z = sigmoid(x = s); }} -> (z); }}"
        );
        let options = CompileOptions { mil_text: text.into(), threads: 1, ..CompileOptions::default() };
        let mut model = Client::software(Chip::M4).compile(options).unwrap();
        let values = vec![0.5; 8 * width];
        let mut results = vec![0.0; 8 * width];
        let counted = count(|| {
            model.write_input_f32(0, &values).unwrap();
            model.write_input_f32("b", &values).unwrap();
            model.eval().unwrap();
            model.read_output_f32(0, &mut results).unwrap();
        });
        assert_eq!(counted, 0, "at a width of {width}");
        assert!((results[0] - 0.679).abs() < 1e-3, "{}", results[0]);
    }
}

/// A cache that grows by a row in each evaluation, and is read: nothing is allocated for it.
#[test]
fn a_model_with_a_state_runs_without_allocating() {
    let text = "program(1.3) { func main<ios18>(state<tensor<fp16, [1, 4, 16, 64]>> cache,
        tensor<fp16, [1, 4, 1, 64]> row, tensor<int32, [1]> at) {
        tensor<fp16, [1, 4, 16, 64]> old = read_state(input = cache);
        tensor<int32, [1]> next = add(x = at, y = int32(1));
        tensor<int32, [1]> zero = const()[val = tensor<int32, [1]>([0])];
        tensor<int32, [1]> four = const()[val = tensor<int32, [1]>([4])];
        tensor<int32, [1]> width = const()[val = tensor<int32, [1]>([64])];
        tensor<int32, [4]> begin = concat(values = (zero, zero, at, zero), axis = int32(0), interleave = bool(false));
        tensor<int32, [1]> one = const()[val = tensor<int32, [1]>([1])];
        tensor<int32, [4]> end = concat(values = (one, four, next, width), axis = int32(0), interleave = bool(false));
        tensor<fp16, [1, 4, 16, 64]> new = slice_update(x = old, update = row, begin = begin, end = end);
        write_state(input = cache, data = new);
        tensor<fp16, [1, 4, 16, 64]> now = read_state(input = cache);
        tensor<fp16, [1, 4, 1, 64]> sum = reduce_sum(x = now, axes = tensor<int32, [1]>([2]), keep_dims = bool(true)); }
        -> (sum); }";
    let options = CompileOptions { mil_text: text.into(), threads: 1, ..CompileOptions::default() };
    let model = Client::software(Chip::M4).compile(options).unwrap();
    let mut sequence = anemone::StateHandle::new(&model, 16).unwrap();
    let (row, mut sum) = ([0.5; 256], [0.0; 256]);
    let counted = count(|| {
        sequence.write_input_f32("row", &row).unwrap();
        sequence.write_input_elements("at", &[sequence.position() as i32]).unwrap();
        sequence.eval().unwrap();
        sequence.advance(1).unwrap();
        sequence.read_output_f32("sum", &mut sum).unwrap();
    });
    assert_eq!((counted, sum[0]), (0, 2.0), "four rows of 0.5");
}

/// More inputs, outputs, states, arguments and results than fit on a stack.
#[test]
fn many_tensors_run_without_allocating() {
    let list = |f: &dyn Fn(usize) -> String| (0..40).map(f).collect::<Vec<_>>().join(", ");
    let params =
        list(&|i| format!("tensor<fp16, [1, 1, 1, 32]> x{i}, state<tensor<fp16, [1, 1, 1, 32]>> s{i}"));
    let results = list(&|i| format!("tensor<fp16, [1, 1, 1, 32]> y{i}"));
    let updates: Vec<_> = (0..40)
        .map(|i| {
            format!(
                "tensor<fp16, [1, 1, 1, 32]> r{i} = read_state(input = s{i});
                tensor<fp16, [1, 1, 1, 32]> w{i} = add(x = r{i}, y = x{i});
                write_state(input = s{i}, data = w{i});"
            )
        })
        .collect();
    let text = format!(
        "program(1.3) {{ func main<ios18>({params}) {{ {}
        tensor<fp16, [1, 40, 1, 32]> all = concat(values = ({}), axis = int32(1), interleave = bool(false));
        {results} = split(x = all, num_splits = int32(40), axis = int32(1)); }} -> ({}); }}",
        updates.concat(),
        list(&|i| format!("w{i}")),
        list(&|i| format!("y{i}")),
    );
    let options = CompileOptions { mil_text: text.into(), threads: 1, ..CompileOptions::default() };
    let mut model = Client::software(Chip::M4).compile(options).unwrap();
    model.write_input_f32("x39", &[1.0; 32]).unwrap();
    assert_eq!(count(|| model.eval().unwrap()), 0);
    let mut y = [0.0; 32];
    model.read_output_f32("y39", &mut y).unwrap();
    assert_eq!(y, [4.0; 32], "one in each run");
}

/// A choice in a loop: the memory of blocks is kept, and the variables change places.
#[test]
fn choices_and_loops_run_without_allocating() {
    let text = "program(1.3) { func main<ios18>(tensor<fp16, [1, 2, 1, 32]> x, tensor<int32, [1]> n) {
        int32 times = squeeze(x = n);
        int32 left, tensor<fp16, [1, 2, 1, 32]> y = while_loop(loop_vars = (times, x))
        block (int32 i, tensor<fp16, [1, 2, 1, 32]> a) { bool more = greater(x = i, y = int32(0)); } -> (more)
        block (int32 j, tensor<fp16, [1, 2, 1, 32]> b) {
            int32 next = sub(x = j, y = int32(1));
            bool first = equal(x = j, y = times);
            tensor<fp16, [1, 2, 1, 32]> c = cond(pred = first)
            block () { tensor<fp16, [1, 2, 1, 32]> d = add(x = b, y = fp16(1)); } -> (d)
            block () { tensor<fp16, [1, 2, 1, 32]> e = mul(x = b, y = fp16(2)); } -> (e);
        } -> (next, c); } -> (y); }";
    let options = CompileOptions { mil_text: text.into(), threads: 1, ..CompileOptions::default() };
    let mut model = Client::software(Chip::M4).compile(options).unwrap();
    let mut y = [0.0; 64];
    // One, and then its double as often as is left.
    for (turns, result) in [(0, 0.0), (1, 1.0), (4, 8.0)] {
        model.write_input_elements("n", &[turns]).unwrap();
        assert_eq!(count(|| model.eval().unwrap()), 0, "{turns}");
        model.read_output_f32("y", &mut y).unwrap();
        assert_eq!(y, [result; 64], "{turns}");
    }
}

/// What has no plan, as the documentation of `Executable::run_cached` lists it, allocates. What leaves this list leaves it
/// there too.
#[test]
fn programs_without_a_plan_allocate() {
    let vector = "tensor<int32, [4]>";
    for (what, body) in [
        (
            "lists",
            format!(
                "list<{vector}, 1> l = make_list(init_length = int32(1), dynamic_length = bool(false),
                    elem_shape = (int32(4)), dtype = string(\"int32\"));
                list<{vector}, 1> w = list_write(ls = l, index = n, value = x);
                {vector} y = list_read(ls = w, index = n);"
            ),
        ),
        (
            "shapes that depend on the elements",
            format!(
                "tensor<int32, [?, 1]> places = non_zero(x = x);
                tensor<int32, []> zero = const()[val = int32(0)];
                tensor<int32, [1]> most = reduce_max(x = places, axes = tensor<int32, [1]>([0]), keep_dims = bool(false));
                {vector} y = add(x = x, y = most);"
            ),
        ),
        (
            "a block that reads a state",
            format!(
                "bool p = greater(x = n, y = int32(0));
                {vector} y = cond(pred = p)
                block () {{ {vector} a = read_state(input = s); }} -> (a)
                block () {{ }} -> (x);"
            ),
        ),
    ] {
        let text = format!(
            "program(1.3) {{ func main<ios18>(int32 n, {vector} x, state<{vector}> s) {{ {body} }} -> (y); }}"
        );
        let options = CompileOptions { mil_text: text.into(), threads: 1, ..CompileOptions::default() };
        let mut model = Client::software(Chip::M4).compile(options).unwrap_or_else(|e| panic!("{what}: {e}"));
        model.write_input_elements("x", &[1, 2, 3, 4]).unwrap();
        assert!(count(|| model.eval().unwrap()) > 0, "{what}");
    }
}
