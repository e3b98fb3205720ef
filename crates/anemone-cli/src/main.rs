//! The command `anemone`.
fn main() {}
