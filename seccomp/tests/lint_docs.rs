//! docs/lint.md is what the rules say: `ZEROCAP_DOCS=write cargo test -p zerocap-seccomp --test lint_docs` renews it.

use std::fs;
use std::path::Path;

#[test]
fn the_page_of_the_linter_is_the_rules_own() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/lint.md");
    let text = zerocap_seccomp::lint::page();
    if std::env::var_os("ZEROCAP_DOCS").is_some() {
        fs::write(&file, &text).expect("docs/ is there");
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert!(written == text, "docs/lint.md is old: ZEROCAP_DOCS=write cargo test -p zerocap-seccomp --test lint_docs");
}
