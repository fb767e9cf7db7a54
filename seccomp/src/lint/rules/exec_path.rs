//! SL25: what `kubectl exec`, probes and hooks run is under the profile too.

use super::super::finding::{Note, Severity};
use super::super::options::Engine;
use super::super::rule::{Rule, Sample};
use super::super::subject::Subject;
use super::super::words;
use crate::Action;

pub(super) static RULE: Rule = Rule {
    id: "SL25",
    slug: "exec-path",
    severity: Severity::Warning,
    title: "exec, probes and hooks do not work under the profile, or run without it",
    why: "runc and crun put the profile on executed processes as well: a probe, a preStop hook or `kubectl exec` starts a program, \
          mostly a shell, which starts others. Where the workload was to start nothing, they fail. Engines built on \
          libcontainer 0.7 load no filter for executed processes at all: there the profile does not hold.",
    advice: "Use HTTP, TCP or gRPC probes and no exec hooks, or allow execve and process creation.",
    fires: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["fork", "vfork", "clone", "clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }
] }"#,
    ),
    silent: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["fork", "vfork", "ptrace"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }
] }"#,
    ),
    check,
};

const SIGCHLD: u64 = 17;

fn check(subject: &Subject<'_>, notes: &mut Vec<Note>) {
    if subject.filter.is_none() || subject.options.bwrap.is_some() || subject.source.is_none() {
        return;
    }
    if subject.options.engine == Some(Engine::Youki) {
        notes.push(
            Note::new(Severity::Warning, format!("{}defaultAction", subject.prefix))
                .wrote("a profile for the container")
                .kernel(
                    "this engine may load no filter for executed processes: exec and probes run without the profile",
                )
                .instead("a launcher that loads the filter itself (zerocap's does)"),
        );
    }
    let permits = |name: &str, args| subject.answer(name, args).is_some_and(Action::permits);
    if !permits("execve", [0; 6]) {
        // The container itself does not start: SL13 says so.
        return;
    }
    let children = permits("clone", [SIGCHLD, 0, 0, 0, 0, 0])
        || permits("clone", [0x4100 | SIGCHLD, 0, 0, 0, 0, 0])
        || permits("clone3", [0; 6])
        || permits("fork", [0; 6])
        || permits("vfork", [0; 6]);
    if !children {
        let answer = subject.answer("clone", [SIGCHLD, 0, 0, 0, 0, 0]).unwrap_or(Action::KillProcess);
        notes.push(
            Note::new(Severity::Warning, subject.decided_at("clone"))
                .wrote("no process shall be started")
                .kernel(format!(
                    "{} {}: a shell in a probe, a hook or `kubectl exec` starts nothing but itself",
                    words::call("clone", &[(0, SIGCHLD)]),
                    words::answer(answer)
                ))
                .instead("probes over the network; no exec hooks"),
        );
    }
}
