//! Windows that slide over a volume.

use std::ops::Range;

/// How windows of a convolution or pooling slide over a volume of depth, height and width.
///
/// A plane has depth 1, a line depth and height 1. A window reads `kernel` elements along each dimension,
/// `dilations` apart; the first window starts `before` elements in front of the volume, the next `strides`
/// elements later. What lies outside of the volume is padding.
///
/// ```
/// use anemone_kernels::Window;
/// let w = Window::new([1, 5, 7], [1, 3, 3], [1, 2, 2], [1, 1, 1], [0, 1, 1], [0, 1, 1]).unwrap();
/// assert_eq!(w.output, [1, 3, 4]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The extent of the volume.
    pub input: [usize; 3],
    /// How many windows there are along each dimension.
    pub output: [usize; 3],
    /// The extent of a window, in elements that it reads.
    pub kernel: [usize; 3],
    /// The distance of neighbouring windows.
    pub strides: [usize; 3],
    /// The distance of neighbouring elements of a window.
    pub dilations: [usize; 3],
    /// The padding in front of the volume.
    pub before: [usize; 3],
    /// The padding behind the volume. Windows may reach past it, when `output` asks for more than fit.
    pub after: [usize; 3],
}

impl Window {
    /// As many windows as fit into the volume with its padding in front and behind.
    ///
    /// `None` when not even one fits, a stride, dilation or kernel is 0, or a size does not fit into memory.
    pub fn new(
        input: [usize; 3],
        kernel: [usize; 3],
        strides: [usize; 3],
        dilations: [usize; 3],
        before: [usize; 3],
        after: [usize; 3],
    ) -> Option<Self> {
        let mut output = [0; 3];
        for d in 0..3 {
            if kernel[d] == 0 || strides[d] == 0 || dilations[d] == 0 {
                return None;
            }
            let padded = input[d].checked_add(before[d])?.checked_add(after[d])?;
            let reach = (kernel[d] - 1).checked_mul(dilations[d])?;
            output[d] = padded.checked_sub(reach.checked_add(1)?)? / strides[d] + 1;
        }
        let window = Self { input, output, kernel, strides, dilations, before, after };
        window.check().then_some(window)
    }

    /// Whether all sizes that kernels compute from it fit, for windows that were put together by hand.
    pub(crate) fn check(&self) -> bool {
        let volume = |v: [usize; 3]| v[0].checked_mul(v[1])?.checked_mul(v[2])?.checked_mul(4);
        let reach = |d: usize| {
            let last = self.output[d].checked_mul(self.strides[d])?;
            let padding = self.before[d].checked_add(self.after[d])?.checked_add(self.input[d])?;
            last.checked_add(self.kernel[d].checked_mul(self.dilations[d])?)?.checked_add(padding)
        };
        volume(self.input).is_some()
            && volume(self.output).is_some()
            && volume(self.kernel).is_some()
            && (0..3).all(|d| {
                reach(d).is_some_and(|r| r < usize::MAX / 2)
                    && self.kernel[d] > 0
                    && self.strides[d] > 0
                    && self.dilations[d] > 0
            })
    }

    /// The number of elements of the volume.
    pub fn input_len(&self) -> usize {
        self.input.iter().product()
    }

    /// The number of windows.
    pub fn output_len(&self) -> usize {
        self.output.iter().product()
    }

    /// The number of elements of a window.
    pub fn kernel_len(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Whether each window reads one element, the one at its own place.
    ///
    /// ```
    /// use anemone_kernels::Window;
    /// let of = |stride| Window::new([1, 8, 8], [1; 3], [1, stride, stride], [1; 3], [0; 3], [0; 3]).unwrap();
    /// assert!(of(1).is_pointwise() && !of(2).is_pointwise());
    /// ```
    pub fn is_pointwise(&self) -> bool {
        self.kernel == [1; 3] && self.strides == [1; 3] && self.before == [0; 3] && self.input == self.output
    }

    /// Where the `tap`th element of the window at `at` lies along dimension `d`, unless it is padding.
    #[inline(always)]
    pub(crate) fn source(&self, d: usize, at: usize, tap: usize) -> Option<usize> {
        let i = (at * self.strides[d] + tap * self.dilations[d]).checked_sub(self.before[d])?;
        (i < self.input[d]).then_some(i)
    }

    /// The windows whose `tap`th element along dimension `d` is not padding.
    pub(crate) fn inside(&self, d: usize, tap: usize) -> Range<usize> {
        let shift = tap * self.dilations[d];
        let first = self.before[d].saturating_sub(shift).div_ceil(self.strides[d]);
        let end = (self.input[d] + self.before[d]).saturating_sub(shift).div_ceil(self.strides[d]);
        let end = end.min(self.output[d]);
        first.min(end)..end
    }

    /// How many elements of the window at `at` along dimension `d` lie in the volume, or in it and its padding.
    pub(crate) fn count(&self, d: usize, at: usize, padding: bool) -> usize {
        let end = self.before[d] + self.input[d] + self.after[d];
        let place = |tap: usize| at * self.strides[d] + tap * self.dilations[d];
        (0..self.kernel[d])
            .filter(|&tap| if padding { place(tap) < end } else { self.source(d, at, tap).is_some() })
            .count()
    }

    /// The depth, height and width of the `tap`th element of a window.
    pub(crate) fn tap(&self, tap: usize) -> [usize; 3] {
        let [_, height, width] = self.kernel;
        [tap / (height * width), tap / width % height, tap % width]
    }

    /// Calls `each` for every run of windows of `windows` that lie in one line: their place in `windows`, the depth
    /// and height of the line, and their widths.
    pub(crate) fn lines(
        &self,
        windows: Range<usize>,
        mut each: impl FnMut(usize, usize, usize, Range<usize>),
    ) {
        let [_, height, width] = self.output;
        let mut at = windows.start;
        while at < windows.end {
            let (line, w) = (at / width, at % width);
            let run = (width - w).min(windows.end - at);
            each(at - windows.start, line / height, line % height, w..w + run);
            at += run;
        }
    }

    /// Writes what each of `windows` reads as its `tap`th element of `volume`, with `fill` for padding.
    pub(crate) fn read<T: Copy>(
        &self,
        to: &mut [T],
        volume: &[T],
        tap: usize,
        windows: Range<usize>,
        fill: T,
    ) {
        let [_, height, width] = self.input;
        let [kd, kh, kw] = self.tap(tap);
        let inside = self.inside(2, kw);
        self.lines(windows, |place, d, h, widths| {
            let to = &mut to[place..place + widths.len()];
            let (Some(d), Some(h)) = (self.source(0, d, kd), self.source(1, h, kh)) else {
                to.fill(fill);
                return;
            };
            let line = &volume[(d * height + h) * width..][..width];
            let from = inside.start.clamp(widths.start, widths.end);
            let end = inside.end.clamp(from, widths.end);
            to[..from - widths.start].fill(fill);
            to[end - widths.start..].fill(fill);
            let to = &mut to[from - widths.start..end - widths.start];
            if to.is_empty() {
                return;
            }
            let first = from * self.strides[2] + kw * self.dilations[2] - self.before[2];
            if self.strides[2] == 1 {
                to.copy_from_slice(&line[first..first + to.len()]);
            } else {
                for (to, &from) in to.iter_mut().zip(line[first..].iter().step_by(self.strides[2])) {
                    *to = from;
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_that_do_not_fit_are_refused() {
        let one = [1; 3];
        assert_eq!(Window::new([1, 1, 2], [1, 1, 3], one, one, [0; 3], [0; 3]), None);
        assert_eq!(Window::new([1, 1, 2], [1, 1, 0], one, one, [0; 3], [0; 3]), None);
        assert_eq!(Window::new(one, one, [1, 0, 1], one, [0; 3], [0; 3]), None);
        assert_eq!(Window::new([usize::MAX; 3], one, one, one, [0; 3], [0; 3]), None);
        assert_eq!(Window::new(one, [1, 1, usize::MAX], one, [2; 3], [0; 3], [usize::MAX; 3]), None);
        assert!(Window::new([1, 1, 2], [1, 1, 3], one, one, [0, 0, 1], [0; 3]).is_some());
    }

    #[test]
    fn what_is_read_is_what_is_at_the_source() {
        for (strides, dilations, before) in [(1, 1, 1), (2, 1, 0), (3, 2, 2), (1, 3, 5)] {
            let w = Window::new(
                [2, 6, 9],
                [2, 2, 3],
                [1, strides, strides],
                [1, dilations, dilations],
                [1, 0, before],
                [1, 0, 4],
            )
            .unwrap();
            let volume: Vec<i32> = (0..w.input_len() as i32).collect();
            let [_, height, width] = w.output;
            for tap in 0..w.kernel_len() {
                for windows in [0..w.output_len(), 5..w.output_len() - 3] {
                    let mut to = vec![0; windows.len()];
                    w.read(&mut to, &volume, tap, windows.clone(), -1);
                    for (to, at) in to.into_iter().zip(windows) {
                        let at = [at / width / height, at / width % height, at % width];
                        let source: Option<Vec<usize>> =
                            (0..3).map(|d| w.source(d, at[d], w.tap(tap)[d])).collect();
                        assert_eq!(to, source.map_or(-1, |s| volume[(s[0] * 6 + s[1]) * 9 + s[2]]));
                    }
                }
            }
        }
    }
}
