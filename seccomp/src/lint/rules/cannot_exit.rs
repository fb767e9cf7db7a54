//! SL14: nothing can end under the profile.

use super::super::finding::{Note, Severity};
use super::super::rule::{Rule, Sample};
use super::super::subject::Subject;
use super::super::words;

pub(super) static RULE: Rule = Rule {
    id: "SL14",
    slug: "cannot-exit",
    severity: Severity::Error,
    title: "a program cannot exit, or return from a signal",
    why: "exit_group ends a process, exit a thread, rt_sigreturn a signal handler; programs do not expect them to fail. libc \
          loops or crashes, threads that should be gone spin, and a handler returns into a fault.",
    advice: "Allow exit, exit_group and rt_sigreturn (sigreturn as well where i386 or arm is listed). restart_syscall \
             is made by the kernel on behalf of a program that was stopped.",
    fires: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["read", "write", "execve", "exit"], "action": "SCMP_ACT_ALLOW" }
] }"#,
    ),
    silent: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["read", "write", "execve", "exit", "exit_group", "rt_sigreturn", "restart_syscall"],
    "action": "SCMP_ACT_ALLOW" }
] }"#,
    ),
    check,
};

fn check(subject: &Subject<'_>, notes: &mut Vec<Note>) {
    for (name, severity, what) in [
        ("exit_group", Severity::Error, "no process can end"),
        ("exit", Severity::Error, "no thread can end"),
        ("rt_sigreturn", Severity::Error, "no signal handler can return"),
        ("restart_syscall", Severity::Warning, "sleeps fail after the process was stopped and continued"),
    ] {
        let Some(answer) = subject.answer(name, [0; 6]).filter(|action| !action.permits()) else { continue };
        notes.push(
            Note::new(severity, subject.decided_at(name))
                .wrote(format!("{name} is not allowed"))
                .kernel(format!("{name} {}: {what}", words::answer(answer)))
                .instead(format!("allow {name}")),
        );
    }
}
