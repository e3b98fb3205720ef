//! What values are: dtypes, shapes, types, and tensors in the memory of the host.

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
