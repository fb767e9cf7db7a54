//! Profiles of any kind that are none: one error with file, place and hint, exit status 2, and no output file touched.

use std::fs;
use std::path::Path;
use std::process::Output;

use assert_cmd::Command;

fn zerocap(arguments: &[&str]) -> Output {
    Command::cargo_bin("zerocap").unwrap().arg("seccomp").args(arguments).output().unwrap()
}

/// Every command that takes a profile.
fn commands<'a>(file: &'a str, out: &'a str) -> Vec<Vec<&'a str>> {
    vec![
        vec!["compile", file, "-o", out],
        vec!["compile", file, "--to", "oci", "-o", out],
        vec!["disasm", file],
        vec!["explain", "read", "--profile", file],
        vec!["diff", "general", file],
        vec!["diff", file, "general"],
        vec!["test", file, "--report", out, "--", "true"],
        vec!["bwrap", file, "--", "--ro-bind", "/", "/", "true"],
    ]
}

fn one_error(output: &Output, file: &str, what: &str) {
    let error = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{what}: {error}");
    assert_eq!(error.lines().count(), 1, "{what}: {error}");
    assert!(error.starts_with("error: ZC"), "{what}: {error}");
    assert!(error.contains(file), "{what}: {error}");
    assert!(error.len() < 600, "{what}: {error}");
    assert!(output.stdout.is_empty(), "{what}: {output:?}");
}

fn refused(content: &[u8], what: &str) {
    let dir = tempfile::tempdir().unwrap();
    let (file, out) = (dir.path().join("input"), dir.path().join("out"));
    fs::write(&file, content).unwrap();
    fs::write(&out, "before").unwrap();
    let path = file.to_str().unwrap();
    for command in commands(path, out.to_str().unwrap()) {
        one_error(&zerocap(&command), path, &format!("{what}, {}", command[0]));
    }
    assert_eq!(fs::read(&out).unwrap(), b"before", "{what}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "{what}: something is left");
}

#[test]
fn no_profile_at_all() {
    refused(b"", "empty");
    refused(b" \n\t", "blank");
    refused(b"\xff\xfe\x01", "binary");
    refused(&[0; 4], "half an instruction");
    refused(&[0; 64], "instructions that never end");
    refused(&[6, 0, 0, 0, 0, 0, 0xff], "cut off");
    refused(&[7; 4097 * 8], "more than the kernel takes");
    refused(&b"\x7fELF\x02\x01\x01\0".repeat(8), "a program");
    refused("schön".as_bytes(), "prose");
}

#[test]
fn json_that_is_no_profile() {
    for text in [
        "{",
        "[]",
        "[1]",
        "{\"defaultAction\": \"SCMP_ACT_NOTHING\"}",
        "{\"defaultAction\": \"scmp_act_allow\"}",
        "{\"DefaultAction\": \"SCMP_ACT_ALLOW\"}",
        "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"defaultErrnoRet\": 99999}",
        "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"defaultErrnoRet\": -1}",
        "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": [{\"names\": \"read\", \"action\": \"SCMP_ACT_ALLOW\"}]}",
        "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": [{\"names\": [\"\"], \"action\": \"SCMP_ACT_ALLOW\"}]}",
        "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": [{\"names\": [\"read\"], \"action\": \"SCMP_ACT_ALLOW\", \
         \"args\": [{\"index\": 6, \"value\": 0, \"op\": \"SCMP_CMP_EQ\"}]}]}",
        // Keys that nobody reads, at every level, and names that are written as no call is.
        "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscall\": []}",
        "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": [{\"names\": [\"read\"], \"action\": \"SCMP_ACT_ALLOW\", \
         \"arg\": [{\"index\": 0, \"value\": 1, \"op\": \"SCMP_CMP_EQ\"}]}]}",
        "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": [{\"names\": [\"read\"], \"action\": \"SCMP_ACT_ALLOW\", \
         \"args\": [{\"index\": 0, \"mask\": 1, \"op\": \"SCMP_CMP_EQ\"}]}]}",
        "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": [{\"names\": [\"read\"], \"action\": \"SCMP_ACT_ALLOW\", \
         \"includes\": {\"capabilities\": []}}]}",
        "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [{\"names\": [\"Ptrace\"], \"action\": \"SCMP_ACT_ERRNO\"}]}",
        "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [{\"names\": [\"<your syscall>\"], \"action\": \"SCMP_ACT_ERRNO\"}]}",
        "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [{\"names\": [\"\\u001b[2J\"], \"action\": \"SCMP_ACT_ERRNO\"}]}",
        "{\"linux\": {\"seccomp\": 7}}",
        "{\"linux\": {\"seccomp\": null}}",
        "{\"linux\": {}}",
        "{\"linux\": null}",
        "{}",
        "{\"defaultAction\": \"\", \"syscalls\": []}",
    ] {
        refused(text.as_bytes(), text);
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("profile.json");
    for (text, place) in [
        (
            "{\"defaultAction\": \"SCMP_ACT_ALLOW\",\n\"defaultAction\": \"SCMP_ACT_ERRNO\"}",
            "line 2, column 1: the key",
        ),
        (
            "{\"linux\": {\"seccomp\":\n  {\"defaultAction\": \"SCMP_ACT_NO\"}}}",
            "line 2, column 21: linux.seccomp.defaultAction",
        ),
        ("{\"defaultAction\": \"SCMP_ACT_ALLOW\",}", "line 1, column 3"),
    ] {
        fs::write(&file, text).unwrap();
        let output = zerocap(&["compile", file.to_str().unwrap()]);
        one_error(&output, "profile.json", text);
        assert!(String::from_utf8_lossy(&output.stderr).contains(place), "{place}: {output:?}");
    }
    refused("[".repeat(100_000).as_bytes(), "brackets");
    refused("{\"a\":".repeat(100_000).as_bytes(), "braces");
}

#[test]
fn toml_that_is_no_list() {
    let ok = "version = 1\nbase = \"general\"\n";
    for (text, place) in [
        ("version = 2".to_owned(), "line 1, column 11"),
        ("base = \"general\"".to_owned(), "line 1, column 1"),
        ("version = 1\nbase = \"General\"".to_owned(), "line 2, column 8"),
        (format!("{ok}[deny]\nmkdir = \"a\"\nmkdir = \"b\""), "line 5, column 1"),
        (format!("{ok}[deny]\nmkdir = {{ then = \"DENY\" }}"), "line 4, column 18"),
        (format!("{ok}[deny]\nMKDIR = \"a\""), "line 4, column 1"),
        (format!("{ok}[deny]\nmkdir = {{ then = 99999 }}"), "line 4, column 18"),
        (format!("{ok}[deny]\n\"<syscall>\" = \"a\""), "line 4, column 1"),
        (format!("{ok}[denied]\nmkdir = \"a\""), "line 3, column 2"),
        (format!("{ok}[deny"), "line 3"),
        (format!("{ok}[deny]\nclone = {{ flags = {{ in = [] }} }}"), "line 4, column 26"),
        (format!("{ok}[deny]\nclone = {{ flags = {{ mask = 1, in = [] }} }}"), "line 4, column 36"),
        (format!("{ok}[deny]\nopenat = {{ filename = 1 }}"), "line 4"),
        (format!("{ok}[deny]\nmkdir = {{ then = \"{}\" }}", "E".repeat(50_000)), "line 4, column 18"),
        (format!("{ok}[deny]\n{} = \"a\"", "e".repeat(50_000)), "line 4, column 1"),
        (format!("{ok}deny = {}", "[".repeat(50_000)), "line 3"),
        (format!("{ok}[{}]", "a.".repeat(50_000)), "line 3"),
        (format!("{ok}[deny]\nmkdir = \"\\u001b[2J\u{9b}31m\"\nnone = \"\""), "line 5"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("list.toml");
        fs::write(&file, &text).unwrap();
        let path = file.to_str().unwrap();
        let output = zerocap(&["compile", path]);
        one_error(&output, path, &text[..text.len().min(80)]);
        assert!(String::from_utf8_lossy(&output.stderr).contains(place), "{place}: {output:?}");
    }
    refused(format!("{ok}[deny]\nptrcae = \"x\"").as_bytes(), "list");
}

#[test]
fn too_large_is_not_read_to_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("large");
    // 100 MB that take no room on the disk.
    fs::File::create(&file).unwrap().set_len(100 << 20).unwrap();
    let path = file.to_str().unwrap();
    for command in commands(path, dir.path().join("out").to_str().unwrap()) {
        let output = zerocap(&command);
        one_error(&output, path, command[0]);
        assert!(String::from_utf8_lossy(&output.stderr).contains("larger than"), "{output:?}");
    }
    for endless in ["/dev/zero", "/dev/urandom"] {
        one_error(&zerocap(&["compile", endless]), endless, endless);
    }
    // Text of 15 MiB is read, and is no list.
    fs::write(&file, "# x\n".repeat(15 << 18)).unwrap();
    one_error(&zerocap(&["compile", path]), path, "text");
}

#[test]
fn what_cannot_be_read_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().to_str().unwrap();
    one_error(&zerocap(&["compile", folder]), folder, "a folder");
    let missing = dir.path().join("missing.toml");
    one_error(&zerocap(&["compile", missing.to_str().unwrap()]), "missing.toml", "a missing file");
    one_error(&zerocap(&["compile", "seccomp-profile"]), "seccomp-profile", "a missing word");
    let strange = format!("{folder}/a\u{1b}[31mb");
    let output = zerocap(&["compile", &strange]);
    assert!(!output.stderr.contains(&0x1b), "escapes reach the terminal: {output:?}");
}

/// A write that fails leaves the old file, and no temporary one.
#[test]
fn output_that_cannot_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("folder");
    fs::create_dir(&file).unwrap();
    for out in [file.to_str().unwrap(), "/proc/self/none", "/dev/full"] {
        let output = zerocap(&["compile", "minimal", "-o", out]);
        one_error(&output, Path::new(out).file_name().unwrap().to_str().unwrap(), out);
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}
