//! Surfaces by themselves.

use std::panic::{AssertUnwindSafe, catch_unwind};

use anemone::{Client, Error, Surface, TensorLayout};

use crate::on_each_engine;

fn surface(client: &Client) -> Surface {
    client.surface(&TensorLayout::new(2, 1, 32, 2).unwrap()).unwrap()
}

/// Rows G11, G12, G16: none, too many, and what is asked for.
#[test]
fn surfaces_have_the_bytes_that_are_asked_for() {
    let most = 256 << 20;
    for bytes in [0, most + 1, usize::MAX] {
        assert!(matches!(Surface::new(bytes), Err(Error::Surface(_))), "{bytes}");
    }
    for (channels, spatial) in [(0, 1), (1, 0), (usize::MAX, 2), (1 << 40, 1 << 40)] {
        assert!(matches!(Surface::with_shape(channels, spatial), Err(Error::Surface(_))));
    }
    let surface = Surface::with_shape(3, 5).unwrap();
    assert_eq!((surface.size(), surface.read(<[u16]>::len)), (30, 15));
    assert!(surface.read(|numbers| numbers.iter().all(|&n| n == 0)));
    // The last byte of an odd number of them is no number.
    assert_eq!(Surface::new(7).unwrap().read(<[u16]>::len), 3);
}

/// Rows G13, G14: a lock ends with its closure, also when that panics; who asks for one that cannot be has an error.
#[test]
fn locks_end_whatever_happens() {
    on_each_engine(|client| {
        let s = surface(client);
        assert!(catch_unwind(AssertUnwindSafe(|| s.write(|_| panic!("on purpose")))).is_err());
        assert!(catch_unwind(AssertUnwindSafe(|| s.read(|_| panic!("on purpose")))).is_err());
        s.write(|numbers| numbers[0] = 7);
        s.read(|_| {
            assert_eq!(s.read(|numbers| numbers[0]), 7);
            assert!(matches!(s.try_write(|_| ()), Err(Error::Surface(_))));
        });
        s.write(|_| {
            assert!(matches!(s.try_read(|_| ()), Err(Error::Surface(_))));
            assert!(catch_unwind(AssertUnwindSafe(|| s.read(|_| ()))).is_err());
        });
        s.write(|_| ());
    });
}

/// Rows G15, G17, G19: a surface has a number of its own; copies are the same memory, which goes with the last.
#[test]
fn copies_are_the_same_surface() {
    on_each_engine(|client| {
        let [a, b] = [surface(client), surface(client)];
        let copy = a.clone();
        assert!(a == copy && a != b && a.id() == copy.id() && a.id() != b.id());
        drop(a);
        copy.write(|numbers| numbers[63] = 9);
        assert_eq!((copy.clone().read(|numbers| numbers[63]), b.read(|numbers| numbers[63])), (9, 0));
    });
}
