//! Parts of tensors: views, copies, bytes in place.

use anemone::{
    Chip, Client, CompileOptions, Error, Graph, Model, Shape, Surface, TensorData, TensorLayout,
    bundle::Weights,
};
use proptest::prelude::*;

use crate::on_each_engine;

/// `y = x + 1`, of any shape.
fn increment(client: &Client, [c, h, w]: [usize; 3]) -> Model {
    let mut g = Graph::new();
    let x = g.placeholder(Shape::spatial(c, h, w));
    let one = g.constant_with_scalar(1.0, Shape::channels(1));
    g.addition(x, one);
    let built = g.build().unwrap();
    client.compile_program(&built.program, &built.weights, &CompileOptions::default()).unwrap()
}

/// Row G28: a surface from a byte on is the same surface.
#[test]
fn a_surface_from_a_byte_on() {
    on_each_engine(|client| {
        let whole = client.surface(&TensorLayout::new(4, 1, 32, 2).unwrap()).unwrap();
        let part = whole.from_byte(64).unwrap().from_byte(64).unwrap();
        assert_eq!((part.size(), part == whole), (128, true));
        part.write(|numbers| numbers[1] = 5);
        assert_eq!(whole.read(|numbers| numbers[65]), 5);
        let held = whole.lock().unwrap();
        assert!(matches!(part.lock_mut(), Err(Error::Surface(_))));
        drop(held);
        for start in [1, 63, 65, 256, 512, usize::MAX - 63] {
            assert!(matches!(whole.from_byte(start), Err(Error::Surface(_))), "{start}");
        }
        assert!(matches!(part.from_byte(128), Err(Error::Surface(_))));
    });
}

/// Row G28: channels of a tensor are the input of one program, and other ones the output of another.
#[test]
fn a_part_of_a_tensor_is_bound_by_itself() {
    on_each_engine(|client| {
        let mut g = Graph::new();
        let x = g.placeholder(Shape::spatial(2, 1, 64));
        g.multiplication(x, x);
        let exe = g.compile_on(client, CompileOptions::default()).unwrap();
        let wide = TensorData::on(client, Shape::spatial(6, 1, 64)).unwrap();
        wide.write_f32_with(|i| (i / 64) as f32).unwrap();
        let other = TensorData::on(client, Shape::spatial(2, 1, 64)).unwrap();
        for first in 0..5 {
            let part = wide.channels(first..first + 2).unwrap();
            exe.run_cached(&[&part], &[&other]).unwrap();
            let y = other.read_f32();
            assert_eq!([y[0], y[64]], [first, first + 1].map(|c| (c * c) as f32));
        }
        exe.run_cached(&[&other], &[&wide.channels(4..6).unwrap()]).unwrap();
        let numbers = wide.read_f32();
        let firsts: Vec<f32> = numbers.iter().copied().step_by(64).collect();
        assert_eq!(firsts, [0.0, 1.0, 2.0, 3.0, 256.0, 625.0]);
        // A surface is written or read as a whole.
        let [a, b] = [0..2, 2..4].map(|c| wide.channels(c).unwrap());
        assert!(matches!(exe.run_cached(&[&a], &[&b]), Err(Error::Invalid(_))));
    });
}

/// Row G28: parts that a tensor does not have are refused.
#[test]
fn parts_lie_within() {
    let data = TensorData::new(Shape::spatial(4, 2, 20));
    let part = data.channels(1..4).unwrap();
    assert_eq!(part.channels(2..3).unwrap().surface().size(), 128);
    #[expect(clippy::reversed_empty_ranges, reason = "somebody may ask for it")]
    for channels in [0..5, 4..5, 3..2, 0..usize::MAX] {
        assert!(matches!(data.channels(channels), Err(Error::Invalid(_))));
    }
    assert!(matches!(data.channels(2..2), Err(Error::Surface(_))));
    let batches = TensorData::new(Shape { batch: 2, ..data.shape() });
    assert!(matches!(batches.channels(0..1), Err(Error::Invalid(_))));
    let wide = TensorData::new(Shape::spatial(4, 2, 21));
    assert!(matches!(wide.copy_channels_from(0, &data, 0..1), Err(Error::Invalid(_))));
    assert!(matches!(data.copy_channels_from(0, &part, 0..1), Err(Error::Invalid(_))));
    batches.copy_from_f32(&[2.0; 320]);
    data.copy_channels_from(1, &batches, 6..8).unwrap();
    assert_eq!(data.read_f32().iter().sum::<f32>(), 2.0 * 2.0 * 40.0);
    assert!(matches!(data.copy_channels_from(3, &batches, 6..8), Err(Error::Invalid(_))));
}

/// Rows G28, P6: what one model gives is what another takes, also itself.
#[test]
fn outputs_are_copied_to_inputs() {
    on_each_engine(|client| {
        let mut first = increment(client, [4, 2, 64]);
        let mut second = increment(client, [6, 2, 64]);
        first.write_input_f32(0, &(0..512).map(|i| (i / 128) as f32).collect::<Vec<_>>()).unwrap();
        first.eval().unwrap();
        first.copy_output_channels_to_input(0, 1..4, &second, "input_0", 2).unwrap();
        first.copy_output_range_to_input(0, 0..1, 60..64, &second, 0, (5, 1)).unwrap();
        second.eval().unwrap();
        let mut y = vec![0.0; 768];
        second.read_output_f32(0, &mut y).unwrap();
        for (c, plane) in y.chunks(128).enumerate() {
            let copied = [0.0, 0.0, 2.0, 3.0, 4.0, 0.0][c] + 1.0;
            for (i, &number) in plane.iter().enumerate() {
                let range = c == 5 && (1..5).contains(&(i % 64));
                assert_eq!(number, if range { 2.0 } else { copied }, "{c} {i}");
            }
        }
        for _ in 0..3 {
            first.copy_output_channels_to_input(0, 0..4, &first, 0, 0).unwrap();
            first.eval().unwrap();
        }
        let mut y = vec![0.0; 512];
        first.read_output_f32(0, &mut y).unwrap();
        assert_eq!([y[0], y[511]], [4.0, 7.0]);

        let narrow = increment(client, [4, 2, 32]);
        let flat = increment(client, [4, 1, 64]);
        let refused = |result: Result<(), Error>, word: &str| {
            let e = result.unwrap_err();
            assert!(matches!(e, Error::Invalid(_)) && e.to_string().contains(word), "{e}");
        };
        refused(first.copy_output_channels_to_input(0, 0..1, &narrow, 0, 0), "rows of 64 elements");
        refused(first.copy_output_channels_to_input(0, 0..1, &flat, 0, 0), "2 rows in a channel");
        refused(first.copy_output_channels_to_input(0, 3..5, &second, 0, 0), "4 channels");
        refused(first.copy_output_channels_to_input(0, 0..4, &second, 0, 3), "6 channels");
        refused(first.copy_output_channels_to_input(0, 0..4, &second, 0, usize::MAX), "6 channels");
        refused(first.copy_output_channels_to_input(1, 0..4, &second, 0, 0), "no output 1");
        refused(first.copy_output_channels_to_input(0, 0..4, &second, "y", 0), "no input `y`");
        refused(first.copy_output_range_to_input(0, 0..1, 60..65, &second, 0, (0, 0)), "64 columns");
        refused(first.copy_output_range_to_input(0, 0..1, 0..8, &second, 0, (0, 57)), "64 columns");
        let held = second.input_surface(0).unwrap().lock().unwrap();
        let result = first.copy_output_channels_to_input(0, 0..1, &second, 0, 0);
        assert!(matches!(result, Err(Error::Surface(_))));
        drop(held);
    });
}

/// Row G28: two models share a surface, and nothing is copied.
#[test]
fn models_share_a_surface() {
    on_each_engine(|client| {
        let mut first = increment(client, [4, 1, 64]);
        let second = increment(client, [4, 1, 64]);
        let y: &Surface = second.output_surface(0).unwrap();
        let mut chained = second.bind(&[first.output_surface(0).unwrap()], &[y]).unwrap();
        first.eval().unwrap();
        chained.run().unwrap();
        let mut numbers = [0.0; 256];
        second.read_output_f32(0, &mut numbers).unwrap();
        assert_eq!(numbers, [2.0; 256]);
        let shared = first.request();
        let result = shared.copy_output_channels_to_input(0, 0..1, &chained, 0, 0);
        assert!(matches!(result, Err(Error::Invalid(_))));
    });
}

/// Row G28: bytes are read and written where they are, padding and all.
#[test]
fn bytes_are_reached_in_place() {
    on_each_engine(|client| {
        let mut model = increment(client, [2, 1, 5]);
        let all = model.input_alloc_size(0).unwrap();
        let seen = model.with_locked_input("input_0", |bytes| {
            bytes.fill(0);
            bytes[64..66].copy_from_slice(&0x4000u16.to_ne_bytes());
            bytes.len()
        });
        assert_eq!(seen.unwrap(), all);
        model.eval().unwrap();
        let first = |at: usize| {
            model.with_locked_output(0, |bytes| {
                assert_eq!(bytes.len(), all);
                u16::from_ne_bytes([bytes[at], bytes[at + 1]])
            })
        };
        assert_eq!([first(0).unwrap(), first(64).unwrap()], [0x3c00, 0x4200]);
        let held = model.output_surface(0).unwrap().lock_mut().unwrap();
        assert!(matches!(first(0), Err(Error::Surface(_))));
        drop(held);
        assert!(matches!(model.with_locked_output("z", |_| ()), Err(Error::Invalid(_))));
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    /// Row G28: whatever the shapes and parts, what is copied is what was there, and nothing else changes.
    #[test]
    fn copies_move_what_they_say(
        (c, d, h, v, w) in (1usize..5, 1usize..5, 1usize..3, 1usize..40, 1usize..40),
        part in prop::array::uniform6(0usize..40),
        seed in 0u16..1000,
    ) {
        let client = Client::software(Chip::M4);
        let text = format!("program(1.3) {{ func main<ios18>(tensor<fp16, [1, {d}, {h}, {w}]> b) {{
            tensor<fp16, [1, {c}, {h}, {v}]> a = fill(shape = tensor<int32, [4]>([1, {c}, {h}, {v}]), value = fp16(0));
            tensor<fp16, [1, {d}, {h}, {w}]> u = relu(x = b); }} -> (a, u); }}");
        let program = anemone::text::parse(&text).unwrap();
        let model = client.compile_program(&program, &Weights::none(), &CompileOptions::default()).unwrap();
        let (from, to) = (model.output_surface("a").unwrap(), model.input_surface("b").unwrap());
        for (i, surface) in [from, to].into_iter().enumerate() {
            surface.write(|n| n.iter_mut().enumerate().for_each(|(k, n)| *n = seed + 2000 * i as u16 + k as u16));
        }
        let [c0, cn, x0, xn, at_c, at_x] = part;
        let (c0, x0) = (c0 % (c + 1), x0 % (v + 1));
        let (channels, columns) = (c0..c0 + cn % 5, x0..x0 + xn);
        let (at_c, at_x) = (at_c % (d + 1), at_x % (w + 1));
        let fits = channels.end <= c && columns.end <= v
            && at_c + channels.len() <= d && at_x + columns.len() <= w;
        let mut expected = to.read(<[u16]>::to_vec);
        let (a, b) = (model.output_layout("a").unwrap(), model.input_layout("b").unwrap());
        if fits {
            from.read(|n| for ch in channels.clone() { for row in 0..h { for x in columns.clone() {
                let target = b.offset(at_c + ch - channels.start, row, at_x + x - columns.start) / 2;
                expected[target] = n[a.offset(ch, row, x) / 2];
            } } });
        }
        let source = from.read(<[u16]>::to_vec);
        let result = model.copy_output_range_to_input("a", channels, columns, &model, "b", (at_c, at_x));
        prop_assert_eq!(result.is_ok(), fits);
        prop_assert_eq!(to.read(<[u16]>::to_vec), expected);
        prop_assert_eq!(from.read(<[u16]>::to_vec), source);
    }
}

/// Row A15: a surface larger than needed is read as if it were not.
#[test]
fn what_lies_behind_a_tensor_is_left_alone() {
    on_each_engine(|client| {
        let model = increment(client, [2, 3, 20]);
        let layout = TensorLayout::new(2, 3, 20, 2).unwrap();
        let larger = TensorLayout { channels: 5, ..layout };
        let [x, y] = [(); 2].map(|()| client.surface(&larger).unwrap());
        let end = layout.alloc_size() / 2;
        for surface in [&x, &y] {
            surface.write(|n| n[end..].fill(0x7777));
        }
        model.bind(&[&x], &[&y]).unwrap().run().unwrap();
        y.read(|n| {
            assert_eq!([n[0], n[19], n[5 * 32 + 19]], [0x3c00; 3]);
            assert!(n[end..].iter().all(|&n| n == 0x7777));
        });
    });
}

/// Rows A5, A17: tensors of up to four dimensions, and of different sizes; what has more is told from them before it is
/// compiled.
#[test]
fn tensors_at_the_border_of_a_program() {
    on_each_engine(|client| {
        let text = "program(1.3) { func main<ios18>(tensor<fp16, [3]> a, tensor<fp16, [2, 3]> b, tensor<fp16, [4, 2, 3]> c,
            tensor<fp16, [5, 4, 2, 3]> d) { tensor<fp16, [4, 2, 3]> s = add(x = a, y = c);
            tensor<fp16, [2, 3]> t = add(x = a, y = b); tensor<fp16, [5, 4, 2, 3]> u = add(x = s, y = d); } -> (t, u); }";
        let program = anemone::text::parse(text).unwrap();
        let options = CompileOptions::default();
        let mut model = client.compile_program(&program, &Weights::none(), &options).unwrap();
        let sizes: Vec<usize> = (0..4).map(|i| model.input_alloc_size(i).unwrap()).collect();
        assert_eq!(sizes, [64, 128, 8 * 64, 40 * 64]);
        for (i, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
            let elements = model.input_layout(name).unwrap().logical_elements();
            model.write_input_f32(name, &vec![(1 << i) as f32; elements]).unwrap();
        }
        model.eval().unwrap();
        let (mut t, mut u) = ([0.0; 6], [0.0; 120]);
        model.read_output_f32("t", &mut t).unwrap();
        model.read_output_f32("u", &mut u).unwrap();
        assert_eq!((t, u), ([3.0; 6], [13.0; 120]));

        let five = "program(1.3) { func main<ios18>(tensor<fp16, [1, 1, 1, 1, 3]> x) {
            tensor<fp16, [1, 1, 1, 1, 3]> y = relu(x = x); } -> (y); }";
        let program = anemone::text::parse(five).unwrap();
        let result = client.compile_program(&program, &Weights::none(), &options);
        match result {
            Err(Error::Program(wrong)) if client.is_hardware() => {
                assert!(wrong.to_string().contains("5 dimensions"), "{wrong}");
            }
            other => assert!(other.is_ok() && !client.is_hardware()),
        }
    });
}
