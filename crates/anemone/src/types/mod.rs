//! What values are: dtypes, shapes, types, and tensors in the memory of the host.
//!
//! ```
//! use anemone::types::{DType, Tensor};
//! let t = Tensor::from_f64s(DType::Fp16, &[2], &[1.0, 2049.0])?; // rounded to nearest even
//! assert_eq!((t.ty().to_string(), t.to_f64s()), ("tensor<fp16, [2]>".to_string(), vec![1.0, 2048.0]));
//! # Ok::<(), anemone::types::TensorError>(())
//! ```

mod dtype;
mod shape;
mod state;
mod tensor;
mod ty;

pub use dtype::{DType, DTypes};
pub use half::{bf16, f16};
pub use shape::{Dim, MAX_ELEMENTS, MAX_RANK, Shape};
pub use state::State;
pub use tensor::{Datum, Element, Tensor, TensorError};
pub use ty::{BufferType, TensorType, Type};
