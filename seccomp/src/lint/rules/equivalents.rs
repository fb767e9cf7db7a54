//! SL09: another call that does the same.

use super::super::deeds::{DEEDS, refused_names};
use super::super::edit::Edit;
use super::super::finding::{Note, Severity};
use super::super::rule::{Rule, Sample};
use super::super::subject::Subject;
use super::super::words;
use crate::Action;

pub(super) static RULE: Rule = Rule {
    id: "SL09",
    slug: "equivalents",
    severity: Severity::Error,
    title: "another call does the same and is left open",
    why: "Most things can be done by several calls: open, openat, openat2, creat, open_by_handle_at and io_uring open files; \
          fork, vfork, clone and clone3 make processes; fsopen, move_mount and open_tree change mounts without mount. \
          Refusing one of them prevents nothing.",
    advice: "Refuse every call that does it, by name and without conditions; or list what is allowed instead of what is refused. \
             openat2 and clone3 take structures that a filter cannot read: answer them ENOSYS, and programs fall back.",
    fires: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["execve"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13 }
] }"#,
    ),
    silent: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["execve", "execveat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13 }
] }"#,
    ),
    check,
};

fn check(subject: &Subject<'_>, notes: &mut Vec<Note>) {
    let listed = refused_names(subject);
    for deed in DEEDS.iter().filter(|deed| deed.concerns(&listed)) {
        let fate = deed.fate(&|name, args| subject.answer(name, args));
        let refused: Vec<&str> = fate.refused.iter().copied().filter(|name| listed.contains(name)).collect();
        let Some(first) = refused.first() else { continue };
        // clone3 beside a filtered clone is SL10's.
        let open: Vec<&str> =
            fate.open.iter().copied().filter(|name| !(*name == "clone3" && *first == "clone")).collect();
        if open.is_empty() {
            continue;
        }
        let at = subject.decided_at(first);
        notes.push(
            Note::new(Severity::Error, &at)
                .wrote(format!("{} refused, so that nobody can {}", is_or_are(&refused), deed.what))
                .kernel(format!("{} made", is_or_are(&open)))
                .instead(format!("name {} beside {first}", words::all(&open)))
                .edit(edit(subject, first, &open)),
        );
    }
}

fn is_or_are(names: &[&str]) -> String {
    format!("{} {}", words::all(names), if names.len() == 1 { "is" } else { "are" })
}

/// Put the open calls beside the refused one, where that rule refuses whatever the arguments.
fn edit(subject: &Subject<'_>, refused: &str, open: &[&str]) -> Option<Edit> {
    let source = subject.source?;
    let general = |name: &str| subject.active().any(|rule| rule.names.iter().any(|known| known == name));
    let rule = subject.active().find(|rule| {
        rule.unconditional() && matches!(rule.action, Action::Errno(_)) && rule.names.iter().any(|name| name == refused)
    })?;
    let named: Vec<String> = open.iter().filter(|name| !general(name)).map(|name| format!("\"{name}\"")).collect();
    Edit::append(source, &rule.names_at(), &named).filter(|_| !named.is_empty())
}
