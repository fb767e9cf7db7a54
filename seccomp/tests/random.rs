//! Random profiles, small and large: the compiled filter means what the model says. Large ones need every kind of long
//! jump.

mod common;

use common::generate::profile;
use common::{argument_classes, assert_means, governing, run};
use proptest::prelude::*;
use zerocap_seccomp::{
    Action, Arch, Clause, CompileError, Condition, Decision, Gate, MAX_INSNS, Profile, SeccompData, Table, Test, Width,
    check, compile, stack,
};

/// Every number that the profile has, with its arguments' classes.
fn same_meaning(profile: &Profile, native: Arch) -> Result<(), TestCaseError> {
    let program = match compile(profile, native, Gate::None) {
        Ok(program) => program,
        Err(CompileError::TooLong(length)) => {
            prop_assert!(length > MAX_INSNS);
            return Ok(());
        }
        Err(error) => return Err(TestCaseError::fail(error.to_string())),
    };
    prop_assert_eq!(check(&program.insns), Ok(()));
    for arch in native.family().iter().map(|arch| arch.audit()).chain([0]) {
        let numbers = (0..620).flat_map(|nr| [nr, nr | 0x4000_0000]).chain([0x3fff_ffff, 0x8000_0000, u32::MAX]);
        for nr in numbers {
            for args in argument_classes(&governing(profile, native, arch, nr), 60) {
                let data = SeccompData { nr, arch, instruction_pointer: 0, args };
                prop_assert_eq!(run(&program.insns, &data), profile.action(native, &data), "{:x?}", data);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn small_profiles(profile in profile(0..6)) {
        for native in Arch::NATIVE {
            same_meaning(&profile, native)?;
        }
    }

    #[test]
    fn large_profiles(profile in profile(40..90)) {
        same_meaning(&profile, Arch::X86_64)?;
    }

    /// Two filters on top of each other answer the stricter of both, whatever the order.
    #[test]
    fn stacking_is_the_strictest(a in profile(0..6), b in profile(0..6)) {
        let (first, second) = (compile(&a, Arch::X86_64, Gate::None), compile(&b, Arch::X86_64, Gate::None));
        let (first, second) = (first.expect("small"), second.expect("small"));
        for nr in 0..500 {
            for source in [&a, &b] {
                for args in argument_classes(&governing(source, Arch::X86_64, Arch::X86_64.audit(), nr), 20) {
                    let data = SeccompData { nr, arch: Arch::X86_64.audit(), instruction_pointer: 0, args };
                    let (x, y) = (run(&first.insns, &data), run(&second.insns, &data));
                    let both = stack([x, y]);
                    prop_assert!(!x.stricter_than(both) && !y.stricter_than(both));
                    prop_assert!(both == x || both == y);
                    prop_assert!(!both.stricter_than(stack([y, x])) && !stack([y, x]).stricter_than(both));
                }
            }
        }
    }
}

/// The classes of arguments that either profile tells apart.
fn calls_of(a: &Profile, b: &Profile) -> Vec<SeccompData> {
    let mut calls = Vec::new();
    for arch in Arch::X86_64.family().iter().map(|arch| arch.audit()).chain([0]) {
        for nr in (0..610).flat_map(|nr| [nr, nr | 0x4000_0000]) {
            let mut both = governing(a, Arch::X86_64, arch, nr);
            both.clauses.extend(governing(b, Arch::X86_64, arch, nr).clauses);
            let data = |args| SeccompData { nr, arch, instruction_pointer: 0, args };
            calls.extend(argument_classes(&both, 40).into_iter().map(data));
        }
    }
    calls
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// The answers of combined profiles are made of the answers of both, by meaning and compiled.
    #[test]
    fn combined_profiles(a in profile(0..6), b in profile(0..6)) {
        let native = Arch::X86_64;
        let (both, either, without) = (a.intersect(&b), a.union(&b), a.subtract(&b));
        let compiled = [&both, &either, &without].map(|profile| compile(profile, native, Gate::None).expect("small"));
        for data in calls_of(&a, &b) {
            let (ours, theirs) = (a.action(native, &data), b.action(native, &data));
            let meant = [
                stack([ours, theirs]),
                if ours.stricter_than(theirs) { theirs } else { ours },
                if theirs.permits() { stack([ours, Action::Errno(1)]) } else { ours },
            ];
            for ((profile, program), meant) in [&both, &either, &without].into_iter().zip(&compiled).zip(meant) {
                prop_assert_eq!(profile.action(native, &data), meant, "{:x?}", data);
                prop_assert_eq!(run(&program.insns, &data), meant, "{:x?}", data);
            }
            prop_assert!(!ours.stricter_than(meant[0]) && !meant[1].stricter_than(ours));
            prop_assert!(!(meant[2].permits() && theirs.permits()));
        }
    }
}

/// Every number another answer, conditions everywhere: longer than the kernel takes, and said so.
#[test]
fn too_long_is_an_error() {
    let mut table = Table::new(Action::Allow);
    for nr in 0..1200u32 {
        let condition = Condition::new(0, Width::W64, Test::Eq(u64::from(nr) << 20)).expect("argument 0");
        let clause = Clause { conditions: vec![condition], action: Action::Allow };
        table.set(nr, Decision { clauses: vec![clause], otherwise: Action::Errno(nr as u16 % 100) });
    }
    let mut profile = Profile::new(Action::KillProcess);
    profile.set_table(Arch::X86_64, table);
    let error = compile(&profile, Arch::X86_64, Gate::None).expect_err("too long");
    assert!(matches!(error, CompileError::TooLong(length) if length > MAX_INSNS), "{error}");
}

/// As long as it may be: jumps over thousands of instructions.
#[test]
fn a_long_profile_keeps_its_meaning() {
    let mut table = Table::new(Action::Errno(1));
    for nr in 0..450u32 {
        let condition = Condition::new(nr as u8 % 6, Width::W64, Test::Eq(u64::from(nr) << 30 | 1)).expect("below six");
        let clause = Clause { conditions: vec![condition], action: Action::Errno(nr as u16 + 100) };
        table.set(nr, Decision { clauses: vec![clause], otherwise: Action::Allow });
    }
    let mut profile = Profile::new(Action::KillProcess);
    profile.set_table(Arch::Aarch64, table);
    let program = compile(&profile, Arch::Aarch64, Gate::LastCalls).expect("below the limit");
    assert!(program.insns.len() > 2500, "{}", program.insns.len());
    let mut ungated = program.clone();
    // A cookie that no argument class has.
    for site in &program.cookie {
        ungated.insns[usize::from(site.insn)].k = 0x1357_9bdf;
    }
    assert_means(&ungated.insns, &profile, Arch::Aarch64, 50, "long");
}

#[test]
fn only_native_architectures_are_compiled_for() {
    for arch in [Arch::X32, Arch::I386, Arch::Arm] {
        assert_eq!(compile(&Profile::unconfined(), arch, Gate::None), Err(CompileError::NotNative(arch)));
    }
}
