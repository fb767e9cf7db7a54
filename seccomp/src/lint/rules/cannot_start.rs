//! SL13: nothing can start under the profile.

use super::super::finding::{Note, Severity};
use super::super::options::Engine;
use super::super::rule::{Rule, Sample};
use super::super::subject::Subject;
use super::super::words;
use crate::Action;

pub(super) static RULE: Rule = Rule {
    id: "SL13",
    slug: "cannot-start",
    severity: Severity::Error,
    title: "the container cannot start under this profile",
    why: "The engine loads the filter into the process that becomes the workload. What follows happens under it: the engine's \
          last calls, execve, and the dynamic loader that opens and maps libraries. \"Refuse execve, so that no shell \
          starts\" refuses the workload itself; refusing open refuses its libraries.",
    advice: "Programs are kept out by Landlock and noexec mounts, or by a launcher that may execute once (zerocap's). Files \
             are kept from being written by read-only mounts and Landlock: a filter cannot read paths.",
    fires: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["execve", "execveat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }
] }"#,
    ),
    silent: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["execveat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }
] }"#,
    ),
    check,
};

const AT_FDCWD: u64 = 0xffff_ff9c;
/// A call with the arguments that the loader gives.
type Call = (&'static str, [u64; 6]);

/// What glibc's and musl's loaders do; of a group one call is enough.
const LOADER: &[(&str, &[Call])] = &[
    ("open libraries", &[("openat", [AT_FDCWD, 0, 0x80000, 0, 0, 0]), ("open", [0, 0x80000, 0, 0, 0, 0])]),
    ("read libraries", &[("read", [3, 0, 832, 0, 0, 0])]),
    ("describe files", &[("newfstatat", [3, 0, 0, 0x1000, 0, 0]), ("fstat", [3, 0, 0, 0, 0, 0]), ("statx", [0; 6])]),
    ("map libraries", &[("mmap", [0, 4096, 5, 2, 3, 0])]),
    ("protect memory", &[("mprotect", [0, 4096, 1, 0, 0, 0])]),
    ("get memory", &[("brk", [0; 6])]),
    ("close files", &[("close", [3, 0, 0, 0, 0, 0])]),
];

/// Calls without which an engine does not come from the filter to execve, measured by refusing one call after the other:
/// runc 1.3.6, crun 1.28 (which needs nothing but execve). seccomp/tests/engines tries each of them.
const LAST_CALLS: &[(Engine, &str)] = &[
    (Engine::Runc, "close"),
    (Engine::Runc, "fstat"),
    (Engine::Runc, "fstatfs"),
    (Engine::Runc, "getdents64"),
    (Engine::Runc, "openat"),
    (Engine::Runc, "statx"),
];

fn check(subject: &Subject<'_>, notes: &mut Vec<Note>) {
    if subject.filter.is_none() {
        return;
    }
    let refused = |name: &str, args: [u64; 6]| subject.answer(name, args).is_some_and(|action| !action.permits());
    let execve = refused("execve", [0; 6]);
    if execve {
        let severity = if subject.source.is_some() || subject.options.bwrap.is_some() {
            Severity::Error
        } else {
            // A last layer is loaded by the launcher, whose own execve passes.
            Severity::Note
        };
        notes.push(
            Note::new(severity, subject.decided_at("execve"))
                .wrote("no program shall be started")
                .kernel(format!(
                    "execve {}, the engine's own execve of the workload too",
                    words::answer(subject.answer("execve", [0; 6]).unwrap_or(Action::KillProcess))
                ))
                .instead("allow execve here; zerocap's launcher loads a last filter that refuses every further one"),
        );
    }
    engine(subject, notes);
    if execve && subject.source.is_none() {
        return;
    }
    let blocked: Vec<(&str, &str)> = LOADER
        .iter()
        .filter(|(_, calls)| {
            let mut known = calls.iter().filter(|(name, args)| subject.answer(name, *args).is_some()).peekable();
            known.peek().is_some() && known.all(|(name, args)| refused(name, *args))
        })
        .filter_map(|(what, calls)| calls.first().map(|(name, _)| (*what, *name)))
        .collect();
    if let Some((_, name)) = blocked.first() {
        let what: Vec<&str> = blocked.iter().map(|(what, _)| *what).collect();
        let names: Vec<&str> = blocked.iter().map(|(_, name)| *name).collect();
        notes.push(
            Note::new(Severity::Error, subject.decided_at(name))
                .wrote(format!("{} {} refused", words::list(&names), if names.len() == 1 { "is" } else { "are" }))
                .kernel(format!("the dynamic loader cannot {}: only static programs start", words::list(&what)))
                .instead(format!("allow {}", words::list(&names))),
        );
    }
}

fn engine(subject: &Subject<'_>, notes: &mut Vec<Note>) {
    if subject.source.is_none() {
        return;
    }
    let concerns = |engine: &Engine| subject.options.engine.is_none_or(|used| used == *engine);
    for (engine, name) in LAST_CALLS.iter().filter(|(engine, _)| concerns(engine)) {
        let Some(answer) = subject.answer(name, [0; 6]).filter(|action| !action.permits()) else { continue };
        let who = match engine {
            Engine::Runc => "runc",
            Engine::Crun => "crun",
            Engine::Youki => "youki",
        };
        notes.push(
            Note::new(Severity::Error, subject.decided_at(name))
                .wrote(format!("{name} is not allowed"))
                .kernel(format!(
                    "{name} {}; {who} makes it after loading the filter, and gives up",
                    words::answer(answer)
                ))
                .instead(format!("allow {name}")),
        );
    }
}
