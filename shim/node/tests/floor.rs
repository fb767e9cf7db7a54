//! The floor file, and errors as users meet them.

use std::fs;

use zerocap_annotations::{EngineTraits, Floor, HostArch, ZcError};
use zerocap_node::state::{Document, Store};
use zerocap_node::{floor, kernel};

#[test]
fn an_absent_floor_demands_nothing_and_a_present_one_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("floor.toml");
    assert_eq!(floor::load(&path).unwrap(), Floor::none());
    fs::write(&path, "version = 1\n[defaults]\nnetwork-enforcement = \"platform\"\n").unwrap();
    assert_ne!(floor::load(&path).unwrap(), Floor::none());
    // An administrator's link is followed.
    let link = dir.path().join("link.toml");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert_eq!(floor::load(&link).unwrap(), floor::load(&path).unwrap());
}

#[test]
fn a_floor_that_cannot_be_used_is_an_error_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("floor.toml");
    for (content, code) in [
        (b"version = 1\n[nonsense\n".as_slice(), "ZC02"),
        (b"\xff\xfe", "ZC0905"),
        (&[b'#'; 1024 * 1024 + 1], "ZC0905"),
    ] {
        fs::write(&path, content).unwrap();
        let error = floor::load(&path).unwrap_err().to_string();
        assert!(error.starts_with(code), "{error}");
        assert!(error.contains("floor.toml"), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
    // A directory in its place is not "absent".
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(floor::load(&path).unwrap_err().to_string().starts_with("ZC0905"));
}

#[test]
fn state_errors_have_codes() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::at(dir.path());
    let code = |e| ZcError::from(e).code.to_string();
    assert_eq!(code(store.container("k8s.io", "../x").unwrap_err()), "ZC0904");

    let state = store.container("k8s.io", "c").unwrap();
    state.write(Document::Policy, b"junk").unwrap();
    assert_eq!(code(state.read_json::<serde_json::Value>(Document::Policy).unwrap_err()), "ZC0902");
    fs::write(state.path().join("layout"), "9").unwrap();
    assert_eq!(code(state.read(Document::Policy).unwrap_err()), "ZC0903");

    fs::write(dir.path().join("file"), "").unwrap();
    let blocked = Store::at(dir.path().join("file")).container("k8s.io", "c").unwrap();
    assert_eq!(code(blocked.create().unwrap_err()), "ZC0901");
}

#[test]
fn the_probe_becomes_a_host() {
    let mut found = kernel::try_now().unwrap();
    found.machine = "aarch64".into();
    let engine = EngineTraits { name: "runc".into(), seccomp_on_exec: true, calls_after_seccomp: Vec::new() };
    let host = found.host(engine.clone(), "/run/zerocap/launcher", "/run/zerocap/files").unwrap();
    assert_eq!(host.arch, HostArch::Aarch64);
    assert_eq!(host.landlock.fs, found.landlock.fs);
    assert_eq!(host.landlock.net, found.landlock.net);
    assert_eq!(host.landlock.scoped, found.landlock.scoped);
    assert_eq!(host.engine, engine);

    found.machine = "s390x".into();
    let error = found.host(engine, "/x", "/y").unwrap_err().to_string();
    assert_eq!(error, "ZC0906: there is no launcher for this machine, s390x; run the pod on an x86_64 or aarch64 node");
}
