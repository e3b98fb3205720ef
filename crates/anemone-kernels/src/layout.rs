//! Moving elements: transposes, slices, repetitions, joins and look-ups.
//!
//! These kernels do not look at values, so that they take elements of any plain type.
//!
//! ```
//! use anemone_kernels::layout;
//! // A matrix of 2 by 3, read column by column.
//! let mut transposed = [0; 6];
//! layout::copy(1, &mut transposed, &[3, 2], &[1, 2, 3, 4, 5, 6], 0, &[1, 3]);
//! assert_eq!(transposed, [1, 4, 2, 5, 3, 6]);
//! ```

use bytemuck::Pod;
use smallvec::SmallVec;

use crate::binary::{Dims, collapse};
use crate::threads::{Shared, parallel_chunks, parallel_for};

/// How many elements make it worth to use another thread.
const TASK: usize = 1 << 15;

/// The side of the squares in which a transposed matrix is read, so that whole cache lines are used on both sides.
const SIDE: usize = 32;

/// Writes the elements that lie `offset + Σ index · stride` in `from` to `to`, whose dimensions are `shape`.
///
/// With the strides of another order of the dimensions this is a transpose, with larger strides a slice, and with
/// strides of 0 a repetition.
///
/// ```
/// use anemone_kernels::layout::copy;
/// let mut transposed = [0u16; 6];
/// copy(1, &mut transposed, &[3, 2], &[1, 2, 3, 4, 5, 6], 0, &[1, 3]);
/// assert_eq!(transposed, [1, 4, 2, 5, 3, 6]);
/// let mut every_second = [0u16; 3];
/// copy(1, &mut every_second, &[3], &[1, 2, 3, 4, 5, 6], 1, &[2]);
/// assert_eq!(every_second, [2, 4, 6]);
/// ```
///
/// # Panics
///
/// When `to` has not as many elements as the shape, there is not one stride for each dimension, or an index lies
/// outside of `from`.
pub fn copy<E: Pod + Send + Sync>(
    threads: usize,
    to: &mut [E],
    shape: &[usize],
    from: &[E],
    offset: usize,
    strides: &[usize],
) {
    assert_eq!(strides.len(), shape.len(), "there is a stride for each dimension");
    assert_eq!(
        shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)),
        Some(to.len()),
        "the result has as many elements as its shape"
    );
    if to.is_empty() {
        return;
    }
    let steps = shape.iter().zip(strides).map(|(&n, &s)| (n - 1).saturating_mul(s));
    assert!(steps.fold(offset, usize::saturating_add) < from.len(), "every index lies within the slice");
    let (shape, [strides]) = collapse(shape, [strides]);
    let rank = shape.len();
    // Lines run along the last dimension. Where its elements lie apart in `from`, but those of another dimension lie
    // side by side, the two are handled together, square by square.
    let (inner, step) = (*shape.last().unwrap_or(&1), *strides.last().unwrap_or(&1));
    let side = (0..rank.saturating_sub(1)).rev().find(|&d| strides[d] == 1 && step > 1);
    let height = side.map_or(1, |d| shape[d]);
    let apart = side.map_or(0, |d| shape[d + 1..].iter().product());
    let outer: Dims = (0..rank.saturating_sub(1)).filter(|&d| Some(d) != side).collect();
    let count: usize = outer.iter().map(|&d| shape[d]).product();
    let down = height.div_ceil(SIDE);
    // A task is a band of at most SIDE lines that lie side by side in `from`, or one line.
    let grain = TASK.div_ceil(inner.saturating_mul(height.min(SIDE)));
    let to = Shared::new(to);
    parallel_for(threads, count * down, grain, |tasks| {
        for task in tasks {
            let (mut rest, first) = (task / down, task % down * SIDE);
            let rows = SIDE.min(height - first);
            let (mut read, mut write) = (offset + first, first * apart);
            for &d in outer.iter().rev() {
                let at = rest % shape[d];
                rest /= shape[d];
                read += at * strides[d];
                write += at * shape[d + 1..].iter().product::<usize>();
            }
            let line = |row: usize, columns: std::ops::Range<usize>| {
                let start = write + row * apart;
                // SAFETY: bands have different lines of the result, and a line is not referred to elsewhere.
                unsafe { to.slice(start + columns.start..start + columns.end) }
            };
            if side.is_some() {
                for column in (0..inner).step_by(SIDE) {
                    let columns = column..inner.min(column + SIDE);
                    for row in 0..rows {
                        let from = from[read + row + column * step..].iter().step_by(step);
                        line(row, columns.clone()).iter_mut().zip(from).for_each(|(to, &v)| *to = v);
                    }
                }
            } else {
                copy_line(line(0, 0..inner), &from[read..], step);
            }
        }
    });
}

/// Copies elements that lie `step` apart.
fn copy_line<E: Pod>(to: &mut [E], from: &[E], step: usize) {
    match step {
        0 => to.fill(from[0]),
        1 => to.copy_from_slice(&from[..to.len()]),
        _ => to.iter_mut().zip(from.iter().step_by(step)).for_each(|(to, &v)| *to = v),
    }
}

/// As [`copy`], with strides of which some lead back: a dimension that is reversed.
///
/// ```
/// use anemone_kernels::layout::copy_back;
/// let mut reversed = [0u16; 4];
/// copy_back(1, &mut reversed, &[2, 2], &[1, 2, 3, 4], 2, &[-2, 1]);
/// assert_eq!(reversed, [3, 4, 1, 2]);
/// ```
///
/// # Panics
///
/// As [`copy`].
pub fn copy_back<E: Pod + Send + Sync>(
    threads: usize,
    to: &mut [E],
    shape: &[usize],
    from: &[E],
    offset: usize,
    strides: &[isize],
) {
    assert_eq!(strides.len(), shape.len(), "there is a stride for each dimension");
    assert_eq!(
        shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)),
        Some(to.len()),
        "the result has as many elements as its shape"
    );
    if to.is_empty() {
        return;
    }
    let ends = shape.iter().zip(strides).try_fold((offset, offset), |(low, high), (&n, &s)| {
        let reach = (n - 1).checked_mul(s.unsigned_abs())?;
        if s < 0 { Some((low.checked_sub(reach)?, high)) } else { Some((low, high.checked_add(reach)?)) }
    });
    assert!(ends.is_some_and(|(_, last)| last < from.len()), "every index lies within the slice");
    // Neighbouring dimensions that are walked through with one stride are one.
    let mut dims: SmallVec<[(usize, isize); 8]> = SmallVec::new();
    for (&n, &s) in shape.iter().zip(strides).filter(|(n, _)| **n > 1) {
        match dims.last_mut() {
            Some((m, t)) if *t == s * n as isize => (*m, *t) = (*m * n, s),
            _ => dims.push((n, s)),
        }
    }
    let (inner, step) = dims.pop().unwrap_or((1, 1));
    parallel_chunks(threads, to, inner, TASK.div_ceil(inner), |line, to| {
        let (mut rest, mut at) = (line, offset as isize);
        for &(n, s) in dims.iter().rev() {
            at += (rest % n) as isize * s;
            rest /= n;
        }
        let start = at as usize;
        if step >= 0 {
            copy_line(to, &from[start..], step as usize);
        } else {
            let back = from[..=start].iter().rev().step_by(step.unsigned_abs());
            to.iter_mut().zip(back).for_each(|(to, &v)| *to = v);
        }
    });
}

/// Copies runs of `run` elements: the `i`th of the result is the one that starts at `start(i)` in `from`. Where that
/// is nothing, the elements of the result stay.
///
/// ```
/// use anemone_kernels::layout::runs;
/// let mut found = [0u16; 6];
/// runs(1, &mut found, &[1, 2, 3, 4], 2, |i| [Some(2), None, Some(1)][i]);
/// assert_eq!(found, [3, 4, 0, 0, 2, 3]);
/// ```
///
/// # Panics
///
/// When the result is not made of whole runs, or a run reaches out of `from`.
pub fn runs<E: Pod + Send + Sync>(
    threads: usize,
    to: &mut [E],
    from: &[E],
    run: usize,
    start: impl Fn(usize) -> Option<usize> + Sync,
) {
    if to.is_empty() {
        return;
    }
    assert!(run > 0 && to.len().is_multiple_of(run), "the result is made of whole runs");
    parallel_chunks(threads, to, run, TASK.div_ceil(run), |i, to| {
        match (start(i), &mut *to) {
            (None, _) => {}
            // Not a call to copy each element.
            (Some(start), [to]) => *to = from[start],
            (Some(start), to) => to.copy_from_slice(&from[start..start + run]),
        }
    });
}

/// Looks elements up one by one: `from` is `[outer, rows, inner]`, `numbers` is `[outer, count, inner]`, and each
/// element of the result comes from the row that its number names.
///
/// ```
/// use anemone_kernels::layout::look_up_each;
/// let mut found = [0u16; 4];
/// look_up_each(1, &mut found, &[1, 2, 3, 4, 5, 6], &[2, 0, 1, 1], [1, 3, 2, 2]);
/// assert_eq!(found, [5, 2, 3, 4]);
/// ```
///
/// # Panics
///
/// When a slice has another length than the sizes say, or there is no row of a number.
pub fn look_up_each<E: Pod + Send + Sync>(
    threads: usize,
    to: &mut [E],
    from: &[E],
    numbers: &[usize],
    [outer, rows, count, inner]: [usize; 4],
) {
    let product = |n: usize| outer.checked_mul(n)?.checked_mul(inner);
    assert_eq!(product(rows), Some(from.len()), "the table has as many elements as its sizes say");
    assert_eq!(product(count), Some(to.len()), "the result has as many elements as its sizes say");
    assert_eq!(numbers.len(), to.len(), "there is a number for each element of the result");
    assert!(numbers.iter().all(|&n| n < rows), "the table has a row of each number");
    if to.is_empty() {
        return;
    }
    let line = if inner == 1 { count } else { inner };
    parallel_chunks(threads, to, line, TASK.div_ceil(line), |i, to| {
        let numbers = &numbers[i * line..][..line];
        if inner == 1 {
            let table = &from[i * rows..(i + 1) * rows];
            to.iter_mut().zip(numbers).for_each(|(to, &n)| *to = table[n]);
        } else {
            let table = &from[i / count * rows * inner..];
            let pairs = to.iter_mut().zip(numbers).enumerate();
            pairs.for_each(|(k, (to, &n))| *to = table[n * inner + k]);
        }
    });
}

/// Writes `from`, whose dimensions are `shape`, into `to`, whose dimensions are `within`, from the index `start` on.
/// The other elements of `to` stay.
///
/// ```
/// use anemone_kernels::layout::place;
/// let mut padded = [0u32; 8];
/// place(&mut padded, &[2, 4], &[0, 1], &[1, 2, 3, 4], &[2, 2]);
/// assert_eq!(padded, [0, 1, 2, 0, 0, 3, 4, 0]);
/// ```
///
/// # Panics
///
/// When a slice has not as many elements as its shape, the shapes have different ranks, or one reaches out of the
/// other.
pub fn place<E: Pod>(to: &mut [E], within: &[usize], start: &[usize], from: &[E], shape: &[usize]) {
    let elements = |shape: &[usize]| shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    assert_eq!(elements(within), Some(to.len()), "the result has as many elements as its shape");
    assert_eq!(elements(shape), Some(from.len()), "the input has as many elements as its shape");
    let mut ends = start.iter().zip(shape).map(|(&s, &n)| s.checked_add(n));
    assert!(
        within.len() == shape.len()
            && start.len() == shape.len()
            && within.iter().all(|&d| ends.next().flatten().is_some_and(|end| end <= d)),
        "what is placed lies within the result"
    );
    if from.is_empty() {
        return;
    }
    // The last dimensions that are whole make one run of elements.
    let rank = shape.len();
    let whole = (0..rank).rev().take_while(|&d| shape[d] == within[d]).count();
    let lead = (rank - whole).saturating_sub(1);
    let run: usize = shape[lead..].iter().product();
    for (i, from) in from.chunks_exact(run).enumerate() {
        let (mut rest, mut at, mut stride) = (i, 0, within[lead..].iter().product::<usize>());
        at += start.get(lead).map_or(0, |s| s * within[lead + 1..].iter().product::<usize>());
        for d in (0..lead).rev() {
            at += (rest % shape[d] + start[d]) * stride;
            rest /= shape[d];
            stride *= within[d];
        }
        to[at..at + run].copy_from_slice(from);
    }
}

/// Joins parts row by row: each row of `to` is made of one row of each part, whose lengths are given with them.
///
/// ```
/// use anemone_kernels::layout::join;
/// let mut joined = [0u8; 6];
/// join(1, &mut joined, &[(&[1, 2], 1), (&[3, 4, 5, 6], 2)]);
/// assert_eq!(joined, [1, 3, 4, 2, 5, 6]);
/// ```
///
/// # Panics
///
/// When the parts do not have as many rows as the result.
pub fn join<E: Pod + Send + Sync>(threads: usize, to: &mut [E], parts: &[(&[E], usize)]) {
    let row: usize = parts.iter().map(|p| p.1).sum();
    let rows = to.len().checked_div(row).unwrap_or(0);
    assert!(
        to.len() == rows * row && parts.iter().all(|(part, n)| part.len() == rows * n),
        "parts that are joined have the rows of the result"
    );
    if row == 0 {
        return;
    }
    // Long rows are cut, so that several threads have work where there is one row only.
    let cut = row.min(TASK);
    let pieces = row.div_ceil(cut);
    let to = Shared::new(to);
    parallel_for(threads, rows * pieces, TASK.div_ceil(cut), |tasks| {
        for task in tasks {
            let (r, piece) = (task / pieces, task % pieces * cut);
            let end = row.min(piece + cut);
            let mut start = 0;
            for (part, n) in parts {
                let (a, b) = (piece.clamp(start, start + n), end.clamp(start, start + n));
                if a < b {
                    // SAFETY: a piece of a row is in one task only, and its parts do not overlap.
                    let to = unsafe { to.slice(r * row + a..r * row + b) };
                    to.copy_from_slice(&part[r * n + a - start..r * n + b - start]);
                }
                start += n;
            }
        }
    });
}

/// Looks rows up: `from` is `[outer, rows, inner]`, and `to` gets, for each of the outer ones, the rows of these
/// numbers.
///
/// ```
/// use anemone_kernels::layout::look_up;
/// let mut found = [0u16; 4];
/// look_up(1, &mut found, &[1, 2, 3, 4, 5, 6], &[2, 0], [1, 3, 2]);
/// assert_eq!(found, [5, 6, 1, 2]);
/// ```
///
/// # Panics
///
/// When a slice has another length than the sizes say, or there is no row of a number.
pub fn look_up<E: Pod + Send + Sync>(
    threads: usize,
    to: &mut [E],
    from: &[E],
    numbers: &[usize],
    [outer, rows, inner]: [usize; 3],
) {
    let product = |n: usize| outer.checked_mul(n)?.checked_mul(inner);
    assert_eq!(product(rows), Some(from.len()), "the table has as many elements as its sizes say");
    assert_eq!(product(numbers.len()), Some(to.len()), "there is a row of the result for each number");
    assert!(numbers.iter().all(|&n| n < rows), "the table has a row of each number");
    if to.is_empty() {
        return;
    }
    let count = numbers.len();
    let to = Shared::new(to);
    parallel_for(threads, outer * count, TASK.div_ceil(inner), |tasks| {
        for task in tasks {
            let start = (task / count * rows + numbers[task % count]) * inner;
            // SAFETY: a row of the result is in one task only.
            let to = unsafe { to.slice(task * inner..(task + 1) * inner) };
            match to {
                // Not a call to copy each element.
                [to] => *to = from[start],
                to => to.copy_from_slice(&from[start..start + inner]),
            }
        }
    });
}

/// Writes `a` where `condition` is not 0 and `b` elsewhere; each operand is `(elements, strides)`, whose strides are
/// those along the dimensions of the result.
///
/// ```
/// use anemone_kernels::layout::select;
/// let mut to = [0u16; 3];
/// select(1, &mut to, &[3], (&[1, 0, 1], &[1]), (&[7, 8, 9], &[1]), (&[0], &[0]));
/// assert_eq!(to, [7, 0, 9]);
/// ```
///
/// # Panics
///
/// As [`copy`].
pub fn select<E: Pod + Send + Sync>(
    threads: usize,
    to: &mut [E],
    shape: &[usize],
    condition: (&[u8], &[usize]),
    a: (&[E], &[usize]),
    b: (&[E], &[usize]),
) {
    let over = [condition.1, a.1, b.1];
    assert!(over.iter().all(|s| s.len() == shape.len()), "there is a stride for each dimension");
    assert_eq!(
        shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)),
        Some(to.len()),
        "the result has as many elements as its shape"
    );
    if to.is_empty() {
        return;
    }
    let (shape, over) = collapse(shape, over);
    let lead = shape.len().saturating_sub(1);
    let inner = *shape.last().unwrap_or(&1);
    let steps = [0, 1, 2].map(|k: usize| over[k].last().copied().unwrap_or(0));
    let to = Shared::new(to);
    parallel_for(threads, shape[..lead].iter().product(), TASK.div_ceil(inner), |lines| {
        for line in lines {
            let (mut rest, mut at) = (line, [0; 3]);
            for d in (0..lead).rev() {
                for k in 0..3 {
                    at[k] += rest % shape[d] * over[k][d];
                }
                rest /= shape[d];
            }
            // SAFETY: a line of the result is in one task only.
            let to = unsafe { to.slice(line * inner..(line + 1) * inner) };
            let (c, a, b) = (&condition.0[at[0]..], &a.0[at[1]..], &b.0[at[2]..]);
            if steps == [1, 1, 1] {
                for (((to, &c), &a), &b) in to.iter_mut().zip(c).zip(a).zip(b) {
                    *to = if c != 0 { a } else { b };
                }
            } else {
                for (i, to) in to.iter_mut().enumerate() {
                    *to = if c[i * steps[0]] != 0 { a[i * steps[1]] } else { b[i * steps[2]] };
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every index of a shape, in row-major order.
    fn indices(shape: &[usize]) -> Vec<Vec<usize>> {
        shape.iter().fold(vec![vec![]], |all, &n| {
            all.iter().flat_map(|i| (0..n).map(move |k| [&i[..], &[k]].concat())).collect()
        })
    }

    fn check<E: Pod + Send + Sync + PartialEq + std::fmt::Debug>(
        make: impl Fn(usize) -> E,
        shape: &[usize],
        offset: usize,
        strides: &[usize],
    ) {
        let last: usize = shape.iter().zip(strides).map(|(n, s)| n.saturating_sub(1) * s).sum();
        let from: Vec<E> = (0..=offset + last).map(make).collect();
        let mut to = vec![E::zeroed(); shape.iter().product()];
        for threads in [1, 2] {
            to.fill(E::zeroed());
            copy(threads, &mut to, shape, &from, offset, strides);
            for (to, index) in to.iter().zip(indices(shape)) {
                let at: usize = index.iter().zip(strides).map(|(i, s)| i * s).sum();
                assert_eq!(*to, from[offset + at], "{shape:?} {strides:?} {index:?}");
            }
        }
    }

    #[test]
    fn every_stride_is_followed() {
        for (shape, offset, strides) in [
            (&[][..], 3, &[][..]),
            (&[0, 4], 0, &[4, 1]),
            (&[7], 2, &[3]),
            (&[100, 300], 0, &[1, 100]),
            (&[3, 40, 50], 0, &[1, 3, 120]),
            (&[33, 2, 65], 5, &[1, 2145, 33]),
            (&[2, 3, 4, 5], 0, &[60, 5, 15, 1]),
            (&[4, 5, 6], 1, &[0, 0, 1]),
            (&[4, 2, 5, 3], 0, &[5, 0, 1, 0]),
            (&[20, 1, 30], 0, &[60, 7, 2]),
            (&[300, 700], 0, &[1400, 2]),
        ] {
            check(|i| i as u8, shape, offset, strides);
            check(|i| i as u16, shape, offset, strides);
            check(|i| i as u32, shape, offset, strides);
        }
    }

    #[test]
    fn strides_may_lead_back() {
        for (shape, offset, strides) in [
            (&[][..], 3, &[][..]),
            (&[0, 4], 0, &[-4, 1]),
            (&[7], 6, &[-1]),
            (&[3, 5, 4], 59, &[-20, -4, -1]),
            (&[3, 5, 4], 19, &[20, -4, -1]),
            (&[3, 5, 4], 40, &[-20, 4, 1]),
            (&[1, 200, 3, 4], 8, &[2400, 12, -4, 1]),
            (&[4, 3], 20, &[-6, 2]),
        ] {
            let from: Vec<u16> = (0..2400).collect();
            let mut to = vec![0; shape.iter().product()];
            copy_back(2, &mut to, shape, &from, offset, strides);
            for (to, index) in to.iter().zip(indices(shape)) {
                let at: isize = index.iter().zip(strides).map(|(&i, s)| i as isize * s).sum();
                assert_eq!(*to, from[(offset as isize + at) as usize], "{shape:?} {strides:?} {index:?}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "every index lies within the slice")]
    fn a_stride_that_leads_back_too_far_is_refused() {
        copy_back(1, &mut [0u8; 4], &[2, 2], &[0; 5], 1, &[-2, 1]);
    }

    #[test]
    fn what_is_placed_leaves_the_rest() {
        for (within, start, shape) in [
            (&[5][..], &[2][..], &[3][..]),
            (&[4, 5], &[1, 0], &[2, 5]),
            (&[4, 5, 6], &[0, 2, 1], &[4, 3, 2]),
            (&[3, 4], &[0, 0], &[3, 4]),
            (&[3, 4], &[3, 0], &[0, 4]),
            (&[], &[], &[]),
            (&[2, 3, 4, 5], &[1, 1, 0, 0], &[1, 2, 4, 5]),
        ] {
            let from: Vec<u32> = (1..=shape.iter().product::<usize>() as u32).collect();
            let mut to = vec![0; within.iter().product()];
            place(&mut to, within, start, &from, shape);
            let mut next = from.iter();
            for (to, index) in to.iter().zip(indices(within)) {
                let inside = (0..within.len()).all(|d| (start[d]..start[d] + shape[d]).contains(&index[d]));
                assert_eq!(*to, if inside { *next.next().unwrap() } else { 0 }, "{within:?} {index:?}");
            }
        }
    }

    #[test]
    fn parts_are_joined_row_by_row() {
        for (rows, lengths) in
            [(3, &[1, 2, 5][..]), (1, &[40_000, 3, 50_000]), (500, &[70, 0, 30]), (0, &[1])]
        {
            let parts: Vec<Vec<u32>> = lengths.iter().map(|n| (0..(rows * n) as u32).collect()).collect();
            let of: Vec<(&[u32], usize)> = parts.iter().zip(lengths).map(|(p, &n)| (&p[..], n)).collect();
            let expected: Vec<u32> = (0..rows)
                .flat_map(|r| of.iter().flat_map(move |(p, n)| p[r * n..(r + 1) * n].to_vec()))
                .collect();
            let mut to = vec![0; expected.len()];
            join(2, &mut to, &of);
            assert_eq!(to, expected);
        }
    }

    #[test]
    fn chosen_elements() {
        let (a, b): (Vec<u16>, Vec<u16>) = ((0..12).collect(), (100..104).collect());
        let mut to = [0; 12];
        select(2, &mut to, &[3, 4], (&[1, 0, 1], &[1, 0]), (&a, &[4, 1]), (&b, &[0, 1]));
        assert_eq!(to, [0, 1, 2, 3, 100, 101, 102, 103, 8, 9, 10, 11]);
    }

    #[test]
    #[should_panic(expected = "every index lies within the slice")]
    fn an_index_outside_is_refused() {
        copy(1, &mut [0u8; 4], &[2, 2], &[0; 5], 0, &[3, 2]);
    }

    #[test]
    #[should_panic(expected = "a row of each number")]
    fn a_row_that_is_not_there_is_refused() {
        look_up(1, &mut [0u8; 1], &[0; 2], &[2], [1, 2, 1]);
    }
}
