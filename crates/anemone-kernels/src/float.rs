//! The element types that kernels compute with.

use half::f16;

use crate::fp16;

mod sealed {
    use half::f16;

    use crate::simd::Simd;

    pub trait Sealed: Sized {
        /// The first elements as a vector.
        fn load<S: Simd>(simd: S, from: &[Self]) -> S::V;
        /// As many elements as there are, up to those of a vector, and zeros.
        fn load_some<S: Simd>(simd: S, from: &[Self]) -> S::V;
        /// Rounds each lane.
        fn round<S: Simd>(simd: S, v: S::V) -> S::V;
        /// Writes a vector to the first elements, rounded.
        fn store<S: Simd>(simd: S, to: &mut [Self], v: S::V);
        /// Writes as many elements as there is room for, up to those of a vector, rounded.
        fn store_some<S: Simd>(simd: S, to: &mut [Self], v: S::V);
    }

    impl Sealed for f32 {
        #[inline(always)]
        fn load<S: Simd>(simd: S, from: &[Self]) -> S::V {
            simd.load(from)
        }

        #[inline(always)]
        fn load_some<S: Simd>(simd: S, from: &[Self]) -> S::V {
            simd.load_some(from)
        }

        #[inline(always)]
        fn round<S: Simd>(_: S, v: S::V) -> S::V {
            v
        }

        #[inline(always)]
        fn store<S: Simd>(simd: S, to: &mut [Self], v: S::V) {
            simd.store(to, v);
        }

        #[inline(always)]
        fn store_some<S: Simd>(simd: S, to: &mut [Self], v: S::V) {
            simd.store_some(to, v);
        }
    }

    impl Sealed for f16 {
        #[inline(always)]
        fn load<S: Simd>(simd: S, from: &[Self]) -> S::V {
            simd.load_f16(from)
        }

        #[inline(always)]
        fn load_some<S: Simd>(simd: S, from: &[Self]) -> S::V {
            simd.load_some_f16(from)
        }

        #[inline(always)]
        fn round<S: Simd>(simd: S, v: S::V) -> S::V {
            simd.round_f16(v)
        }

        #[inline(always)]
        fn store<S: Simd>(simd: S, to: &mut [Self], v: S::V) {
            simd.store_f16(to, v);
        }

        #[inline(always)]
        fn store_some<S: Simd>(simd: S, to: &mut [Self], v: S::V) {
            simd.store_some_f16(to, v);
        }
    }
}

/// An element that kernels compute with: `f32`, or [`f16`](half::f16), which is widened to `f32` and rounded back once.
///
/// ```
/// use anemone_kernels::Float;
/// use half::f16;
/// let mut wide = [0.0; 2];
/// f16::widen(&mut wide, &[f16::ONE, f16::NEG_ONE]);
/// assert_eq!(wide, [1.0, -1.0]);
/// ```
///
/// A kernel takes both kinds, and does nothing twice for the one that needs nothing:
///
/// ```
/// use anemone_kernels::Float;
/// use half::f16;
/// fn mean<T: Float>(x: &[T]) -> T {
///     let sum: f32 = match T::as_f32s(x) {
///         Some(singles) => singles.iter().sum(),
///         None => x.iter().map(|x| x.to_f32()).sum(),
///     };
///     T::from_f32(sum / x.len() as f32)
/// }
/// assert_eq!((mean(&[1.0f32, 3.0]), mean(&[f16::ONE, f16::ONE])), (2.0, f16::ONE));
/// let (mut halves, mut singles) = ([f16::ZERO; 1], [0.0f32; 1]);
/// f16::narrow(&mut halves, &[2049.0]); // to even
/// assert_eq!(halves[0].to_f32(), 2048.0);
/// assert!(f32::as_f32s_mut(&mut singles).is_some() && f16::as_f32s_mut(&mut halves).is_none());
/// ```
pub trait Float: bytemuck::Pod + Send + Sync + PartialOrd + std::fmt::Debug + sealed::Sealed {
    /// The value as `f32`, which is exact.
    fn to_f32(self) -> f32;

    /// The nearest value, of two equally near the even one.
    fn from_f32(value: f32) -> Self;

    /// Writes every element as `f32`.
    ///
    /// # Panics
    ///
    /// When the slices have different lengths.
    fn widen(to: &mut [f32], from: &[Self]);

    /// Rounds every element once.
    ///
    /// # Panics
    ///
    /// When the slices have different lengths.
    fn narrow(to: &mut [Self], from: &[f32]);

    /// The slice itself, when the elements are `f32`: then nothing needs to be widened.
    fn as_f32s(slice: &[Self]) -> Option<&[f32]>;

    /// As [`Float::as_f32s`], to write.
    fn as_f32s_mut(slice: &mut [Self]) -> Option<&mut [f32]>;
}

impl Float for f32 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }

    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        value
    }

    fn widen(to: &mut [f32], from: &[Self]) {
        to.copy_from_slice(from);
    }

    fn narrow(to: &mut [Self], from: &[f32]) {
        to.copy_from_slice(from);
    }

    fn as_f32s(slice: &[Self]) -> Option<&[f32]> {
        Some(slice)
    }

    fn as_f32s_mut(slice: &mut [Self]) -> Option<&mut [f32]> {
        Some(slice)
    }
}

impl Float for f16 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        f16::to_f32(self)
    }

    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        f16::from_f32(value)
    }

    fn widen(to: &mut [f32], from: &[Self]) {
        fp16::cast_f16_f32(to, bytemuck::cast_slice(from));
    }

    fn narrow(to: &mut [Self], from: &[f32]) {
        fp16::cast_f32_f16(bytemuck::cast_slice_mut(to), from);
    }

    fn as_f32s(_: &[Self]) -> Option<&[f32]> {
        None
    }

    fn as_f32s_mut(_: &mut [Self]) -> Option<&mut [f32]> {
        None
    }
}
