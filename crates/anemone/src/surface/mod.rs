//! Surfaces: memory in which programs take and give their tensors.
//!
//! On a Mac a surface is an `IOSurface`, which CPU, engine and GPU share. Elsewhere it is memory under the same rules,
//! which on Linux another process can map. Nothing is copied when a program runs on it.
//!
//! ```
//! use anemone::{Surface, surface::row_stride_for};
//! let surface = Surface::with_shape(2, 32)?; // 2 channels of 32 fp16 numbers, which fill rows of 64 bytes
//! assert_eq!((row_stride_for(32, 2), surface.size()), (64, 128));
//! # Ok::<(), anemone::Error>(())
//! ```

mod copy;
mod layout;
mod pixels;

use std::sync::OnceLock;

pub use anemone_apple::{ReadGuard, WriteGuard};
pub(crate) use copy::{copy, within};
pub use layout::{ROW_ALIGNMENT, TensorLayout, row_stride_for};
pub(crate) use pixels::{
    Number, gather, gather_as, gather_transposed, scatter, scatter_as, scatter_transposed,
};

use crate::error::Error;
use crate::types::DType;

/// Memory in which a program takes or gives a tensor. Copies of the value are the same surface.
///
/// Whoever reads or writes it has it locked meanwhile: several readers, or one writer, or an evaluation that writes it.
///
/// ```
/// use anemone::Surface;
/// let surface = Surface::with_shape(4, 32)?; // 4 channels of 32 fp16 numbers
/// surface.write(|numbers| numbers[0] = 0x3c00);
/// assert_eq!(surface.read(|numbers| (numbers.len(), numbers[0])), (128, 0x3c00));
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// Guards hold the lock for longer than a call; who cannot have it gets an error:
///
/// ```
/// use anemone::{Surface, TensorLayout};
/// let surface = Surface::for_layout(&TensorLayout::new(2, 1, 3, 2)?)?;
/// assert_eq!((surface.size(), surface.id() != 0), (128, true));
/// let mut bytes = surface.lock_mut()?;
/// bytes[0] = 7;
/// assert!(surface.lock().is_err() && surface.try_read(|_| ()).is_err(), "somebody writes");
/// drop(bytes);
/// surface.try_write(|halves| halves[1] = 9)?;
/// let bytes = surface.lock()?;
/// assert_eq!((bytes[0], bytes[2], surface.as_apple().size()), (7, 9, 128));
/// # Ok::<(), anemone::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Surface(anemone_apple::Surface);

/// Apple's frameworks, if this machine has them: they are looked for once.
pub(crate) fn frameworks() -> Result<&'static anemone_apple::Framework, &'static anemone_apple::Error> {
    static OPENED: OnceLock<Result<anemone_apple::Framework, anemone_apple::Error>> = OnceLock::new();
    OPENED.get_or_init(anemone_apple::Framework::open).as_ref()
}

fn failed(error: anemone_apple::Error) -> Error {
    match error {
        anemone_apple::Error::Surface(why) => Error::Surface(why),
        other => Error::Surface(other.to_string()),
    }
}

impl Surface {
    /// Makes a surface of so many bytes, all zero: an `IOSurface` where there is such a thing, else memory of the host.
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when it would be empty, larger than 256 MiB, or cannot be made.
    pub fn new(bytes: usize) -> Result<Self, Error> {
        match frameworks() {
            Ok(framework) => anemone_apple::Surface::new(framework, bytes),
            Err(_) => anemone_apple::Surface::host(bytes),
        }
        .map(Self)
        .map_err(failed)
    }

    /// Makes a surface for a tensor `[1, channels, 1, spatial]` of fp16 numbers that follow one another without padding.
    ///
    /// Where a row of `spatial` numbers is not a multiple of 64 bytes, [`Surface::for_layout`] makes what the engine
    /// expects.
    ///
    /// # Errors
    ///
    /// As [`Surface::new`].
    pub fn with_shape(channels: usize, spatial: usize) -> Result<Self, Error> {
        Self::new(channels.saturating_mul(spatial).saturating_mul(2))
    }

    /// Makes a surface for a tensor that lies so.
    ///
    /// # Errors
    ///
    /// As [`Surface::new`].
    pub fn for_layout(layout: &TensorLayout) -> Result<Self, Error> {
        Self::laid_out(frameworks().ok(), layout)
    }

    /// Makes a surface for a tensor that lies so: one of the system, or memory of the host.
    pub(crate) fn laid_out(
        framework: Option<&anemone_apple::Framework>,
        layout: &TensorLayout,
    ) -> Result<Self, Error> {
        match framework {
            Some(framework) => anemone_apple::Surface::rows(
                framework,
                layout.row_stride,
                layout.alloc_size() / layout.row_stride.max(1),
                layout.elem_size,
            ),
            None => anemone_apple::Surface::host(layout.alloc_size()),
        }
        .map(Self)
        .map_err(failed)
    }

    /// Shows the surface as fp16 numbers, in their bits, to read.
    ///
    /// # Panics
    ///
    /// When somebody writes the surface at the moment, as [`RefCell::borrow`](std::cell::RefCell::borrow) does: a guard, a
    /// closure further up, or an evaluation. [`Surface::try_read`] gives an error then.
    ///
    /// The numbers are shown, not given: after the closure the engine may write them.
    ///
    /// ```compile_fail,E0521
    /// let surface = anemone::Surface::new(64)?;
    /// let mut kept: &[u16] = &[];
    /// surface.read(|numbers| kept = numbers);
    /// # Ok::<(), anemone::Error>(())
    /// ```
    #[track_caller]
    pub fn read<R>(&self, f: impl FnOnce(&[u16]) -> R) -> R {
        match self.try_read(f) {
            Ok(result) => result,
            Err(e) => panic!("{e}"),
        }
    }

    /// Shows the surface as fp16 numbers, in their bits, to read and write.
    ///
    /// # Panics
    ///
    /// When somebody reads or writes the surface at the moment: as [`Surface::read`].
    #[track_caller]
    pub fn write<R>(&self, f: impl FnOnce(&mut [u16]) -> R) -> R {
        match self.try_write(f) {
            Ok(result) => result,
            Err(e) => panic!("{e}"),
        }
    }

    /// As [`Surface::read`], if nobody writes the surface.
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when somebody does.
    pub fn try_read<R>(&self, f: impl FnOnce(&[u16]) -> R) -> Result<R, Error> {
        let held = self.lock()?;
        let whole = held.len() / 2 * 2;
        Ok(f(bytemuck::cast_slice(&held[..whole])))
    }

    /// As [`Surface::write`], if nobody reads or writes the surface.
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when somebody does.
    pub fn try_write<R>(&self, f: impl FnOnce(&mut [u16]) -> R) -> Result<R, Error> {
        let mut held = self.lock_mut()?;
        let whole = held.len() / 2 * 2;
        Ok(f(bytemuck::cast_slice_mut(&mut held[..whole])))
    }

    /// Locks the surface to read its bytes, until the guard is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when somebody writes it.
    pub fn lock(&self) -> Result<ReadGuard, Error> {
        self.0.read().map_err(failed)
    }

    /// Locks the surface to read and write its bytes, until the guard is dropped.
    ///
    /// Who writes does so alone:
    ///
    /// ```compile_fail,E0502
    /// let surface = anemone::Surface::new(64)?;
    /// let mut bytes = surface.lock_mut()?;
    /// let first = &bytes[0];
    /// bytes[1] = 2;
    /// assert_eq!(*first, 0);
    /// # Ok::<(), anemone::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when somebody reads or writes it.
    pub fn lock_mut(&self) -> Result<WriteGuard, Error> {
        self.0.write().map_err(failed)
    }

    /// The same surface from one of its bytes on, as [`TensorData::channels`](crate::TensorData::channels) uses it: what is
    /// bound, read and written begins there. Who locks it locks the whole surface.
    ///
    /// ```
    /// use anemone::Surface;
    /// let whole = Surface::new(256)?;
    /// let rest = whole.from_byte(192)?;
    /// rest.write(|numbers| numbers[0] = 7);
    /// assert_eq!((rest.size(), whole.read(|numbers| numbers[96])), (64, 7));
    /// # Ok::<(), anemone::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when no byte is left, or when it is not a multiple of 64, at which rows begin.
    pub fn from_byte(&self, start: usize) -> Result<Self, Error> {
        self.0.from_byte(start).map(Self).map_err(failed)
    }

    /// The number by which the system knows it; memory of the host is known by it to this process only.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// How many bytes it has.
    pub fn size(&self) -> usize {
        self.0.size()
    }

    /// Whether both are the same surface from the same byte on. Equality does not look at the byte.
    pub(crate) fn is(&self, other: &Surface) -> bool {
        self == other && self.0.start() == other.0.start()
    }

    /// The surface below: with it come ports and files, by which another process opens it.
    pub fn as_apple(&self) -> &anemone_apple::Surface {
        &self.0
    }
}

impl From<anemone_apple::Surface> for Surface {
    fn from(surface: anemone_apple::Surface) -> Self {
        Self(surface)
    }
}

/// A tensor in a surface: its name, its type and how it lies.
///
/// ```
/// # fn model() -> Result<anemone::Model, anemone::Error> {
/// #   let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) {
/// #     tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
/// #   let options = anemone::CompileOptions { mil_text: text.into(), ..Default::default() };
/// #   anemone::Client::software(anemone::Chip::M4).compile(options)
/// # }
/// let model = model()?;
/// let port = &model.inputs()[0];
/// assert_eq!((port.name.as_str(), port.dtype.name(), &port.shape[..]), ("x", "fp16", &[4][..]));
/// assert_eq!(port.layout.alloc_size(), 64);
/// # Ok::<(), anemone::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    /// Its name in the program.
    pub name: crate::mil::Name,
    /// Its dtype.
    pub dtype: DType,
    /// Its shape.
    pub shape: Vec<usize>,
    /// How it lies.
    pub layout: TensorLayout,
}
