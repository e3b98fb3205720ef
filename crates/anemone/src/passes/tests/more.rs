//! What is chosen by constants, recurrent networks, blocks, and kernels that are given when they run.

use super::*;

const M4: Target = Target { route: Route::Direct, ..Target::new(Chip::M4) };

#[test]
fn what_constants_choose_is_sliced_out() {
    let x = "tensor<fp16, [2, 6, 4]> x";
    for (indices, shape, axis) in [
        ("tensor<int32, [3]>([1, 2, -1])", "[2, 3, 4]", 1),
        ("tensor<int32, [2, 2]>([[3, 0], [1, 2]])", "[2, 6, 2, 2]", 2),
        ("int32(1)", "[6, 4]", 0),
    ] {
        let body = format!(
            "tensor<fp16, {shape}> y = gather(x = x, indices = {indices}, axis = int32({axis}), batch_dims = int32(0), \
             validate_indices = bool(false));"
        );
        check(M4, x, &body, &["gather"]);
    }
    check(
        M4,
        x,
        "tensor<fp16, [3, 4]> y = gather_nd(x = x, indices = tensor<int32, [3, 2]>([[0, 1], [1, 5], [1, -6]]), batch_dims = \
         int32(0), validate_indices = bool(false));",
        &["gather-nd"],
    );
    check(
        M4,
        "tensor<fp16, [2, 3]> x",
        "tensor<fp16, [2, 2]> y = gather_along_axis(x = x, indices = tensor<int32, [2, 2]>([[2, 0], [2, 0]]), axis = \
         int32(1), validate_indices = bool(false));",
        &["gather-along"],
    );
    for mode in ["update", "add", "mul", "max"] {
        let body = format!(
            "tensor<fp16, [2, 6, 4]> y = scatter(data = x, indices = tensor<int32, [2]>([4, 1]), updates = u, axis = \
             int32(1), mode = string(\"{mode}\"), validate_indices = bool(false));"
        );
        check(M4, "tensor<fp16, [2, 6, 4]> x, tensor<fp16, [2, 2, 4]> u", &body, &["scatter"]);
    }
    check(
        M4,
        "tensor<fp16, [2, 6, 4]> x, tensor<fp16, [2, 2, 3]> u",
        "tensor<fp16, [2, 6, 4]> y = slice_update(x = x, update = u, begin = tensor<int32, [3]>([0, 3, 1]), end = \
         tensor<int32, [3]>([2, 5, 4]));",
        &["update"],
    );
    check(
        M4,
        x,
        "tensor<fp16, [2, 6, 4]> y = reverse_sequence(x = x, lengths = tensor<int32, [2]>([6, 4]), seq_axis = int32(1), \
         batch_axis = int32(0));",
        &["reverse-sequence"],
    );
}

#[test]
fn recurrent_networks_are_unrolled() {
    let x = "tensor<fp16, [3, 2, 4]> x, tensor<fp16, [2, 2]> h";
    let weights = |gates: usize, back: &str| {
        let rows = gates * 2;
        format!(
            "tensor<fp16, [{rows}, 4]> i{back} = const()[val = fp16(0.25)]; tensor<fp16, [{rows}, 2]> k{back} = const()[val \
             = fp16(-0.5)]; tensor<fp16, [{rows}]> b{back} = const()[val = fp16(0.125)];"
        )
    };
    for way in ["forward", "reverse"] {
        for all in [true, false] {
            let steps = if all { 3 } else { 1 };
            let rest = format!("direction = string(\"{way}\"), output_sequence = bool({all})");
            let call = |op: &str, more: &str| {
                format!(
                    "tensor<fp16, [{steps}, 2, 2]> y, tensor<fp16, [2, 2]> s{} = {op}(x = x, initial_h = h, weight_ih = i, \
                     weight_hh = k, bias = b, {rest}{more});",
                    if op == "lstm" { ", tensor<fp16, [2, 2]> c" } else { "" }
                )
            };
            check(M4, x, &(weights(1, "") + &call("rnn", ", activation = string(\"relu\")")), &["rnn"]);
            check(M4, x, &(weights(3, "") + &call("gru", "")), &["gru"]);
            check(M4, x, &(weights(3, "") + &call("gru", ", reset_after = bool(true)")), &["gru"]);
            let peephole = "tensor<fp16, [6]> p = const()[val = fp16(0.5)];";
            let more = ", initial_c = h, peephole = p, clip = fp16(0.75)";
            check(M4, x, &(weights(4, "") + peephole + &call("lstm", more)), &["lstm"]);
        }
    }
    let both = weights(4, "")
        + &weights(4, "_back")
        + "tensor<fp16, [3, 2, 4]> y, tensor<fp16, [2, 4]> s, tensor<fp16, [2, 4]> c = lstm(x = x, initial_h = h, initial_c = h, \
         weight_ih = i, weight_hh = k, bias = b, weight_ih_back = i_back, weight_hh_back = k_back, bias_back = b_back, \
         direction = string(\"bidirectional\"), output_sequence = bool(true));";
    check(M4, "tensor<fp16, [3, 2, 4]> x, tensor<fp16, [2, 4]> h", &both, &["lstm"]);
}

#[test]
fn blocks_of_odd_sizes_are_moved() {
    let cases = [
        ("[2, 50, 3, 4]", "[2, 2, 15, 20]", "depth_to_space(x = x, block_size = int32(5))", "shuffle"),
        ("[2, 2, 15, 20]", "[2, 50, 3, 4]", "space_to_depth(x = x, block_size = int32(5))", "shuffle"),
        (
            "[10, 3, 2, 4]",
            "[2, 3, 9, 3]",
            "batch_to_space(x = x, block_shape = tensor<int32, [2]>([5, 1]), crops = tensor<int32, [2, 2]>([[1, 0], [0, 1]]))",
            "to-space",
        ),
        (
            "[20, 3, 2, 4]",
            "[2, 3, 10, 8]",
            "batch_to_space(x = x, block_shape = tensor<int32, [2]>([5, 2]), crops = tensor<int32, [2, 2]>([[0, 0], [0, 0]]))",
            "to-space",
        ),
        (
            "[2, 3, 9, 3]",
            "[20, 3, 2, 2]",
            "space_to_batch(x = x, block_shape = tensor<int32, [2]>([5, 2]), paddings = tensor<int32, [2, 2]>([[1, 0], [0, 1]]))",
            "to-batch",
        ),
    ];
    for (x, y, call, rule) in cases {
        check(M4, &format!("tensor<fp16, {x}> x"), &format!("tensor<fp16, {y}> y = {call};"), &[rule]);
    }
}

#[test]
fn kernels_that_are_given_are_matrices() {
    for (x, y, kernel, more) in [
        (
            "[1, 4, 6, 8]",
            "[1, 2, 6, 8]",
            "[2, 4, 3, 3]",
            "pad_type = string(\"same\"), strides = tensor<int32, [2]>([1, 1])",
        ),
        (
            "[1, 4, 6, 9]",
            "[1, 2, 3, 4]",
            "[2, 4, 2, 3]",
            "pad_type = string(\"valid\"), strides = tensor<int32, [2]>([2, 2])",
        ),
    ] {
        let body = format!(
            "tensor<fp16, {y}> y = conv(x = x, weight = w, bias = tensor<fp16, [2]>([1, -1]), {more}, pad = tensor<int32, \
             [4]>([0, 0, 0, 0]), dilations = tensor<int32, [2]>([1, 1]), groups = int32(1));"
        );
        check(M4, &format!("tensor<fp16, {x}> x, tensor<fp16, {kernel}> w"), &body, &["runtime-weight"]);
    }
}

#[test]
fn transposed_kernels_are_divided() {
    for (y, pad) in [("[1, 2, 9, 32]", "[0, 0, 0, 0]"), ("[1, 2, 7, 29]", "[1, 1, 2, 1]")] {
        let body = format!(
            "tensor<fp16, [4, 2, 3, 18]> w = const()[val = fp16(0.125)]; tensor<fp16, {y}> y = conv_transpose(x = x, weight = w, \
             bias = tensor<fp16, [2]>([1, -1]), strides = tensor<int32, [2]>([2, 2]), pad_type = string(\"custom\"), pad = \
             tensor<int32, [4]>({pad}), dilations = tensor<int32, [2]>([1, 1]), groups = int32(1));"
        );
        check(M4, "tensor<fp16, [1, 4, 4, 8]> x", &body, &["transposed"]);
    }
}

#[test]
fn products_of_many_dimensions_are_of_three() {
    let body = |y: &str, turned: bool| {
        format!(
            "tensor<fp16, [1, 2, 3, 4, 5]> y = matmul(x = x, y = {y}, transpose_x = bool(false), transpose_y = bool({turned}));"
        )
    };
    let x = "tensor<fp16, [1, 2, 3, 4, 6]> x";
    check(M4, &format!("{x}, tensor<fp16, [1, 2, 3, 6, 5]> z"), &body("z", false), &["batches"]);
    check(M4, &format!("{x}, tensor<fp16, [5, 6]> z"), &body("z", true), &["batches"]);
}

#[test]
fn small_weights_are_made_larger() {
    let x = "tensor<fp16, [2, 32]> x";
    let start =
        "tensor<fp16, [2, 32]> a = tanh(x = x); tensor<fp16, [3, 32]> w = const()[val = fp16(0.000003)];";
    check(M4, x, &format!("{start} tensor<fp16, [2, 3]> y = linear(x = a, weight = w);"), &["vanish"]);
    let product =
        "tensor<fp16, [2, 3]> y = matmul(x = a, y = w, transpose_x = bool(false), transpose_y = bool(true));";
    check(M4, x, &format!("{start} {product}"), &["vanish"]);
}

#[test]
fn many_branches_are_joined_a_few_at_a_time() {
    let mut body = String::new();
    let names: Vec<String> = (0..14).map(|i| format!("r{i}")).collect();
    for (i, name) in names.iter().enumerate() {
        body += &format!("tensor<fp16, [2, 4]> {name} = mul(x = x, y = fp16({i}));");
    }
    let values = names.join(", ");
    let x = "tensor<fp16, [2, 4]> x";
    let joined = format!(
        "tensor<fp16, [2, 56]> y = concat(values = ({values}), axis = int32(1), interleave = bool(false));"
    );
    check(M4, x, &(body.clone() + &joined), &["join"]);
    check(
        M4,
        x,
        &(body + &format!("tensor<fp16, [14, 2, 4]> y = stack(values = ({values}), axis = int32(0));")),
        &["join"],
    );
}

/// What is in fp32 is computed in fp16, with casts where the program begins and ends, and none between.
#[test]
fn casts_stand_at_the_ends() {
    let text = "program(1.3) { func main<ios18>(tensor<fp32, [2, 8]> x) { tensor<fp32, [2, 8]> a = mul(x = x, y = fp32(0.5)); \
                tensor<fp32, [2, 8]> b = tanh(x = a); tensor<fp32, [2, 8]> y = add(x = a, y = b); } -> (y); }";
    for target in [M4, Target::new(Chip::M4)] {
        let done = legalise(&text::parse(text).unwrap(), &Weights::none(), target).unwrap();
        let ops: Vec<&str> = done.programs[0].functions[0].body.calls.iter().map(|c| c.op.as_str()).collect();
        assert_eq!(ops, ["cast", "mul", "tanh", "add", "cast"]);
        assert!(done.left.is_empty() && done.changes.len() == 3, "{:?}", done.left);
    }
    // Where a cast is refused, nothing is gained.
    let done = legalise(&text::parse(text).unwrap(), &Weights::none(), strict(Chip::M4)).unwrap();
    assert!(done.changes.is_empty() && done.left.len() == 3);
}

/// What is too deep is cut where little is handed on, and constants go into each part.
#[test]
fn deep_programs_are_divided() {
    let mut body =
        "tensor<fp16, [8]> c = const()[val = fp16(0.5)]; tensor<fp16, [2, 8]> v0 = mul(x = x, y = c);"
            .to_string();
    for i in 1..150 {
        body += &format!("tensor<fp16, [2, 8]> v{i} = add(x = v{}, y = c);", i - 1);
    }
    let text = format!("program(1.3) {{ func main<ios18>({X}) {{ {body} }} -> (v149); }}");
    let program = text::parse(&text).unwrap();
    let target = strict(Chip::M4);
    let done = legalise(&program, &Weights::none(), target).unwrap();
    assert_eq!(done.programs.len(), 3);
    let mut values = inputs(&checked(&program, &Weights::none()).unwrap());
    let whole = outputs(&checked(&program, &Weights::none()).unwrap(), &values, Engine::Cpu);
    for part in &done.programs {
        let verified = checked(part, &Weights::none()).unwrap();
        let hazards = place::place(verified.main(), target).hazards;
        assert!(hazards.iter().all(|h| h.name != codes::GRAPH_DEPTH.name));
        let given = outputs(&verified, &values, Engine::Cpu);
        values = verified.main().outputs().map(|v| v.name.clone()).zip(given).collect();
    }
    assert_eq!(values[0].1.to_f64s(), whole[0].to_f64s());
    // A program with a state stays whole.
    let state = text.replace(X, "state<tensor<fp16, [2, 8]>> s, tensor<fp16, [2, 8]> x");
    let done = legalise(&text::parse(&state).unwrap(), &Weights::none(), target).unwrap();
    assert_eq!(done.programs.len(), 1);
}
