//! Snapshots: plain files under `tests/snapshots/`, reviewed like code. `UPDATE_SNAPSHOTS=1` writes them anew.

use std::path::PathBuf;

/// Compares the text with the file of that name.
pub fn check(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, text).expect("the snapshot can be written");
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = expected.lines().zip(text.lines()).position(|(a, b)| a != b);
    assert!(
        expected == text,
        "{} differs at line {}:\n  there: {:?}\n  now:   {:?}\nRun the tests with UPDATE_SNAPSHOTS=1 and review the change.",
        path.display(),
        differs.map_or_else(|| "the end".to_owned(), |line| (line + 1).to_string()),
        differs.and_then(|line| expected.lines().nth(line)),
        differs.and_then(|line| text.lines().nth(line)),
    );
}
