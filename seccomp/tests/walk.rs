//! Foreign filters: read from bytes, walked, turned back into profiles, against the interpreter.

mod common;

use common::generate::profile;
use common::{argument_classes, governing, interesting_numbers};
use proptest::prelude::*;
use proptest::test_runner::TestRng;
use zerocap_seccomp::algebra::{differences, equal};
use zerocap_seccomp::opcode as op;
use zerocap_seccomp::preset::{LastLayer, last_layer};
use zerocap_seccomp::walk::{ConvertError, MAX_RAW, RawError, Walk, WalkError, read_raw, write_raw};
use zerocap_seccomp::{
    Action, Arch, Condition, Gate, Insn, Profile, SeccompData, Test, Width, check, compile, interpret, lookup,
};

const ALLOW: Insn = Insn::stmt(op::RET_K, 0x7fff_0000);
const EPERM: Insn = Insn::stmt(op::RET_K, 0x0005_0001);
const KILL: Insn = Insn::stmt(op::RET_K, 0x8000_0000);
const LOAD_NR: Insn = Insn::stmt(op::LD_ABS, 0);
const LOAD_ARCH: Insn = Insn::stmt(op::LD_ABS, 4);

const fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Insn {
    Insn { code, jt, jf, k }
}

const fn low(arg: u32) -> Insn {
    Insn::stmt(op::LD_ABS, 16 + 8 * arg)
}

fn walk(insns: &[Insn]) -> Walk {
    Walk::new(insns).expect("a program that can be walked")
}

fn condition(arg: u8, width: Width, test: Test) -> Condition {
    Condition::new(arg, width, test).expect("below six")
}

/// The program's answer by interpreter and by walk, for one call.
fn same(insns: &[Insn], walk: &Walk, data: &SeccompData) -> Result<(), TestCaseError> {
    let meant = Action::from_ret(interpret(insns, data).expect("checked"));
    prop_assert_eq!(walk.action(data), meant, "{:x?} {:x?}", data, insns);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Compiled and read back, a profile is the same, and each call takes exactly one of the ways that the walk found.
    #[test]
    fn compiled_profiles_come_back(profile in profile(0..8)) {
        for native in Arch::NATIVE {
            let program = compile(&profile, native, Gate::None).expect("small");
            let insns = read_raw(&write_raw(&program.insns)).expect("our own");
            prop_assert_eq!(&insns, &program.insns);
            let mut walk = walk(&insns);
            let back = walk.profile(native).expect("a profile");
            let found: Vec<_> = differences(native, &profile, &back).collect();
            prop_assert!(found.is_empty(), "{:?}", found);
            for arch in native.family() {
                let entries = profile.table(*arch).into_iter().flat_map(|table| table.entries());
                for number in entries.map(|(number, _)| number).chain([3, 599]) {
                    let leaves = walk.leaves(*arch, number).expect("small");
                    let nr = arch.call(number, [0; 6]).nr;
                    for args in argument_classes(&governing(&profile, native, arch.audit(), nr), 30) {
                        let data = SeccompData { nr, arch: arch.audit(), instruction_pointer: 3, args };
                        same(&insns, &walk, &data)?;
                        let taken: Vec<_> = leaves
                            .iter()
                            .filter(|leaf| leaf.conditions.iter().all(|condition| condition.holds(&args)))
                            .collect();
                        prop_assert_eq!(taken.len(), 1, "{:x?}", data);
                        prop_assert_eq!(taken[0].action, profile.action(native, &data));
                        prop_assert_eq!(insns[taken[0].insn], Insn::stmt(op::RET_K, taken[0].ret));
                    }
                }
            }
        }
    }
}

/// Any program that the kernel would load: all operations, jumps and registers.
fn program() -> impl Strategy<Value = Vec<Insn>> {
    let k = || prop_oneof![4 => 0u32..4, 1 => any::<u32>(), 1 => (0u32..32).prop_map(|bit| 1 << bit), 1 => 400u32..440];
    let offset = prop_oneof![2 => Just(0u32), 1 => Just(4u32), 4 => (4u32..10).prop_map(|word| 4 * word)];
    let binary = prop_oneof![
        Just(op::ADD),
        Just(op::SUB),
        Just(op::AND),
        Just(op::OR),
        Just(op::XOR),
        Just(op::LSH),
        Just(op::RSH),
    ];
    let insn = prop_oneof![
        8 => offset.prop_map(|offset| Insn::stmt(op::LD_ABS, offset)),
        1 => k().prop_map(|k| Insn::stmt(op::LD_IMM, k)),
        1 => k().prop_map(|k| Insn::stmt(op::LDX_IMM, k)),
        1 => prop_oneof![Just(op::LD_LEN), Just(op::LDX_LEN), Just(op::NEG)].prop_map(|code| Insn::stmt(code, 0)),
        2 => (prop_oneof![Just(op::LD_MEM), Just(op::LDX_MEM)], 0u32..3).prop_map(|(code, word)| Insn::stmt(code, word)),
        3 => (prop_oneof![Just(op::ST), Just(op::STX)], 0u32..3).prop_map(|(code, word)| Insn::stmt(code, word)),
        3 => prop_oneof![Just(op::TAX), Just(op::TXA)].prop_map(|code| Insn::stmt(code, 0)),
        5 => (binary, k()).prop_map(|(code, k)| Insn::stmt(code, if code & 0x60 == 0x60 && code < 0x80 { k % 32 } else { k })),
        1 => prop_oneof![Just(op::AND), Just(op::OR), Just(op::XOR)].prop_map(|code| Insn::stmt(code | op::SRC_X, 0)),
        1 => (1u32..9).prop_map(|k| Insn::stmt(op::DIV, k)),
        1 => (0u32..9).prop_map(|k| Insn::stmt(op::MUL, k)),
        8 => (prop_oneof![Just(op::JEQ), Just(op::JGT), Just(op::JGE), Just(op::JSET)], k(), 0u8..5, 0u8..5)
            .prop_map(|(code, k, jt, jf)| Insn { code, jt, jf, k }),
        1 => (prop_oneof![Just(op::JEQ), Just(op::JSET)], 0u8..5, 0u8..5)
            .prop_map(|(code, jt, jf)| Insn { code: code | op::SRC_X, jt, jf, k: 0 }),
        1 => (0u32..4).prop_map(|k| Insn::stmt(op::JA, k)),
        2 => (0u32..5).prop_map(|n| Insn::stmt(op::RET_K, 0x7fff_0000 - n * 0x10_0000 + n)),
    ];
    proptest::collection::vec(insn, 1..24).prop_map(|some| {
        // Scratch memory may be read from the beginning on.
        let mut insns =
            vec![low(0), Insn::stmt(op::ST, 0), low(1), Insn::stmt(op::ST, 1), Insn::stmt(op::STX, 2), LOAD_NR];
        insns.extend(some);
        // Room for every jump to land on.
        insns.extend([ALLOW, EPERM, KILL, ALLOW, EPERM, KILL]);
        insns
    })
}

fn some_call() -> impl Strategy<Value = SeccompData> {
    let word = || prop_oneof![3 => 0u64..5, 1 => any::<u64>(), 1 => (0u64..3, 0u64..3).prop_map(|(high, low)| high << 32 | low)];
    let arch = prop_oneof![Just(0xc000_003e_u32), Just(0x4000_0003), any::<u32>(), 0u32..4];
    (prop_oneof![3 => 0u32..5, 1 => 400u32..440, 1 => any::<u32>()], arch, word(), proptest::array::uniform6(word()))
        .prop_map(|(nr, arch, instruction_pointer, args)| SeccompData { nr, arch, instruction_pointer, args })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    /// Whatever a program does with its registers, the walk answers like the interpreter, or says that it cannot.
    #[test]
    fn any_program(insns in program(), calls in proptest::collection::vec(some_call(), 24)) {
        prop_assume!(check(&insns).is_ok());
        match Walk::new(&insns) {
            Ok(walk) => for data in &calls {
                same(&insns, &walk, data)?;
            },
            Err(error) => prop_assert!(matches!(error, WalkError::TooComplex(_)), "{}", error),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// Bytes of any kind: an error or a program that the kernel would load, and never a loop or a panic.
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400), seed in any::<u64>()) {
        if let Ok(insns) = read_raw(&bytes) {
            prop_assert_eq!(check(&insns), Ok(()));
        }
        let mut mutant = write_raw(&compile(&blocklist(), Arch::X86_64, Gate::None).expect("small").insns);
        let mut random = TestRng::from_seed(proptest::test_runner::RngAlgorithm::XorShift, &[seed.to_le_bytes(); 2].concat());
        for _ in 0..3 {
            let at = random.next_u32() as usize % mutant.len();
            mutant[at] = random.next_u32() as u8;
        }
        if let Ok(insns) = read_raw(&mutant)
            && let Ok(mut walk) = Walk::new(&insns)
        {
            for nr in [0, 1, 2, 101, 165, 424, 0x4000_0065] {
                let data = SeccompData { nr, arch: Arch::X86_64.audit(), instruction_pointer: 0, args: [0; 6] };
                same(&insns, &walk, &data)?;
            }
            // An error or a profile with the same answers.
            if let Ok(back) = walk.profile(Arch::X86_64) {
                for nr in [0, 1, 2, 101, 165, 424, 0x4000_0065] {
                    let data = SeccompData { nr, arch: Arch::X86_64.audit(), instruction_pointer: 0, args: [0; 6] };
                    prop_assert_eq!(back.action(Arch::X86_64, &data), walk.action(&data));
                }
            }
        }
    }
}

fn blocklist() -> Profile {
    let mut table = zerocap_seccomp::Table::new(Action::Allow);
    for name in ["ptrace", "mount", "bpf"] {
        let number = lookup(name).and_then(|call| call.number(Arch::X86_64)).expect("x86-64 has it");
        table.set(number, zerocap_seccomp::Decision::always(Action::Errno(1)));
    }
    let mut profile = Profile::new(Action::KillProcess);
    profile.set_table(Arch::X86_64, table);
    profile
}

/// Every built-in filter, with its gate, against the interpreter, over every number.
#[test]
fn built_in_filters_are_walked_exactly() {
    let mut ways = 0;
    for preset in zerocap_seccomp::preset::Preset::ALL {
        for native in Arch::NATIVE {
            let layer = LastLayer { preset, ..LastLayer::default() };
            let insns = last_layer(native, &layer).expect("a native architecture").insns;
            let mut walk = walk(insns);
            let profile = walk.profile(native).expect("a profile");
            for arch in native.family() {
                for nr in interesting_numbers() {
                    for args in argument_classes(&governing(&profile, native, arch.audit(), nr), 12) {
                        let data = SeccompData { nr, arch: arch.audit(), instruction_pointer: 0, args };
                        let meant = Action::from_ret(interpret(insns, &data).expect("checked"));
                        assert_eq!(walk.action(&data), meant, "{preset:?} {data:x?}");
                        assert_eq!(profile.action(native, &data), meant, "{preset:?} {data:x?}");
                        ways += 1;
                    }
                }
            }
        }
    }
    assert!(ways > 10_000, "{ways}");
}

/// The gate in words: three arguments that have to be the cookie.
#[test]
fn a_gate_is_three_equal_arguments() {
    let layer = LastLayer { preset: zerocap_seccomp::preset::Preset::ModelBackend, ..LastLayer::default() };
    let insns = last_layer(Arch::X86_64, &layer).expect("a native architecture").insns;
    let leaves = walk(insns).leaves(Arch::X86_64, 59).expect("execve");
    let open: Vec<_> = leaves.iter().filter(|leaf| leaf.action == Action::Allow).collect();
    assert_eq!(open.len(), 1, "{leaves:?}");
    assert_eq!(open[0].conditions, [3, 4, 5].map(|arg| condition(arg, Width::W64, Test::Eq(u64::MAX))));
}

/// Hand-written: no architecture check, a mask by AND, a flag kept in scratch memory, a copy through X.
#[test]
fn written_by_hand() {
    let insns = [
        LOAD_NR,
        jump(op::JEQ, 56, 1, 0),
        ALLOW,
        low(0),
        Insn::stmt(op::AND, 0x7e02_0000),
        Insn::stmt(op::ST, 5),
        Insn::stmt(op::LDX_MEM, 5),
        Insn::stmt(op::TXA, 0),
        jump(op::JEQ, 0, 0, 1),
        ALLOW,
        EPERM,
    ];
    let mut walk = walk(&insns);
    let leaves = walk.leaves(Arch::X86_64, 56).expect("clone");
    let flags = |test| vec![condition(0, Width::W32, test)];
    assert_eq!(leaves.len(), 2);
    let found = |insn: usize| leaves.iter().find(|leaf| leaf.insn == insn).map(|leaf| leaf.conditions.clone());
    assert_eq!(found(9), Some(flags(Test::MaskedEq { mask: 0x7e02_0000, datum: 0 })));
    assert_eq!(found(10), Some(flags(Test::MaskedNe { mask: 0x7e02_0000, datum: 0 })));
    // Without an architecture check, number 56 of i386 is judged as well; the numbers of x32 are not.
    let profile = walk.profile(Arch::X86_64).expect("a profile");
    let mpx = SeccompData { nr: 56, arch: Arch::I386.audit(), instruction_pointer: 0, args: [0x1000_0000; 6] };
    assert_eq!(profile.action(Arch::X86_64, &mpx), Action::Errno(1));
    let x32 = SeccompData { nr: 56 | 0x4000_0000, arch: Arch::X86_64.audit(), ..mpx };
    assert_eq!(profile.action(Arch::X86_64, &x32), Action::Allow);
}

/// Scratch memory and X are kept over jumps, on both ways.
#[test]
fn kept_over_a_jump() {
    let insns = [
        low(0),
        Insn::stmt(op::ST, 9),
        low(1),
        Insn::stmt(op::TAX, 0),
        jump(op::JEQ, 7, 0, 2),
        Insn::stmt(op::LD_MEM, 9),
        jump(op::JEQ, 1, 2, 1),
        jump(op::JEQ | op::SRC_X, 0, 1, 0),
        ALLOW,
        EPERM,
    ];
    let decision = walk(&insns).decision(Arch::X86_64, 0).expect("small");
    assert_eq!(decision.action(&[1, 7, 0, 0, 0, 0]), Action::Errno(1));
    assert_eq!(decision.action(&[2, 7, 0, 0, 0, 0]), Action::Allow);
    assert_eq!(decision.action(&[1, 8, 0, 0, 0, 0]), Action::Errno(1), "A equals X");
}

/// What depends on the caller's address is walked, and refused as a profile.
#[test]
fn the_instruction_pointer_is_reported() {
    let insns =
        [LOAD_NR, jump(op::JEQ, 1, 1, 0), ALLOW, Insn::stmt(op::LD_ABS, 12), jump(op::JEQ, 0x7fff, 0, 1), ALLOW, EPERM];
    let mut walk = walk(&insns);
    let leaves = walk.leaves(Arch::X86_64, 1).expect("write");
    assert_eq!(leaves.len(), 2);
    assert!(leaves.iter().all(|leaf| leaf.by_address));
    assert!(walk.leaves(Arch::X86_64, 0).expect("read").iter().all(|leaf| !leaf.by_address));
    let error = walk.profile(Arch::X86_64).expect_err("no profile says that");
    assert_eq!(error, ConvertError::Address { arch: Arch::X86_64, number: 1 });
    assert_eq!(error.to_string(), "x86_64 write: the answer depends on the address that the call is made from");
}

/// A division by an argument that is zero ends the program with 0: the thread is killed.
#[test]
fn dividing_by_an_argument() {
    let insns = [
        low(1),
        Insn::stmt(op::TAX, 0),
        Insn::stmt(op::LD_IMM, 1),
        Insn::stmt(op::DIV | op::SRC_X, 0),
        jump(op::JEQ, 1, 0, 1),
        ALLOW,
        EPERM,
    ];
    let mut walk = walk(&insns);
    let leaves = walk.leaves(Arch::X86_64, 3).expect("small");
    let of = |action| leaves.iter().find(|leaf| leaf.action == action).map(|leaf| leaf.conditions.clone());
    assert_eq!(of(Action::KillThread), Some(vec![condition(1, Width::W32, Test::Eq(0))]));
    assert_eq!(of(Action::Allow), Some(vec![condition(1, Width::W32, Test::Eq(1))]));
    assert_eq!(
        of(Action::Errno(1)),
        Some(vec![condition(1, Width::W32, Test::MaskedNe { mask: 0xffff_fffe, datum: 0 })])
    );
    // All numbers, with conditions: no table has so many entries.
    assert!(matches!(walk.profile(Arch::X86_64), Err(ConvertError::Numbers { first: 0, .. })));
}

/// Two arguments multiplied: no bound is kept by that, and it is said instead of guessed.
#[test]
fn what_cannot_be_followed_is_said() {
    let insns = [
        low(0),
        Insn::stmt(op::TAX, 0),
        low(1),
        Insn::stmt(op::MUL | op::SRC_X, 0),
        jump(op::JEQ, 0x1234_5677, 0, 1),
        ALLOW,
        EPERM,
    ];
    assert!(matches!(Walk::new(&insns), Err(WalkError::TooComplex(_))));
}

#[test]
fn ranges_of_numbers() {
    let insns = [
        LOAD_ARCH,
        jump(op::JEQ, Arch::X86_64.audit(), 0, 5),
        LOAD_NR,
        jump(op::JGE, 0x4000_0000, 3, 0),
        jump(op::JGT, 462, 0, 1),
        Insn::stmt(op::RET_K, 0x0005_0026),
        ALLOW,
        KILL,
    ];
    let mut walk = walk(&insns);
    let x86 = walk.ranges(Arch::X86_64.audit()).expect("few");
    assert_eq!(x86, [(0, 462), (463, 0x3fff_ffff), (0x4000_0000, u32::MAX)]);
    assert_eq!(walk.ranges(0).expect("few"), [(0, u32::MAX)]);
    let profile = walk.profile(Arch::X86_64).expect("a profile");
    assert_eq!(profile.foreign, Action::KillProcess);
    let table = profile.table(Arch::X86_64).expect("known");
    assert_eq!(table.steps().collect::<Vec<_>>(), [(0, Action::Allow), (463, Action::Errno(38))]);
    assert_eq!(table.entries().count(), 0);
    assert!(profile.table(Arch::X32).is_none() && profile.table(Arch::I386).is_none());
    assert!(equal(Arch::X86_64, &profile, &profile.clone()).expect("small"));
}

#[test]
fn bytes_that_are_no_filter() {
    let good = write_raw(&[ALLOW]);
    assert_eq!(read_raw(&good), Ok(vec![ALLOW]));
    assert_eq!(read_raw(&[]), Err(RawError::Empty));
    assert_eq!(read_raw(&good[..7]), Err(RawError::Cut(7)));
    assert_eq!(read_raw(&good.repeat(4097)), Err(RawError::Long(MAX_RAW + 8)));
    assert!(read_raw(&good.repeat(4096)).is_ok());
    // Text, and a filter in the other byte order.
    let error = read_raw(b"{\"defaultAction\":\"SCMP_ACT_ALLOW\"}......").expect_err("text");
    assert!(
        error.to_string().starts_with("the kernel would refuse this filter: instruction 0: code 0x227b"),
        "{error}"
    );
    assert!(matches!(read_raw(&[0, 6, 0, 0, 0x7f, 0xff, 0, 0]), Err(RawError::Check(_))));
    assert!(matches!(Walk::new(&[LOAD_NR]), Err(WalkError::Check(_))));
}

/// The longest programs that try to take long: an error, soon.
#[test]
fn work_is_bounded() {
    // Every bit of an argument adds something of its own: as many states as there are values.
    let mut sums = vec![Insn::stmt(op::LD_IMM, 0), Insn::stmt(op::ST, 0)];
    for bit in 0..30 {
        sums.extend([
            low(2),
            jump(op::JSET, 1 << bit, 0, 3),
            Insn::stmt(op::LD_MEM, 0),
            Insn::stmt(op::ADD, 0x9e37_79b9u32.rotate_left(bit)),
            Insn::stmt(op::ST, 0),
        ]);
    }
    sums.extend([Insn::stmt(op::LD_MEM, 0), jump(op::JEQ, 7, 0, 1), ALLOW, EPERM]);
    let mut powers = vec![low(0), Insn::stmt(op::TAX, 0), low(1)];
    powers.extend(vec![Insn::stmt(op::MUL | op::SRC_X, 0); 4000]);
    powers.extend([jump(op::JEQ, 7, 0, 1), ALLOW, EPERM]);
    let mut quotients = vec![low(0), Insn::stmt(op::TAX, 0), low(1)];
    quotients.extend(vec![Insn::stmt(op::DIV | op::SRC_X, 0); 4000]);
    quotients.extend([jump(op::JEQ, 7, 0, 1), ALLOW, EPERM]);
    for insns in [sums, powers, quotients] {
        assert_eq!(check(&insns), Ok(()));
        assert!(matches!(Walk::new(&insns), Err(WalkError::TooComplex(_))));
    }
    // The same value returned as it is: as many answers as there are values.
    assert!(matches!(Walk::new(&[low(0), Insn::stmt(op::RET_A, 0)]), Err(WalkError::TooComplex(_))));
    // Nothing to decide, but 4000 operations on the way.
    let mut constant = vec![Insn::stmt(op::LD_IMM, 3), Insn::stmt(op::LDX_IMM, 5)];
    constant.extend(vec![Insn::stmt(op::MUL | op::SRC_X, 0); 4000]);
    constant.extend([jump(op::JEQ, 7, 0, 1), ALLOW, EPERM]);
    let leaves = walk(&constant).leaves(Arch::X86_64, 0).expect("small");
    assert_eq!(leaves.len(), 1);
}
