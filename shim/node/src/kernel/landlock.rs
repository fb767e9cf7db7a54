//! Landlock, right by right.
//!
//! Each right is handled alone, in a thread of its own, and the operation that it stands for is tried there. So one
//! refusal proves one right. The control is the same operation without Landlock: it must not meet the same refusal.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use ::landlock::{
    AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};
use rustix::fs::{CWD, FileType, Mode, StatVfsMountFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::NodeError;

/// What Landlock keeps on this kernel. The masks are those of linux/landlock.h.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Landlock {
    /// The ABI that the kernel claims; 0 where there is no Landlock.
    pub abi: u32,
    /// File rights that were refused as they should.
    pub fs: u64,
    /// TCP rights that were refused as they should.
    pub net: u64,
    /// Scopes that kept their inside in.
    pub scoped: u64,
    /// Rights that the kernel accepts but does not keep: an ABI number that says too much.
    pub broken: Vec<String>,
    /// Rights that are counted as kept although they could not be tried here, since the control was refused as well.
    pub untried: Vec<String>,
}

/// `LANDLOCK_ACCESS_FS_RESOLVE_UNIX`, which is a fence of its own.
const RESOLVE_UNIX: u64 = AccessFs::ResolveUnix as u64;
/// Every other file right.
const FILES: u64 = RESOLVE_UNIX - 1;

impl Landlock {
    /// Whether every file right is kept, but that of pathname sockets.
    pub const fn keeps_files(&self) -> bool {
        self.fs & FILES == FILES
    }

    /// Whether pathname sockets are kept.
    pub const fn keeps_unix(&self) -> bool {
        self.fs & RESOLVE_UNIX != 0
    }

    /// Whether both TCP rights are kept.
    pub const fn keeps_tcp(&self) -> bool {
        self.net == 0b11
    }

    /// Whether both scopes are kept.
    pub const fn keeps_scopes(&self) -> bool {
        self.scoped == 0b11
    }

    /// False for a remembered value that no probe of ours writes.
    pub(super) fn is_plausible(&self) -> bool {
        let known = TRIALS.iter().fold((0, 0, 0), |(fs, net, scoped), t| match t.right {
            Right::Fs(a) => (fs | a as u64, net, scoped),
            Right::Net(a) => (fs, net | a as u64, scoped),
            Right::Scope(a) => (fs, net, scoped | a as u64),
        });
        self.fs & !known.0 == 0 && self.net & !known.1 == 0 && self.scoped & !known.2 == 0
    }
}

/// One Landlock right or scope.
#[derive(Clone, Copy)]
enum Right {
    Fs(AccessFs),
    Net(AccessNet),
    Scope(Scope),
}

/// One right, its name in the kernel's documentation, and the operation that it must refuse.
struct Trial {
    right: Right,
    name: &'static str,
    refusal: Errno,
    operation: fn(&Bench) -> io::Result<()>,
}

const fn fs(access: AccessFs, name: &'static str, operation: fn(&Bench) -> io::Result<()>) -> Trial {
    Trial { right: Right::Fs(access), name, refusal: Errno::ACCESS, operation }
}

/// Every right that zerocap may use.
const TRIALS: &[Trial] = &[
    fs(AccessFs::Execute, "execute", execute),
    fs(AccessFs::WriteFile, "write_file", |b| open(&b.file, false, true).map(drop)),
    fs(AccessFs::ReadFile, "read_file", |b| open(&b.file, true, false).map(drop)),
    fs(AccessFs::ReadDir, "read_dir", |b| fs::read_dir(&b.sub).map(drop)),
    fs(AccessFs::RemoveDir, "remove_dir", |b| fs::remove_dir(&b.sub)),
    fs(AccessFs::RemoveFile, "remove_file", |b| fs::remove_file(&b.file)),
    fs(AccessFs::MakeChar, "make_char", |b| make(b, FileType::CharacterDevice)),
    fs(AccessFs::MakeDir, "make_dir", |b| fs::create_dir(&b.new)),
    fs(AccessFs::MakeReg, "make_reg", |b| make(b, FileType::RegularFile)),
    fs(AccessFs::MakeSock, "make_sock", |b| UnixListener::bind(&b.new).map(drop)),
    fs(AccessFs::MakeFifo, "make_fifo", |b| make(b, FileType::Fifo)),
    fs(AccessFs::MakeBlock, "make_block", |b| make(b, FileType::BlockDevice)),
    fs(AccessFs::MakeSym, "make_sym", |b| std::os::unix::fs::symlink("x", &b.new)),
    fs(AccessFs::Truncate, "truncate", |b| open(&b.file, false, true)?.set_len(0)),
    fs(AccessFs::IoctlDev, "ioctl_dev", device_ioctl),
    fs(AccessFs::ResolveUnix, "resolve_unix", |b| UnixStream::connect(&b.socket).map(drop)),
    // Without it every link across directories is refused; the right is what permits them. See `tries_refer`.
    Trial {
        right: Right::Fs(AccessFs::Refer),
        name: "refer",
        refusal: Errno::XDEV,
        operation: |b| fs::hard_link(&b.file, b.sub.join("link")),
    },
    Trial {
        right: Right::Net(AccessNet::BindTcp),
        name: "bind_tcp",
        refusal: Errno::ACCESS,
        operation: |_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map(drop),
    },
    Trial {
        right: Right::Net(AccessNet::ConnectTcp),
        name: "connect_tcp",
        refusal: Errno::ACCESS,
        operation: |b| TcpStream::connect((Ipv4Addr::LOCALHOST, b.port)).map(drop),
    },
    Trial {
        right: Right::Scope(Scope::AbstractUnixSocket),
        name: "abstract_unix_socket",
        refusal: Errno::PERM,
        operation: |b| UnixStream::connect_addr(&b.abstract_socket).map(drop),
    },
    Trial { right: Right::Scope(Scope::Signal), name: "signal", refusal: Errno::PERM, operation: signal_parent },
];

/// What came of one trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Refused, and the control was not.
    Kept,
    /// The control was refused as well.
    Untried,
    /// The kernel takes the right and lets the operation pass.
    Broken,
    /// The kernel does not know the right.
    Unknown,
}

/// Tries every right.
pub(super) fn try_out() -> Result<Landlock, NodeError> {
    let place = Place::find()?;
    let mut found = Landlock { abi: abi(), ..Landlock::default() };
    if found.abi == 0 {
        return Ok(found);
    }
    for trial in TRIALS {
        let outcome = tries(trial, &place)?;
        match outcome {
            Outcome::Kept => {}
            Outcome::Untried => found.untried.push(trial.name.to_owned()),
            Outcome::Broken => found.broken.push(trial.name.to_owned()),
            Outcome::Unknown => {}
        }
        if matches!(outcome, Outcome::Kept | Outcome::Untried) {
            match trial.right {
                Right::Fs(access) => found.fs |= access as u64,
                Right::Net(access) => found.net |= access as u64,
                Right::Scope(scope) => found.scoped |= scope as u64,
            }
        }
    }
    Ok(found)
}

/// The control, then the same in a domain that handles this right only; fresh files for both.
fn tries(trial: &Trial, place: &Place) -> Result<Outcome, NodeError> {
    let control = (trial.operation)(&place.bench(trial.name, "control")?);
    let bench = place.bench(trial.name, "confined")?;
    let confined = in_domain(trial.right, None, || (trial.operation)(&bench));
    let Some(confined) = confined else {
        return Ok(Outcome::Unknown);
    };
    if !is(&confined, trial.refusal) {
        return Ok(Outcome::Broken);
    }
    if is(&control, trial.refusal) {
        return Ok(Outcome::Untried);
    }
    if matches!(trial.right, Right::Fs(AccessFs::Refer)) {
        let granted = place.bench(trial.name, "granted")?;
        let permitted = in_domain(trial.right, Some(&granted.dir), || (trial.operation)(&granted));
        if !matches!(permitted, Some(Ok(()))) {
            return Ok(Outcome::Broken);
        }
    }
    Ok(Outcome::Kept)
}

fn is(result: &io::Result<()>, errno: Errno) -> bool {
    matches!(result, Err(e) if e.raw_os_error() == Some(errno.raw_os_error()))
}

/// Runs the operation in a throw-away thread under a domain that handles `right`, granted below `grant` only.
/// `None` where the kernel does not take the right.
fn in_domain<T: Send>(right: Right, grant: Option<&Path>, operation: impl FnOnce() -> T + Send) -> Option<T> {
    thread::scope(|scope| {
        scope
            .spawn(|| {
                restrict(right, grant).ok()?;
                Some(operation())
            })
            .join()
            .ok()
            .flatten()
    })
}

fn restrict(right: Right, grant: Option<&Path>) -> Result<LandlockStatus, RulesetError> {
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let mut created: RulesetCreated = match right {
        Right::Fs(access) => ruleset.handle_access(access)?,
        Right::Net(access) => ruleset.handle_access(access)?,
        Right::Scope(scope) => ruleset.scope(scope)?,
    }
    .create()?;
    if let (Right::Fs(access), Some(dir)) = (right, grant)
        && let Ok(fd) = PathFd::new(dir)
    {
        created = created.add_rule(PathBeneath::new(fd, access))?;
    }
    // Our own refusals are expected: keep them out of the audit log where the kernel can.
    let status = created.set_compatibility(CompatLevel::BestEffort).log_same_exec(false)?.restrict_self()?;
    Ok(status.landlock)
}

/// The ABI that the kernel claims: for people to read, nothing is decided by it.
fn abi() -> u32 {
    let status = thread::spawn(|| restrict(Right::Fs(AccessFs::Execute), None).ok()).join().ok().flatten();
    match status {
        Some(LandlockStatus::Available { effective_abi, kernel_abi }) => {
            kernel_abi.and_then(|abi| u32::try_from(abi).ok()).unwrap_or(effective_abi as u32)
        }
        _ => 0,
    }
}

/// The step that fails where there is no place for trials.
const PREPARE: &str = "prepare the trials in";

/// Where the trials put their files; gone when dropped.
struct Place {
    dir: TempDir,
}

impl Place {
    /// A file system that permits execution, for the right to execute to be triable; else any that can be written.
    fn find() -> Result<Self, NodeError> {
        let candidates = [
            // In memory on most nodes, so quick.
            PathBuf::from("/dev/shm"),
            std::env::temp_dir(),
            PathBuf::from("/run"),
            PathBuf::from("/var/tmp"),
        ];
        let permits_execution =
            |dir: &PathBuf| rustix::fs::statvfs(dir).is_ok_and(|s| !s.f_flag.contains(StatVfsMountFlags::NOEXEC));
        let (mut order, rest): (Vec<_>, Vec<_>) = candidates.into_iter().partition(permits_execution);
        order.extend(rest);
        let mut failure = NodeError::io(PREPARE, Path::new("/tmp"), io::ErrorKind::NotFound.into());
        for parent in order {
            match TempDir::with_prefix_in("zerocap-probe-", &parent) {
                Ok(dir) => return Ok(Self { dir }),
                Err(e) => failure = NodeError::io(PREPARE, &parent, e),
            }
        }
        Err(failure)
    }

    fn bench(&self, name: &str, run: &str) -> Result<Bench, NodeError> {
        let dir = self.dir.path().join(format!("{name}-{run}"));
        Bench::set_up(dir.clone()).map_err(|e| NodeError::io(PREPARE, &dir, e))
    }
}

/// What an operation may act on, made before and outside of its domain.
struct Bench {
    dir: PathBuf,
    /// An empty file that may be executed.
    file: PathBuf,
    /// An empty directory.
    sub: PathBuf,
    /// A name that is free.
    new: PathBuf,
    /// A listening socket.
    socket: PathBuf,
    abstract_socket: SocketAddr,
    /// A TCP port on 127.0.0.1 with a listener.
    port: u16,
    /// Keeps the sockets open.
    _listeners: (UnixListener, UnixListener, Option<TcpListener>),
}

impl Bench {
    fn set_up(dir: PathBuf) -> io::Result<Self> {
        let (file, sub, socket) = (dir.join("file"), dir.join("sub"), dir.join("socket"));
        fs::create_dir(&dir)?;
        fs::create_dir(&sub)?;
        OpenOptions::new().write(true).create_new(true).mode(0o700).open(&file)?;
        let name = dir.as_os_str().as_encoded_bytes();
        let abstract_socket = SocketAddr::from_abstract_name(name)?;
        // No loopback, no listener: connect then fails in another way than Landlock's, which is all that counts.
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok();
        let port = tcp.as_ref().and_then(|l| l.local_addr().ok()).map_or(1, |a| a.port());
        Ok(Self {
            _listeners: (UnixListener::bind(&socket)?, UnixListener::bind_addr(&abstract_socket)?, tcp),
            new: dir.join("new"),
            dir,
            file,
            sub,
            socket,
            abstract_socket,
            port,
        })
    }
}

fn open(path: &Path, read: bool, write: bool) -> io::Result<File> {
    OpenOptions::new().read(read).write(write).open(path)
}

/// Starts an empty file: "exec format error" where it may be executed. The child inherits the thread's domain.
fn execute(bench: &Bench) -> io::Result<()> {
    Command::new(&bench.file).env_clear().spawn().map(drop)
}

/// The device number of /dev/null: 0:0, which anybody may make, is exempt from the right on kernels before 6.18.
fn make(bench: &Bench, kind: FileType) -> io::Result<()> {
    Ok(rustix::fs::mknodat(CWD, &bench.new, kind, Mode::RUSR, rustix::fs::makedev(1, 3))?)
}

/// A terminal's request to something that is no terminal: ENOTTY where ioctl is permitted.
fn device_ioctl(_: &Bench) -> io::Result<()> {
    let device = File::open("/dev/null")?;
    Ok(rustix::termios::tcgetwinsize(device).map(drop)?)
}

/// Signal 0 asks for permission only.
fn signal_parent(_: &Bench) -> io::Result<()> {
    let parent = rustix::process::getppid().ok_or(Errno::PERM)?;
    Ok(rustix::process::test_kill_process(parent)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The trials are only worth something if an operation passes once its right is not handled.
    #[test]
    fn every_control_passes_without_its_refusal() {
        let place = Place::find().unwrap();
        for trial in TRIALS {
            let bench = place.bench(trial.name, "test").unwrap();
            let control = (trial.operation)(&bench);
            assert!(!is(&control, trial.refusal), "{}: {control:?}", trial.name);
        }
    }

    /// A refusal in a domain that handles *another* right would make a trial worthless.
    #[test]
    fn a_trial_is_refused_by_its_own_right_only() {
        let place = Place::find().unwrap();
        for trial in TRIALS {
            // Any domain refuses links across directories: that one is tried by its grant.
            if trial.name == "refer" {
                continue;
            }
            let other = match trial.right {
                Right::Fs(AccessFs::MakeFifo) => Right::Fs(AccessFs::MakeSym),
                _ => Right::Fs(AccessFs::MakeFifo),
            };
            let bench = place.bench(trial.name, "other").unwrap();
            if let Some(result) = in_domain(other, None, || (trial.operation)(&bench)) {
                assert!(!is(&result, trial.refusal), "{}: {result:?}", trial.name);
            }
        }
    }

    #[test]
    fn masks_that_no_probe_writes_are_not_plausible() {
        let honest = try_out().unwrap();
        assert!(honest.is_plausible());
        for bit in [1 << 40, 1 << 63] {
            let mut forged = honest.clone();
            forged.fs |= bit;
            assert!(!forged.is_plausible());
        }
    }

    #[test]
    fn nothing_is_left_behind() {
        let place = Place::find().unwrap();
        let dir = place.dir.path().to_owned();
        place.bench("x", "y").unwrap();
        drop(place);
        assert!(!dir.exists());
    }
}
