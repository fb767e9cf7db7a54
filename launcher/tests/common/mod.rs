//! Runs the launcher without an engine: a child with no_new_privs gets plan and pipes as an engine would hand them over.
#![allow(dead_code, reason = "each test program uses a part")]
#![allow(unsafe_code, reason = "no_new_privs is set between fork and exec")]

mod lasting;

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use command_fds::{CommandFdExt, FdMapping};
use rustix::pipe::{PipeFlags, pipe_with};
use zerocap_plan::record::{Failure, RECORD_LEN, Ready, Record};
use zerocap_plan::{GO, GO_FD, LaunchPlan, PLAN_FD, RECORD_FD, Role};

/// A plan that confines nothing.
pub fn bare() -> LaunchPlan {
    LaunchPlan {
        role: Role::Init,
        landlock: None,
        forbidden_connect: None,
        native_abi_only: false,
        filters: Vec::new(),
    }
}

/// The launcher's file, as the shim makes it.
pub fn launcher() -> PathBuf {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    let file = FILE.get_or_init(|| {
        let path = lasting::folder().join("launcher");
        fs::write(&path, zerocap_launcher::BYTES).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(zerocap_launcher::MODE)).unwrap();
        path
    });
    file.clone()
}

type Change = Box<dyn FnOnce(&mut Command)>;

/// A start to be made.
pub struct Start {
    plan: Vec<u8>,
    program: PathBuf,
    arguments: Vec<OsString>,
    privileged: bool,
    go: bool,
    extra: Vec<(OwnedFd, i32)>,
    command: Change,
}

impl Start {
    /// `arguments` is the workload's argv.
    pub fn new<S: AsRef<OsStr>>(plan: &LaunchPlan, arguments: impl IntoIterator<Item = S>) -> Self {
        Self::raw(plan.encode().unwrap(), arguments)
    }

    pub fn raw<S: AsRef<OsStr>>(plan: Vec<u8>, arguments: impl IntoIterator<Item = S>) -> Self {
        let arguments = arguments.into_iter().map(|argument| argument.as_ref().to_owned()).collect();
        Self {
            plan,
            program: launcher(),
            arguments,
            privileged: false,
            go: false,
            extra: Vec::new(),
            command: Box::new(|_| {}),
        }
    }

    /// Names the launcher in another way.
    pub fn by_path(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = program.into();
        self
    }

    /// Leaves no_new_privs unset.
    pub fn privileged(mut self) -> Self {
        self.privileged = true;
        self
    }

    /// Says GO before anybody asks.
    pub fn go_at_once(mut self) -> Self {
        self.go = true;
        self
    }

    /// Puts `file` at descriptor `number` of the launcher.
    pub fn with_fd(mut self, file: impl Into<OwnedFd>, number: i32) -> Self {
        self.extra.push((file.into(), number));
        self
    }

    /// Adds to the command: environment, stdio, working directory.
    pub fn with(mut self, change: impl FnOnce(&mut Command) + 'static) -> Self {
        self.command = Box::new(change);
        self
    }

    pub fn spawn(self) -> Running {
        self.try_spawn().unwrap()
    }

    pub fn try_spawn(self) -> std::io::Result<Running> {
        let mut plan: File = rustix::fs::memfd_create("plan", rustix::fs::MemfdFlags::CLOEXEC).unwrap().into();
        plan.write_all(&self.plan).unwrap();
        // The launcher reads from the front wherever the offset stands.
        plan.seek(std::io::SeekFrom::End(0)).unwrap();
        let (records, record) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let (go, say_go) = pipe_with(PipeFlags::CLOEXEC).unwrap();

        let mut command = Command::new(self.program);
        if !self.privileged {
            // SAFETY: one system call without memory.
            unsafe { command.pre_exec(|| Ok(rustix::thread::set_no_new_privs(true)?)) };
        }
        command.args(self.arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        (self.command)(&mut command);
        let mut mappings: Vec<FdMapping> =
            self.extra.into_iter().map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd }).collect();
        mappings.push(FdMapping { parent_fd: plan.into(), child_fd: PLAN_FD });
        mappings.push(FdMapping { parent_fd: record, child_fd: RECORD_FD });
        mappings.push(FdMapping { parent_fd: go, child_fd: GO_FD });
        command.fd_mappings(mappings).unwrap();
        if self.go {
            rustix::io::write(&say_go, &[GO])?;
        }
        let child = command.spawn()?;
        Ok(Running { child, records: records.into(), say_go: Some(say_go.into()) })
    }

    /// Runs to the end, with GO if it comes to that.
    pub fn run(self) -> (Vec<Record>, Output) {
        let mut running = self.spawn();
        let mut records = Vec::new();
        while let Some(record) = running.record() {
            records.push(record);
            if let Record::Ready(_) = record {
                running.go();
            }
        }
        (records, running.end())
    }

    /// Runs a workload that is expected to start.
    pub fn works(self) -> (Ready, Output) {
        let (records, output) = self.run();
        match records[..] {
            [Record::Ready(ready)] => (ready, output),
            _ => panic!("{records:?} {output:?}"),
        }
    }

    /// Runs a start that is expected to fail at the launcher; nothing of the workload may have run.
    pub fn fails(self) -> Failure {
        let (records, output) = self.run();
        assert_eq!((output.stdout.len(), output.status.code()), (0, Some(125)), "{output:?}");
        match records.last() {
            Some(Record::Error(failure)) => *failure,
            _ => panic!("{records:?} {output:?}"),
        }
    }
}

/// A launcher that was started.
pub struct Running {
    pub child: Child,
    records: File,
    say_go: Option<File>,
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next record, `None` at the end.
    pub fn record(&mut self) -> Option<Record> {
        let mut bytes = [0; RECORD_LEN];
        match self.records.read(&mut bytes).unwrap() {
            0 => None,
            RECORD_LEN => Some(Record::decode(&bytes).expect("a record")),
            length => panic!("{length} bytes"),
        }
    }

    pub fn ready(&mut self) -> Ready {
        match self.record() {
            Some(Record::Ready(ready)) => ready,
            other => panic!("{other:?}"),
        }
    }

    pub fn go(&mut self) {
        self.say(GO);
    }

    pub fn say(&mut self, byte: u8) {
        self.say_go.as_mut().unwrap().write_all(&[byte]).unwrap();
    }

    /// Goes away, as a shim that dies.
    pub fn leave(&mut self) {
        self.say_go = None;
    }

    pub fn end(self) -> Output {
        self.child.wait_with_output().unwrap()
    }

    pub fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.pid())).unwrap()
    }
}

/// Output as text.
pub fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap().trim_end()
}

/// Says where it is counted that a test cannot run here. Not by a macro, whose output is kept back.
pub fn skip(reason: &str) {
    std::io::stderr().write_all(format!("SKIPPED: {reason}\n").as_bytes()).unwrap();
}

/// The kernel's Landlock ABI; says why a test is skipped if it is older than `needed`.
pub fn landlock(needed: i64) -> bool {
    const CREATE_RULESET_VERSION: u32 = 1;
    let none = std::ptr::null::<u8>();
    // SAFETY: with this flag the call only returns a number.
    let abi = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0_usize, CREATE_RULESET_VERSION) };
    if abi < needed {
        skip(&format!("Landlock ABI is {abi}, {needed} is needed"));
    }
    abi >= needed
}

/// Runs a launcher under the filters of another one: the outer plays an engine that loads the container's own profile.
pub fn nested(outer: &LaunchPlan, inner: &LaunchPlan, workload: &str) -> (Vec<Record>, Output) {
    // The outer launcher closes what is not its own, so a shell between the two moves the inner hand-over into place: from
    // named pipes and a file, since nothing else survives.
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    fs::write(place("plan"), inner.encode().unwrap()).unwrap();
    for name in ["record", "go"] {
        rustix::fs::mknodat(rustix::fs::CWD, place(name), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    }
    let script =
        format!("cd {}; exec 3<plan 4>record 5<go; exec {} {workload}", folder.path().display(), launcher().display());
    let open = |name: &str| fs::OpenOptions::new().read(true).write(true).open(place(name)).unwrap();
    let (mut records, mut go) = (open("record"), open("go"));
    go.write_all(&[GO]).unwrap();
    let (_, output) = Start::new(outer, ["sh", "-c", &script]).works();
    let mut found = Vec::new();
    rustix::io::ioctl_fionbio(&records, true).unwrap();
    let mut bytes = [0; RECORD_LEN];
    while let Ok(RECORD_LEN) = records.read(&mut bytes) {
        found.push(Record::decode(&bytes).expect("a record"));
    }
    (found, output)
}
