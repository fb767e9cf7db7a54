//! The same client, the same engine, two shims: whatever containerd's shim answers, ours answers too.
//!
//! Each scenario speaks the task API directly, under containerd-shim-runc-v2 and under ours, and once more with the
//! platform annotation where a confined container must look the same. All answers, codes, messages, events and what is
//! left behind must be equal, but for the differences that `allowed.toml` lists with their reasons.
//!
//! `cargo test -p zerocap-e2e --test differential -- FILTER`. The program starts a private node and runs itself inside.

mod allowed;
mod compare;
mod faults;
mod page;
mod restore;
mod scenarios;
mod soak;

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs, io};

use libtest_mimic::Arguments;
use zerocap_e2e::{Node, node};

/// Set inside the node.
const INSIDE: &str = "ZEROCAP_DIFFERENTIAL";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if env::var_os(INSIDE).is_some() || arguments.list {
        return compare::run(&arguments);
    }
    if let Some(reason) = node::obstacle() {
        println!("SKIPPED: {reason}");
        println!("test result: ok. 1 passed; 0 failed; 0 ignored");
        return ExitCode::SUCCESS;
    }
    match in_a_node() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("the node: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs this program again, inside a node of its own.
fn in_a_node() -> io::Result<ExitCode> {
    let mut node = Node::start()?;
    let busybox = node.path("/").join("var/lib/containerd");
    fs::create_dir_all(busybox.join("differential"))?;
    let mut command = Command::new(zerocap_e2e::node::repository().join("hack/node"));
    let status = command
        .args(["exec", "--dir"])
        .arg(node.dir())
        .arg("env")
        .arg(format!("{INSIDE}=1"))
        .arg(env::current_exe()?)
        .args(env::args_os().skip(1))
        .stdin(Stdio::null())
        .status()?;
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    node.down()?;
    Ok(if code == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
