//! SL23: a filter that keeps the next one from being loaded.

use super::super::finding::{Note, Severity};
use super::super::rule::{Rule, Sample};
use super::super::subject::Subject;
use super::super::words;
use crate::Action;

pub(super) static RULE: Rule = Rule {
    id: "SL23",
    slug: "filter-stack",
    severity: Severity::Error,
    title: "the filter keeps the next one from being loaded",
    why: "bubblewrap loads its filters one after the other, each under those before it, and then executes the program under all \
          of them. A filter that refuses prctl(PR_SET_SECCOMP), which bubblewrap uses, or seccomp, ends the start at the next filter; \
          one that refuses execve ends it at the program.",
    advice: "Put the filter that refuses them last; execve has to be allowed in every one.",
    fires: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["prctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1,
    "args": [{ "index": 0, "value": 4294967295, "valueTwo": 22, "op": "SCMP_CMP_MASKED_EQ" }] }
] }"#,
    )
    .with("--bwrap, a further profile after it", |options| options.bwrap = Some(1)),
    silent: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["prctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1,
    "args": [{ "index": 0, "value": 4294967295, "valueTwo": 22, "op": "SCMP_CMP_MASKED_EQ" }] }
] }"#,
    )
    .with("--bwrap, the last profile", |options| options.bwrap = Some(0)),
    check,
};

const PR_SET_SECCOMP: u64 = 22;
const MODE_FILTER: u64 = 2;

fn check(subject: &Subject<'_>, notes: &mut Vec<Note>) {
    let Some(following) = subject.options.bwrap else { return };
    let refused = |name: &str, args| subject.answer(name, args).filter(|action: &Action| !action.permits());
    if following > 0
        && let Some(answer) = refused("prctl", [PR_SET_SECCOMP, MODE_FILTER, 0, 0, 0, 0])
    {
        notes.push(
            Note::new(Severity::Error, subject.decided_at("prctl"))
                .wrote(format!("{following} further filter{} after this one", if following == 1 { "" } else { "s" }))
                .kernel(format!("prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER) {}", words::answer(answer)))
                .instead("this filter last"),
        );
    }
    if let Some(answer) = refused("execve", [0; 6]) {
        notes.push(
            Note::new(Severity::Error, subject.decided_at("execve"))
                .wrote("no program shall be started")
                .kernel(format!("execve {}: bubblewrap's own, of the program, too", words::answer(answer)))
                .instead("allow execve; zerocap's launcher inside the sandbox loads a last filter that refuses it"),
        );
    }
}
