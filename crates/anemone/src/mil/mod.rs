//! The program: what the three doors make, and what verification reads.
//!
//! A [`Program`] has functions; a [`Function`] has parameters and a [`Block`]; a block is a list of [`Call`]s, each
//! of which binds the results of one op to names. Names are bound once, before they are used. A call's arguments are
//! bound to names or to typed literal [`Value`]s.
//!
//! The program names ops and does not know them: an op that anemone has never heard of survives reading and
//! printing. What an op is and means is a row of the op table, of type [`op::Op`].
//!
//! Two dialects write the same program: `program(1.0)` writes a scalar type as `tensor<int32, []>`, `program(1.3)` as
//! `int32`. The dialect is the printer's affair; here a scalar is a tensor of rank 0.
//!
//! ```
//! use anemone::text;
//! let program = text::parse("program(1.3) { func main<ios18>(fp16 x) { fp16 y = sin(x = x); } -> (y); }")?;
//! let call = &program.functions[0].body.calls[0];
//! assert_eq!((&*call.op, &*call.outputs[0].name), ("sin", "y"));
//! # Ok::<(), anemone::source::Diagnostics>(())
//! ```

pub mod generate;
mod name;
pub mod op;
mod opset;
mod program;
mod value;

pub use name::{Name, Names};
pub use opset::{Opset, OpsetName};
pub use program::{
    Argument, Attribute, Binding, Block, Call, Function, Operand, Param, Program, Use, Version,
};
pub use value::{BlobRef, Value};
