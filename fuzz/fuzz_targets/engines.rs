//! Programs that the generator makes are accepted, and both engines run them: each step of the cpu engine gives what its
//! op means, within the op's tolerance and with the same bits for any number of threads.
#![no_main]

use anemone_smith::{Case, judge};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|case: Case| {
    if let Err(why) = judge::engines(&case) {
        panic!("{why}\n{}", case.to_text());
    }
});
