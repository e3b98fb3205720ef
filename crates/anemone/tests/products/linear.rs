//! Layers that are kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anemone::linear::{Cancel, DynamicExecutor, Executor, Options, Stats};
use anemone::{Client, Error};

use crate::{numbers, on_each_engine, product, transposed};

const SHAPES: [[usize; 3]; 4] = [[1, 1, 1], [2, 3, 1], [4, 8, 6], [70, 5, 33]];

fn executors(client: &Client) -> (Executor, DynamicExecutor) {
    let options = Options::default();
    (Executor::new(client, options).unwrap(), DynamicExecutor::new(client, options).unwrap())
}

/// Rows P8, P9, P12: both give the product with the turned matrix, and compile once for what they know.
#[test]
fn a_layer_is_compiled_once() {
    on_each_engine(|client| {
        let (baked, dynamic) = executors(client);
        for shape @ [b, i, o] in SHAPES {
            for seed in 1..3 {
                let (x, w) = (numbers(b * i, seed), numbers(o * i, seed + 4));
                let wanted = product(&x, &transposed(&w, i), shape);
                for round in 0..2 {
                    let (y, call) = baked.linear_with_stats(&x, &w, b, i, o).unwrap();
                    assert_eq!((&y, call.compiled), (&wanted, round == 0), "{shape:?}");
                    assert!(call.hw_execution_ns.is_some_and(|ns| ns > 0));
                    let (y, call) = dynamic.linear_with_stats(&x, &w, b, i, o).unwrap();
                    assert_eq!((&y, call.compiled), (&wanted, round + seed == 1), "{shape:?}");
                    assert_eq!(baked.linear(&x, &w, b, i, o).unwrap(), wanted);
                    assert_eq!(dynamic.linear(&x, &w, b, i, o).unwrap(), wanted);
                    let mut y = vec![f32::NAN; b * o];
                    baked.linear_into_with_stats(&mut y, &x, &w, b, i, o).unwrap();
                    assert_eq!(y, wanted);
                    y.fill(f32::NAN);
                    dynamic.linear_into_with_stats(&mut y, &x, &w, b, i, o).unwrap();
                    assert_eq!(y, wanted);
                    y.fill(f32::NAN);
                    dynamic.linear_io_into_with_stats(&mut y, &x, &transposed(&w, i), b, i, o).unwrap();
                    assert_eq!(y, wanted);
                }
            }
        }
        assert_eq!(baked.stats(), Stats { compiles: 8, cache_hits: 40, kernels: 8 });
        assert_eq!(dynamic.stats(), Stats { compiles: 4, cache_hits: 60, kernels: 4 });
        for _ in 0..2 {
            baked.close();
            dynamic.close();
        }
        assert_eq!(baked.stats(), Stats { compiles: 8, cache_hits: 40, kernels: 0 });
        assert!(baked.linear_with_stats(&[1.0], &[1.0], 1, 1, 1).unwrap().1.compiled);
    });
}

/// Row P8: matrices that differ in one bit, or in their shape alone, are not taken for one another.
#[test]
fn weights_are_compared_as_a_whole() {
    on_each_engine(|client| {
        let (baked, _) = executors(client);
        baked.prepare(&[1.0, 2.0, 3.0, 4.0], 1, 2, 2).unwrap();
        for (w, i, o, compiles) in [
            ([1.0, 2.0, 3.0, 4.0], 2, 2, 1),
            ([1.0, 2.0, 3.0, 5.0], 2, 2, 2),
            ([-0.0, 2.0, 3.0, 4.0], 2, 2, 3),
            ([0.0, 2.0, 3.0, 4.0], 2, 2, 4),
            ([1.0, 2.0, 3.0, 4.0], 4, 1, 5),
            ([1.0, 2.0, 3.0, 4.0], 1, 4, 6),
            ([f32::NAN, 2.0, 3.0, 4.0], 2, 2, 7),
            ([f32::NAN, 2.0, 3.0, 4.0], 2, 2, 7),
        ] {
            baked.linear(&numbers(i, 1), &w, 1, i, o).unwrap();
            assert_eq!(baked.stats().compiles, compiles, "{w:?} {i} {o}");
        }
    });
}

/// Row P9: weights are put there once, rows of them are replaced, and inputs are looked up.
#[test]
fn weights_of_a_shape_stay() {
    on_each_engine(|client| {
        let (_, dynamic) = executors(client);
        dynamic.prepare(2, 3, 2).unwrap();
        let mut y = [0.0; 4];
        let e = dynamic.linear_one_hot_io_into_with_stats(&mut y, &[0], 2, 3, 2).unwrap_err();
        assert!(e.to_string().contains("prime_weights_io"), "{e}");
        let mut w = numbers(6, 2);
        dynamic.prime_weights_io(2, 3, 2, &w).unwrap();
        let call = dynamic.linear_one_hot_io_into_with_stats(&mut y, &[2, 1], 2, 3, 2).unwrap();
        assert!(!call.compiled && call.hw_execution_ns.is_some());
        assert_eq!(y[..], [&w[4..6], &w[2..4]].concat());
        w[2..4].fill(0.5);
        dynamic.update_weights_io_rows(2, 3, 2, &w, &[1]).unwrap();
        dynamic.linear_one_hot_io_into_with_stats(&mut y, &[2, 1], 2, 3, 2).unwrap();
        assert_eq!(y[..], [&w[4..6], &[0.5; 2]].concat());
        // Another shape has weights of its own.
        dynamic.prime_weights_io(1, 3, 2, &[0.0; 6]).unwrap();
        dynamic.linear_one_hot_io_into_with_stats(&mut y[..2], &[1], 2, 3, 2).unwrap();
        assert_eq!(y[..2], [0.5; 2]);
        assert_eq!(dynamic.stats().compiles, 2);
    });
}

/// Rows P8, P9: what is cancelled does not run; what does not fit is refused before anything is compiled.
#[test]
fn calls_are_refused() {
    on_each_engine(|client| {
        let before = client.compile_count();
        let (baked, dynamic) = executors(client);
        let cancel = Cancel::new();
        let (b, d) = (baked.with_cancel(&cancel), dynamic.with_cancel(&cancel));
        cancel.clone().cancel();
        let mut y = [0.0; 1];
        for result in [
            b.linear(&[1.0], &[1.0], 1, 1, 1).map(drop),
            b.linear_into_with_stats(&mut y, &[1.0], &[1.0], 1, 1, 1).map(drop),
            b.prepare(&[1.0], 1, 1, 1),
            d.linear(&[1.0], &[1.0], 1, 1, 1).map(drop),
            d.prime_weights_io(1, 1, 1, &[1.0]),
            d.prepare(1, 1, 1),
        ] {
            assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
        }
        for (shape, x, w) in [([1, 2, 1], 1, 2), ([1, 2, 1], 2, 1), ([usize::MAX, usize::MAX, 2], 2, 2)] {
            let (x, w, [b, i, o]) = (vec![0.0; x], vec![0.0; w], shape);
            assert!(matches!(baked.linear(&x, &w, b, i, o), Err(Error::Length { .. })));
            assert!(matches!(dynamic.linear(&x, &w, b, i, o), Err(Error::Length { .. })));
        }
        assert!(matches!(baked.linear(&[], &[], 0, 1, 1), Err(Error::Invalid(_))));
        assert!(matches!(dynamic.prepare(1, 0, 1), Err(Error::Invalid(_))));
        assert!(matches!(
            baked.linear_into_with_stats(&mut [], &[1.0], &[1.0], 1, 1, 1),
            Err(Error::Length { .. })
        ));
        assert!(matches!(Executor::new(client, Options { qos: 1 }), Err(Error::Invalid(_))));
        assert_eq!(client.compile_count(), before);
        assert_eq!((baked.stats(), dynamic.stats()), Default::default());
    });
}

/// Rows P8, P9: threads share an executor, and each program is compiled once.
#[test]
fn threads_share_an_executor() {
    on_each_engine(|client| {
        let (baked, dynamic) = executors(client);
        let done = Arc::new(AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for t in 0..4 {
                let (baked, dynamic, done) = (baked.clone(), dynamic.clone(), done.clone());
                scope.spawn(move || {
                    for seed in 0..4 {
                        let (x, w) = (numbers(6, t), numbers(12, seed % 2));
                        let wanted = product(&x, &transposed(&w, 3), [2, 3, 4]);
                        assert_eq!(baked.linear(&x, &w, 2, 3, 4).unwrap(), wanted);
                        assert_eq!(dynamic.linear(&x, &w, 2, 3, 4).unwrap(), wanted);
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(done.load(Ordering::Relaxed), 16);
        assert_eq!((baked.stats().compiles, dynamic.stats().compiles), (2, 1));
    });
}
