//! bubblewrap's command line, as far as it has to be understood: where the command begins, and what is mounted.

use std::ffi::{OsStr, OsString};

use zerocap_annotations::{ZcError, code};

use crate::failure::Failure;
use crate::table::clean;

/// Options and how many words follow each; those that it does not have take one or none, see [`values`].
const VALUES: &[(usize, &[&str])] = &[
    (
        0,
        &[
            "--help",
            "--version",
            "--unshare-all",
            "--share-net",
            "--unshare-user",
            "--unshare-user-try",
            "--unshare-ipc",
            "--unshare-pid",
            "--unshare-net",
            "--unshare-uts",
            "--unshare-cgroup",
            "--unshare-cgroup-try",
            "--disable-userns",
            "--assert-userns-disabled",
            "--clearenv",
            "--new-session",
            "--die-with-parent",
            "--as-pid-1",
            "--level-prefix",
        ],
    ),
    (
        1,
        &[
            "--args",
            "--argv0",
            "--userns",
            "--userns2",
            "--pidns",
            "--uid",
            "--gid",
            "--hostname",
            "--chdir",
            "--unsetenv",
            "--lock-file",
            "--sync-fd",
            "--remount-ro",
            "--exec-label",
            "--file-label",
            "--proc",
            "--dev",
            "--tmpfs",
            "--mqueue",
            "--dir",
            "--seccomp",
            "--add-seccomp-fd",
            "--block-fd",
            "--userns-block-fd",
            "--info-fd",
            "--json-status-fd",
            "--cap-add",
            "--cap-drop",
            "--perms",
            "--size",
            "--overlay-src",
            "--tmp-overlay",
            "--ro-overlay",
        ],
    ),
    (
        2,
        &[
            "--setenv",
            "--bind",
            "--bind-try",
            "--dev-bind",
            "--dev-bind-try",
            "--ro-bind",
            "--ro-bind-try",
            "--bind-fd",
            "--ro-bind-fd",
            "--file",
            "--bind-data",
            "--ro-bind-data",
            "--symlink",
            "--chmod",
        ],
    ),
    (3, &["--overlay"]),
];

fn values(option: &str) -> Option<usize> {
    VALUES.iter().find(|(_, names)| names.contains(&option)).map(|(count, _)| *count)
}

/// The two halves of a command line.
#[derive(Debug)]
pub struct Line<'a> {
    /// What bwrap is to do.
    pub options: &'a [OsString],
    /// What it is to execute.
    pub command: &'a [OsString],
    /// Every option with its values.
    parsed: Vec<(&'a str, &'a [OsString])>,
}

impl<'a> Line<'a> {
    /// Finds the command.
    pub fn read(words: &'a [OsString]) -> Result<Self, Failure> {
        let mut parsed = Vec::new();
        let mut at = 0;
        let command = loop {
            let Some(word) = words.get(at) else { break at };
            match word.to_str() {
                Some("--") => break at + 1,
                Some(option) if option.starts_with("--") => {
                    let count = values(option).ok_or_else(|| unknown(option))?;
                    let end = at + 1 + count;
                    let values = words.get(at + 1..end).ok_or_else(|| {
                        bad(format!("{option} of bwrap takes {count} words"), "complete the command line")
                    })?;
                    parsed.push((option, values));
                    at = end;
                }
                _ => break at,
            }
        };
        let options = words.get(..at).unwrap_or_default();
        let line = Self { options, command: words.get(command..).unwrap_or_default(), parsed };
        if line.has("--seccomp") {
            return Err(bad("bwrap takes one --seccomp".to_owned(), "give filters of your own by --add-seccomp-fd"));
        }
        Ok(line)
    }

    fn has(&self, option: &str) -> bool {
        self.parsed.iter().any(|(name, _)| *name == option)
    }

    /// How the filter is given: bwrap refuses both ways together.
    pub fn how(&self) -> &'static str {
        if self.has("--add-seccomp-fd") { "--add-seccomp-fd" } else { "--seccomp" }
    }

    /// The program that is to run.
    pub fn program(&self) -> Result<&'a OsStr, Failure> {
        let first = self.command.first().map(OsString::as_os_str);
        first.ok_or_else(|| bad("no command is given".to_owned(), "write it behind bwrap's options"))
    }

    /// Where in the sandbox a file can be made.
    pub fn place(&self, wanted: Option<&str>) -> Result<String, Failure> {
        if let Some(wanted) = wanted {
            return match wanted.starts_with('/') {
                true => Ok(wanted.to_owned()),
                false => Err(bad(format!("{} is no absolute path", clean(wanted)), "write --launcher-at /PATH")),
            };
        }
        let root = self.parsed.iter().any(|(name, values)| {
            let mounts = name.contains("bind") || name.contains("overlay");
            mounts && *name != "--overlay-src" && values.last().is_some_and(|destination| destination == "/")
        });
        if !root {
            return Ok("/.zerocap/launcher".to_owned());
        }
        // What is mounted later covers what was made before, so the last one.
        let own = self.parsed.iter().rev().find(|(name, _)| matches!(*name, "--tmpfs" | "--dev"));
        let own = own.and_then(|(_, values)| values.first()?.to_str()).filter(|path| path.starts_with('/'));
        own.map(|folder| format!("{}/.zerocap-launcher", folder.trim_end_matches('/'))).ok_or_else(|| {
            let message = "the sandbox's root is a bind mount, in which no file for the launcher can be made";
            bad(message.to_owned(), "add --tmpfs /tmp or --dev /dev, or write --launcher-at PATH")
        })
    }
}

fn unknown(option: &str) -> Failure {
    let message = format!("{} is no option of bwrap that is known here, so the command cannot be found", clean(option));
    bad(message, "correct it; if your bwrap is newer, compile the profile and give it by --seccomp yourself")
}

fn bad(message: String, hint: &str) -> Failure {
    Failure::bad_input(ZcError::new(code::filter::BWRAP, message, hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn the_command_is_found() {
        for line in ["--ro-bind / / --unshare-all ls -l", "--ro-bind / / --unshare-all -- ls -l", "ls -l", "-- ls -l"] {
            let words = words(line);
            let read = Line::read(&words).unwrap();
            assert_eq!(read.command, ["ls", "-l"], "{line}");
            assert!(read.options.iter().all(|word| word != "--"), "{line}");
        }
        for line in ["--ro-bind /", "--bnid / / ls", "--seccomp 3 ls", "--overlay / /"] {
            assert!(Line::read(&words(line)).is_err(), "{line}");
        }
        assert!(Line::read(&words("--ro-bind / /")).unwrap().program().is_err());
    }

    #[test]
    fn one_way_of_giving_filters() {
        assert_eq!(Line::read(&words("ls")).unwrap().how(), "--seccomp");
        assert_eq!(Line::read(&words("--add-seccomp-fd 9 ls")).unwrap().how(), "--add-seccomp-fd");
    }

    #[test]
    fn a_place_for_the_launcher() {
        let place = |line: &str| Line::read(&words(line)).unwrap().place(None).ok();
        assert_eq!(place("--ro-bind /usr /usr ls").as_deref(), Some("/.zerocap/launcher"));
        assert_eq!(place("--ro-bind / / --tmpfs /tmp/ ls").as_deref(), Some("/tmp/.zerocap-launcher"));
        assert_eq!(place("--tmpfs /tmp --ro-bind / / --dev /dev ls").as_deref(), Some("/dev/.zerocap-launcher"));
        assert_eq!(place("--ro-bind / / ls"), None);
        let line = words("--ro-bind / / ls");
        let line = Line::read(&line).unwrap();
        assert_eq!(line.place(Some("/x/y")).ok().as_deref(), Some("/x/y"));
        assert!(line.place(Some("x")).is_err());
    }
}
