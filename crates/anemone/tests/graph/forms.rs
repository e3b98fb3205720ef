//! Constants in their forms, blocks, states, functions, and general tensors.

use anemone::device::{self, Engine, Options};
use anemone::mil::Opset;
use anemone::types::{self, DType};
use anemone::{Graph, Shape, Tensor, graph as builder, with};

use super::{built, halves, run};

/// Asserts the numbers of a constant, in every opset that has its form.
#[track_caller]
fn constant(make: impl Fn(&mut Graph) -> Tensor, since: Opset, wanted: &[f64]) {
    for opset in Opset::ALL {
        let mut g = Graph::with_opset(opset);
        let c = make(&mut g);
        let shape = Shape { batch: 2, channels: 1, height: 2, width: 4 };
        let x = g.placeholder(shape);
        g.add(x, c);
        let built = g.build();
        if opset < since {
            let wrong = built.expect_err("the form came later");
            assert!(wrong.iter().all(|d| d.code.name == "opset-too-old"), "{wrong}");
            continue;
        }
        let built = built.unwrap_or_else(|wrong| panic!("{opset}: {wrong}"));
        assert!(built.text().contains("constexpr_"));
        let y = run(&built, &[("input_0", halves(&shape.dims(), &[0.0; 16]))]);
        assert_eq!(y[0].1.to_f64s(), wanted, "{opset}");
    }
}

const SHAPE: Shape = Shape { batch: 2, channels: 1, height: 2, width: 4 };

/// Rows D2, C30, F55: int8 with a scale, or one for each place of an axis.
#[test]
fn constants_of_eight_bits() {
    let data: Vec<i8> = (-8..8).collect();
    let half: Vec<f64> = (-8..8).map(|v| f64::from(v) * 0.5).collect();
    constant(|g| g.constant_affine(&data, &[0.5], &[], 0, SHAPE), Opset::Ios16, &half);
    let each: Vec<f64> =
        (-8..8).map(|v| if v < 0 { f64::from(v) - 1.0 } else { f64::from(v) * 2.0 }).collect();
    constant(|g| g.constant_affine(&data, &[1.0, 2.0], &[1, 0], 0, SHAPE), Opset::Ios16, &each);
}

/// Row C31: palettes of every width.
#[test]
fn constants_with_a_palette() {
    for (entries, bits) in [(1, 1), (2, 1), (3, 2), (8, 3), (9, 4), (33, 6), (65, 8), (256, 8)] {
        let palette: Vec<f32> = (0..entries).map(|i| i as f32 * 0.5 - 1.0).collect();
        let indices: Vec<u8> = (0..16).map(|i| ((i * 5) % entries.min(16)) as u8).collect();
        let wanted: Vec<f64> = indices.iter().map(|&i| palette[usize::from(i)].into()).collect();
        constant(|g| g.constant_palette(&indices, &palette, SHAPE), Opset::Ios16, &wanted);
        let mut g = Graph::new();
        let c = g.constant_palette(&indices, &palette, SHAPE);
        g.identity(c);
        assert!(built(&g).text().contains(&format!("tensor<uint{bits}, ")));
    }
}

/// Row C31: what is 0 is not stored.
#[test]
fn constants_with_holes() {
    let data: Vec<f32> = (0..16).map(|i| if i % 3 == 0 { i as f32 } else { 0.0 }).collect();
    let wanted: Vec<f64> = data.iter().map(|&v| v.into()).collect();
    constant(|g| g.constant_sparse(&data, SHAPE), Opset::Ios16, &wanted);
}

/// Row C31: blocks of 4 and 8 bits with a scale each.
#[test]
fn constants_in_blocks() {
    let data: Vec<i8> = (-8..8).collect();
    let wanted: Vec<f64> = data
        .iter()
        .enumerate()
        .map(|(i, &v)| f64::from(v) * [0.5, 1.0, 2.0, 4.0][i / 4 % 2 + 2 * (i / 8)])
        .collect();
    for dtype in [DType::Int4, DType::Int8] {
        let blocks =
            |g: &mut Graph| g.constant_blockwise(&data, dtype, &[0.5, 1.0, 2.0, 4.0], [2, 1, 2, 1], SHAPE);
        constant(blocks, Opset::Ios18, &wanted);
    }
}

/// Compressed constants whose parts do not fit.
#[test]
fn constants_that_do_not_fit() {
    let check = |make: &dyn Fn(&mut Graph) -> Tensor, code: &str| {
        let mut g = Graph::new();
        make(&mut g);
        let found: Vec<_> = g.diagnostics().iter().map(|d| d.code.name).collect();
        assert_eq!(found, [code]);
    };
    check(&|g| g.constant_affine(&[0; 15], &[1.0], &[], 0, SHAPE), "shape-mismatch");
    check(&|g| g.constant_affine(&[0; 16], &[1.0; 3], &[], 0, SHAPE), "shape-mismatch");
    check(&|g| g.constant_affine(&[0; 16], &[1.0], &[], 4, SHAPE), "index-out-of-range");
    check(&|g| g.constant_affine(&[0; 16], &[], &[], 0, SHAPE), "shape-mismatch");
    check(&|g| g.constant_palette(&[0; 16], &[], SHAPE), "bad-value");
    check(&|g| g.constant_palette(&[0; 16], &[0.0; 257], SHAPE), "bad-value");
    check(&|g| g.constant_palette(&[2; 16], &[0.0; 2], SHAPE), "index-out-of-range");
    check(&|g| g.constant_blockwise(&[8; 16], DType::Int4, &[1.0], [1; 4], SHAPE), "value-range");
    check(&|g| g.constant_blockwise(&[1; 16], DType::Int8, &[1.0; 3], [1, 1, 1, 3], SHAPE), "shape-mismatch");
    check(&|g| g.constant_blockwise(&[1; 16], DType::Fp32, &[1.0], [1; 4], SHAPE), "wrong-dtype");
    check(&|g| g.constant_sparse(&[0.0; 3], SHAPE), "shape-mismatch");
}

/// Rows C45, M2: a state carries on from run to run.
#[test]
fn a_state_counts() {
    let mut g = Graph::new();
    let step = g.input("step", DType::Fp16, &[1, 2]);
    let total = g.state("total", &[1, 2]);
    let before = g.read_state(total);
    let after = g.add(before, step);
    g.write_state(total, after);
    g.output("before", before);
    let built = built(&g);
    assert!(built.warnings.is_empty(), "{}", built.warnings);
    let model = device::load(built.verified.main(), Engine::Cpu, &Options::default()).unwrap();
    let states = model.new_states().unwrap();
    for wanted in [[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]] {
        let found = model.run(&[("step", halves(&[1, 2], &[1.0, 2.0]))], &states).unwrap();
        assert_eq!(found[0].1.as_tensor().unwrap().to_f64s(), wanted);
    }
    let updated = |g: &mut Graph, state| {
        let value = g.read_state(state);
        let next = g.add(value, 1);
        g.coreml_update_state(state, next)
    };
    let mut g = Graph::new();
    let state = g.state("s", &[3]);
    let new = updated(&mut g, state);
    g.output("new", new);
    assert!(super::built(&g).text().contains("state<tensor<fp16, [3]>> s"));
    let mut g = Graph::new();
    let state = g.state("s", &[3]);
    g.add(state, 1);
    assert_eq!(g.diagnostics().iter().next().unwrap().code.name, "wrong-kind");
}

/// Row B3: several functions in one program, which share their weights.
#[test]
fn several_functions() {
    let step = |width| {
        let mut g = Graph::new();
        let x = g.placeholder(Shape::spatial(4, 1, width));
        g.inner_product(x, &[0.5; 16], 4, 4);
        g
    };
    let (prefill, decode) = (step(128), step(64));
    let program = builder::build(&[("prefill", &prefill), ("decode", &decode)]).unwrap();
    let offsets: Vec<_> = anemone::bundle::blobs(&program.program).iter().map(|b| b.offset).collect();
    assert_eq!(offsets, [64, 64]);
    assert!(program.verified.function("prefill").is_some() && program.verified.function("decode").is_some());

    let code = |functions: &[(&str, &Graph)]| {
        let wrong = builder::build(functions).unwrap_err();
        wrong.iter().next().unwrap().code.name
    };
    assert_eq!(code(&[("main", &prefill), ("main", &decode)]), "duplicate-function");
    assert_eq!(code(&[]), "no-function");
    assert_eq!(code(&[("two words", &prefill)]), "unexpected-character");
    let mut bad = Graph::new();
    bad.constant(&[1.0], Shape::channels(2));
    assert_eq!(code(&[("main", &prefill), ("bad", &bad)]), "shape-mismatch");
}

/// Row F55: tensors of any dtype and number of dimensions, and ops with several results.
#[test]
fn general_tensors() {
    let mut g = Graph::new();
    let table = g.constant_tensor(halves(&[4, 2], &[0.0, 1.0, 10.0, 11.0, 20.0, 21.0, 30.0, 31.0]));
    let ids = g.input("ids", DType::Int32, &[3]);
    let rows = g.gather(table, ids, with! { axis: 0, validate_indices: false });
    assert_eq!(rows.shape(), None, "it has two dimensions");
    assert_eq!(g.type_of(rows).unwrap().to_string(), "tensor<fp16, [3, 2]>");
    let top = g.topk(rows, with! { k: 1, axis: 0 });
    assert_eq!((top.len(), top.is_empty(), top.iter().count()), (2, false, 2));
    let [values, places] = top.into();
    g.output("values", values);
    g.output("places", places);
    let found = run(&built(&g), &[("ids", types::Tensor::from_slice(&[3], &[2, 0, 3]).unwrap())]);
    assert_eq!(found[0].1.to_f64s(), [30.0, 31.0]);
    assert_eq!(found[1].1.to_i64s(), [2, 2]);
}

/// Row F55: the outputs that nobody named are the results of the ops of which nobody reads one, in their order.
#[test]
fn outputs_without_names() {
    let mut g = Graph::new();
    let x = g.placeholder(Shape::spatial(6, 1, 64));
    let [a, _, c] = g.split(x, 1, with! { num_splits: 3 }).into();
    g.add(a, c);
    g.split(x, 1, with! { num_splits: 2 });
    let program = built(&g);
    let names: Vec<_> =
        program.program.functions[0].body.outputs.iter().map(|o| o.name.to_string()).collect();
    assert_eq!(names, ["output_0", "output_1", "output_2"]);
    let types: Vec<_> = program.verified.main().outputs().map(|o| o.ty.to_string()).collect();
    let three = "tensor<fp16, [1, 3, 1, 64]>";
    assert_eq!(types, ["tensor<fp16, [1, 2, 1, 64]>", three, three]);
}

/// Row A16: names that nobody gave are in the order in which the values were made.
#[test]
fn the_order_of_names_is_that_of_making() {
    let mut g = Graph::new();
    let inputs: Vec<_> = (0..120).map(|_| g.placeholder(Shape::channels(64))).collect();
    for &x in &inputs {
        g.relu(x);
    }
    let program = built(&g);
    let names: Vec<_> = program.program.functions[0].params.iter().map(|p| p.name.clone()).collect();
    assert!(names.is_sorted(), "{names:?}");
    let names: Vec<_> = program.program.functions[0].body.outputs.iter().map(|p| p.name.clone()).collect();
    assert!(names.is_sorted(), "{names:?}");
    assert_eq!(names.len(), 120);
}

/// An input, a constant and a value twice can be outputs all the same; a name that is taken is left alone.
#[test]
fn outputs_that_need_a_copy() {
    let mut g = Graph::new();
    let x = g.input("relu_1", DType::Fp16, &[1]);
    let c = g.constant_tensor(halves(&[1], &[7.0]));
    let y = g.relu(x);
    let z = g.relu(y);
    for (name, value) in [("x", x), ("c", c), ("z", z), ("again", z)] {
        g.output(name, value);
    }
    let found = run(&built(&g), &[("relu_1", halves(&[1], &[3.0]))]);
    let found: Vec<_> = found.iter().map(|(n, t)| (n.as_str(), t.to_f64s()[0])).collect();
    assert_eq!(found, [("x", 3.0), ("c", 7.0), ("z", 3.0), ("again", 3.0)]);
}

/// A loop in a branch: blocks read what stands outside of them, and have constants of their own.
fn collatz() -> Graph {
    let mut g = Graph::new();
    let n = g.input("n", DType::Int32, &[]);
    let zero = g.constant_tensor(types::Tensor::scalar(DType::Int32, 0.0));
    let steps = g.while_loop(
        &[n, zero],
        |g, v| g.greater(v[0], 1),
        |g, v| {
            let rest = g.r#mod(v[0], 2);
            let odd = g.equal(rest, 1);
            let next = g.cond(
                odd,
                |g| {
                    let three = g.constant_tensor(types::Tensor::scalar(DType::Int32, 3.0));
                    let tripled = g.mul(v[0], three);
                    vec![g.add(tripled, 1)]
                },
                |g| vec![g.floor_div(v[0], 2)],
            )[0];
            vec![next, g.add(v[1], 1)]
        },
    )[1];
    g.output("steps", steps);
    g
}

/// Row B12: blocks, written by closures.
#[test]
fn a_loop_with_a_branch() {
    let program = built(&collatz());
    let text = program.text();
    let parsed = anemone::text::parse(&text).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"));
    assert_eq!(anemone::text::print(&parsed), text);
    for (n, wanted) in [(1, 0), (6, 8), (27, 111)] {
        let n = types::Tensor::scalar(DType::Int32, f64::from(n));
        assert_eq!(run(&program, &[("n", n)])[0].1.to_i64s(), [wanted]);
    }
}

/// Blocks that do not fit, and values that are used where they are not.
#[test]
fn blocks_that_are_wrong() {
    let check = |write: &dyn Fn(&mut Graph, Tensor, Tensor), code: &str| {
        let mut g = Graph::new();
        let x = g.input("x", DType::Fp16, &[2]);
        let p = g.input("p", DType::Bool, &[]);
        write(&mut g, x, p);
        let found: Vec<_> = g.diagnostics().iter().map(|d| d.code.name).collect();
        assert_eq!(found, [code], "{}", g.diagnostics());
    };
    check(&|g, x, p| drop(g.cond(p, |_| vec![x], |_| vec![])), "block-type");
    check(&|g, x, p| drop(g.cond(p, |_| vec![x], |g| vec![g.cast(x, "fp32")])), "block-type");
    check(&|g, x, _| drop(g.cond(x, |_| vec![x], |_| vec![x])), "wrong-dtype");
    check(&|g, x, _| drop(g.while_loop(&[x], |_, v| v[0], |_, v| vec![v[0]])), "block-type");
    check(&|g, x, p| drop(g.while_loop(&[x], |_, _| p, |_, _| vec![])), "block-type");
    check(&|g, x, p| drop(g.cond(p, |g| vec![g.reshape(x, [3])], |_| vec![x])), "shape-mismatch");
    check(&|g, x, p| drop(g.cond(p, |g| vec![g.placeholder(Shape::channels(1))], |_| vec![x])), "block-type");
    let outside = |g: &mut Graph, x: Tensor, p: Tensor| {
        let mut inner = x;
        g.cond(
            p,
            |g| {
                inner = g.relu(x);
                vec![inner]
            },
            |_| vec![x],
        );
        g.relu(inner);
    };
    check(&outside, "undefined-name");
}
