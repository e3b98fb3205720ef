//! `DynamicMatmul`.

use std::sync::Arc;

use anemone::device::Engine;
use anemone::dynamic_matmul::{DynamicMatmul, Options};
use anemone::mil::generate;
use anemone::{Chip, Client, CompileOptions, Error};
use anemone_apple::fake::{self, Fake, Faults, Machine};
use proptest::prelude::*;

use crate::{numbers, on_each_engine, product, software, transposed};

const SHAPES: [[usize; 3]; 6] = [[1, 1, 1], [2, 3, 1], [4, 8, 6], [70, 5, 33], [3, 65, 40], [32, 16, 64]];

fn new(client: &Client, [batch, inputs, outputs]: [usize; 3], tile_out: usize) -> DynamicMatmul {
    DynamicMatmul::new(client, batch, inputs, outputs, Options { qos: 0, tile_out }).unwrap()
}

/// Rows P1, P2, P3: whole, in tiles and channel-first, with another matrix each time, and compiled once.
#[test]
fn a_product_is_that_of_its_matrices() {
    on_each_engine(|client| {
        for shape @ [batch, inputs, outputs] in SHAPES {
            for tile_out in [0, 1, 32, outputs] {
                let before = client.compile_count();
                let mut p = new(client, shape, tile_out);
                assert_eq!(p.shape(), shape);
                assert_eq!(p.tiles().sum::<usize>(), outputs);
                let widths = if tile_out == 0 { outputs } else { tile_out };
                assert!(p.tiles().all(|t| t <= widths), "{shape:?} {tile_out}");
                let distinct = 1 + u64::from(outputs > widths && outputs % widths > 0);
                for seed in 1..3 {
                    let (x, w) = (numbers(batch * inputs, seed), numbers(inputs * outputs, seed + 5));
                    let wanted = product(&x, &w, shape);
                    assert_eq!(p.eval(&x, &w).unwrap(), wanted, "{shape:?} {tile_out}");
                    let mut y = vec![f32::NAN; batch * outputs];
                    p.eval_into(&mut y, &x, &w).unwrap();
                    assert_eq!(y, wanted);
                    // The weights are there.
                    let (x, wanted) = (transposed(&x, inputs), transposed(&wanted, outputs));
                    p.eval_cf(&x).unwrap();
                    p.read_output_cf(&mut y).unwrap();
                    assert_eq!(y, wanted);
                    y.fill(f32::NAN);
                    p.eval_cf_io_into(&mut y, &x).unwrap();
                    assert_eq!(y, wanted);
                }
                assert_eq!(client.compile_count(), before + distinct, "{shape:?} {tile_out}");
            }
        }
    });
}

/// Row P3: how long the engine took is told where it is asked for; what is not known is `None`, and not 0.
#[test]
fn the_engine_says_how_long_it_took() {
    on_each_engine(|client| {
        let mut p = new(client, [2, 3, 4], 3);
        let (x, w) = (numbers(6, 1), numbers(12, 2));
        let (y, stats) = p.eval_with_stats(&x, &w).unwrap();
        assert_eq!(y, product(&x, &w, [2, 3, 4]));
        assert!(stats.hw_execution_ns.is_some_and(|ns| ns > 0));
        let mut y = vec![0.0; 8];
        let plain = p.eval_into(&mut y, &x, &w).unwrap();
        assert_eq!(plain.hw_execution_ns.is_some(), !client.is_hardware());
        let columns = transposed(&x, 3);
        assert!(p.eval_cf_hw(&columns).unwrap() > 0);
        assert!(p.eval_cf_io_into_hw(&mut y, &columns).unwrap() > 0);
        assert_eq!(transposed(&y, 2), product(&x, &w, [2, 3, 4]));
        assert!(p.eval_one_hot_io_into_hw(&mut y, &[1]).unwrap() > 0);
        assert_eq!(y, [&w[4..8], &[0.0; 4]].concat());
    });
    let faults = Faults { no_counters: true, ..Faults::default() };
    let fake = Fake::with(software::machine(Engine::Cpu), faults);
    let mut p = new(&Client::over(&fake.open().unwrap()), [1, 2, 1], 0);
    p.prime_weights_io(&[1.0, 2.0]).unwrap();
    assert!(matches!(p.eval_cf_hw(&[1.0, 1.0]), Err(Error::UnsupportedSelector(_))));
    p.close();
}

/// Row P1: the program is the one that can be had by itself.
#[test]
fn the_program_is_the_generated_one() {
    let client = Client::software(Chip::M4);
    let [batch, inputs, outputs] = [4, 8, 6];
    let (x, w) = (numbers(32, 1), numbers(48, 2));
    let built = generate::dynamic_matmul(inputs, outputs, batch).unwrap();
    let mut model =
        client.compile_program(&built.program, &built.weights, &CompileOptions::default()).unwrap();
    let columns = transposed(&x, inputs);
    let packed: Vec<f32> = (0..inputs)
        .flat_map(|c| [&columns[c * batch..][..batch], &w[c * outputs..][..outputs]].concat())
        .collect();
    model.write_input_f32("x", &packed).unwrap();
    model.eval().unwrap();
    let mut y = [0.0; 24];
    model.read_output_f32("y", &mut y).unwrap();
    assert_eq!(transposed(&y, batch), new(&client, [batch, inputs, outputs], 0).eval(&x, &w).unwrap());
}

/// Refuses programs with more output channels than this.
struct Narrow(Arc<dyn fake::Engine>, usize);

impl fake::Engine for Narrow {
    fn compile(
        &self,
        text: &str,
        weights: &dyn Fn(&str) -> Option<Vec<u8>>,
    ) -> Result<Arc<dyn fake::Program>, String> {
        let program = self.0.compile(text, weights)?;
        match program.procedures()[0].outputs[0].extents[1] > self.1 {
            true => Err("_ANECompiler : ANECCompile() FAILED".into()),
            false => Ok(program),
        }
    }
}

/// Row P2: what the engine refuses at its full width is cut into tiles, and gives the same; what it refuses at any is
/// the error of the full width.
#[test]
fn a_refused_width_is_cut_into_tiles() {
    let shape = [3, 5, 150];
    let (x, w) = (numbers(15, 1), numbers(750, 2));
    let whole = new(&Client::software(Chip::M4), shape, 0).eval(&x, &w).unwrap();
    for (most, tiles) in
        [(150, vec![150]), (149, vec![128, 22]), (100, vec![64, 64, 22]), (32, vec![32, 32, 32, 32, 22])]
    {
        let machine = software::machine(Engine::Cpu);
        let narrow = Narrow(machine.engine.clone().unwrap(), most);
        let fake = Fake::new(Machine { engine: Some(Arc::new(narrow)), ..machine });
        let client = Client::over(&fake.open().unwrap());
        let mut p = new(&client, shape, 0);
        assert_eq!(p.tiles().collect::<Vec<_>>(), tiles);
        assert_eq!(p.eval(&x, &w).unwrap(), whole);
        // Who says how wide is taken at his word.
        let options = Options { tile_out: most + 1, ..Options::default() };
        let forced = DynamicMatmul::new(&client, 3, 5, 1000, options);
        assert!(matches!(forced, Err(Error::Compile(_))));
        drop((p, client));
        fake.finish().check();
    }
    let faults = Faults { compile_error: Some("not today".into()), ..Faults::default() };
    let fake = Fake::with(software::machine(Engine::Cpu), faults);
    let e =
        DynamicMatmul::new(&Client::over(&fake.open().unwrap()), 3, 5, 150, Options::default()).unwrap_err();
    assert!(matches!(e, Error::Compile(_)) && e.to_string().contains("not today"), "{e}");
}

/// Row P4: rows that are named are written, and no byte besides.
#[test]
fn only_touched_bytes_are_written() {
    on_each_engine(|client| {
        for tile_out in [0, 4] {
            let mut p = new(client, [2, 5, 7], tile_out);
            let tiles = p.tiles().len() as u64;
            let mut w = numbers(35, 1);
            let mut written = 0;
            let mut by =
                |p: &DynamicMatmul| p.bytes_written() - std::mem::replace(&mut written, p.bytes_written());
            p.prime_weights_io(&w).unwrap();
            assert_eq!(by(&p), 2 * 35);
            w[7..14].fill(3.0);
            w[28..35].fill(-2.0);
            p.update_weights_io_rows(&w, &[4, 1]).unwrap();
            assert_eq!(by(&p), 2 * 2 * 7);
            p.update_weights_io_rows(&w, &[]).unwrap();
            assert_eq!(by(&p), 0);
            p.eval_cf(&numbers(10, 1)).unwrap();
            assert_eq!(by(&p), tiles * 2 * 10);
            let mut y = vec![0.0; 14];
            // The first one after other activations clears them; then only ones that move are written.
            p.eval_one_hot_io_into(&mut y, &[1, 4]).unwrap();
            assert_eq!(by(&p), tiles * 2 * (10 + 2));
            assert_eq!(y, [[3.0; 7], [-2.0; 7]].concat());
            p.eval_one_hot_io_into(&mut y, &[1, 0]).unwrap();
            assert_eq!(by(&p), tiles * 2 * 2);
            p.eval_one_hot_io_into(&mut y, &[1, 0]).unwrap();
            assert_eq!(by(&p), 0);
            assert_eq!(y, [&[3.0; 7], &w[..7]].concat());
            p.eval(&numbers(10, 2), &w).unwrap();
            assert_eq!(by(&p), tiles * 2 * 10 + 2 * 35);
        }
    });
}

/// Row P5: a batch that is not full is filled with zeros; there may be room for its rows alone.
#[test]
fn a_batch_that_is_not_full() {
    on_each_engine(|client| {
        let mut p = new(client, [3, 4, 2], 1);
        let w = numbers(8, 3);
        p.prime_weights_io(&w).unwrap();
        let mut y = [f32::NAN; 6];
        p.eval_one_hot_io_into(&mut y, &[3, 3, 1]).unwrap();
        assert_eq!(y, [&w[6..8], &w[6..8], &w[2..4]].concat()[..]);
        p.eval_one_hot_io_into(&mut y, &[2]).unwrap();
        assert_eq!(y, [&w[4..6], &[0.0; 4]].concat()[..]);
        p.eval_one_hot_io_into(&mut y[..4], &[0, 1]).unwrap();
        assert_eq!(y[..4], w[..4]);
        p.eval_one_hot_io_into(&mut y, &[]).unwrap();
        assert_eq!(y, [0.0; 6]);
        p.eval_one_hot_io_into(&mut [], &[]).unwrap();
    });
}

/// Row P6: outputs go to inputs of others from surface to surface, channel by channel.
#[test]
fn outputs_go_to_other_programs() {
    on_each_engine(|client| {
        let (x, w, v) = (numbers(6, 1), numbers(15, 2), numbers(20, 4));
        let mut a = new(client, [2, 3, 5], 2);
        a.eval(&x, &w).unwrap();
        let middle = product(&x, &w, [2, 3, 5]);
        let mut b = new(client, [2, 5, 4], 3);
        b.prime_weights_io(&v).unwrap();
        a.copy_output_to(&mut b).unwrap();
        b.eval_resident().unwrap();
        let mut y = [0.0; 8];
        b.read_output_cf(&mut y).unwrap();
        assert_eq!(transposed(&y, 2), product(&middle, &v, [2, 5, 4]));
        // What was copied is not taken for one-hot activations.
        b.eval_one_hot_io_into(&mut y, &[4]).unwrap();
        assert_eq!(y, [&v[16..20], &[0.0; 4]].concat()[..]);

        let text = "program(1.3) { func main<ios18>(tensor<fp16, [1, 8, 1, 2]> x) {
            tensor<fp16, [1, 8, 1, 2]> y = mul(x = x, y = fp16(2)); } -> (y); }";
        let mut model =
            client.compile(CompileOptions { mil_text: text.into(), ..Default::default() }).unwrap();
        model.write_input_f32("x", &[9.0; 16]).unwrap();
        a.copy_output_to_input(model.request_mut(), "x", 2).unwrap();
        model.eval().unwrap();
        let mut all = [0.0; 16];
        model.read_output_f32("y", &mut all).unwrap();
        let doubled: Vec<f32> = transposed(&middle, 5).iter().map(|v| 2.0 * v).collect();
        assert_eq!(all[..], [&[18.0; 4], &doubled[..], &[18.0; 2]].concat());

        let request = model.request_mut();
        assert!(matches!(
            a.copy_output_to_input(request, "x", 4),
            Err(Error::Length { expected: 4, found: 5, .. })
        ));
        assert!(matches!(a.copy_output_to_input(request, 0, usize::MAX), Err(Error::Length { .. })));
        assert!(matches!(a.copy_output_to_input(request, 1, 0), Err(Error::Invalid(_))));
        let c = new(client, [3, 3, 5], 0);
        assert!(matches!(c.copy_output_to_input(request, 0, 0), Err(Error::Invalid(_))));
        assert!(matches!(c.copy_output_to(&mut b), Err(Error::Invalid(_))));
    });
}

/// Row P7: closing unloads, and twice is as once.
#[test]
fn what_is_closed_stays_closed() {
    on_each_engine(|client| {
        let mut p = new(client, [2, 3, 4], 0);
        p.prime_weights_io(&numbers(12, 1)).unwrap();
        p.close();
        p.close();
        let mut y = [0.0; 8];
        let mut open = new(client, [2, 4, 1], 0);
        for result in [
            p.eval(&[0.0; 6], &[0.0; 12]).map(drop),
            p.eval_into(&mut y, &[0.0; 6], &[0.0; 12]).map(drop),
            p.eval_cf_io_into(&mut y, &[0.0; 6]).map(drop),
            p.eval_one_hot_io_into(&mut y, &[0]).map(drop),
            p.prime_weights_io(&[0.0; 12]),
            p.read_output_cf(&mut y),
            p.copy_output_to(&mut open),
            open.copy_output_to(&mut p),
        ] {
            let e = result.unwrap_err().to_string();
            assert_eq!(e, "the product is closed");
        }
    });
}

/// Rows P2, P3, P4, P5: what does not fit is refused, and changes nothing.
#[test]
fn what_does_not_fit_is_refused() {
    on_each_engine(|client| {
        for [b, i, o] in [[0, 1, 1], [1, 0, 1], [1, 1, 0]] {
            assert!(matches!(
                DynamicMatmul::new(client, b, i, o, Options::default()),
                Err(Error::Invalid(_))
            ));
        }
        let qos = Options { qos: 20, tile_out: 0 };
        assert!(matches!(DynamicMatmul::new(client, 1, 1, 1, qos), Err(Error::Invalid(_))));
        for [b, i, o] in [[usize::MAX, 2, 2], [2, usize::MAX, 2], [1 << 20, 1 << 20, 1]] {
            DynamicMatmul::new(client, b, i, o, Options::default()).unwrap_err();
        }
        let mut p = new(client, [2, 3, 4], 0);
        let mut y = [0.0; 8];
        for result in [
            p.eval_cf(&[0.0; 6]).map(drop),
            p.eval_one_hot_io_into(&mut y, &[0]).map(drop),
            p.update_weights_io_rows(&[0.0; 12], &[0]),
            p.eval_resident().map(drop),
        ] {
            assert!(result.unwrap_err().to_string().contains("prime_weights_io"));
        }
        let w = numbers(12, 1);
        p.prime_weights_io(&w).unwrap();
        let written = p.bytes_written();
        for result in [
            p.eval(&[0.0; 5], &w).map(drop),
            p.eval(&[0.0; 6], &w[1..]).map(drop),
            p.eval_into(&mut y[1..], &[0.0; 6], &w).map(drop),
            p.eval_cf(&[0.0; 7]).map(drop),
            p.eval_cf_io_into(&mut y[1..], &[0.0; 6]).map(drop),
            p.read_output_cf(&mut y[1..]),
            p.prime_weights_io(&w[1..]),
            p.update_weights_io_rows(&w[1..], &[0]),
            p.eval_one_hot_io_into(&mut y, &[0, 0, 0]).map(drop),
            p.eval_one_hot_io_into(&mut y[1..], &[0]).map(drop),
        ] {
            assert!(matches!(result, Err(Error::Length { .. })), "{result:?}");
        }
        assert!(matches!(p.update_weights_io_rows(&[0.0; 12], &[0, 3]), Err(Error::Invalid(_))));
        assert!(matches!(p.eval_one_hot_io_into(&mut y, &[0, 3]), Err(Error::Invalid(_))));
        assert_eq!(p.bytes_written(), written);
        p.eval_one_hot_io_into(&mut y[..4], &[0]).unwrap();
        assert_eq!(y[..4], w[..4]);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Rows P4, P5: rows that are rewritten one after the other come to the same as the whole matrix, and one-hot
    /// activations to the same as those that are written out.
    #[test]
    fn steps_come_to_the_same_as_the_whole(
        shape in [1usize..5, 1usize..6, 1usize..8],
        tile_out in 0usize..4,
        steps in prop::collection::vec((prop::collection::vec(0usize..6, 0..5), 0usize..100), 1..6),
    ) {
        let [batch, inputs, outputs] = shape;
        let client = Client::software(Chip::M4);
        let (mut stepwise, mut whole) = (new(&client, shape, tile_out), new(&client, shape, 0));
        let mut w = numbers(inputs * outputs, 1);
        stepwise.prime_weights_io(&w).unwrap();
        for (rows, seed) in steps {
            let rows: Vec<usize> = rows.into_iter().map(|r| r % inputs).collect();
            let new = numbers(inputs * outputs, seed);
            for &r in &rows {
                w[r * outputs..][..outputs].copy_from_slice(&new[r * outputs..][..outputs]);
            }
            let before = stepwise.bytes_written();
            stepwise.update_weights_io_rows(&w, &rows).unwrap();
            prop_assert_eq!(stepwise.bytes_written() - before, 2 * (rows.len() * outputs) as u64);
            let x = numbers(batch * inputs, seed + 1);
            let wanted = whole.eval(&x, &w).unwrap();
            let mut y = vec![0.0; batch * outputs];
            if seed % 2 == 0 {
                stepwise.eval_cf_io_into(&mut y, &transposed(&x, inputs)).unwrap();
                prop_assert_eq!(transposed(&y, batch), wanted);
            }
            let hot = &rows[..rows.len().min(batch)];
            stepwise.eval_one_hot_io_into(&mut y, hot).unwrap();
            let mut x = vec![0.0; batch * inputs];
            hot.iter().enumerate().for_each(|(t, &i)| x[t * inputs + i] = 1.0);
            prop_assert_eq!(y, whole.eval(&x, &w).unwrap());
        }
    }
}
