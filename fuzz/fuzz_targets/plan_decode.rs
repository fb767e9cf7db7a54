//! Any bytes are refused, or are the one encoding of the plan that they decode to.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zerocap_plan::LaunchPlan;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(plan) = LaunchPlan::decode(bytes) {
        assert_eq!(plan.encode().as_deref(), Ok(bytes));
    }
});
