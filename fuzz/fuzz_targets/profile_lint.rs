//! Any bytes are no profile, or are judged; what is corrected is a profile again, and there is nothing left to correct.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zerocap_seccomp::lint::{Options, fix, human, lint, machine};

fuzz_target!(|bytes: &[u8]| {
    let options = Options::default();
    let Ok(report) = lint("fuzz", bytes, &options) else { return };
    let text = std::str::from_utf8(bytes).ok();
    for finding in &report.findings {
        assert!(finding.place.is_none() || text.is_some_and(|text| text.get(finding.span.clone()).is_some()));
    }
    let shown = human(&report, text);
    assert!(shown.chars().all(|c| c == '\n' || !c.is_control()));
    assert_eq!(machine(&report)["schema"], 1);
    if let Ok(fixed) = fix("fuzz", bytes, &options) {
        let again = fix("fuzz", fixed.text.as_bytes(), &options).expect("a profile again");
        assert!(again.done.is_empty() && again.text == fixed.text);
    }
});
