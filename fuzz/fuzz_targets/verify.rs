//! No program makes verification or the engines panic: none that a text says, and none that is nearly right.
#![no_main]

use anemone::text;
use anemone_smith::{judge, spoiled};
use arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let of_text = std::str::from_utf8(bytes).ok().and_then(|text| text::parse(text).ok());
    let _ = judge::survives(&of_text.unwrap_or_else(|| spoiled(&mut Unstructured::new(bytes))));
});
