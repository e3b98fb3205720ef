//! Tensors of the caller's.

use std::panic::{AssertUnwindSafe, catch_unwind};

use anemone::types::DType;
use anemone::{Client, Error, Shape, Surface, TensorData, chip::Chip};
use half::f16;
use proptest::prelude::*;

use crate::on_each_engine;

const SHAPE: Shape = Shape { batch: 2, channels: 3, height: 2, width: 5 };

fn counting() -> Vec<f32> {
    (0..60).map(|i| i as f32 / 4.0).collect()
}

/// Rows G1, G2, G8, G9: zeros at first, numbers in the order of the shape, and the shape.
#[test]
fn numbers_go_in_and_come_out() {
    on_each_engine(|client| {
        let data = TensorData::on(client, SHAPE).unwrap();
        assert_eq!((data.shape(), data.dtype()), (SHAPE, DType::Fp16));
        assert_eq!(*data.read_f32(), [0.0; 60]);
        data.copy_from_f32(&counting());
        assert_eq!(*data.read_f32(), counting());
        // Batches of channels of rows of 64 bytes.
        assert_eq!(data.surface().size(), 6 * 2 * 64);
        data.surface().read(|numbers| assert_eq!(f16::from_bits(numbers[32 * 3 + 4]), f16::from_f32(4.75)));
    });
    assert_eq!(*TensorData::with_f32(&counting(), SHAPE).read_f32(), counting());
}

/// Rows G2, G5: ⚠ numbers that are too many or too few are not written, and never behind the surface.
#[test]
fn a_wrong_number_of_numbers_is_refused() {
    let data = TensorData::new(SHAPE);
    for n in [0, 59, 61, 1000] {
        let numbers = vec![1.0; n];
        assert!(
            matches!(data.try_copy_from_f32(&numbers), Err(Error::Length { expected: 60, found, .. }) if found == n)
        );
        assert!(TensorData::try_with_f32(&numbers, SHAPE).is_err());
        assert!(catch_unwind(AssertUnwindSafe(|| data.copy_from_f32(&numbers))).is_err());
        assert!(catch_unwind(AssertUnwindSafe(|| TensorData::with_f32(&numbers, SHAPE))).is_err());
    }
    assert_eq!(*data.read_f32(), [0.0; 60]);
    for shape in [
        Shape::channels(0),
        Shape { batch: usize::MAX, channels: 2, height: 1, width: 1 },
        Shape::spatial(1, 1, usize::MAX),
    ] {
        assert!(matches!(TensorData::try_new(shape), Err(Error::Surface(_))), "{shape}");
    }
}

/// Row G3: ⚠ two guards at a time have numbers of their own.
#[test]
fn several_guards_read_at_once() {
    on_each_engine(|client| {
        let data = TensorData::on(client, SHAPE).unwrap();
        data.copy_from_f32(&counting());
        let (a, b) = (data.as_f32_slice(), data.as_f32_slice());
        assert!(!std::ptr::eq(a.as_ptr(), b.as_ptr()));
        drop(a);
        let c = data.as_f32_slice();
        assert_eq!((&*b, &*c), (&counting()[..], &counting()[..]));
        assert!(matches!(data.try_as_f32_slice_mut(), Err(Error::Surface(_))));
        assert!(matches!(data.try_copy_from_f32(&counting()), Err(Error::Surface(_))));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert_eq!(*data.as_f32_slice(), counting()));
            }
        });
        drop((b, c));
        let writer = data.as_f32_slice_mut();
        assert!(matches!(data.try_as_f32_slice(), Err(Error::Surface(_))));
        assert!(matches!(data.try_as_f32_slice_mut(), Err(Error::Surface(_))));
        assert!(catch_unwind(AssertUnwindSafe(|| data.as_f32_slice())).is_err());
        drop(writer);
        drop(data.as_f32_slice());
    });
}

/// Row G4: ⚠ what is there is there to be changed, and what is not set stays; a guard that panics has written.
#[test]
fn what_is_not_set_stays() {
    on_each_engine(|client| {
        let data = TensorData::on(client, SHAPE).unwrap();
        data.copy_from_f32(&counting());
        let mut expected = counting();
        {
            let mut numbers = data.as_f32_slice_mut();
            assert_eq!(*numbers, counting());
            numbers[7] += 100.0;
            expected[7] += 100.0;
        }
        assert_eq!(*data.read_f32(), expected);
        // The memory of the last guard is not what the next one sees.
        TensorData::copy_from_f32(&data, &[2.0; 60]);
        assert_eq!(*data.as_f32_slice_mut(), [2.0; 60]);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            data.as_f32_slice_mut()[0] = 9.0;
            panic!("on purpose");
        }));
        assert!(panicked.is_err());
        assert_eq!(data.read_f32()[..2], [9.0, 2.0]);
    });
}

/// Row G4: who sets everything reads nothing, also not a number that is no number.
#[test]
fn what_is_overwritten_is_not_read() {
    let data = TensorData::new(SHAPE);
    data.surface().write(|numbers| numbers.fill(0x7e01));
    data.write_f32_with(|i| i as f32).unwrap();
    assert_eq!(*data.read_f32(), (0..60).map(|i| i as f32).collect::<Vec<_>>()[..]);
    data.surface().read(|numbers| {
        assert!(
            numbers.iter().enumerate().all(|(i, &n)| (n == 0x7e01) == (i % 32 >= 5)),
            "padding is left alone"
        );
    });
    // Who only looks writes nothing: not even a number that would be quieted.
    data.surface().write(|numbers| numbers[0] = 0x7d01);
    assert!(data.as_f32_slice_mut()[0].is_nan());
    data.surface().read(|numbers| assert_eq!(numbers[0], 0x7d01));
}

/// Rows G6, G7: ⚠ an index outside of the tensor is refused, lists of two lengths are, and then nothing is written.
#[test]
fn single_numbers_are_written_within_bounds() {
    on_each_engine(|client| {
        let data = TensorData::on(client, SHAPE).unwrap();
        data.copy_from_f32(&counting());
        data.write_f32_at(59, -1.0);
        data.write_f32_sparse(&[0, 31, 0], &[5.0, 6.0, 7.0]);
        data.write_f32_sparse(&[], &[]);
        let mut expected = counting();
        (expected[59], expected[0], expected[31]) = (-1.0, 7.0, 6.0);
        for index in [60, 61, usize::MAX] {
            assert!(matches!(data.try_write_f32_at(index, 1.0), Err(Error::Invalid(_))));
            assert!(matches!(data.try_write_f32_sparse(&[1, index], &[1.0, 1.0]), Err(Error::Invalid(_))));
            assert!(catch_unwind(AssertUnwindSafe(|| data.write_f32_at(index, 1.0))).is_err());
        }
        for (indices, values) in [(&[1, 2][..], &[1.0][..]), (&[1], &[1.0, 2.0]), (&[], &[1.0])] {
            assert!(matches!(data.try_write_f32_sparse(indices, values), Err(Error::Length { .. })));
            assert!(catch_unwind(AssertUnwindSafe(|| data.write_f32_sparse(indices, values))).is_err());
        }
        assert_eq!(*data.read_f32(), expected);
    });
}

/// Row G10: a tensor of a surface that exists is the same memory.
#[test]
fn a_tensor_of_a_surface_is_the_same_memory() {
    let data = TensorData::new(SHAPE);
    let other = TensorData::from_surface(data.surface().clone(), SHAPE).unwrap();
    data.copy_from_f32(&counting());
    assert_eq!(*other.read_f32(), counting());
    assert_eq!(other.surface().id(), data.surface().id());
    let plain = Surface::new(60 * 2).unwrap();
    let e = TensorData::from_surface(plain, SHAPE).unwrap_err().to_string();
    assert!(e.contains("768 bytes") && e.contains("64 bytes"), "{e}");
    assert!(TensorData::from_surface(data.surface().clone(), Shape::channels(0)).is_err());
}

/// Rows E3, E4: elements go in and out by their own type, and by no other.
#[test]
fn elements_keep_their_bits() {
    let data = TensorData::on(&Client::software(Chip::M4), Shape::channels(3)).unwrap();
    let bits = [0x3c00, 0xfe01, 0x0001].map(f16::from_bits);
    data.write_elements(&bits).unwrap();
    let mut back = [f16::ZERO; 3];
    data.read_elements(&mut back).unwrap();
    assert_eq!(back.map(f16::to_bits), bits.map(f16::to_bits));
    assert!(matches!(data.write_elements(&[1.0f32; 3]), Err(Error::Invalid(_))));
    assert!(matches!(
        data.read_elements(&mut [f16::ZERO; 2]),
        Err(Error::Length { expected: 3, found: 2, .. })
    ));
}

proptest! {
    /// Rows G5, G6, G7, A4, E8: all ways to write say the same of every shape, rounded once to the nearest.
    #[test]
    fn all_ways_write_the_same(
        n in 1usize..3, c in 1usize..4, h in 1usize..4, w in 1usize..70,
        seed in prop::collection::vec(-70000.0f32..70000.0, 1..20),
    ) {
        let shape = Shape { batch: n, channels: c, height: h, width: w };
        let numbers: Vec<f32> = (0..shape.total_elements()).map(|i| seed[i % seed.len()]).collect();
        let rounded: Vec<f32> = numbers.iter().map(|&x| f16::from_f32(x).to_f32()).collect();
        let [all, single, sparse, with, guard] = [(); 5].map(|()| TensorData::new(shape));
        all.copy_from_f32(&numbers);
        numbers.iter().enumerate().for_each(|(i, &x)| single.write_f32_at(i, x));
        sparse.write_f32_sparse(&(0..numbers.len()).collect::<Vec<_>>(), &numbers);
        with.write_f32_with(|i| numbers[i]).unwrap();
        guard.as_f32_slice_mut().copy_from_slice(&numbers);
        for data in [&all, &single, &sparse, &with, &guard] {
            prop_assert_eq!(&*data.read_f32(), &rounded[..]);
            prop_assert_eq!(&*data.as_f32_slice(), &rounded[..]);
        }
    }
}
