//! Every kernel against its definition, element by element.

use super::*;

/// Packed codes, one after another.
fn pack(codes: &[u8], bits: usize) -> Vec<u8> {
    let mut packed = vec![0; (codes.len() * bits).div_ceil(8)];
    for (i, &code) in codes.iter().enumerate() {
        for k in 0..bits {
            packed[(i * bits + k) / 8] |= (code >> k & 1) << ((i * bits + k) % 8);
        }
    }
    packed
}

fn codes(count: usize, bits: usize) -> Vec<u8> {
    (0..count).map(|i| ((i * 37 + i / 7) % (1 << bits)) as u8).collect()
}

/// The block of each element, counted one by one.
fn numbers(shape: &[usize], counts: &[usize]) -> Vec<usize> {
    (0..shape.iter().product())
        .map(|at: usize| {
            let (mut rest, mut block, mut apart) = (at, 0, 1);
            for (&n, &c) in shape.iter().zip(counts).rev() {
                block += rest % n / (n / c) * apart;
                apart *= c;
                rest /= n;
            }
            block
        })
        .collect()
}

const CUTS: [(&[usize], &[usize]); 7] = [
    (&[], &[]),
    (&[3000], &[1]),
    (&[40, 64], &[40, 2]),
    (&[40, 64], &[1, 64]),
    (&[6, 10, 3, 3], &[6, 1, 1, 1]),
    (&[6, 10, 30, 3], &[3, 5, 1, 3]),
    (&[0, 4], &[1, 2]),
];

#[test]
fn codes_of_any_width_are_unpacked() {
    for bits in 1..=8 {
        for count in [0, 1, 7, 8, 9, 100, 1031] {
            let codes = codes(count, bits);
            let mut found = vec![0xff; count];
            unpack(&mut found, &pack(&codes, bits), bits);
            assert_eq!(found, codes, "{bits} bits");
        }
    }
}

#[test]
fn each_block_has_its_scale_and_its_shift() {
    for (shape, counts) in CUTS {
        let blocks = numbers(shape, counts);
        let number = counts.iter().product();
        let scale: Vec<f32> = (0..number).map(|b| 0.5 + b as f32).collect();
        let shift: Vec<f32> = (0..number).map(|b| b as f32 % 5.0).collect();
        let cut = Blocks::new(shape, counts);
        for bits in [2, 4, 8] {
            let codes = codes(blocks.len(), bits);
            let packed = pack(&codes, bits);
            for threads in [1, 2] {
                let mut y = vec![0.0; codes.len()];
                let unsigned = Codes::Unsigned(&packed, bits);
                shift_scale(threads, &mut y, unsigned, &cut, &scale, Some(&shift), false);
                for ((y, &c), &b) in y.iter().zip(&codes).zip(&blocks) {
                    assert_eq!(*y, scale[b] * (f32::from(c) - shift[b]), "{shape:?} {counts:?}");
                }
                shift_scale(threads, &mut y, Codes::Signed(&packed, bits), &cut, &scale, None, false);
                for ((y, &c), &b) in y.iter().zip(&codes).zip(&blocks) {
                    let c = i32::from(c) - if c >> (bits - 1) == 1 { 1 << bits } else { 0 };
                    assert_eq!(*y, scale[b] * c as f32, "{shape:?} {counts:?}");
                }
            }
        }
    }
}

#[test]
fn each_block_has_its_table() {
    for (shape, counts) in CUTS {
        let blocks = numbers(shape, counts);
        let number: usize = counts.iter().product();
        for bits in [1, 2, 3, 4, 6, 8] {
            let tables: Vec<u32> = (0..(number << bits) as u32).collect();
            let codes = codes(blocks.len(), bits);
            let expected: Vec<u32> =
                codes.iter().zip(&blocks).map(|(&c, b)| ((b << bits) + usize::from(c)) as u32).collect();
            let cut = Blocks::new(shape, counts);
            let mut y = vec![0; codes.len()];
            look_up(2, &mut y, &pack(&codes, bits), bits, &cut, &tables);
            assert_eq!(y, expected, "{shape:?} {counts:?}");
            y.fill(0);
            look_up_vectors(2, &mut y, &codes, &cut, &tables, [1 << bits, 1, 1]);
            assert_eq!(y, expected, "{shape:?} {counts:?}");
            let narrow = |numbers: &[u32]| numbers.iter().map(|&v| v as u16).collect::<Vec<_>>();
            let mut y = vec![0u16; codes.len()];
            look_up(2, &mut y, &pack(&codes, bits), bits, &cut, &narrow(&tables));
            assert_eq!(y, narrow(&expected), "{shape:?} {counts:?}");
        }
    }
}

#[test]
fn masks_spread_values_and_collect_them() {
    for count in [0, 1, 9, 64, 5003] {
        for every in [1, 2, 3, 70] {
            let set: Vec<u8> = (0..count).map(|i| u8::from((i * i + i) % every == 0)).collect();
            let mask = pack(&set, 1);
            let values: Vec<u16> = (1..=ones(&mask, count) as u16).collect();
            let mut dense = vec![9; count];
            expand(2, &mut dense, &mask, &values);
            let mut next = values.iter();
            for (dense, &set) in dense.iter().zip(&set) {
                assert_eq!(*dense, if set == 1 { *next.next().unwrap() } else { 0 });
            }
            let mut found = vec![0; values.len()];
            compress(&mut found, &mask, &dense);
            assert_eq!(found, values);
        }
    }
}

#[test]
#[should_panic(expected = "a table for each block")]
fn a_table_too_few_is_refused() {
    look_up(1, &mut [0u8; 4], &[0], 2, &Blocks::along(&[4], 0), &[0; 12]);
}
