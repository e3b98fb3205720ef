//! Views: what most of the ops that move elements give.

/// A view of a tensor that strides describe: elements of it, in an order.
///
/// ```
/// use anemone::mil::op::View;
/// // The columns of a matrix of 2 by 3, one after the other; and of these the last one.
/// let turned = View::new(vec![3, 2], 0, vec![3, 2], vec![1, 3]);
/// let last = View::new(vec![1, 2], 4, vec![1, 2], vec![2, 1]);
/// assert_eq!(last.of(&turned), Some(View::new(vec![1, 2], 2, vec![2], vec![3])));
/// // As one matrix, it has elements that lie side by side along columns.
/// assert_eq!(turned.matrices(&[3, 2]), Some((vec![0], [1, 3])));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The shape of the result.
    pub(crate) shape: Vec<usize>,
    /// The place of the first element.
    pub(crate) start: usize,
    /// The dimensions that are walked through, which make up those of the result.
    pub(crate) dims: Vec<usize>,
    /// The distance in the tensor of neighbours along each of them.
    pub(crate) steps: Vec<isize>,
}

/// Steps along a dimension: how many places there are, and how far apart.
type Steps = (usize, isize);

impl View {
    /// The view with this shape that walks through dimensions, from the first element on with these distances.
    pub fn new(shape: Vec<usize>, start: usize, dims: Vec<usize>, steps: Vec<isize>) -> Self {
        Self { shape, start, dims, steps }
    }

    /// Of the tensor that `other` is a view of, what this view shows of `other`; none where strides do not describe it.
    #[must_use]
    pub fn of(&self, other: &Self) -> Option<Self> {
        let (start, walked) = other.walked(self.start, &self.dims, &self.steps)?;
        let (dims, steps) = walked.into_iter().flatten().unzip();
        Some(Self { shape: self.shape.clone(), start, dims, steps })
    }

    /// The view as matrices of the last two of these dimensions, which have as many elements: where each starts, and the
    /// distances from row to row and from column to column.
    pub fn matrices(&self, shape: &[usize]) -> Option<(Vec<usize>, [usize; 2])> {
        let own: Vec<isize> =
            (0..shape.len()).map(|d| shape[d + 1..].iter().product::<usize>() as isize).collect();
        let (start, mut walked) = self.walked(0, shape, &own)?;
        let mut last = || {
            let steps = joined(&walked.pop()?);
            match steps[..] {
                [] => Some(0),
                [(_, step)] => usize::try_from(step).ok(),
                _ => None,
            }
        };
        let (column, row) = (last()?, last()?);
        let mut starts = vec![start];
        for (n, step) in walked.into_iter().flatten() {
            let places = |&start: &usize| (0..n).map(move |i| start.wrapping_add_signed(i as isize * step));
            starts = starts.iter().flat_map(places).collect();
        }
        Some((starts, [row, column]))
    }

    /// Of a walk through the elements of the view, where it starts in the tensor, and the steps that make up each of its
    /// dimensions; none where it takes turns that strides do not describe.
    fn walked(&self, start: usize, dims: &[usize], steps: &[isize]) -> Option<(usize, Vec<Vec<Steps>>)> {
        if self.dims.contains(&0) || dims.contains(&0) {
            return None;
        }
        // A place among all elements is a place along each dimension. None may run over the end of its dimension.
        let weight = |d: usize| self.dims[d + 1..].iter().product::<usize>();
        let mut used: Vec<usize> = (0..self.dims.len()).map(|d| start / weight(d) % self.dims[d]).collect();
        let first: isize = used.iter().zip(&self.steps).map(|(&at, &step)| at as isize * step).sum();
        let mut walked = Vec::with_capacity(dims.len());
        for (&n, &step) in dims.iter().zip(steps) {
            let (mut left, mut distance) = (n, usize::try_from(step).ok().or((n == 1).then_some(0))?);
            let mut pieces = Vec::new();
            if distance == 0 && n > 1 {
                pieces.push((n, 0));
                left = 1;
            }
            while left > 1 {
                let of = |&d: &usize| distance % weight(d) == 0 && distance / weight(d) < self.dims[d];
                let d = (0..self.dims.len()).find(of)?;
                let (size, by) = (self.dims[d], distance / weight(d));
                let taken = if used[d] + by * (left - 1) < size {
                    left
                } else if by == 1 && used[d] == 0 && left.is_multiple_of(size) {
                    size
                } else {
                    return None;
                };
                used[d] += by * (taken - 1);
                pieces.push((taken, by as isize * self.steps[d]));
                left /= taken;
                distance *= taken;
            }
            pieces.reverse();
            walked.push(pieces);
        }
        Some((self.start.checked_add_signed(first)?, walked))
    }
}

/// The same steps, without such as go on where others end.
fn joined(steps: &[Steps]) -> Vec<Steps> {
    let mut all: Vec<Steps> = Vec::new();
    for &(n, step) in steps {
        match all.last_mut() {
            Some((before, far)) if *far == step * n as isize => (*before, *far) = (*before * n, step),
            _ => all.push((n, step)),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The places of the elements.
    fn places(view: &View) -> Vec<isize> {
        let mut all = vec![view.start as isize];
        for (&n, &step) in view.dims.iter().zip(&view.steps) {
            all = all.iter().flat_map(|&at| (0..n as isize).map(move |i| at + i * step)).collect();
        }
        all
    }

    /// All views of a tensor of 2 by 3 by 4 that ops give: turned, repeated, and parts.
    fn views(shape: [usize; 3]) -> Vec<View> {
        let own = [shape[1] * shape[2], shape[2], 1].map(|s| s as isize);
        let mut all = Vec::new();
        for perm in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let shape = perm.map(|d| shape[d]).to_vec();
            all.push(View::new(shape.clone(), 0, shape, perm.map(|d| own[d]).to_vec()));
        }
        for d in 0..3 {
            let mut dims = shape.to_vec();
            dims.insert(d, 2);
            let mut steps = own.to_vec();
            steps.insert(d, 0);
            let mut whole = shape.to_vec();
            whole[d] *= 2;
            all.push(View::new(whole, 0, dims, steps));
            let (mut part, mut by) = (shape.to_vec(), own.to_vec());
            part[d] = shape[d] / 2;
            all.push(View::new(part.clone(), own[d] as usize, part.clone(), own.to_vec()));
            by[d] *= 2;
            all.push(View::new(part.clone(), 0, part, by));
        }
        all
    }

    #[test]
    fn a_view_of_a_view_shows_what_the_second_shows_of_the_first() {
        let (mut described, mut not) = (0, 0);
        for first in views([2, 3, 4]) {
            let shape = [first.shape[0], first.shape[1], first.shape[2]];
            let shown = places(&first);
            for shape in [shape, [1, shape[1], shape[0] * shape[2]], [shape[2], shape[0] * shape[1], 1]] {
                for second in views(shape).into_iter().filter(|v| !v.dims.contains(&0)) {
                    let Some(both) = second.of(&first) else {
                        not += 1;
                        continue;
                    };
                    described += 1;
                    let expected: Vec<isize> = places(&second).iter().map(|&i| shown[i as usize]).collect();
                    assert_eq!(places(&both), expected, "{second:?} of {first:?}");
                }
            }
        }
        assert!(described > 300 && not > 50, "{described} and {not}");
    }

    #[test]
    fn matrices_are_where_the_view_shows_them() {
        let mut described = 0;
        for view in views([2, 3, 4]) {
            let [a, b, c] = [view.shape[0], view.shape[1], view.shape[2]];
            for shape in
                [vec![a, b, c], vec![a * b, c], vec![a, b * c], vec![1, a, 1, b, c], vec![c, a * b, 1]]
            {
                let Some((starts, [row, column])) = view.matrices(&shape) else { continue };
                described += 1;
                let [.., rows, columns] = shape[..] else { unreachable!("there are two") };
                let matrix = |&start: &usize| {
                    (0..rows * columns)
                        .map(move |i| (start + i / columns * row + i % columns * column) as isize)
                };
                assert_eq!(starts.iter().flat_map(matrix).collect::<Vec<_>>(), places(&view), "{shape:?}");
            }
        }
        assert!(described > 30, "{described}");
    }
}
