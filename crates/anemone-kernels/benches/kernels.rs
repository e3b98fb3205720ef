//! How long the kernels take, in shapes that models have.

use anemone_kernels::conv::{Conv, ConvWeights, conv, conv_tiles, conv_transpose};
use anemone_kernels::finish::Finish;
use anemone_kernels::gemm::{Bias, Matrix, gemm};
use anemone_kernels::math::Unary;
use anemone_kernels::norm::{Affine, Lanes, layer_norm, softmax};
use anemone_kernels::pool::{Pooling, pool};
use anemone_kernels::{Float, Window, attention, fp16, layout, math};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use half::f16;

fn main() {
    divan::main();
}

fn numbers<T: Float>(count: usize) -> Vec<T> {
    (0..count).map(|i| T::from_f32((i % 17) as f32 / 16.0 - 0.5)).collect()
}

const THREADS: [usize; 2] = [1, 2];

/// Casts, in the first-level cache and in memory.
mod casts {
    use super::*;

    #[divan::bench(args = [4096, 1 << 24])]
    fn f32_to_fp16(bencher: Bencher<'_, '_>, count: usize) {
        let (from, mut to) = (numbers::<f32>(count), vec![0; count]);
        bencher.counter(BytesCount::new(6 * count)).bench_local(|| fp16::cast_f32_f16(&mut to, &from));
    }

    #[divan::bench(args = [4096, 1 << 24])]
    fn fp16_to_f32(bencher: Bencher<'_, '_>, count: usize) {
        let (from, mut to) = (vec![0x3c01; count], vec![0.0; count]);
        bencher.counter(BytesCount::new(6 * count)).bench_local(|| fp16::cast_f16_f32(&mut to, &from));
    }

    #[divan::bench(args = [4096, 1 << 24])]
    fn half_slice_to_fp16(bencher: Bencher<'_, '_>, count: usize) {
        let (from, mut to) = (numbers::<f32>(count), vec![f16::ZERO; count]);
        bencher.counter(BytesCount::new(6 * count)).bench_local(|| {
            half::slice::HalfFloatSliceExt::convert_from_f32_slice(to.as_mut_slice(), &from);
        });
    }

    /// All 2^32 floats, which are checked against the scalar cast too: `cargo bench all_floats`.
    #[divan::bench(sample_count = 1, sample_size = 1, ignore)]
    fn all_floats() {
        let mut to = vec![0; 1 << 16];
        for high in 0..=u16::MAX {
            let from: Vec<f32> =
                (0..=u16::MAX).map(|low| f32::from_bits(u32::from(high) << 16 | u32::from(low))).collect();
            fp16::cast_f32_f16(&mut to, &from);
            assert!(to.iter().zip(&from).all(|(&h, &f)| h == fp16::f32_to_fp16(f)));
        }
    }
}

/// Products `m × k × n`; items are multiplications.
mod products {
    use super::*;

    const SHAPES: [[usize; 3]; 5] =
        [[256, 256, 256], [1024, 256, 1024], [20, 896, 4864], [197, 768, 3072], [64, 64, 64]];

    fn product<T: Float>(bencher: Bencher<'_, '_>, threads: usize, [m, k, n]: [usize; 3]) {
        let (a, b) = (numbers::<T>(m * k), numbers::<T>(k * n));
        let mut c = vec![T::zeroed(); m * n];
        bencher.counter(ItemsCount::new(m * k * n)).bench_local(|| {
            // The form of `linear`: weights are `[out, in]`.
            gemm(threads, &mut c, Matrix::new(&a, m, k), Matrix::new(&b, n, k).transposed(), Bias::None);
        });
    }

    #[divan::bench(args = SHAPES, consts = THREADS)]
    fn f32<const N: usize>(bencher: Bencher<'_, '_>, shape: [usize; 3]) {
        product::<f32>(bencher, N, shape);
    }

    #[divan::bench(args = SHAPES, consts = THREADS)]
    fn fp16<const N: usize>(bencher: Bencher<'_, '_>, shape: [usize; 3]) {
        product::<f16>(bencher, N, shape);
    }

    /// One row times fp16 weights; bytes are those of the weights.
    #[divan::bench(args = [(896, 4864), (4096, 4096)], consts = THREADS)]
    fn gemv_fp16<const N: usize>(bencher: Bencher<'_, '_>, (k, n): (usize, usize)) {
        let (a, b) = (numbers::<f16>(k), numbers::<f16>(k * n));
        let mut c = vec![f16::ZERO; n];
        bencher.counter(BytesCount::new(2 * k * n)).bench_local(|| {
            gemm(N, &mut c, Matrix::new(&a, 1, k), Matrix::new(&b, n, k).transposed(), Bias::None);
        });
    }

    /// The same with the weights row-major.
    #[divan::bench(args = [(896, 4864), (4096, 4096)], consts = THREADS)]
    fn gemv_fp16_rows<const N: usize>(bencher: Bencher<'_, '_>, (k, n): (usize, usize)) {
        let (a, b) = (numbers::<f16>(k), numbers::<f16>(k * n));
        let mut c = vec![f16::ZERO; n];
        bencher.counter(BytesCount::new(2 * k * n)).bench_local(|| {
            gemm(N, &mut c, Matrix::new(&a, 1, k), Matrix::new(&b, k, n), Bias::None);
        });
    }
}

/// Convolutions in fp16; items are multiplications.
mod convolutions {
    use super::*;

    /// Side of the plane, channels in and out, groups, kernel, stride.
    type Case = [usize; 6];

    const CASES: [Case; 7] = [
        [160, 32, 64, 1, 3, 2],
        [80, 64, 64, 1, 3, 1],
        [20, 256, 256, 1, 3, 1],
        [7, 512, 512, 1, 3, 1],
        [56, 64, 256, 1, 1, 1],
        [112, 64, 64, 64, 3, 1],
        [56, 144, 144, 144, 3, 2],
    ];

    fn of([side, input, output, groups, kernel, stride]: Case) -> Conv {
        let pad = [0, kernel / 2, kernel / 2];
        let (size, kernel) = ([1, side, side], [1, kernel, kernel]);
        let window = Window::new(size, kernel, [1, stride, stride], [1; 3], pad, pad).expect("it fits");
        Conv { window, batch: 1, in_channels: input, out_channels: output, groups }
    }

    /// With weights that were made ready.
    #[divan::bench(args = CASES[..5].to_vec(), consts = THREADS)]
    fn tiles<const N: usize>(bencher: Bencher<'_, '_>, case: Case) {
        let c = of(case);
        let x = numbers::<f32>(c.in_channels * c.window.input_len());
        let weights = numbers::<f32>(c.out_channels * c.in_channels / c.groups * c.window.kernel_len());
        let weights = ConvWeights::new::<f32>(&weights, &c);
        let mut y = numbers::<f32>(c.out_channels * c.window.output_len());
        let products = y.len() * c.in_channels / c.groups * c.window.kernel_len();
        bencher
            .counter(ItemsCount::new(products))
            .bench_local(|| conv_tiles(N, &mut y, &x, &weights, Finish::default(), &c));
    }

    #[divan::bench(args = CASES, consts = THREADS)]
    fn forward<const N: usize>(bencher: Bencher<'_, '_>, case: Case) {
        let c = of(case);
        let weights = c.out_channels * c.in_channels / c.groups * c.window.kernel_len();
        let (x, w) = (numbers::<f16>(c.in_channels * c.window.input_len()), numbers::<f16>(weights));
        let mut y = vec![f16::ZERO; c.out_channels * c.window.output_len()];
        bencher
            .counter(ItemsCount::new(weights * c.window.output_len()))
            .bench_local(|| conv(N, &mut y, &x, &w, Finish::default(), &c));
    }

    #[divan::bench(args = [[40, 128, 64, 1, 3, 2]], consts = THREADS)]
    fn transposed<const N: usize>(bencher: Bencher<'_, '_>, case: Case) {
        let c = of(case);
        let weights = c.out_channels * c.in_channels * c.window.kernel_len();
        let (x, w) = (numbers::<f16>(c.in_channels * c.window.output_len()), numbers::<f16>(weights));
        let mut y = vec![f16::ZERO; c.out_channels * c.window.input_len()];
        bencher
            .counter(ItemsCount::new(weights * c.window.output_len()))
            .bench_local(|| conv_transpose(N, &mut y, &x, &w, None, &c));
    }
}

/// Pooling in fp16; items are elements read.
mod pooling {
    use super::*;

    #[divan::bench(consts = THREADS)]
    fn max_5x5<const N: usize>(bencher: Bencher<'_, '_>) {
        let window =
            Window::new([1, 20, 20], [1, 5, 5], [1; 3], [1; 3], [0, 2, 2], [0, 2, 2]).expect("it fits");
        let x = numbers::<f16>(256 * 400);
        let mut y = x.clone();
        bencher
            .counter(ItemsCount::new(256 * 400 * 25usize))
            .bench_local(|| pool(N, &mut y, &x, &window, Pooling::Max));
    }
}

/// Functions of single elements, in fp16; items are elements.
mod elementwise {
    use super::*;

    const FUNCTIONS: [Unary; 8] = [
        Unary::Relu,
        Unary::Exp,
        Unary::Sigmoid,
        Unary::Silu,
        Unary::Tanh,
        Unary::Gelu,
        Unary::Log { epsilon: 0.0 },
        Unary::Sin,
    ];

    #[divan::bench(args = FUNCTIONS)]
    fn unary_fp16(bencher: Bencher<'_, '_>, f: Unary) {
        let x = numbers::<f16>(1 << 16);
        let mut y = x.clone();
        bencher.counter(ItemsCount::new(x.len())).bench_local(|| math::unary(1, &mut y, &x, f, &[]));
    }
}

/// Lanes of 512 elements in fp16; items are elements.
mod lanes {
    use super::*;

    const ALONG: [(usize, usize); 2] = [(128, 1), (1, 128)];

    #[divan::bench(args = ALONG)]
    fn softmax_fp16(bencher: Bencher<'_, '_>, (outer, inner): (usize, usize)) {
        let x = numbers::<f16>(1 << 16);
        let mut y = x.clone();
        let lanes = Lanes { outer, length: 512, inner };
        bencher.counter(ItemsCount::new(x.len())).bench_local(|| softmax(1, &mut y, &x, lanes));
    }

    #[divan::bench(args = ALONG)]
    fn layer_norm_fp16(bencher: Bencher<'_, '_>, (outer, inner): (usize, usize)) {
        let x = numbers::<f16>(1 << 16);
        let (mut y, gamma) = (x.clone(), numbers::<f32>(512));
        let lanes = Lanes { outer, length: 512, inner };
        let affine = Affine { gamma: Some(&gamma), beta: Some(&gamma) };
        bencher
            .counter(ItemsCount::new(x.len()))
            .bench_local(|| layer_norm(1, &mut y, &x, lanes, affine, 1e-5));
    }

    /// Eight heads of 64.
    #[divan::bench(args = [(1, 1024), (256, 256)], consts = THREADS)]
    fn attention_fp16<const N: usize>(bencher: Bencher<'_, '_>, (queries, keys): (usize, usize)) {
        let sizes = attention::Attention { batch: 8, queries, keys, embedding: 64, width: 64 };
        let (q, k) = (numbers::<f16>(8 * queries * 64), numbers::<f16>(8 * keys * 64));
        let mut y = q.clone();
        let starts = |rows: usize| (0..8).map(|head| head * rows * 64).collect::<Vec<_>>();
        let (of_queries, of_keys) = (starts(queries), starts(keys));
        let q = attention::Rows { data: &q[..], starts: &of_queries, stride: 64 };
        let k = attention::Rows { data: &k[..], starts: &of_keys, stride: 64 };
        bencher
            .counter(ItemsCount::new(2 * q.data.len() * keys))
            .bench_local(|| attention::attention(N, &mut y, q, k, k, None, 0.125, &sizes));
    }
}

/// Transposes of two bytes; bytes are those read and written.
mod transposes {
    use super::*;

    #[divan::bench(args = [[1024, 1024], [80, 6400]])]
    fn matrix(bencher: Bencher<'_, '_>, [rows, columns]: [usize; 2]) {
        let x = vec![1u16; rows * columns];
        let mut y = x.clone();
        bencher
            .counter(BytesCount::new(4 * x.len()))
            .bench_local(|| layout::copy(1, &mut y, &[columns, rows], &x, 0, &[1, columns]));
    }
}

/// Layers of packed weights, `rows × inputs × outputs`; items are multiplications.
mod packed {
    use anemone_kernels::packed::{Packed, linear};

    use super::*;

    const LAYERS: [[usize; 3]; 6] =
        [[1, 64, 64], [1, 4096, 4096], [8, 768, 768], [64, 64, 64], [256, 768, 768], [256, 768, 3072]];

    fn layer<T: Float, W: Float>(bencher: Bencher<'_, '_>, [rows, inputs, outputs]: [usize; 3]) {
        let (x, weights) =
            (numbers::<T>(rows * inputs), Packed::new(&numbers::<W>(inputs * outputs), outputs));
        let (x, mut y) = (Matrix::new(&x, rows, inputs), numbers::<T>(rows * outputs));
        bencher
            .counter(ItemsCount::new(rows * inputs * outputs))
            .bench_local(|| linear(1, &mut y, x, &weights, Finish::default()));
    }

    #[divan::bench(args = LAYERS)]
    fn singles(bencher: Bencher<'_, '_>, layer: [usize; 3]) {
        self::layer::<f32, f32>(bencher, layer);
    }

    #[divan::bench(args = LAYERS)]
    fn halves(bencher: Bencher<'_, '_>, layer: [usize; 3]) {
        self::layer::<f16, f16>(bencher, layer);
    }

    #[divan::bench(args = LAYERS)]
    fn not_packed(bencher: Bencher<'_, '_>, [rows, inputs, outputs]: [usize; 3]) {
        let (x, w) = (numbers::<f32>(rows * inputs), numbers::<f32>(inputs * outputs));
        let mut y = numbers::<f32>(rows * outputs);
        bencher.counter(ItemsCount::new(rows * inputs * outputs)).bench_local(|| {
            gemm(
                1,
                &mut y,
                Matrix::new(&x, rows, inputs),
                Matrix::new(&w, outputs, inputs).transposed(),
                Bias::None,
            );
        });
    }
}

/// A hand-over to one helper and back.
#[divan::bench]
fn hand_over(b: divan::Bencher<'_, '_>) {
    b.bench(|| anemone_kernels::threads::parallel_for(2, 2, 1, divan::black_box_drop));
}
