//! Ops.
use super::row::*;

pub(super) static OPS: &[Op] = &[];
