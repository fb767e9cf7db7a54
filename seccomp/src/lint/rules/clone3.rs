//! SL10: clone3 beside a filtered clone.

use super::super::edit::Edit;
use super::super::finding::{Note, Severity};
use super::super::rule::{Rule, Sample};
use super::super::subject::Subject;
use super::super::words;
use crate::Action;

pub(super) static RULE: Rule = Rule {
    id: "SL10",
    slug: "clone3",
    severity: Severity::Error,
    title: "clone3 passes by what clone is refused, or threads break",
    why: "clone3 takes its flags in a structure that a filter cannot read. Allowed, it makes the namespaces and processes that \
          a condition on clone refuses. Refused with anything but ENOSYS it breaks programs: libc tries clone3 first and \
          falls back to clone on ENOSYS only. Refusing clone altogether refuses threads.",
    advice: "Answer clone3 with ENOSYS (errnoRet 38) and put the conditions on clone: threads have CLONE_THREAD and none of the \
             CLONE_NEW* flags.",
    fires: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }
] }"#,
    ),
    silent: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38 }
] }"#,
    ),
    check,
};

/// What pthread_create asks for: CLONE_VM, _FS, _FILES, _SIGHAND, _THREAD, _SYSVSEM, _SETTLS, _PARENT_SETTID,
/// _CHILD_CLEARTID.
const THREAD: u64 = 0x003d_0f00;
const SIGCHLD: u64 = 17;
const NEW: [(&str, u64); 7] = [
    ("a user namespace", 0x1000_0000),
    ("a mount namespace", 0x0002_0000),
    ("a network namespace", 0x4000_0000),
    ("a process namespace", 0x2000_0000),
    ("an IPC namespace", 0x0800_0000),
    ("a host name namespace", 0x0400_0000),
    ("a cgroup namespace", 0x0200_0000),
];
const ENOSYS: Action = Action::Errno(38);

fn check(subject: &Subject<'_>, notes: &mut Vec<Note>) {
    let Some(clone3) = subject.answer("clone3", [0; 6]) else { return };
    threads(subject, clone3, notes);
    let clone = |flags: u64| subject.answer("clone", [flags, 0, 0, 0, 0, 0]);
    let refused = |flags: u64| clone(flags).is_some_and(Action::refuses);
    if clone3.permits() {
        let asked = NEW.iter().map(|(what, flag)| (*what, flag | SIGCHLD)).chain([("a process", SIGCHLD)]);
        let kept_out: Vec<(&str, u64)> = asked.filter(|(_, flags)| refused(*flags)).collect();
        let Some((what, flags)) = kept_out.first() else { return };
        // Where every clone is refused, that is the missing equivalent; where some are, the missing condition.
        notes.push(
            Note::new(Severity::Error, subject.decided_at("clone3"))
                .wrote(format!(
                    "clone must not make {what}: {} {}",
                    words::call("clone", &[(0, *flags)]),
                    words::answer(clone(*flags).unwrap_or(ENOSYS))
                ))
                .kernel(format!("clone3 {} whatever its flags", words::answer(clone3)))
                .instead(r#"{ "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38 }"#)
                .edit(add_rule(subject)),
        );
    } else if clone3.refuses() && clone3 != ENOSYS && clone(THREAD).is_some_and(Action::permits) {
        notes.push(
            Note::new(Severity::Error, subject.decided_at("clone3"))
                .wrote("threads are allowed by clone, clone3 is refused")
                .kernel(format!("clone3 {}, and libc gives up: no thread starts", words::answer(clone3)))
                .instead(r#"{ "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38 }"#)
                .edit(other_number(subject)),
        );
    }
}

/// Is clone refused even for threads?
fn threads(subject: &Subject<'_>, clone3: Action, notes: &mut Vec<Note>) {
    let Some(clone) = subject.answer("clone", [THREAD, 0, 0, 0, 0, 0]).filter(|action| action.refuses()) else {
        return;
    };
    // A list of permissions without clone is meant for programs without threads.
    let named = subject.active().any(|rule| rule.action.refuses() && rule.names.iter().any(|name| name == "clone"));
    if !named {
        return;
    }
    let newer = if clone3.permits() {
        "musl and older glibc start no thread, newer glibc does by clone3"
    } else {
        "no thread starts"
    };
    notes.push(
        Note::new(Severity::Error, subject.decided_at("clone"))
            .wrote("clone is refused")
            .kernel(format!("{}, which is pthread_create, {}: {newer}", words::call("clone", &[(0, THREAD)]), words::answer(clone)))
            .instead(format!(
                r#"{{ "names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [{{ "index": 0, "value": {}, "valueTwo": {}, "op": "SCMP_CMP_MASKED_EQ" }}] }}"#,
                NEW.iter().fold(CLONE_THREAD, |mask, (_, flag)| mask | flag),
                CLONE_THREAD
            )),
    );
}

const CLONE_THREAD: u64 = 0x0001_0000;
const CLONE3_RULE: &str = r#"{ "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38 }"#;

fn add_rule(subject: &Subject<'_>) -> Option<Edit> {
    let named = subject.applying().any(|rule| rule.names.iter().any(|name| name == "clone3"));
    let path = format!("{}syscalls", subject.prefix);
    subject.source.filter(|_| !named).and_then(|source| Edit::append(source, &path, &[CLONE3_RULE.to_owned()]))
}

/// Give clone3 a rule of its own, or its rule another number.
fn other_number(subject: &Subject<'_>) -> Option<Edit> {
    let source = subject.source?;
    let mut rules = subject.active().filter(|rule| rule.names.iter().any(|name| name == "clone3"));
    let rule = rules.next()?;
    if rules.next().is_some() || !rule.unconditional() {
        return None;
    }
    if rule.names.len() == 1 {
        return Edit::new(vec![(source.span(&rule.at), CLONE3_RULE.to_owned())]);
    }
    let position = rule.names.iter().position(|name| name == "clone3")?;
    let without = Edit::remove_elements(source, &rule.names_at(), &[position])?;
    without.and(Edit::append(source, &format!("{}syscalls", subject.prefix), &[CLONE3_RULE.to_owned()])?)
}
