//! What the tests of programs on this machine share.
#![allow(dead_code, reason = "each test program uses a part")]

#[path = "../../../launcher/tests/common/lasting.rs"]
mod lasting;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// The program under test, where its builder put it.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_zerocap");

/// Who runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Whoever runs the tests.
    Me,
    /// uid 65534, which takes root.
    Nobody,
}

pub fn root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says that a test needs root, where it is missing.
pub fn needs_root() -> Option<()> {
    if !root() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: becoming another user needs root");
    }
    root().then_some(())
}

/// As me, and as a user without any privilege.
pub fn each(test: impl Fn(Who)) {
    test(Who::Me);
    if needs_root().is_some() {
        test(Who::Nobody);
    }
}

/// Where everybody can execute it.
pub fn program() -> &'static Path {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    COPY.get_or_init(|| {
        let copy = lasting::folder().join("zerocap");
        fs::copy(PROGRAM, &copy).unwrap();
        copy
    })
}

/// `zerocap`, run by somebody.
pub fn zerocap(who: Who) -> Command {
    plain(who, &[program().to_str().unwrap()])
}

/// A command, run by somebody.
pub fn plain(who: Who, words: &[&str]) -> Command {
    let mut command = match who {
        Who::Me => Command::new(words[0]),
        Who::Nobody => {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]).arg(words[0]);
            command
        }
    };
    // A folder that everybody may enter.
    command.args(&words[1..]).current_dir("/").stdin(Stdio::null());
    command
}

/// A command, run by a user who has one capability, CAP_NET_BIND_SERVICE, and leaves it to every child.
pub fn with_capability(words: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.args(["--inh-caps=-all,+net_bind_service", "--ambient-caps=-all,+net_bind_service"]);
    command.args(words).current_dir("/").stdin(Stdio::null());
    command
}

/// `zerocap run` of a script.
pub fn script(who: Who, options: &[&str], script: &str) -> Command {
    let mut command = zerocap(who);
    command.arg("run").args(options).args(["--", "sh", "-c", script]);
    command
}

/// A listener on loopback, and its port.
pub fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Runs a command on a terminal of its own, types `keys` as soon as it has said `when`, and returns what it said.
pub fn in_terminal(words: &[&str], when: &str, keys: &[u8]) -> String {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let open = || fs::OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    // A session of its own, led by the command, with this terminal. Who starts the tests in the background lets them ignore
    // interrupts, and a shell cannot trap what it was told to ignore.
    let mut command = Command::new("env");
    command
        .args(["--default-signal=INT,QUIT", "setsid", "--ctty", "--wait"])
        .args(words)
        .stdin(open())
        .stdout(open())
        .stderr(open());
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut terminal = fs::File::from(terminal);
    let (mut said, mut typed) = (String::new(), false);
    let mut room = [0; 4096];
    // Where nobody has the terminal any more, reading fails.
    while let Ok(count @ 1..) = terminal.read(&mut room) {
        said.push_str(&String::from_utf8_lossy(&room[..count]));
        if !typed && said.contains(when) {
            terminal.write_all(keys).unwrap();
            typed = true;
        }
    }
    child.wait().unwrap();
    said
}
