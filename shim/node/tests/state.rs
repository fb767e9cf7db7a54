//! The state directory as the shim and the CLI use it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use zerocap_node::NodeError;
use zerocap_node::state::{Document, Store};

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::at(dir.path().join("zerocap"));
    (dir, store)
}

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_is_written_is_read_back_and_is_private() {
    let (_guard, store) = store();
    let dir = store.container("k8s.io", "abc").unwrap();
    assert_eq!(dir.read(Document::Policy).unwrap(), None);

    dir.write_json(Document::Policy, &json!({"version": 1})).unwrap();
    dir.write(Document::OriginalConfig, b"{ \"as\": \"it was\" }").unwrap();

    assert_eq!(dir.read_json::<Value>(Document::Policy).unwrap(), Some(json!({"version": 1})));
    // The original is kept byte by byte.
    assert_eq!(dir.read(Document::OriginalConfig).unwrap().unwrap(), b"{ \"as\": \"it was\" }");
    assert_eq!(dir.read(Document::Report).unwrap(), None);
    assert_eq!(mode(store.root()), 0o755, "containers' users pass it on the way to the launcher");
    assert_eq!(mode(dir.path()), 0o700);
    assert_eq!(mode(dir.path().parent().unwrap()), 0o700);
    for document in [Document::Policy, Document::OriginalConfig] {
        assert_eq!(mode(&dir.path().join(document.file_name())), 0o600);
    }
}

#[test]
fn a_rewrite_replaces_and_leaves_no_temporary_file() {
    let (_guard, store) = store();
    let dir = store.container("k8s.io", "abc").unwrap();
    for n in 0..3 {
        dir.write_json(Document::Report, &json!({ "n": n })).unwrap();
    }
    assert_eq!(dir.read_json::<Value>(Document::Report).unwrap(), Some(json!({"n": 2})));
    let mut names: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["layout", "report.json"]);
}

#[test]
fn removing_takes_empty_parents_and_spares_neighbours() {
    let (guard, store) = store();
    let (a, b) = (store.container("k8s.io", "a").unwrap(), store.container("k8s.io", "b").unwrap());
    a.create().unwrap();
    b.create().unwrap();

    a.remove().unwrap();
    assert!(!a.exists() && b.exists());
    // Again, and for one that never was.
    a.remove().unwrap();
    store.container("other", "x").unwrap().remove().unwrap();

    b.remove().unwrap();
    assert!(!store.root().exists());
    assert!(guard.path().exists(), "only our own root may go");
}

#[test]
fn the_remembered_host_outlives_the_last_container() {
    let (_guard, store) = store();
    let dir = store.container("k8s.io", "a").unwrap();
    dir.create().unwrap();
    fs::write(store.host_file(), "{}").unwrap();
    dir.remove().unwrap();
    assert!(store.host_file().exists());
    assert_eq!(store.list().unwrap(), []);
}

#[test]
fn concurrent_containers_do_not_lose_their_directories() {
    let (_guard, store) = store();
    std::thread::scope(|scope| {
        for t in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..200 {
                    let dir = store.container("k8s.io", &format!("c{t}x{n}")).unwrap();
                    // create() may meet a neighbour's remove() of the empty parents at any step.
                    dir.create().unwrap();
                    dir.remove().unwrap();
                }
            });
        }
    });
    assert!(!store.root().exists());
}

#[test]
fn names_with_path_tricks_are_refused() {
    let (_guard, store) = store();
    let long = "a".repeat(77);
    for bad in ["", ".", "..", "a/b", "/a", "../a", "a..b", ".a", "a.", "-a", "a__b", "a\0b", "a\nb", "ä", "a b", &long]
    {
        assert!(matches!(store.container(bad, "a"), Err(NodeError::Name { .. })), "{bad:?}");
        assert!(matches!(store.container("a", bad), Err(NodeError::Name { .. })), "{bad:?}");
    }
    // Would be a directory in place of our own file.
    assert!(store.container("host.json", "a").is_err());
    let longest = "a".repeat(76);
    assert!(store.container(&longest, &longest).is_ok());
    assert!(store.container("k8s.io", "my-pod_1.exec-2").is_ok());
}

#[test]
fn files_that_are_not_ours_are_errors_not_content() {
    let (guard, store) = store();
    let dir = store.container("k8s.io", "a").unwrap();
    dir.create().unwrap();
    let policy = dir.path().join("policy.json");

    let outside = guard.path().join("outside.json");
    fs::write(&outside, "{}").unwrap();
    std::os::unix::fs::symlink(&outside, &policy).unwrap();
    assert!(dir.read(Document::Policy).is_err(), "followed a symbolic link");
    fs::remove_file(&policy).unwrap();

    rustix::fs::mknodat(rustix::fs::CWD, &policy, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    assert!(dir.read(Document::Policy).is_err(), "a pipe was read");
    fs::remove_file(&policy).unwrap();

    fs::write(&policy, "{ not json").unwrap();
    let error = dir.read_json::<Value>(Document::Policy).unwrap_err().to_string();
    assert!(error.contains("policy.json is damaged"), "{error}");

    fs::File::create(&policy).unwrap().set_len(1 << 30).unwrap();
    assert!(matches!(dir.read(Document::Policy), Err(NodeError::TooLarge { .. })));
}

#[test]
fn another_layout_is_refused_by_name() {
    let (_guard, store) = store();
    let dir = store.container("k8s.io", "a").unwrap();
    dir.write(Document::Policy, b"{}").unwrap();
    fs::write(dir.path().join("layout"), "2").unwrap();
    for result in [dir.read(Document::Policy).map(drop), dir.create()] {
        let error = result.unwrap_err().to_string();
        assert!(error.contains("has layout \"2\", this version knows \"1\""), "{error}");
    }
    // It can still be removed.
    dir.remove().unwrap();
}

#[test]
fn containers_are_listed_and_found_by_prefix() {
    let (_guard, store) = store();
    for (namespace, id) in [("k8s.io", "abc"), ("k8s.io", "abcd"), ("default", "abc")] {
        store.container(namespace, id).unwrap().create().unwrap();
    }
    fs::create_dir_all(store.root().join("not a namespace/x")).unwrap();
    let ids = |entries: Vec<zerocap_node::state::Entry>| {
        entries.into_iter().map(|e| format!("{}/{}", e.namespace, e.id)).collect::<Vec<_>>()
    };
    assert_eq!(ids(store.list().unwrap()), ["default/abc", "k8s.io/abc", "k8s.io/abcd"]);
    assert_eq!(ids(store.find("abc").unwrap()), ["default/abc", "k8s.io/abc"]);
    assert_eq!(ids(store.find("abcd").unwrap()), ["k8s.io/abcd"]);
    assert_eq!(ids(store.find("ab").unwrap()).len(), 3);
    assert_eq!(ids(store.find("x").unwrap()).len(), 0);
}
