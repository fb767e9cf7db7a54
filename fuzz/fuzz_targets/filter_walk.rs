//! See `raw_filter` in seccomp/tests/judge/mod.rs.
#![no_main]

#[allow(dead_code)]
#[path = "../../seccomp/tests/judge/mod.rs"]
mod judge;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    judge::raw_filter(bytes);
});
