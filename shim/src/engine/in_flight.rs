//! Engine calls that outlive the shim that made them: killed in the middle, it leaves them to finish by themselves.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::errors::LOG_FILE;

/// How long a call may take to finish by itself.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);
/// How long a killed one may take to be gone.
const GONE: Duration = Duration::from_millis(300);

/// Waits until no engine works on `bundle` any more; kills those that take too long.
pub async fn end(bundle: &Path) {
    let ended = async |limit: Duration| {
        let all_ended = async {
            while !all(bundle).is_empty() {
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(limit, all_ended).await.is_ok()
    };
    if ended(PATIENCE).await {
        return;
    }
    for pid in all(bundle) {
        // Looked at again through a handle: the number could be another process's by now.
        let Some(handle) = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
            continue;
        };
        if is_engine(pid, bundle) {
            let _ = pidfd_send_signal(&handle, Signal::KILL);
        }
    }
    ended(GONE).await;
}

fn all(bundle: &Path) -> Vec<i32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| is_engine(*pid, bundle)).collect()
}

/// Every engine call names the bundle's log among its arguments, and nobody else does.
fn is_engine(pid: i32, bundle: &Path) -> bool {
    let log = bundle.join(LOG_FILE);
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0)
        .collect::<Vec<_>>()
        .windows(2)
        .any(|pair| pair[0] == b"--log" && pair[1] == log.as_os_str().as_encoded_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[tokio::test(flavor = "current_thread")]
    async fn an_engine_that_hangs_is_killed_and_others_are_not() {
        let _turn = crate::reaper::CHILDREN.lock().await;
        let bundle = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let engine = |bundle: &Path| {
            // It waits for a line, and leaves no process when it is killed.
            let mut shell = Command::new("sh");
            shell.args(["-c", "read line", "engine", "--log"]).arg(bundle.join(LOG_FILE));
            shell.stdin(std::process::Stdio::piped()).spawn().unwrap()
        };
        let (mut hangs, mut unrelated) = (engine(bundle.path()), engine(other.path()));
        // Until the shell is the shell.
        while !is_engine(i32::try_from(hangs.id()).unwrap(), bundle.path()) {
            tokio::time::sleep(PAUSE).await;
        }
        end(bundle.path()).await;
        assert!(!hangs.wait().unwrap().success());
        assert!(unrelated.try_wait().unwrap().is_none());
        unrelated.kill().unwrap();
        unrelated.wait().unwrap();
        end(bundle.path()).await;
    }
}
