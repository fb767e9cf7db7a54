//! The commands of docs/seccomp.md are run, and say what the page says.
//!
//! A line "…" stands for any lines. A command's exit status is 0 unless a comment behind it says otherwise.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::fs;
use std::path::Path;
use std::process::Command;

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/seccomp.md")).unwrap()
}

/// The fenced blocks, with what stands behind the fence.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(kind), None) => open = Some((kind.to_owned(), String::new())),
            (None, Some((_, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// Does the output look as it is written?
fn alike(written: &[&str], told: &[&str]) -> bool {
    match (written.split_first(), told.split_first()) {
        (Some((&"…", rest)), _) => (0..=told.len()).any(|skipped| alike(rest, &told[skipped..])),
        (Some((written, rest)), Some((told, others))) => written == told && alike(rest, others),
        (None, None) => true,
        _ => false,
    }
}

/// Not by eprintln, which libtest keeps back: whoever counts must see it.
fn skipped(why: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

#[test]
fn the_page_says_what_the_program_says() {
    let page = page();
    let blocks = blocks(&page);
    let dir = tempfile::tempdir().unwrap();
    for (kind, text) in &blocks {
        if let Some(name) = kind.strip_prefix("toml ") {
            fs::write(dir.path().join(name), text).unwrap();
        }
    }
    let program = Path::new(env!("CARGO_BIN_EXE_zerocap")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let sandbox = Command::new("bwrap").args(["--ro-bind", "/", "/", "true"]).output();
    let sandbox = sandbox.is_ok_and(|output| output.status.success());
    if !sandbox {
        skipped("bwrap is not here, or makes no sandbox: its commands on the page");
    }
    let mut run = 0;
    for (_, text) in blocks.iter().filter(|(kind, _)| kind == "console") {
        for command in text.split("$ ").skip(1) {
            let (line, written) = command.split_once('\n').unwrap();
            if line.contains("bwrap") && !sandbox {
                continue;
            }
            let status = line.split_once("# exit status ").map_or(0, |(_, status)| status.trim().parse().unwrap());
            let output = Command::new("sh")
                .args(["-c", &format!("{{ {}\n}} 2>&1", line.split("   #").next().unwrap())])
                .current_dir(dir.path())
                .env("PATH", &path)
                .env("LC_ALL", "C")
                .output()
                .unwrap();
            let told = String::from_utf8(output.stdout).unwrap();
            assert_eq!(output.status.code(), Some(status), "{line}\n{told}");
            let (written, told): (Vec<_>, Vec<_>) = (written.lines().collect(), told.lines().collect());
            assert!(alike(&written, &told), "{line}\nwritten:\n{}\ntold:\n{}", written.join("\n"), told.join("\n"));
            run += 1;
        }
    }
    assert!(run >= 8, "{run}");
}

/// Every key that the reader knows is in the schema, and the other way round.
#[test]
fn the_schema_knows_the_readers_keys() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/seccomp-list.schema.json");
    let schema: serde_json::Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let keys = |value: &serde_json::Value| -> Vec<String> {
        let mut keys: Vec<_> = value["properties"].as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    let reader = |text: &str| -> Vec<String> {
        let error = zerocap_seccomp::written::read(text).unwrap_err().to_string();
        let list = error.split("known are: ").nth(1).unwrap().split(';').next().unwrap();
        let mut keys: Vec<_> = list.split(", ").map(str::to_owned).collect();
        keys.sort();
        keys
    };
    let head = "version = 1\nbase = \"general\"\n";
    let argument = &schema["$defs"]["argument"]["oneOf"][1];
    for (place, text) in [
        (&schema, "nothing = 1".to_owned()),
        (&schema["properties"]["answers"], format!("{head}answers = {{ nothing = 1 }}")),
        (&schema["$defs"]["sections"], format!("{head}arch.aarch64 = {{ nothing = 1 }}")),
        (
            &schema["$defs"]["conditional"]["additionalProperties"],
            format!("{head}conditional.read = {{ nothing = 1 }}"),
        ),
        (argument, format!("{head}deny.clone = {{ flags = {{ nothing = 1 }} }}")),
    ] {
        assert_eq!(keys(place), reader(&text), "{text}");
    }
    // The page's own list is one of them.
    let page = page();
    let lists: Vec<_> = blocks(&page).into_iter().filter(|(kind, _)| kind == "toml build.toml").collect();
    assert_eq!(lists.len(), 1);
    assert!(zerocap_seccomp::written::read(&lists[0].1).is_ok());
}
