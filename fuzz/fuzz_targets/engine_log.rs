//! See `engine_log` in shim/src/decode.rs: whatever bytes come, nothing panics.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = zerocap_shim::decode::engine_log(bytes);
});
