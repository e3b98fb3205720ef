use half::f16;

use super::*;
use crate::testing::{close, floats};

/// The product by its definition, and the sum of the magnitudes of what is added.
fn naive<A: Float, B: Float>(a: Matrix<'_, A>, b: Matrix<'_, B>, bias: Bias<'_>) -> Vec<(f64, f64)> {
    let mut c = Vec::new();
    for i in 0..a.rows {
        for j in 0..b.columns {
            let mut sum = f64::from(bias.at(i, j));
            let mut size = sum.abs();
            for p in 0..a.columns {
                let product = f64::from(a.data[i * a.row_stride + p * a.column_stride].to_f32())
                    * f64::from(b.data[p * b.row_stride + j * b.column_stride].to_f32());
                sum += product;
                size += product.abs();
            }
            c.push((sum, size));
        }
    }
    c
}

/// Checks a product of this shape in every layout, for every kind of bias and number of threads.
fn check<A: Float, B: Float, C: Float>(m: usize, k: usize, n: usize) {
    let (a, b): (Vec<A>, Vec<B>) = (floats(m * k * 2, 1), floats(k * n * 2, 2));
    let (rows, columns): (Vec<f32>, Vec<f32>) = (floats(m, 3), floats(n, 4));
    let layouts = |rows: usize, columns: usize| {
        [(columns, 1), (1, rows), (2 * columns, 2), (columns + 3, 1), (1, rows + 1)]
            .into_iter()
            .filter(move |(r, c)| rows * r + columns * c <= 2 * rows * columns)
    };
    for (ars, acs) in layouts(m, k) {
        for (brs, bcs) in layouts(k, n) {
            let (a, b) = (Matrix::strided(&a, m, k, ars, acs), Matrix::strided(&b, k, n, brs, bcs));
            for bias in [Bias::None, Bias::Rows(&rows), Bias::Columns(&columns)] {
                let mut one = vec![C::zeroed(); m * n];
                gemm(1, &mut one, a, b, bias);
                let mut three = vec![C::zeroed(); m * n];
                gemm(3, &mut three, a, b, bias);
                assert_eq!(
                    bytemuck::cast_slice::<C, u8>(&one),
                    bytemuck::cast_slice::<C, u8>(&three),
                    "{m}x{k}x{n}: threads change the bits"
                );
                for (c, (sum, size)) in one.iter().zip(naive(a, b, bias)) {
                    close(*c, sum, (k + 1) as f64 * 2f64.powi(-24) * size, &format!("{m}x{k}x{n}"));
                }
            }
        }
    }
}

#[test]
fn products_are_those_of_the_definition() {
    for (m, k, n) in
        [(1, 1, 1), (2, 3, 4), (7, 5, 3), (16, 16, 16), (33, 65, 17), (5, 130, 70), (150, 20, 300)]
    {
        check::<f32, f32, f32>(m, k, n);
        check::<f16, f16, f16>(m, k, n);
        check::<f32, f16, f32>(m, k, n);
        check::<f16, f32, f16>(m, k, n);
    }
    check::<f16, f16, f32>(20, 2100, 40);
}

#[test]
fn products_with_vectors_are_those_of_the_definition() {
    for (k, n) in [(1, 5), (3, 1), (17, 9), (64, 64), (100, 1030), (2050, 37)] {
        check::<f32, f32, f32>(1, k, n);
        check::<f16, f16, f16>(1, k, n);
        check::<f32, f16, f32>(n, k, 1);
        check::<f16, f16, f16>(n, k, 1);
    }
}

#[test]
fn a_sum_of_nothing_is_the_bias() {
    let mut c = [9.0f32; 4];
    let empty: [f32; 0] = [];
    gemm(1, &mut c, Matrix::new(&empty, 2, 0), Matrix::new(&empty, 0, 2), Bias::Rows(&[1.0, 2.0]));
    assert_eq!(c, [1.0, 1.0, 2.0, 2.0]);
    gemm(1, &mut c[..1], Matrix::new(&empty, 1, 0), Matrix::new(&empty, 0, 1), Bias::None);
    assert_eq!(c[0], 0.0);
    gemm(1, &mut c, Matrix::new(&empty, 1, 0), Matrix::new(&empty, 0, 4), Bias::Columns(&[1.0; 4]));
    assert_eq!(c, [1.0; 4]);
    gemm(1, &mut c, Matrix::new(&empty, 4, 0), Matrix::new(&empty, 0, 1), Bias::Rows(&[2.0; 4]));
    assert_eq!(c, [2.0; 4]);
}

#[test]
fn batches_are_products_one_behind_the_other() {
    let (m, k, n) = (9, 12, 20);
    let (a, b): (Vec<f32>, Vec<f16>) = (floats(3 * m * k, 1), floats(2 * k * n, 2));
    let items = [(0, 0), (m * k, k * n), (2 * m * k, 0), (0, k * n)];
    let mut c = vec![0.0f32; items.len() * m * n];
    gemm_batched(2, &mut c, Matrix::new(&a, m, k), Matrix::new(&b, k, n), &items, Bias::None);
    for ((i, j), c) in items.into_iter().zip(c.chunks(m * n)) {
        let mut one = vec![0.0f32; m * n];
        gemm(1, &mut one, Matrix::new(&a[i..], m, k), Matrix::new(&b[j..], k, n), Bias::None);
        for (a, b) in c.iter().zip(&one) {
            close(*a, f64::from(*b), 1e-4, "batch");
        }
    }
}

#[test]
#[should_panic(expected = "a matrix lies within its slice")]
fn a_matrix_that_reaches_past_its_slice_is_refused() {
    gemm(1, &mut [0.0f32; 4], Matrix::new(&[0.0f32; 5], 2, 3), Matrix::new(&[0.0f32; 6], 3, 2), Bias::None);
}
