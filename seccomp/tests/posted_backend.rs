//! A profile as it was published for inference servers (fixtures/posted-backend.json), taken apart: every fault that the
//! linter finds is shown on the kernel, by a child that loads the compiled profile and does what it was to prevent, or
//! cannot do what it was to allow. And `model-backend`, which is what its author wanted, does not have them.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(unsafe_code)]

mod kernel_child;

use std::collections::BTreeSet;
use std::ffi::CString;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};

use kernel_child::{Call, Outcome, doing, raw, under};
use serde_json::{Value, json};
use zerocap_seccomp::lint::{Options, Severity, lint};
use zerocap_seccomp::preset::{LastLayer, Preset, last_layer};
use zerocap_seccomp::{Arch, Gate, Insn, X32_BIT, compile, lookup, oci};

const POSTED: &str = include_str!("../fixtures/posted-backend.json");
/// In place of the profile's EPERM, so that its refusals can be told from the kernel's own.
const MARK: i64 = 123;
const REFUSED: Outcome = Outcome::Returned(-MARK);
const AT_FDCWD: u64 = -100i64 as u64;
const SIGSYS: i32 = libc::SIGSYS;

fn posted() -> Value {
    let mut profile: Value = serde_json::from_str(POSTED).expect("JSON");
    profile["syscalls"][0]["errnoRet"] = MARK.into();
    profile
}

fn filter(profile: &Value) -> Vec<Insn> {
    compile(&oci::read(profile).expect("a profile"), Arch::X86_64, Gate::None).expect("small").insns
}

fn call(name: &str, args: &[u64]) -> Call {
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    Call { number: lookup(name).and_then(|call| call.number(Arch::X86_64)).expect("x86-64 has it"), args: all }
}

/// One call under the posted profile.
fn one(name: &str, args: &[u64]) -> Outcome {
    under(&[&filter(&posted())], &[call(name, args)])[0]
}

fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

fn is_root() -> bool {
    // SAFETY: no arguments, no failure.
    unsafe { libc::geteuid() == 0 }
}

fn text(path: &std::path::Path) -> CString {
    CString::new(path.to_str().expect("UTF-8")).expect("no zero byte")
}

fn at<T>(value: &T) -> u64 {
    std::ptr::from_ref(value).addr() as u64
}

#[test]
fn the_linter_names_every_fault_and_the_preset() {
    let options = Options::default();
    let report = lint("posted-backend.json", POSTED.as_bytes(), &options).expect("a profile");
    let found: BTreeSet<(&str, &str)> =
        report.findings.iter().map(|finding| (finding.rule.id, finding.at.as_str())).collect();
    for (id, path, words) in [
        ("SL05", "syscalls[1].args[0]", "holds for every number"),
        ("SL06", "syscalls[1]", "the rule is not loaded"),
        ("SL08", "architectures", "x32 and i386"),
        ("SL09", "syscalls[0].names[1]", "clone3"),
        ("SL09", "syscalls[0].names[8]", "sendto, sendmsg, sendmmsg"),
        ("SL09", "syscalls[0].names[9]", "io_uring_setup"),
        ("SL09", "syscalls[0].names[11]", "accept4"),
        ("SL09", "syscalls[0].names[14]", "clone3"),
        ("SL09", "syscalls[0].names[17]", "fsopen, fsconfig, fsmount, fspick, open_tree, open_tree_attr, move_mount"),
        ("SL09", "syscalls[0].names[20]", "process_vm_readv, process_vm_writev, pidfd_getfd"),
        ("SL09", "syscalls[0].names[22]", "reboot, kexec_load, kexec_file_load, init_module"),
        ("SL09", "syscalls[1].names[0]", "openat2, open_by_handle_at and io_uring_setup"),
        ("SL10", "defaultAction", "clone3"),
        ("SL10", "syscalls[0].names[0]", "pthread_create"),
        ("SL11", "syscalls[0].names[9]", "AF_UNIX"),
        ("SL12", "syscalls[1].args[0]", "flags of open and filename of openat"),
        ("SL13", "syscalls[0].names[3]", "execve fails"),
        ("SL13", "syscalls[1].names[1]", "cannot open libraries"),
        ("SL15", "defaultAction", "all that later kernels bring"),
        ("SL15", "syscalls[0].action", "EPERM"),
        ("SL16", "syscalls[0].names[18]", "umount2"),
        ("SL18", "syscalls[1].args[0]", "is an address"),
    ] {
        let mut here = report.findings.iter().filter(|finding| (finding.rule.id, finding.at.as_str()) == (id, path));
        assert!(here.any(|finding| finding.kernel.contains(words)), "{id} at {path}, {words}: {:#?}", report.findings);
    }
    assert_eq!(found.len(), 22, "{found:?}");
    assert!(report.findings.iter().filter(|finding| finding.severity == Severity::Error).count() >= 17);
    let best = report.fits.first().expect("it refuses things");
    assert_eq!(best.preset, Preset::ModelBackend, "{:?}", report.fits);
}

/// The author wanted no programs; there is none at all, the first one included.
#[test]
fn nothing_starts() {
    let (path, none) = (CString::new("/bin/true").expect("no zero byte"), [0u64]);
    let argv = [path.as_ptr().addr() as u64, 0];
    assert_eq!(one("execve", &[argv[0], at(&argv), at(&none)]), REFUSED);
    assert_eq!(one("execveat", &[AT_FDCWD, argv[0], at(&argv), at(&none), 0]), REFUSED);
    // Without the profile the same call never returns.
    let bare = under(&[], &[call("execve", &[argv[0], at(&argv), at(&none)])])[0];
    assert!(matches!(bare, Outcome::NotReached | Outcome::Killed(_)), "{bare:?}");
}

/// The author wanted reading; the second rule is the default action and dropped, so nothing can be opened at all.
#[test]
fn nothing_can_be_read() {
    let path = CString::new("/dev/null").expect("no zero byte");
    let path = path.as_ptr().addr() as u64;
    assert_eq!(one("open", &[path, libc::O_RDONLY as u64]), REFUSED);
    assert_eq!(one("openat", &[AT_FDCWD, path, libc::O_RDONLY as u64]), REFUSED);
    let bare = under(&[], &[call("openat", &[AT_FDCWD, path, 0])])[0];
    assert!(matches!(bare, Outcome::Returned(fd) if fd >= 0), "{bare:?}");
}

/// Where the second rule is loaded, under the other default, its mask of 0 lets every open pass.
#[test]
fn the_condition_means_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("written");
    let path = text(&file);
    let rule = posted()["syscalls"][1].clone();
    let only = |rule: &Value| {
        filter(
            &json!({ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": MARK, "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [rule, { "names": ["exit_group"], "action": "SCMP_ACT_ALLOW" }] }),
        )
    };
    let writing = (libc::O_WRONLY | libc::O_CREAT) as u64;
    for open in [
        call("open", &[path.as_ptr().addr() as u64, writing, 0o600]),
        call("openat", &[AT_FDCWD, path.as_ptr().addr() as u64, writing, 0o600]),
    ] {
        let outcome = under(&[&only(&rule)], &[open])[0];
        assert!(matches!(outcome, Outcome::Returned(fd) if fd >= 0), "{outcome:?}");
        std::fs::remove_file(&file).expect("it was made");
    }
    // With the mask that was meant, argument 1 of openat is the path: whether a file may be written depends on where
    // its name lies.
    let mut masked = rule.clone();
    masked["args"][0]["value"] = 3.into();
    let names: Vec<u8> = [b"\0\0\0\0", path.as_bytes_with_nul()].concat();
    let mut outcomes = BTreeSet::new();
    for shift in 0..4 {
        // The name at every alignment, in memory of its own.
        let mut memory = vec![0u64; names.len() / 8 + 2];
        let start = memory.as_mut_ptr().cast::<u8>();
        // SAFETY: the vector has room for the name behind any of the four offsets.
        unsafe {
            std::ptr::copy_nonoverlapping(path.as_ptr().cast::<u8>(), start.add(shift), path.as_bytes_with_nul().len())
        };
        let outcome = under(
            &[&only(&masked)],
            &[call("openat", &[AT_FDCWD, start.addr() as u64 + shift as u64, writing, 0o600])],
        )[0];
        outcomes.insert(match outcome {
            Outcome::Returned(fd) if fd >= 0 => "opened",
            outcome if outcome == REFUSED => "refused",
            _ => panic!("{outcome:?}"),
        });
    }
    assert_eq!(outcomes, BTreeSet::from(["opened", "refused"]));
}

/// `struct open_how`.
#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

#[test]
fn files_are_written_all_the_same() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("written");
    let path = text(&file);
    let how = OpenHow { flags: (libc::O_WRONLY | libc::O_CREAT) as u64, mode: 0o600, resolve: 0 };
    let outcome = one("openat2", &[AT_FDCWD, path.as_ptr().addr() as u64, at(&how), size_of::<OpenHow>() as u64]);
    assert!(matches!(outcome, Outcome::Returned(fd) if fd >= 0), "{outcome:?}");
    assert!(file.exists());
    // The others reach the kernel: it answers for itself.
    assert_eq!(
        one("open_by_handle_at", &[u64::MAX, 0, 0]),
        under(&[], &[call("open_by_handle_at", &[u64::MAX, 0, 0])])[0]
    );
    // What the author thought of is refused.
    assert_eq!(one("creat", &[path.as_ptr().addr() as u64, 0o600]), REFUSED);
}

/// Opens a file for writing through io_uring, with raw system calls only. The descriptor, or a negative errno.
fn open_by_io_uring(path: u64) -> i64 {
    const OFF_SQES: u64 = 0x1000_0000;
    const OPENAT: u8 = 18;
    const ENTER_GETEVENTS: u64 = 1;
    let mut params = [0u32; 30];
    let ring = raw(&call_number(425, &[1, (&raw mut params).addr() as u64]));
    if ring < 0 {
        return ring;
    }
    let map = |length: u64, offset: u64| raw(&call_number(9, &[0, length, 3, 0x8001, ring as u64, offset]));
    let (rings, sqes) = (map(8192, 0), map(4096, OFF_SQES));
    if rings < 0 || sqes < 0 {
        return rings.min(sqes);
    }
    // Offsets of the rings' fields, as the kernel has written them (`struct io_sqring_offsets`, `io_cqring_offsets`).
    let (tail, array, cqes) = (params[11], params[16], params[25]);
    let word = |offset: u32| (rings as usize + offset as usize) as *mut u32;
    // SAFETY: both mappings were made above and are larger than what is written: one entry of 64 bytes, two words.
    unsafe {
        let sqe = sqes as usize as *mut u8;
        sqe.write(OPENAT);
        sqe.add(4).cast::<i32>().write(-100);
        sqe.add(16).cast::<u64>().write(path);
        sqe.add(24).cast::<u32>().write(0o600);
        sqe.add(28).cast::<u32>().write((libc::O_WRONLY | libc::O_CREAT) as u32);
        word(array).write_volatile(0);
        word(tail).write_volatile(1);
    }
    let entered = raw(&call_number(426, &[ring as u64, 1, 1, ENTER_GETEVENTS, 0, 0]));
    if entered < 0 {
        return entered;
    }
    // SAFETY: one completion is there: that was waited for. Its result stands behind 8 bytes of user data.
    i64::from(unsafe { ((rings as usize + cqes as usize + 8) as *const i32).read_volatile() })
}

fn call_number(number: u32, args: &[u64]) -> Call {
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    Call { number, args: all }
}

#[test]
fn io_uring_opens_files() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("written");
    let path = text(&file);
    let path = path.as_ptr().addr() as u64;
    if let Outcome::Returned(errno) = doing(&[], &|| open_by_io_uring(path))
        && errno < 0
    {
        return skipped(&format!("this kernel opens nothing by io_uring (errno {})", -errno));
    }
    std::fs::remove_file(&file).expect("it was made");
    let outcome = doing(&[&filter(&posted())], &|| open_by_io_uring(path));
    assert!(matches!(outcome, Outcome::Returned(fd) if fd >= 0), "{outcome:?}");
    assert!(file.exists());
    // The preset that was wanted does not have it.
    std::fs::remove_file(&file).expect("it was made");
    let preset = last_layer(Arch::X86_64, &LastLayer { preset: Preset::ModelBackend, ..LastLayer::default() });
    let outcome = doing(&[preset.expect("native").insns], &|| open_by_io_uring(path));
    assert!(matches!(outcome, Outcome::Returned(errno) if errno < 0), "{outcome:?}");
    assert!(!file.exists());
}

/// What pthread_create asks of clone, less what would have to be a real stack: without CLONE_SIGHAND the kernel refuses.
const THREAD: u64 = 0x0001_0000;
const NEW_USER: u64 = 0x1000_0000;
const SIGCHLD: u64 = libc::SIGCHLD as u64;

/// `struct clone_args`, its first version.
#[repr(C)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
}

/// Makes a process by clone3 and waits for it. 1 if there was one, or a negative errno.
fn process_by_clone3(flags: u64) -> i64 {
    let args = CloneArgs {
        flags,
        pidfd: 0,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: SIGCHLD,
        stack: 0,
        stack_size: 0,
        tls: 0,
    };
    match raw(&call_number(435, &[at(&args), size_of::<CloneArgs>() as u64])) {
        0 => {
            raw(&call_number(231, &[0]));
            0
        }
        pid if pid > 0 => {
            raw(&call_number(61, &[pid as u64, 0, 0, 0]));
            1
        }
        errno => errno,
    }
}

#[test]
fn processes_and_namespaces_are_made_and_threads_are_not() {
    assert_eq!(one("fork", &[]), REFUSED);
    assert_eq!(one("vfork", &[]), REFUSED);
    // Refused for being clone, before the kernel could look at the flags: also what musl's threads are made by.
    assert_eq!(one("clone", &[THREAD, 0, 0, 0, 0]), REFUSED);
    assert_eq!(one("unshare", &[NEW_USER]), REFUSED);
    let filter = filter(&posted());
    assert_eq!(doing(&[&filter], &|| process_by_clone3(0)), Outcome::Returned(1));
    match doing(&[], &|| process_by_clone3(NEW_USER)) {
        Outcome::Returned(1) => {
            assert_eq!(doing(&[&filter], &|| process_by_clone3(NEW_USER)), Outcome::Returned(1));
        }
        other => skipped(&format!("this machine gives no user namespaces: {other:?}")),
    }
    // The preset: threads by clone, nothing else, by no call.
    let preset = last_layer(Arch::X86_64, &LastLayer { preset: Preset::ModelBackend, ..LastLayer::default() });
    let preset = preset.expect("native").insns;
    let outcomes = under(
        &[preset],
        &[
            call("clone", &[THREAD, 0, 0, 0, 0]),
            call("clone", &[SIGCHLD, 0, 0, 0, 0]),
            call("fork", &[]),
            call("unshare", &[NEW_USER]),
        ],
    );
    // EINVAL for a thread without shared memory: the kernel has looked at it.
    assert_eq!(outcomes, [-22, -1, -1, -1].map(Outcome::Returned));
    assert_eq!(doing(&[preset], &|| process_by_clone3(0)), Outcome::Returned(-38));
}

#[test]
fn unix_sockets_are_gone_and_the_network_is_not() {
    assert_eq!(one("socket", &[libc::AF_UNIX as u64, libc::SOCK_STREAM as u64, 0]), REFUSED);
    assert_eq!(one("socketpair", &[libc::AF_UNIX as u64, libc::SOCK_STREAM as u64, 0, 0]), REFUSED);
    // A connection without connect: Fast Open on a socket that the program was given.
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let port = listener.local_addr().expect("bound").port();
    // SAFETY: a plain system call; the descriptor is owned from here on.
    let socket = unsafe { OwnedFd::from_raw_fd(libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0)) };
    let address = libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes([127, 0, 0, 1]) },
        sin_zero: [0; 8],
    };
    let (fd, size) = (socket.as_raw_fd() as u64, size_of::<libc::sockaddr_in>() as u64);
    assert_eq!(one("connect", &[fd, at(&address), size]), REFUSED);
    let sent = b"out";
    let outcome = one("sendto", &[fd, sent.as_ptr().addr() as u64, 3, libc::MSG_FASTOPEN as u64, at(&address), size]);
    assert_eq!(outcome, Outcome::Returned(3), "the sysctl tcp_fastopen may have been changed");
    let (mut accepted, _) = listener.accept().expect("the connection is there");
    let mut got = [0; 3];
    accepted.read_exact(&mut got).expect("the data is there");
    assert_eq!(&got, sent);
    drop::<TcpStream>(accepted);
}

#[test]
fn connections_are_accepted() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("s");
    let listener = UnixListener::bind(&path).expect("bound");
    let client = UnixStream::connect(&path).expect("connected");
    let fd = listener.as_raw_fd() as u64;
    assert_eq!(one("accept", &[fd, 0, 0]), REFUSED);
    let outcome = one("accept4", &[fd, 0, 0, 0]);
    assert!(matches!(outcome, Outcome::Returned(fd) if fd >= 0), "{outcome:?}");
    drop(client);
}

#[test]
fn mounts_are_made() {
    assert_eq!(one("mount", &[0, 0, 0, 0, 0]), REFUSED);
    assert_eq!(one("umount2", &[0, 0]), REFUSED);
    let name = CString::new("tmpfs").expect("no zero byte");
    let name = name.as_ptr().addr() as u64;
    // FSCONFIG_CMD_CREATE is 6. The mount is in no place, and gone with the child.
    let mount = move || {
        let context = raw(&call_number(430, &[name, 0]));
        match raw(&call_number(431, &[context as u64, 6, 0, 0, 0])) {
            0 if context >= 0 => raw(&call_number(432, &[context as u64, 0, 0])),
            errno => errno.min(context),
        }
    };
    let root = CString::new("/").expect("no zero byte");
    let root = root.as_ptr().addr() as u64;
    // OPEN_TREE_CLONE
    let copy = move || raw(&call_number(428, &[AT_FDCWD, root, 1]));
    let filter = filter(&posted());
    for (what, work) in [("fsmount", &mount as &dyn Fn() -> i64), ("open_tree", &copy)] {
        let bare = doing(&[], work);
        match bare {
            Outcome::Returned(fd) if fd >= 0 => {
                let outcome = doing(&[&filter], work);
                assert!(matches!(outcome, Outcome::Returned(fd) if fd >= 0), "{what}: {outcome:?}");
            }
            other => {
                assert_eq!(doing(&[&filter], work), other, "{what}");
                skipped(&format!("{what} needs a capability that this test does not have"));
            }
        }
    }
    // These reach the kernel: it finds no such descriptor.
    for (name, args) in [
        ("move_mount", [u64::MAX, name, u64::MAX, name, 0].as_slice()),
        ("mount_setattr", &[u64::MAX, name, 0, 0, 0]),
        ("fspick", &[u64::MAX, name, 0]),
    ] {
        assert_ne!(one(name, args), REFUSED, "{name}");
    }
}

/// Reads what the parent has in memory, and takes a descriptor of the parent's.
#[test]
fn other_processes_are_within_reach() {
    static SECRET: [u8; 16] = *b"of another's own";
    assert_eq!(one("ptrace", &[0, 0, 0, 0]), REFUSED);
    let remote = [SECRET.as_ptr().addr() as u64, 16u64];
    let work = move || {
        let parent = raw(&call_number(110, &[])) as u64;
        let mut got = [0u8; 16];
        let local = [got.as_mut_ptr().addr() as u64, 16u64];
        raw(&call_number(310, &[parent, at(&local), 1, at(&remote), 1, 0]))
    };
    let take = || {
        let parent = raw(&call_number(110, &[])) as u64;
        let pidfd = raw(&call_number(434, &[parent, 0]));
        raw(&call_number(438, &[pidfd as u64, 2, 0]))
    };
    let filter = filter(&posted());
    for (what, work) in [("process_vm_readv", &work as &dyn Fn() -> i64), ("pidfd_getfd", &take)] {
        match doing(&[], work) {
            Outcome::Returned(result) if result >= 0 => {
                let outcome = doing(&[&filter], work);
                assert!(matches!(outcome, Outcome::Returned(result) if result >= 0), "{what}: {outcome:?}");
            }
            other => {
                assert_ne!(doing(&[&filter], work), REFUSED, "{what}");
                skipped(&format!("{what} of the parent is not allowed on this machine: {other:?}"));
            }
        }
    }
}

/// Whoever refuses swapon does not want reboot either. Nothing here does anything: the arguments are wrong.
#[test]
fn the_machine_is_administered() {
    for name in ["swapon", "swapoff", "sethostname", "setdomainname"] {
        assert_eq!(one(name, &[0, 0]), REFUSED, "{name}");
    }
    for (name, args) in [
        ("reboot", [1, 2, 3, 4].as_slice()),
        ("kexec_load", &[0, u64::MAX, 0, u64::MAX]),
        ("init_module", &[0, 0, 0]),
        ("finit_module", &[u64::MAX, 0, u64::MAX]),
        ("delete_module", &[0, 0]),
        ("clock_settime", &[u64::MAX, 0]),
        ("acct", &[1]),
    ] {
        let (bare, outcome) = (under(&[], &[call(name, args)])[0], one(name, args));
        assert!(outcome == bare && outcome != REFUSED, "{name}: {outcome:?}, bare {bare:?}");
        assert!(matches!(outcome, Outcome::Returned(errno) if errno < 0), "{name}: {outcome:?}");
    }
    if !is_root() {
        skipped("without root the kernel's answers to the administrator's calls are all EPERM");
    }
}

/// Everything else is allowed, also what this kernel does not have yet.
#[test]
fn the_default_lets_everything_through() {
    for (name, args) in [
        ("bpf", [999, 0, 0].as_slice()),
        ("keyctl", &[999]),
        ("userfaultfd", &[u64::MAX]),
        ("perf_event_open", &[0; 5]),
    ] {
        assert_eq!(one(name, args), under(&[], &[call(name, args)])[0], "{name}");
    }
    assert_eq!(under(&[&filter(&posted())], &[call_number(4000, &[])]), [Outcome::Returned(-38)]);
}

/// getpid by the i386 ABI, whose number for it is 20.
fn getpid_of_i386() -> i64 {
    let result: i32;
    // SAFETY: getpid touches no memory.
    unsafe {
        std::arch::asm!("int 0x80", inlateout("eax") 20i32 => result, lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _)
    };
    i64::from(result)
}

#[test]
fn programs_of_other_abis_are_killed() {
    let filter = filter(&posted());
    match doing(&[], &getpid_of_i386) {
        Outcome::Returned(pid) if pid > 0 => {
            assert_eq!(doing(&[&filter], &getpid_of_i386), Outcome::Killed(SIGSYS));
        }
        other => skipped(&format!("this kernel has no i386 calls: {other:?}")),
    }
    assert_eq!(under(&[&filter], &[call_number(39 | X32_BIT, &[])]), [Outcome::Killed(SIGSYS)]);
}
