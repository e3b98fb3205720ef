//! No weight file makes the reader panic or give bytes from outside of it; what is written is read again.
#![no_main]

use anemone::blob::Reader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(reader) = Reader::new(bytes) else { return };
    for offset in [0, 63, 64, 128, 192, u64::MAX, u64::MAX - 63, bytes.len() as u64] {
        if let Ok(record) = reader.record(offset) {
            assert!(record.data.end <= bytes.len() && record.data.start <= record.data.end);
        }
    }
    for record in reader.records().take(1000) {
        let Ok(record) = record else { break };
        assert!(record.data.end <= bytes.len() && record.data.start <= record.data.end);
    }
});
