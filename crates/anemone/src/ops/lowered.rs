//! Ops that are none of MIL: coremltools keeps them while it converts, and lowers them before it writes a program.

/// An op that coremltools lowers.
///
/// ```
/// let lowered = anemone::ops::lowered("complex_fft").unwrap();
/// assert!(anemone::ops::find(lowered.name).is_none() && !lowered.becomes.is_empty());
/// ```
#[derive(Debug)]
pub struct Lowered {
    /// coremltools' name for it.
    pub name: &'static str,
    /// What stands for it in the programs that coremltools writes.
    pub becomes: &'static str,
}

const FOURIER: &str = "`matmul` with sines and cosines";

/// Every op that coremltools lowers.
pub static LOWERED: &[Lowered] = &[
    row("_const_symbolic", "`const`, or the ops that compute the shape"),
    row("complex", "two tensors, of the real and of the imaginary parts"),
    row("complex_abs", "`sqrt` of the sum of two `square`s"),
    row("complex_fft", FOURIER),
    row("complex_fftn", FOURIER),
    row("complex_ifft", FOURIER),
    row("complex_ifftn", FOURIER),
    row("complex_imag", "the tensor of the imaginary parts"),
    row("complex_irfft", FOURIER),
    row("complex_irfftn", FOURIER),
    row("complex_real", "the tensor of the real parts"),
    row("complex_rfft", FOURIER),
    row("complex_rfftn", FOURIER),
    row("complex_shape", "`shape` of the real parts"),
    row("complex_stft", "`conv` whose weights are sines and cosines"),
    row("torch_tensor_assign", "`scatter`, and `slice_update` from iOS 18 on"),
    row("torch_upsample_bilinear", "`upsample_bilinear`"),
    row("torch_upsample_nearest_neighbor", "`upsample_nearest_neighbor`"),
];

const fn row(name: &'static str, becomes: &'static str) -> Lowered {
    Lowered { name, becomes }
}

/// The op of this name, if it is one that coremltools lowers.
///
/// ```
/// assert!(anemone::ops::lowered("complex_stft").is_some());
/// assert!(anemone::ops::lowered("conv").is_none());
/// ```
pub fn lowered(name: &str) -> Option<&'static Lowered> {
    LOWERED.iter().find(|l| l.name == name)
}
