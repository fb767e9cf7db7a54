//! What people read, as reviewed snapshots: `tests/cmd/*.trycmd` show the command and its output.
//!
//! After a change: `TRYCMD=overwrite cargo test -p zerocap-cli --test snapshots`, then read the difference.

#[test]
fn the_snapshots_hold() {
    trycmd::TestCases::new().case("tests/cmd/*.trycmd");
}

#[test]
fn the_commands_of_the_pages_hold() {
    trycmd::TestCases::new().case("../docs/run.md");
}
