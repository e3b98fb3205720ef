//! No model file makes the loader panic; what it gives is printed, parsed and verified.
#![no_main]

use anemone::bundle::{self, Weights};
use anemone::{text, verify};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(bundle) = bundle::from_bytes(bytes, Weights::none()) else { return };
    let report = verify::verify(&bundle.program, &bundle.weights);
    if report.diagnostics.iter().any(|d| d.code.name == "undefined-name") || report.diagnostics.more() > 0 {
        // A name that nothing binds can look like a literal without a type: `x = false`.
        return;
    }
    let printed = text::print(&bundle.program);
    let again = text::parse(&printed).unwrap_or_else(|e| panic!("what was printed is refused: {e}\n{printed}"));
    assert_eq!(text::print(&again), printed, "printing is not a fixed point");
});
