//! SL21: limits.

use super::super::finding::{Note, Severity};
use super::super::rule::{Rule, Sample};
use super::super::subject::Subject;
use crate::opcode::{LD_ABS, RET_K};
use crate::{Insn, MAX_INSNS};

/// A filter near the limit: loads that nothing uses, and a return.
static LONG: [Insn; 3600] = {
    let mut insns = [Insn::stmt(LD_ABS, 4); 3600];
    insns[3599] = Insn::stmt(RET_K, 0x7fff_0000);
    insns
};

pub(super) static RULE: Rule = Rule {
    id: "SL21",
    slug: "size",
    severity: Severity::Error,
    title: "filter larger than the kernel takes, or near it",
    why: "The kernel takes 4096 instructions for a filter, and 32768 for all filters of a process together (with four more for \
          each). Beyond it the container does not start; engines build longer filters out of the same profile than \
          this compiler does.",
    advice: "Merge rules, compare with masks instead of lists of numbers, and list fewer ABIs: each has the whole list again.",
    fires: Sample::raw(&LONG),
    silent: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [ { "names": ["read"], "action": "SCMP_ACT_ALLOW" } ] }"#,
    ),
    check,
};

fn check(subject: &Subject<'_>, notes: &mut Vec<Note>) {
    let Some(insns) = subject.insns.filter(|insns| *insns > MAX_INSNS / 4 * 3) else { return };
    let severity = if insns > MAX_INSNS { Severity::Error } else { Severity::Warning };
    let at = if subject.source.is_some() { format!("{}syscalls", subject.prefix) } else { "filter".to_owned() };
    notes.push(
        Note::new(severity, at)
            .wrote(format!("a filter of {insns} instructions"))
            .kernel(format!("at most {MAX_INSNS} are taken"))
            .instead("fewer conditions, or fewer architectures"),
    );
}
