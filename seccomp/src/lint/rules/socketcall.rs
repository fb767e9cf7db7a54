//! SL11: socketcall beside a filtered socket.

use super::super::finding::{Note, Severity};
use super::super::rule::{Rule, Sample};
use super::super::subject::Subject;
use super::super::words;
use crate::{Action, Arch};

pub(super) static RULE: Rule = Rule {
    id: "SL11",
    slug: "socketcall",
    severity: Severity::Error,
    title: "rules for sockets that miss socketcall, or hit unix sockets too",
    why: "i386 has one call, socketcall, for every socket operation; the arguments stand in memory, where a filter cannot see \
          them. Where it is allowed, an int 0x80 from any program makes the sockets that the rule for socket refuses. The other way round, a rule that refuses socket without a \
          condition refuses AF_UNIX too: IPC, name services, logging.",
    advice: "Leave SCMP_ARCH_X86 out where no 32-bit program runs; else refuse socketcall (32-bit libc uses the separate \
             calls since Linux 4.3). To keep the network out, refuse socket by its family: argument 0.",
    fires: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], "syscalls": [
  { "names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 1, "op": "SCMP_CMP_EQ" }] },
  { "names": ["socketcall", "connect"], "action": "SCMP_ACT_ALLOW" }
] }"#,
    ),
    silent: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 1, "op": "SCMP_CMP_EQ" }] },
  { "names": ["socketcall", "connect"], "action": "SCMP_ACT_ALLOW" }
] }"#,
    )
    .with("--arch x86_64", |options| options.target.arch = Arch::X86_64),
    check,
};

/// Address families that somebody may want to keep out.
const FAMILIES: [(&str, u64); 7] = [
    ("AF_INET", 2),
    ("AF_INET6", 10),
    ("AF_NETLINK", 16),
    ("AF_PACKET", 17),
    ("AF_ALG", 38),
    ("AF_VSOCK", 40),
    ("AF_UNIX", 1),
];
const SYS_SOCKET: u64 = 1;

fn check(subject: &Subject<'_>, notes: &mut Vec<Note>) {
    unix(subject, notes);
    let Some(carrier) = subject.answer_on(Arch::I386, "socketcall", [SYS_SOCKET, 0, 0, 0, 0, 0]) else { return };
    if !carrier.permits() || !subject.native().family().contains(&Arch::I386) {
        return;
    }
    let on = |abi: Arch, family: u64| subject.answer_on(abi, "socket", [family, 1, 0, 0, 0, 0]);
    let refused = FAMILIES.iter().find(|(_, family)| {
        on(subject.native(), *family).is_some_and(Action::refuses)
            && on(Arch::I386, *family).is_some_and(Action::refuses)
    });
    if let Some((name, family)) = refused {
        let answer = on(subject.native(), *family).map_or(String::new(), words::answer);
        notes.push(
            Note::new(Severity::Error, subject.decided_at("socketcall"))
                .wrote(format!("no socket of {name}: socket({name}, …) {answer}"))
                .kernel(format!("on i386, socketcall(SYS_SOCKET, …) {}, whatever the family", words::answer(carrier)))
                .instead("leave SCMP_ARCH_X86 and socketcall out"),
        );
    }
}

/// A rule against the network that refuses unix sockets as well.
fn unix(subject: &Subject<'_>, notes: &mut Vec<Note>) {
    let rule = subject
        .active()
        .find(|rule| rule.unconditional() && rule.action.refuses() && rule.names.iter().any(|name| name == "socket"));
    let answer = subject.answer("socket", [1, 1, 0, 0, 0, 0]).filter(|answer| answer.refuses());
    if let (Some(_), Some(answer)) = (rule, answer) {
        notes.push(
            Note::new(Severity::Warning, subject.decided_at("socket"))
                .wrote("socket is refused")
                .kernel(format!("socket(AF_UNIX, …) {} as well: no IPC, no name service, no log", words::answer(answer)))
                .instead(
                    r#"under a default of ERRNO: { "names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 4294967295, "valueTwo": 1, "op": "SCMP_CMP_MASKED_EQ" }] }"#,
                ),
        );
    }
}
