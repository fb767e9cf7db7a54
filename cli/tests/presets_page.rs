//! What docs/presets.md says of programs that are on every machine is so: `hack/presets --check` runs them again.

use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

#[test]
fn the_page_says_what_breaks() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let program = Path::new(env!("CARGO_BIN_EXE_zerocap"));
    let output = Command::new(repository.join("hack/presets"))
        .arg("--check")
        .env("ZEROCAP_BIN_DIR", program.parent().expect("a folder"))
        .output()
        .expect("hack/presets runs");
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // Handed on, past libtest, so that whoever counts what is skipped sees it.
    let _ = io::stderr().write_all(&output.stderr);
    assert!(output.status.success(), "{said}{complained}");
    assert!(said.contains("runs as the page says"), "{said}");
}
