//! Errors, as runc tells them: one JSON object per line in the log file, and a line on stderr.

use std::fs::OpenOptions;
use std::io::Write;

use liboci_cli::GlobalOpts;
use serde_json::json;

use crate::diagnosis::Cause;

/// Tells the error to the shim (log file) and to a person (stderr).
pub fn error(global: &GlobalOpts, error: &anyhow::Error) {
    let message = one_message(error);
    if let Some(path) = &global.log {
        let line = match global.log_format.as_deref() {
            Some("json") => json!({
                "level": "error",
                "msg": message,
                "time": chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            })
            .to_string(),
            _ => format!("level=error msg={message:?}"),
        };
        let file = OpenOptions::new().append(true).create(true).open(path);
        // The message is on stderr as well; there is nobody else to tell that the log cannot be written.
        if let Ok(mut file) = file {
            drop(writeln!(file, "{line}"));
        }
    }
    eprintln!("{message}");
}

/// The chain of causes in one line. libcontainer's errors often repeat their cause in their own text.
fn one_message(error: &anyhow::Error) -> String {
    let mut message = String::new();
    // The innermost cause was found from outside the chain: as its context, which would come first.
    let found = error.downcast_ref::<Cause>().map(|cause| cause.0.clone());
    let chain = error.chain().skip(usize::from(found.is_some())).map(ToString::to_string);
    for text in chain.chain(found) {
        if message.contains(&text) {
            continue;
        }
        if !message.is_empty() {
            message.push_str(": ");
        }
        message.push_str(&text);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let error = anyhow::anyhow!("no such file").context("open: no such file").context("create");
        assert_eq!(one_message(&error), "create: open: no such file");
    }

    #[test]
    fn the_cause_found_outside_the_chain_comes_last() {
        let error =
            anyhow::anyhow!("failed to prepare rootfs").context("create").context(Cause("mount: EACCES".into()));
        assert_eq!(one_message(&error), "create: failed to prepare rootfs: mount: EACCES");
    }

    #[test]
    fn the_log_is_appended_in_runcs_shape() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.json");
        let global = GlobalOpts {
            log: Some(path.clone()),
            debug: false,
            log_format: Some("json".into()),
            root: None,
            systemd_cgroup: false,
        };
        for text in ["first", "second \"quoted\"\nline"] {
            error(&global, &anyhow::anyhow!(text.to_owned()));
        }
        let lines: Vec<serde_json::Value> =
            std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["msg"], "first");
        assert_eq!(lines[0]["level"], "error");
        assert_eq!(lines[1]["msg"], "second \"quoted\"\nline");
        assert!(lines[1]["time"].as_str().unwrap().ends_with('Z'));
    }
}
