//! Any bytes are refused, or are a fence's state that is written as it was read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zerocap_node::fence::FenceState;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(state) = serde_json::from_slice::<FenceState>(bytes) {
        let written = serde_json::to_vec(&state).expect("plain values");
        assert_eq!(serde_json::from_slice::<FenceState>(&written).ok(), Some(state));
    }
});
