//! The probe on the kernel that runs the tests.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use zerocap_node::kernel::{self, Abilities};
use zerocap_node::state::Store;

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::at(dir.path().join("zerocap"));
    (dir, store)
}

/// Mask of the first file rights, as linux/landlock.h numbers them: what each ABI brought.
fn fs_rights(abi: u32) -> u64 {
    let count = match abi {
        0 => 0,
        1 => 13,
        2 => 14,
        3 | 4 => 15,
        5..=8 => 16,
        _ => 17,
    };
    (1 << count) - 1
}

#[test]
fn this_kernel_keeps_what_its_abi_claims() {
    let found = kernel::try_now().unwrap();
    let landlock = &found.landlock;
    // An upstream kernel; a vendor kernel that lacks a part would list it as broken, and this test would name it.
    assert_eq!(landlock.broken, Vec::<String>::new());
    assert_eq!(landlock.fs, fs_rights(landlock.abi));
    assert_eq!(landlock.net, if landlock.abi >= 4 { 0b11 } else { 0 });
    assert_eq!(landlock.scoped, if landlock.abi >= 6 { 0b11 } else { 0 });
    assert!(found.seccomp.filter);
}

#[test]
fn the_second_probe_is_remembered() {
    let (_guard, store) = store();
    let first = kernel::probe(&store).unwrap();
    // A marker that no trial produces shows where the second answer comes from.
    let mut marked = first.clone();
    marked.landlock.abi = 77;
    fs::write(store.host_file(), serde_json::to_vec(&marked).unwrap()).unwrap();
    assert_eq!(kernel::probe(&store).unwrap().landlock.abi, 77);
}

#[test]
fn a_doubtful_memory_is_not_believed() {
    let (_guard, store) = store();
    let honest = kernel::probe(&store).unwrap();
    let distrusted = |change: &dyn Fn(&mut Abilities)| {
        let mut forged = honest.clone();
        forged.landlock.abi = 77;
        change(&mut forged);
        fs::write(store.host_file(), serde_json::to_vec(&forged).unwrap()).unwrap();
        kernel::probe(&store).unwrap() == honest
    };
    assert!(!distrusted(&|_| {}), "the control: an unsuspicious file is believed");
    assert!(distrusted(&|a| a.boot_id = "another".into()));
    assert!(distrusted(&|a| a.kernel = "another".into()));
    assert!(distrusted(&|a| a.schema += 1));
    assert!(distrusted(&|a| a.landlock.fs |= 1 << 50));

    for junk in ["", "{", "[]", "{\"schema\":1}"] {
        fs::write(store.host_file(), junk).unwrap();
        assert_eq!(kernel::probe(&store).unwrap(), honest, "{junk:?}");
    }
    // Writable by others.
    let mut forged = honest.clone();
    forged.landlock.abi = 77;
    fs::write(store.host_file(), serde_json::to_vec(&forged).unwrap()).unwrap();
    fs::set_permissions(store.host_file(), fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(kernel::probe(&store).unwrap(), honest);
}

#[test]
fn the_probe_confines_nobody_but_its_own_threads() {
    kernel::try_now().unwrap();
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    assert!(status.contains("NoNewPrivs:\t0"), "{status}");
    assert!(status.contains("Seccomp:\t0"), "{status}");
    // A Landlock domain would refuse this.
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("a")).unwrap();
    fs::write(dir.path().join("f"), "").unwrap();
    fs::hard_link(dir.path().join("f"), dir.path().join("a/f")).unwrap();
}

#[test]
fn a_store_that_cannot_be_written_costs_only_the_memory() {
    let (guard, _) = store();
    let file = guard.path().join("file");
    fs::write(&file, "").unwrap();
    let store = Store::at(file.join("below-a-file"));
    assert_eq!(kernel::probe(&store).unwrap(), kernel::try_now().unwrap());
}
