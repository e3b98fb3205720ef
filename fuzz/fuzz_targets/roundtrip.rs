//! What is parsed is printed, and what is printed is parsed to the same: in both dialects.
#![no_main]

use anemone::mil::Version;
use anemone::text;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let Ok(program) = text::parse(input) else { return };
    for version in [Version::V1_0, Version::V1_3] {
        let printed = text::print_as(&program, version);
        let again = text::parse(&printed).unwrap_or_else(|e| panic!("what was printed is refused: {e}\n{printed}"));
        assert_eq!(text::print(&again), printed, "printing is not a fixed point");
    }
});
