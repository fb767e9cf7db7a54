//! docs/errors.md is what the program itself says: `ZEROCAP_DOCS=write cargo test -p zerocap-cli --test docs` renews it.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

fn zerocap(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_zerocap")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The page of one code: its first line as a heading, its sections in bold, their text as it is.
fn page(code: &str) -> String {
    let mut page = String::new();
    for line in zerocap(&["explain", code]).lines() {
        match line.strip_prefix("    ") {
            Some(text) => writeln!(page, "{}", text.replace('<', "&lt;")),
            None if line.starts_with("ZC") => writeln!(page, "## {line}"),
            None if line.is_empty() => writeln!(page),
            None => writeln!(page, "**{line}:**"),
        }
        .unwrap();
    }
    page
}

#[test]
fn the_page_of_errors_is_the_programs_own() {
    let mut text = "# Errors\n\nEvery error that a person can meet has a code that does not change its meaning. `zerocap explain CODE` prints\n\
                    the same text. `kubectl describe pod` shows the line of a refused start.\n"
        .to_owned();
    for line in zerocap(&["explain", "--list"]).lines() {
        let code = line.split_whitespace().next().unwrap();
        write!(text, "\n{}", page(code)).unwrap();
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors.md");
    if std::env::var_os("ZEROCAP_DOCS").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, &text).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert!(written == text, "docs/errors.md is old: ZEROCAP_DOCS=write cargo test -p zerocap-cli --test docs");
}

/// The page of the floor has the example that the library is tested with, and a word on each of its keys.
#[test]
fn the_page_of_the_floor_shows_the_example() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/floor.md")).unwrap();
    let example = zerocap_annotations::floor::EXAMPLE;
    assert!(page.contains(&format!("```toml\n{example}```")), "docs/floor.md has another example than the library");
    let words = page.replace(example, "");
    for line in example.lines().filter(|line| line.starts_with('[')) {
        let table = line.split(['.', ']']).next().unwrap();
        assert!(words.contains(table), "docs/floor.md does not explain {table}");
    }
    for key in ["forbidden", "modes", "defaults", "ceilings", "/etc/zerocap/floor.toml"] {
        assert!(words.contains(key), "docs/floor.md does not explain {key}");
    }
}
