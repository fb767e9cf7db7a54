//! Any bytes are refused, or are the one encoding of the record that they decode to.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zerocap_plan::record::{RECORD_LEN, Record};

fuzz_target!(|bytes: &[u8]| {
    let Ok(bytes) = <&[u8; RECORD_LEN]>::try_from(bytes) else { return };
    if let Some(record) = Record::decode(bytes) {
        assert_eq!(record.encode(), *bytes);
    }
});
