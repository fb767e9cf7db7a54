//! SL17: answers that somebody else has to give, where there is nobody.

use super::super::Form;
use super::super::finding::{Note, Severity};
use super::super::rule::{Rule, Sample};
use super::super::signature::{Kind, parameters};
use super::super::subject::Subject;
use super::super::words;
use crate::Action;

pub(super) static RULE: Rule = Rule {
    id: "SL17",
    slug: "nobody-decides",
    severity: Severity::Error,
    title: "a tracer or listener is asked that is not there or cannot decide",
    why: "SCMP_ACT_TRACE asks a tracer and SCMP_ACT_NOTIFY a listener; without one the call fails with ENOSYS. Engines refuse \
          NOTIFY as the default action and on write, since they could not hand the listener over, and without listenerPath \
          nobody gets it. A listener that reads what a pointer leads to and lets the call go on decides about memory that \
          another thread can change in between.",
    advice: "Use ERRNO. Where a listener is wanted: name the calls, set listenerPath, and have it make the call on behalf of the \
             program instead of letting it go on.",
    fires: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["mount"], "action": "SCMP_ACT_NOTIFY" },
  { "names": ["ptrace"], "action": "SCMP_ACT_TRACE", "errnoRet": 1 }
] }"#,
    ),
    silent: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "listenerPath": "/run/agent.sock",
  "syscalls": [ { "names": ["listen"], "action": "SCMP_ACT_NOTIFY" } ] }"#,
    ),
    check,
};

fn check(subject: &Subject<'_>, notes: &mut Vec<Note>) {
    let Some(source) = subject.source else { return };
    let prefix = subject.prefix;
    let profile =
        if subject.form == Form::Config { source.value().pointer("/linux/seccomp") } else { Some(source.value()) };
    let listener =
        profile.and_then(|profile| profile.get("listenerPath")?.as_str()).is_some_and(|path| !path.is_empty());
    if subject.default == Some(Action::Notify) {
        notes.push(
            Note::new(Severity::Error, format!("{prefix}defaultAction"))
                .wrote("the listener decides about every call that is not listed")
                .kernel(
                    "the engine refuses the profile: its own next calls would wait for a listener that nobody has yet",
                )
                .instead("\"defaultAction\": \"SCMP_ACT_ERRNO\", and NOTIFY for the calls that it is about"),
        );
    }
    for rule in subject.applying() {
        match rule.action {
            Action::Trace(_) if !subject.options.tracer => notes.push(
                Note::new(Severity::Warning, format!("{}.action", rule.at))
                    .wrote(rule.words())
                    .kernel(format!("{} with ENOSYS where no tracer is attached", fails(&rule.names)))
                    .instead("SCMP_ACT_ERRNO"),
            ),
            Action::Notify => {
                if rule.names.iter().any(|name| name == "write") {
                    notes.push(
                        Note::new(Severity::Error, format!("{}.action", rule.at))
                            .wrote("the listener decides about write")
                            .kernel("the engine refuses the profile: it writes before the listener exists")
                            .instead("leave write out of the rule"),
                    );
                } else if !listener {
                    notes.push(
                        Note::new(Severity::Error, format!("{}.action", rule.at))
                            .wrote(rule.words())
                            .kernel("there is no listenerPath: the engine refuses the profile, or the calls fail with ENOSYS")
                            .instead("\"listenerPath\": \"/run/….sock\" beside defaultAction, or SCMP_ACT_ERRNO"),
                    );
                }
                let pointers: Vec<&String> = rule.names.iter().filter(|name| has_pointer(name)).collect();
                if !pointers.is_empty() {
                    notes.push(
                        Note::new(Severity::Note, rule.names_at())
                            .wrote(format!("the listener decides about {}", words::list(&pointers)))
                            .kernel("their arguments are addresses: what stands there can change after the listener has looked")
                            .instead("a listener that makes the call itself and never answers \"go on\""),
                    );
                }
            }
            _ => {}
        }
    }
}

fn fails(names: &[String]) -> String {
    format!("{} {}", words::list(names), if names.len() == 1 { "fails" } else { "fail" })
}

fn has_pointer(name: &str) -> bool {
    parameters(name).iter().any(|parameter| parameter.kind == Kind::Pointer)
}
