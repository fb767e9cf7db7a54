//! See `reply` in shim/names/tests/judge/mod.rs.
#![no_main]

#[allow(dead_code)]
#[path = "../../shim/names/tests/judge/mod.rs"]
mod judge;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    judge::reply(bytes);
});
