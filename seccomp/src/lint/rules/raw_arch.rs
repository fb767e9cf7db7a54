//! SL07: a compiled filter that does not look at the ABI.

use super::super::finding::{Note, Severity};
use super::super::rule::{Rule, Sample};
use super::super::subject::Subject;
use super::super::words;
use crate::opcode::{JEQ, JGE, LD_ABS, RET_K};
use crate::{Arch, Insn, X32_BIT};

const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x0005_0001;
const X86_64: u32 = 0xc000_003e;
const UNSHARE: u32 = 272;

const fn eq(k: u32, jt: u8, jf: u8) -> Insn {
    Insn { code: JEQ, jt, jf, k }
}

pub(super) static RULE: Rule = Rule {
    id: "SL07",
    slug: "no-arch-check",
    severity: Severity::Error,
    title: "compiled filter that takes numbers of another ABI for its own",
    why: "The number of a call means something else under each ABI, and a program chooses the ABI: int 0x80 on x86-64 makes \
          i386 calls, bit 30 of the number x32 calls with the architecture of x86-64. A list of refused numbers that looks \
          at neither is passed by calling the same kernel function by another number.",
    advice: "Begin with the architecture: load word 4, compare it with AUDIT_ARCH_*, refuse the rest; on x86-64 refuse numbers \
             from 0x40000000 on. `zerocap seccomp compile` does both.",
    fires: Sample::raw(&[Insn::stmt(LD_ABS, 0), eq(UNSHARE, 0, 1), Insn::stmt(RET_K, EPERM), Insn::stmt(RET_K, ALLOW)]),
    silent: Sample::raw(&[
        Insn::stmt(LD_ABS, 4),
        eq(X86_64, 0, 3),
        Insn::stmt(LD_ABS, 0),
        Insn { code: JGE, jt: 1, jf: 0, k: X32_BIT },
        eq(UNSHARE, 0, 1),
        Insn::stmt(RET_K, EPERM),
        Insn::stmt(RET_K, ALLOW),
    ]),
    check,
};

fn check(subject: &Subject<'_>, notes: &mut Vec<Note>) {
    let Some(filter) = subject.filter.as_ref().filter(|_| subject.form == super::super::Form::Compiled) else { return };
    let native = subject.native();
    if !filter.insns().iter().any(|insn| insn.code == LD_ABS && insn.k == 4) {
        let refused = subject.calls().find(|(_, number)| filter.always(native, *number).is_some_and(|a| a.refuses()));
        let other = native.family().iter().rev().find(|abi| abi.audit() != native.audit());
        let kernel = match (refused, other) {
            (Some((call, number)), Some(abi)) => {
                let there = call.number(*abi);
                let answer = there.map(|number| words::answer(filter.answer(*abi, number, [0; 6])));
                let (name, abi) = (call.name(), words::abi(*abi));
                match (there, answer) {
                    (Some(there), Some(answer)) => {
                        format!("{name} is number {number} here and {there} on {abi}; the {abi} call {answer}")
                    }
                    _ => format!("{abi} calls are judged by the numbers of this ABI"),
                }
            }
            _ => "calls of every ABI are judged by the same numbers".to_owned(),
        };
        notes.push(
            Note::new(Severity::Error, "filter")
                .wrote("no instruction loads the architecture")
                .kernel(kernel)
                .instead("load word 4 first and refuse every architecture but the one that the numbers are of"),
        );
        // Without an architecture the x32 bit is the smaller problem.
        return;
    }
    if native != Arch::X86_64 {
        return;
    }
    let open = subject.calls().find(|(_, number)| {
        let here = filter.answer(native, *number, [0; 6]);
        here.refuses() && filter.answer(Arch::X32, *number, [0; 6]).permits()
    });
    if let Some((call, number)) = open {
        notes.push(
            Note::new(Severity::Error, call.name())
                .wrote(format!("{} is refused by its number {number}", call.name()))
                .kernel(format!(
                    "{:#x}, the same call by its x32 number, {}",
                    number | X32_BIT,
                    words::answer(filter.answer(Arch::X32, number, [0; 6]))
                ))
                .instead("refuse numbers from 0x40000000 on before the list"),
        );
    }
}
