//! Filters as text: what each instruction says, and the program back out of the text.

mod common;

use common::generate::profile;
use proptest::prelude::*;
use zerocap_seccomp::opcode as op;
use zerocap_seccomp::preset::{LastLayer, last_layer};
use zerocap_seccomp::{Action, Arch, Clause, Condition, Decision, Gate, Insn, Line, Profile, Table, Test, Width};
use zerocap_seccomp::{compile, disassemble};

#[test]
fn a_small_filter_reads_like_this() {
    let flags = Condition::new(0, Width::W32, Test::MaskedEq { mask: 0x7e02_0000, datum: 0 }).expect("argument 0");
    let clone = Decision {
        clauses: vec![Clause { conditions: vec![flags], action: Action::Allow }],
        otherwise: Action::Errno(1),
    };
    let mut profile = Profile::new(Action::KillProcess);
    profile.set_table(Arch::X86_64, Table::with(Action::Errno(38), vec![(56, clone)]));
    let program = compile(&profile, Arch::X86_64, Gate::None).expect("small");
    let lines: Vec<String> = disassemble(&program.insns).iter().map(Line::to_string).collect();
    assert_eq!(
        lines,
        [
            "       ld [4]                          ; architecture",
            "       jeq #0xc000003e, l2, l11        ; x86_64",
            "l2:    ld [0]                          ; number",
            "       jge #0x39, l5, l4               ; fork",
            "l4:    jge #0x38, l7, l6               ; clone",
            "l5:    jge #0x40000000, l13, l6        ; x32",
            "l6:    ret #0x50026                    ; errno 38",
            "l7:    ld [16]                         ; argument 0, low half: clone, flags",
            "       jset #0x7e020000, l10, l9",
            "l9:    ret #0x7fff0000                 ; allow",
            "l10:   ret #0x50001                    ; errno 1",
            "l11:   jeq #0x40000003, l12, l13       ; i386",
            "l12:   ld [0]                          ; number",
            "l13:   ret #0x80000000                 ; kill process",
        ]
    );
}

#[test]
fn what_the_kernel_would_refuse_is_shown_too() {
    let insns = [
        Insn::stmt(0x28, 12),
        Insn { code: op::JEQ, jt: 200, jf: 0, k: 1 },
        Insn::stmt(op::RET_K, 0),
        Insn::stmt(op::JA, u32::MAX),
    ];
    let lines = disassemble(&insns);
    assert_eq!(lines[0].text, ".word 0x0028, 0, 0, 0xc");
    assert_eq!(lines[1].text, "jeq #0x1, l202, l2");
    assert_eq!(lines[2].comment, "kill thread");
    assert_eq!(lines[3].comment, "never reached");
    assert!(disassemble(&[]).is_empty());
}

/// The program that a listing says, as an assembler would read it.
fn assemble(lines: &[Line]) -> Vec<Insn> {
    let number = |word: &str| {
        let word = word.trim_matches(['#', ',', '[', ']', 'M']);
        word.strip_prefix("0x").map_or_else(|| word.parse(), |hex| u32::from_str_radix(hex, 16)).expect("a number")
    };
    let line = |line: &Line| {
        let words: Vec<&str> = line.text.split_whitespace().collect();
        let skip = |word: &str| {
            let to: usize = word.trim_matches(['l', ',']).parse().expect("a label");
            to - line.index - 1
        };
        let code = match (words[0], words.get(1).copied().unwrap_or("")) {
            ("ld", "len") => op::LD_LEN,
            ("ld", word) if word.starts_with('[') => op::LD_ABS,
            ("ld", word) if word.starts_with('M') => op::LD_MEM,
            ("ld", _) => op::LD_IMM,
            ("tax", _) => op::TAX,
            ("txa", _) => op::TXA,
            ("ret", "a") => op::RET_A,
            ("ret", _) => op::RET_K,
            ("jmp", _) => op::JA,
            (name, operand) => {
                let code = match name {
                    "and" => op::AND,
                    "or" => op::OR,
                    "xor" => op::XOR,
                    "jeq" => op::JEQ,
                    "jgt" => op::JGT,
                    "jge" => op::JGE,
                    "jset" => op::JSET,
                    other => panic!("{other}"),
                };
                code | if operand == "x" { op::SRC_X } else { 0 }
            }
        };
        let k = match words.get(1) {
            Some(word) if words[0] == "jmp" => skip(word) as u32,
            Some(word) if !["len", "a", "x"].contains(word) => number(word),
            _ => 0,
        };
        let byte = |place: usize| words.get(place).map_or(0, |word| u8::try_from(skip(word)).expect("in reach"));
        Insn { code, jt: byte(2), jf: byte(3), k }
    };
    lines.iter().map(line).collect()
}

#[test]
fn built_in_filters_come_back_out_of_their_text() {
    for layer in LastLayer::all().step_by(5) {
        for native in Arch::NATIVE {
            let insns = last_layer(native, &layer).expect("a native architecture").insns;
            let lines = disassemble(insns);
            assert_eq!(assemble(&lines), insns, "{layer:?}");
            assert!(lines.iter().all(|line| line.comment != "never reached"), "{layer:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    #[test]
    fn compiled_programs_come_back_out_of_their_text(profile in profile(0..30)) {
        let program = compile(&profile, Arch::X86_64, Gate::LastCalls).expect("small");
        prop_assert_eq!(assemble(&disassemble(&program.insns)), program.insns);
    }
}
