//! Programs that language models are made of, ready to be compiled: the building blocks of a transformer, forward and
//! backward.

mod product;

pub use product::{conv_fp16_io, dynamic_matmul};
