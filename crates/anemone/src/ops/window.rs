//! Windows: how a kernel slides over the spatial dimensions of a tensor. Convolutions and poolings share it.

use std::ops::Range;

use super::row::*;

/// The most spatial dimensions that a window has.
pub(super) const SPATIAL: usize = 3;

/// How a kernel lies along one dimension, in numbers that are known and fit together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    /// Elements of the input.
    pub(super) input: usize,
    /// Elements of the kernel.
    pub(super) kernel: usize,
    /// The distance between neighbouring outputs, in elements of the input.
    pub(super) stride: usize,
    /// The distance between neighbouring elements of the kernel, in elements of the input.
    pub(super) dilation: usize,
    /// Elements of padding before the input.
    pub(super) before: usize,
    /// Elements of padding behind the input.
    pub(super) after: usize,
    /// Elements of the output.
    pub(super) output: usize,
}

impl Window {
    /// A dimension that is not there.
    pub(super) const ONE: Window =
        Window { input: 1, kernel: 1, stride: 1, dilation: 1, before: 0, after: 0, output: 1 };

    // Pads, strides and dilations are whatever the call says: sums and products with them stop at the largest number.

    /// The outputs for which this element of the kernel lies on the input.
    pub(super) fn outputs(&self, tap: usize) -> Range<usize> {
        let at = tap.saturating_mul(self.dilation);
        let start = self.before.saturating_sub(at).div_ceil(self.stride).min(self.output);
        let end = self.input.saturating_add(self.before).saturating_sub(at);
        let end = end.div_ceil(self.stride).min(self.output);
        start..end.max(start)
    }

    /// The element of the input under this element of the kernel, for one of [`Window::outputs`].
    pub(super) fn input_of(&self, output: usize, tap: usize) -> usize {
        output * self.stride + tap * self.dilation - self.before
    }

    /// The elements of the input under the kernel, which is not dilated, for this output.
    pub(super) fn inputs(&self, output: usize) -> Range<usize> {
        let start = output.saturating_mul(self.stride);
        let end = start.saturating_add(self.kernel).saturating_sub(self.before).min(self.input);
        start.saturating_sub(self.before).min(end)..end
    }

    /// How many elements under the kernel, which is not dilated, are input or padding, for this output.
    pub(super) fn covered(&self, output: usize) -> usize {
        let start = output.saturating_mul(self.stride);
        let end = self.before.saturating_add(self.input).saturating_add(self.after);
        start.saturating_add(self.kernel).min(end).saturating_sub(start)
    }
}

/// Where padding comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pad {
    /// There is none.
    Valid,
    /// As much as makes the output the input divided by the stride; the odd element comes last.
    Same,
    /// The same, but the odd element comes first.
    SameLower,
    /// What the call says.
    Custom,
}

/// What a call says of its windows: a number for each spatial dimension.
#[derive(Debug)]
pub(super) struct Windows {
    op: &'static str,
    /// The parameter that gives the kernel its size.
    kernel: &'static str,
    pad: Pad,
    strides: Vec<u64>,
    dilations: Vec<u64>,
    /// Before and behind each dimension; zeros unless the padding is custom.
    pads: Vec<u64>,
    /// Whether the last window may reach past the padded input.
    ceil: bool,
}

impl Windows {
    /// Reads the parameters `strides`, `dilations`, `pad_type`, `pad` and `ceil_mode`, as far as the op has them.
    pub(super) fn read(args: &Args<'_>, kernel: &'static str, spatial: usize) -> Result<Self, Fault> {
        let op = args.op.name;
        let strides = numbers(args, "strides", spatial, 1)?.unwrap_or_else(|| vec![1; spatial]);
        let dilations = numbers(args, "dilations", spatial, 1)?.unwrap_or_else(|| vec![1; spatial]);
        let pad = match args.str("pad_type").map(str::to_ascii_lowercase).as_deref() {
            Some("valid") => Pad::Valid,
            Some("same") => Pad::Same,
            Some("same_lower") => Pad::SameLower,
            Some("custom") => Pad::Custom,
            Some(other) => {
                return Err(Fault::of(
                    "pad_type",
                    &codes::BAD_VALUE,
                    format!("`pad_type` of `{op}` is `{other}`, which is not a kind of padding"),
                )
                .help("use `valid`, `same`, `same_lower` or `custom`"));
            }
            None => return Err(not_known(args, "pad_type")),
        };
        if pad == Pad::SameLower && args.opset == Ios15 {
            return Err(Fault::of(
                "pad_type",
                &codes::OPSET_TOO_OLD,
                format!("`pad_type` of `{op}` is `same_lower`, which came with ios16"),
            )
            .help("state the padding with `custom`, or use the opset ios16"));
        }
        // Only custom padding reads them, but they are to be as many in any case, as coremltools wants it too.
        let custom = numbers(args, "pad", 2 * spatial, 0)?.filter(|_| pad == Pad::Custom);
        let pads = custom.unwrap_or_else(|| vec![0; 2 * spatial]);
        let ceil = args.bool("ceil_mode").unwrap_or(false);
        if ceil {
            let refuse = |message: &str, help: &str| {
                Err(Fault::of("ceil_mode", &codes::BAD_VALUE, format!("`ceil_mode` of `{op}` {message}"))
                    .help(help))
            };
            if spatial > 2 {
                return refuse("works on one or two spatial dimensions", "set `ceil_mode` to false");
            }
            if pad == Pad::Same {
                return refuse("does not go with the padding `same`", "use the padding `valid` or `custom`");
            }
            if pads.chunks(2).any(|p| p[0] != p[1]) {
                return refuse("needs the same padding on both sides", "make the two numbers of `pad` equal");
            }
        }
        Ok(Self { op, kernel, pad, strides, dilations, pads, ceil })
    }

    /// The size of a kernel of so many elements with its gaps. It does not overflow: a kernel and its dilation are
    /// below 2^64, and their product below 2^127.
    fn spread(&self, axis: usize, kernel: u64) -> i128 {
        i128::from(kernel.saturating_sub(1))
            .saturating_mul(i128::from(self.dilations[axis]))
            .saturating_add(1)
    }

    /// The padding before and behind when there is so much of it, or none when it is negative.
    fn halves(&self, total: i128) -> (i128, i128) {
        let total = total.max(0);
        let (less, more) = (total / 2, total - total / 2);
        if self.pad == Pad::Same { (less, more) } else { (more, less) }
    }

    /// The padding before and behind, and the size of the output, along one dimension.
    fn solve(&self, axis: usize, input: u64, kernel: u64) -> Result<(u64, u64, u64), Fault> {
        let (input, stride) = (i128::from(input), i128::from(self.strides[axis]));
        let spread = self.spread(axis, kernel);
        let (before, after) = match self.pad {
            Pad::Valid => (0, 0),
            Pad::Custom => (i128::from(self.pads[2 * axis]), i128::from(self.pads[2 * axis + 1])),
            Pad::Same | Pad::SameLower => {
                // The last window starts at the last multiple of the stride inside the input.
                let last = (input - 1).div_euclid(stride) * stride;
                self.halves(last.saturating_add(spread).saturating_sub(input))
            }
        };
        let padded = input + before + after;
        let mut output = 0;
        if padded >= spread {
            output = (padded - spread) / stride + 1;
            if self.ceil {
                output = (padded - spread + stride - 1) / stride + 1;
                // As PyTorch has it: the last window must start inside the input or the padding before it.
                if (output - 1).saturating_mul(stride) >= input + before && before > 0 {
                    output -= 1;
                }
            }
        }
        if output == 0 {
            return Err(Fault::of(
                self.kernel,
                &codes::SHAPE_MISMATCH,
                format!(
                    "the kernel of `{}` spans {spread} elements along spatial dimension {axis}, where the padded input has {padded}",
                    self.op
                ),
            )
            .against("x")
            .help("make the kernel smaller or the padding larger"));
        }
        Ok((clamp(before), clamp(after), clamp(output)))
    }

    /// The padding before and behind, and the size of the output, along one dimension of the transposed form: the
    /// windows lie on the output. `asked` is the size of the output where the call states it.
    fn solve_transposed(
        &self,
        axis: usize,
        input: u64,
        kernel: u64,
        asked: Option<u64>,
    ) -> Result<(u64, u64, u64), Fault> {
        let (input, stride) = (i128::from(input), i128::from(self.strides[axis]));
        let full = (input - 1).saturating_mul(stride).saturating_add(self.spread(axis, kernel));
        let pads = |i: usize| i128::from(self.pads[2 * axis + i]);
        let output = asked.map_or_else(
            || match self.pad {
                Pad::Same | Pad::SameLower => input.saturating_mul(stride),
                Pad::Valid | Pad::Custom => full - pads(0) - pads(1),
            },
            i128::from,
        );
        if output <= 0 {
            return Err(Fault::of(
                "x",
                &codes::SHAPE_MISMATCH,
                format!(
                    "the output of `{}` would have {output} elements along spatial dimension {axis}",
                    self.op
                ),
            )
            .help("make the padding smaller or the kernel larger"));
        }
        let (before, after) = match self.pad {
            Pad::Same | Pad::SameLower => self.halves(full.saturating_sub(output)),
            Pad::Valid | Pad::Custom => (pads(0), pads(1)),
        };
        Ok((clamp(before), clamp(after), clamp(output)))
    }

    /// The size of the output along one dimension.
    pub(super) fn output(&self, axis: usize, input: Dim, kernel: Dim) -> Result<Dim, Fault> {
        match (input, kernel) {
            (Dim::Known(input), Dim::Known(kernel)) => Ok(Dim::Known(self.solve(axis, input, kernel)?.2)),
            (Dim::Known(input), _) if matches!(self.pad, Pad::Same | Pad::SameLower) => {
                Ok(Dim::Known(input.div_ceil(self.strides[axis])))
            }
            _ => Ok(Dim::Unknown),
        }
    }

    /// The size of the output along one dimension of the transposed form.
    pub(super) fn output_transposed(&self, axis: usize, input: Dim, kernel: Dim) -> Result<Dim, Fault> {
        match (input, kernel) {
            (Dim::Known(input), Dim::Known(kernel)) => {
                Ok(Dim::Known(self.solve_transposed(axis, input, kernel, None)?.2))
            }
            (Dim::Known(input), _) if matches!(self.pad, Pad::Same | Pad::SameLower) => {
                Ok(Dim::Known(input.saturating_mul(self.strides[axis])))
            }
            _ => Ok(Dim::Unknown),
        }
    }

    /// The window along one dimension, of sizes that tensors in memory have.
    pub(super) fn window(&self, axis: usize, input: usize, kernel: usize) -> Result<Window, Fault> {
        let (before, after, output) = self.solve(axis, input as u64, kernel as u64)?;
        let (before, after, output) = (before as usize, after as usize, output as usize);
        let (stride, dilation) = (self.strides[axis] as usize, self.dilations[axis] as usize);
        Ok(Window { input, kernel, stride, dilation, before, after, output })
    }

    /// The window along one dimension of the transposed form, which is the window of the convolution that it
    /// transposes: its input is the result of the op, and its output the op's `x`.
    pub(super) fn window_transposed(
        &self,
        axis: usize,
        input: usize,
        kernel: usize,
        asked: Option<u64>,
    ) -> Result<Window, Fault> {
        let (before, after, output) = self.solve_transposed(axis, input as u64, kernel as u64, asked)?;
        let (before, after, output) = (before as usize, after as usize, output as usize);
        let (stride, dilation) = (self.strides[axis] as usize, self.dilations[axis] as usize);
        Ok(Window { input: output, kernel, stride, dilation, before, after, output: input })
    }
}

/// A run of neighbouring outputs along the last dimension, for one element of the kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Run {
    /// The first output.
    pub(super) output: usize,
    /// The element of the input under the kernel's for the first output; the others lie a stride apart.
    pub(super) input: usize,
    /// How many outputs.
    pub(super) len: usize,
}

/// For each element of the kernel, in row-major order, where it meets the input.
pub(super) fn runs(windows: &[Window; SPATIAL]) -> Vec<Vec<Run>> {
    let [wd, wh, ww] = windows;
    let mut all = Vec::new();
    for d in 0..wd.kernel {
        for h in 0..wh.kernel {
            for w in 0..ww.kernel {
                let mut runs = Vec::new();
                let along = ww.outputs(w);
                if !along.is_empty() {
                    for od in wd.outputs(d) {
                        for oh in wh.outputs(h) {
                            let row = wd.input_of(od, d) * wh.input + wh.input_of(oh, h);
                            runs.push(Run {
                                output: (od * wh.output + oh) * ww.output + along.start,
                                input: row * ww.input + ww.input_of(along.start, w),
                                len: along.len(),
                            });
                        }
                    }
                }
                all.push(runs);
            }
        }
    }
    all
}

/// The windows as the kernels take them, unless they are so large that the kernels could overflow.
pub(super) fn for_kernels(windows: &[Window; SPATIAL]) -> Option<anemone_kernels::Window> {
    const MOST: usize = 1 << 30;
    let all = |f: fn(&Window) -> usize| [f(&windows[0]), f(&windows[1]), f(&windows[2])];
    let window = anemone_kernels::Window {
        input: all(|w| w.input),
        output: all(|w| w.output),
        kernel: all(|w| w.kernel),
        strides: all(|w| w.stride),
        dilations: all(|w| w.dilation),
        before: all(|w| w.before),
        after: all(|w| w.after),
    };
    let volumes = [window.input, window.output, window.kernel];
    let sides = [window.strides, window.dilations, window.before, window.after];
    let fits = |v: &[usize; SPATIAL]| v.iter().all(|&n| n <= MOST);
    let small =
        |v: &[usize; SPATIAL]| v.iter().try_fold(1usize, |p, &n| p.checked_mul(n).filter(|&p| p <= MOST));
    (volumes.iter().all(|v| small(v).is_some()) && sides.iter().all(fits)).then_some(window)
}

/// Held to what a dimension can be.
fn clamp(n: i128) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// The fault of a parameter whose value is not known.
pub(super) fn not_known(args: &Args<'_>, param: &'static str) -> Fault {
    // `tensor` tells a parameter that is not given from one whose value is not known.
    args.tensor(param).err().unwrap_or_else(|| {
        Fault::of(param, &codes::BAD_VALUE, format!("`{param}` of `{}` has no element", args.op.name))
    })
}

/// The numbers of a parameter, which must be `count` of at least `least`; `None` when it is not given.
pub(super) fn numbers(
    args: &Args<'_>,
    param: &'static str,
    count: usize,
    least: i64,
) -> Result<Option<Vec<u64>>, Fault> {
    if !args.has(param) {
        return Ok(None);
    }
    let op = args.op.name;
    let values = args.tensor(param)?.to_i64s();
    if values.len() != count {
        return Err(Fault::of(
            param,
            &codes::SHAPE_MISMATCH,
            format!(
                "`{param}` of `{op}` has {} numbers, where the spatial dimensions of `x` need {count}",
                values.len()
            ),
        )
        .against("x"));
    }
    let numbers: Result<Vec<u64>, i64> =
        values.into_iter().map(|v| if v < least { Err(v) } else { Ok(v as u64) }).collect();
    numbers.map(Some).map_err(|v| {
        Fault::of(
            param,
            &codes::BAD_VALUE,
            format!("`{param}` of `{op}` holds {v}, where {least} is the least"),
        )
    })
}

/// The number of spatial dimensions of `x`, of at most `most`.
pub(super) fn spatial(args: &Args<'_>, most: usize) -> Result<usize, Fault> {
    let rank = args.ty("x")?.rank();
    match rank.checked_sub(2) {
        Some(n) if (1..=most).contains(&n) => Ok(n),
        _ => Err(Fault::of(
            "x",
            &codes::WRONG_RANK,
            format!("`x` of `{}` has {rank} dimensions, where the op takes 3 to {}", args.op.name, most + 2),
        )
        .help("give the batch, the channels, and the spatial dimensions")),
    }
}

/// An empty vector with room for the elements of a tensor, if there is memory for so many.
pub(super) fn room<T>(dtype: DType, shape: &[usize]) -> Result<Vec<T>, Fault> {
    let too_large = || Fault::from(crate::types::TensorError::TooLarge { shape: shape.to_vec(), dtype });
    let count = Shape::from(shape).elements().filter(|&n| n <= crate::types::MAX_ELEMENTS);
    let mut elements = Vec::new();
    elements.try_reserve_exact(count.ok_or_else(too_large)? as usize).map_err(|_| too_large())?;
    Ok(elements)
}

/// Zeros to sum into, if there is memory for so many.
pub(super) fn zeros(dtype: DType, shape: &[usize]) -> Result<Vec<f64>, Fault> {
    let mut zeros = room(dtype, shape)?;
    zeros.resize(if shape.contains(&0) { 0 } else { shape.iter().product() }, 0.0);
    Ok(zeros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_that_no_machine_has_is_refused() {
        assert_eq!(room::<f64>(Fp32, &[1 << 30, 1 << 30]).unwrap_err().code.name, "tensor-too-large");
        assert_eq!(zeros(Fp32, &[1 << 40, 1 << 40, 0]).unwrap(), [0.0; 0]);
    }
}
