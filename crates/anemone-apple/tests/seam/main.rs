//! The whole seam over the fake.

mod engine;
mod lifecycle;
mod tables;
