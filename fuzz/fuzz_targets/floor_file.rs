//! See `floor_file` in annotations/tests/judge/mod.rs.
#![no_main]

#[allow(dead_code)]
#[path = "../../annotations/tests/judge/mod.rs"]
mod judge;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    judge::floor_file(bytes);
});
