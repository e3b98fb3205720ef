//! Attention, as the ops that it is made of: a product, a softmax, a product, of which each stores halves.

use anemone_kernels::gemm::Matrix;
use anemone_kernels::norm::{Lanes, softmax};
use anemone_kernels::scratch::scratch;
use anemone_kernels::silicon::{Bias, add, decode_all, multiply, product_batched, store, store_all};

use super::halves::Halves;
use crate::ops::attention::described;
use crate::ops::fast::{Ready, idle, nothing, ready};
use crate::ops::row::*;
use crate::types::f16;

pub(super) fn prepare(args: &Args<'_>, types: &[Type]) -> Ready {
    if nothing(types) {
        return idle();
    }
    let all = (Halves::of(args, "query")?, Halves::of(args, "key")?, Halves::of(args, "value")?);
    let (Some(q), Some(k), Some(v)) = all else { return Ok(None) };
    let (sizes, mask) = described(args)?;
    let scale = store(1.0 / (sizes.embedding as f32).sqrt());
    let (batch, queries, keys) = (sizes.batch, sizes.queries, sizes.keys);
    let (embedding, width) = (sizes.embedding, sizes.width);
    ready(move |run| {
        let (threads, q, k, v) = (run.threads, q.read(run), k.read(run), v.read(run));
        let mut scores = scratch::<f16>(batch * queries * keys);
        let q = Matrix::new(q, queries, embedding);
        let k = Matrix::new(k, keys, embedding).transposed();
        let items: Vec<_> = (0..batch).map(|i| (i * queries * embedding, i * keys * embedding)).collect();
        product_batched(threads, &mut scores, q, k, &items, Bias::None);
        scores.iter_mut().for_each(|score| *score = multiply(*score, scale));
        if let Some(mask) = &mask {
            let numbers = mask.numbers(run);
            for (scores, &start) in scores.chunks_exact_mut(keys.max(1)).zip(&mask.starts) {
                let added = numbers[start..].iter().map(|&x| store(x));
                scores.iter_mut().zip(added).for_each(|(score, x)| *score = add(*score, x));
            }
        }
        let (mut wide, mut weights) = (scratch::<f32>(scores.len()), scratch::<f32>(scores.len()));
        decode_all(&mut wide, &scores);
        softmax(threads, &mut weights, &wide, Lanes { outer: batch * queries, length: keys, inner: 1 });
        store_all(&mut scores, &weights);
        let items: Vec<_> = (0..batch).map(|i| (i * queries * keys, i * keys * width)).collect();
        let (scores, v) = (Matrix::new(&scores, queries, keys), Matrix::new(v, keys, width));
        product_batched(threads, run.write(0), scores, v, &items, Bias::None);
    })
}
