//! The whole seam over the fake.

mod engine;
mod faults;
mod lifecycle;
mod misuse;
mod tables;
