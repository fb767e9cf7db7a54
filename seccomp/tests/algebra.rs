//! Comparing and combining profiles, against the model's own answer to single calls.

mod common;

use common::generate::{decision, profile};
use common::{argument_classes, governing, run};
use proptest::prelude::*;
use zerocap_seccomp::algebra::{Change, contains, differences, equal, example};
use zerocap_seccomp::{
    Action, Arch, Clause, Condition, Decision, Gate, Profile, SeccompData, Table, Test, Width, compile, stack,
};

const NATIVE: Arch = Arch::X86_64;

/// A profile that says something of one call only.
fn of_one_call(decision: &Decision) -> Profile {
    let mut profile = Profile::new(Action::KillThread);
    for arch in NATIVE.family() {
        profile.set_table(*arch, Table::new(Action::Allow));
    }
    profile.set_table(NATIVE, Table::with(Action::Allow, vec![(7, decision.clone())]));
    profile
}

/// Arguments on all sides of everything that either decision compares with.
fn classes(a: &Decision, b: &Decision, limit: usize) -> Vec<[u64; 6]> {
    let clauses = a.clauses.iter().chain(&b.clauses).cloned().collect();
    argument_classes(&Decision { clauses, otherwise: Action::Allow }, limit)
}

fn is(a: &Profile, b: &Profile) -> bool {
    equal(NATIVE, a, b).expect("small")
}

fn holds(outer: &Profile, inner: &Profile) -> bool {
    contains(NATIVE, outer, inner).expect("small")
}

/// Nothing but errno values and the like differs.
fn same_kinds(a: &Profile, b: &Profile) -> bool {
    differences(NATIVE, a, b).all(|difference| difference.expect("small").change() == Change::Data)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// Every difference has an example that shows it, and every call that is answered differently is in exactly one.
    #[test]
    fn differences_are_exact(a in decision(), b in decision()) {
        let (first, second) = (of_one_call(&a), of_one_call(&b));
        let found: Vec<_> = differences(NATIVE, &first, &second).map(|difference| difference.expect("small")).collect();
        for difference in &found {
            prop_assert_eq!((difference.arch, difference.number, difference.last), (NATIVE, 7, 7));
            prop_assert_eq!(a.action(&difference.witness), difference.before);
            prop_assert_eq!(b.action(&difference.witness), difference.after);
            prop_assert!(difference.conditions.iter().all(|condition| condition.holds(&difference.witness)));
            prop_assert_ne!(difference.before, difference.after);
        }
        for args in classes(&a, &b, 300) {
            let here: Vec<_> =
                found.iter().filter(|found| found.conditions.iter().all(|condition| condition.holds(&args))).collect();
            let answers = (a.action(&args), b.action(&args));
            if answers.0 == answers.1 {
                prop_assert!(here.is_empty(), "{:x?} {:?}", args, here);
            } else {
                prop_assert_eq!(here.len(), 1, "{:x?}", args);
                prop_assert_eq!((here[0].before, here[0].after), answers, "{:x?}", args);
            }
        }
        prop_assert_eq!(is(&first, &second), found.is_empty());
        let loosened = found.iter().any(|difference| difference.change() == Change::Looser);
        prop_assert_eq!(holds(&first, &second), !loosened);
    }

    /// Fewer clauses, the same answers.
    #[test]
    fn simpler_means_the_same(a in decision()) {
        let simplified = a.simplified();
        prop_assert!(is(&of_one_call(&a), &of_one_call(&simplified)), "{:?}", simplified);
        for args in classes(&a, &simplified, 300) {
            prop_assert_eq!(simplified.action(&args), a.action(&args), "{:x?}", args);
        }
        prop_assert!(simplified.clauses.len() <= a.clauses.len());
        prop_assert_eq!(simplified.unreachable(), Ok(Vec::new()));
        for index in a.unreachable().expect("small") {
            let mut without = a.clone();
            without.clauses.remove(index);
            prop_assert!(is(&of_one_call(&a), &of_one_call(&without)), "{}", index);
        }
    }

    /// Conditions on six bits only: every combination of them, not a choice.
    #[test]
    fn equality_is_what_enumeration_says(
        a in proptest::collection::vec((few_bits(), 0u16..3), 0..5),
        b in proptest::collection::vec((few_bits(), 0u16..3), 0..5),
    ) {
        let build = |parts: &[(Condition, u16)]| Decision {
            clauses: parts
                .iter()
                .map(|(condition, errno)| Clause { conditions: vec![condition.clone()], action: Action::Errno(*errno) })
                .collect(),
            otherwise: Action::Errno(0),
        };
        let (a, b) = (build(&a), build(&b));
        let same = (0..64).all(|bits| a.action(&[spread(bits); 6]) == b.action(&[spread(bits); 6]));
        prop_assert_eq!(is(&of_one_call(&a), &of_one_call(&b)), same);
    }

    #[test]
    fn an_example_is_one(a in decision()) {
        let conditions: Vec<&Condition> = a.clauses.iter().flat_map(|clause| &clause.conditions).collect();
        match example(conditions.iter().copied()).expect("small") {
            Some(args) => prop_assert!(conditions.iter().all(|condition| condition.holds(&args))),
            None => {
                let clauses = vec![Clause { conditions: conditions.into_iter().cloned().collect(), action: Action::Trap }];
                let never = Decision { clauses, otherwise: Action::Allow };
                prop_assert!(classes(&never, &never, 500).iter().all(|args| never.action(args) == Action::Allow));
            }
        }
    }
}

const BITS: [u32; 6] = [0, 1, 31, 32, 33, 63];

fn spread(bits: u64) -> u64 {
    BITS.iter().enumerate().map(|(index, place)| (bits >> index & 1) << place).sum()
}

fn few_bits() -> impl Strategy<Value = Condition> {
    let value = || (0u64..64).prop_map(spread);
    let test = prop_oneof![
        (value(), value()).prop_map(|(mask, datum)| Test::MaskedEq { mask, datum }),
        (value(), value()).prop_map(|(mask, datum)| Test::MaskedNe { mask, datum }),
        (value(), proptest::collection::vec(value(), 0..6)).prop_map(|(mask, values)| Test::OneOf { mask, values }),
    ];
    (prop_oneof![Just(Width::W32), Just(Width::W64)], test)
        .prop_map(|(width, test)| Condition::new(0, width, test).expect("argument 0"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    /// The laws of sets, for whole profiles of all ABIs.
    #[test]
    fn laws(a in profile(0..6), b in profile(0..6), c in profile(0..6)) {
        let (both, either) = (a.intersect(&b), a.union(&b));
        prop_assert!(is(&a, &a) && is(&a.intersect(&a), &a) && is(&a.union(&a), &a));
        // In the other order the other's errno is seen, and nothing else differs.
        prop_assert!(same_kinds(&both, &b.intersect(&a)) && same_kinds(&either, &b.union(&a)));
        prop_assert!(is(&both.intersect(&c), &a.intersect(&b.intersect(&c))));
        prop_assert!(is(&either.union(&c), &a.union(&b.union(&c))));
        prop_assert!(same_kinds(&a.union(&both), &a) && same_kinds(&a.intersect(&either), &a));
        prop_assert!(holds(&a, &both) && holds(&b, &both) && holds(&either, &a) && holds(&either, &b));
        prop_assert!(holds(&a, &a.subtract(&b)));
        // Contained both ways: the same but for the data.
        prop_assert_eq!(holds(&a, &b) && holds(&b, &a), same_kinds(&a, &b));
        prop_assert_eq!(holds(&a, &b), same_kinds(&both, &b));
        prop_assert_eq!(is(&a, &b), is(&b, &a));
        let nothing = Profile::new(Action::KillProcess);
        for difference in differences(NATIVE, &a.subtract(&a), &nothing) {
            prop_assert!(!difference.expect("small").before.permits());
        }
    }

    /// What is found between whole profiles is what the compiled filters answer.
    #[test]
    fn examples_are_real(a in profile(0..6), b in profile(0..6)) {
        let compiled = [&a, &b].map(|profile| compile(profile, NATIVE, Gate::None).expect("small"));
        let found: Vec<_> = differences(NATIVE, &a, &b).map(|difference| difference.expect("small")).collect();
        for difference in &found {
            let last = difference.arch.call(difference.last, difference.witness);
            for call in [difference.call(), last] {
                prop_assert_eq!(run(&compiled[0].insns, &call), difference.before, "{:x?}", call);
                prop_assert_eq!(run(&compiled[1].insns, &call), difference.after, "{:x?}", call);
            }
        }
        for arch in NATIVE.family() {
            for number in (0..610).chain([arch.last_number()]) {
                let nr = arch.call(number, [0; 6]).nr;
                let decisions = [&a, &b].map(|profile| governing(profile, NATIVE, arch.audit(), nr));
                for args in classes(&decisions[0], &decisions[1], 30) {
                    let data = SeccompData { nr, arch: arch.audit(), instruction_pointer: 0, args };
                    let differ = a.action(NATIVE, &data) != b.action(NATIVE, &data);
                    let here = found.iter().filter(|found| {
                        found.arch == *arch
                            && (found.number..=found.last).contains(&number)
                            && found.conditions.iter().all(|condition| condition.holds(&args))
                    });
                    prop_assert_eq!(here.count(), usize::from(differ), "{:x?}", data);
                }
            }
        }
    }

    /// A stack of filters is the intersection of their profiles.
    #[test]
    fn stacks_are_intersections(a in profile(0..4), b in profile(0..4), c in profile(0..4)) {
        let whole = a.intersect(&b).intersect(&c);
        let compiled = [&a, &b, &c].map(|profile| compile(profile, NATIVE, Gate::None).expect("small"));
        for arch in NATIVE.family() {
            for number in 0..520 {
                let nr = arch.call(number, [0; 6]).nr;
                for args in argument_classes(&governing(&whole, NATIVE, arch.audit(), nr), 10) {
                    let data = SeccompData { nr, arch: arch.audit(), instruction_pointer: 0, args };
                    let answers = compiled.each_ref().map(|program| run(&program.insns, &data));
                    prop_assert_eq!(whole.action(NATIVE, &data), stack(answers), "{:x?}", data);
                }
            }
        }
    }
}

/// Tests that nobody can sort out within bounds are an error that names the call, not an answer.
#[test]
fn what_is_too_entangled_is_said() {
    // Equality of two halves, one bit a clause and mixed with a third argument: the graph has to remember all of them.
    let condition = |arg, place: u32, set: bool| {
        let datum = u64::from(set) << place;
        Condition::new(arg, Width::W64, Test::MaskedEq { mask: 1 << place, datum }).expect("below six")
    };
    let mut clauses = Vec::new();
    for place in 0..40 {
        for (first, second) in [(true, false), (false, true)] {
            let conditions = vec![condition(0, place, first), condition(1, place, second)];
            clauses.push(Clause { conditions, action: Action::Trap });
        }
    }
    let tangled = of_one_call(&Decision { clauses, otherwise: Action::Allow });
    let error = equal(NATIVE, &tangled, &Profile::unconfined()).expect_err("it would take 2^40 nodes");
    assert_eq!((error.arch, error.number), (NATIVE, 7));
    assert!(error.to_string().starts_with("x86_64 poll: the conditions are too entangled"), "{error}");
    assert!(contains(NATIVE, &tangled, &Profile::unconfined()).is_err());
}

/// On what people ask: what is newly allowed, in words.
#[test]
fn a_difference_reads_like_the_rule() {
    let flags = |mask, datum| Condition::new(0, Width::W32, Test::MaskedEq { mask, datum }).expect("argument 0");
    let clone = |mask| Decision {
        clauses: vec![Clause { conditions: vec![flags(mask, 0)], action: Action::Allow }],
        otherwise: Action::Errno(1),
    };
    let (strict, lax) = (of_one_call(&clone(0x7e02_0000)), of_one_call(&clone(0x6e02_0000)));
    let found: Vec<_> = differences(NATIVE, &strict, &lax).map(|difference| difference.expect("small")).collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].change(), Change::Looser);
    assert_eq!(found[0].conditions, [flags(0x7e02_0000, 0x1000_0000)]);
    assert_eq!(found[0].witness, [0x1000_0000, 0, 0, 0, 0, 0]);
    assert_eq!(found[0].name, Some("poll"));
    assert!(holds(&lax, &strict) && !holds(&strict, &lax));
}

/// Numbers without an entry are compared too: those with names one by one, the others as ranges.
#[test]
fn ranges_of_numbers_are_differences() {
    let mut newer = Profile::unconfined();
    let mut table = Table::new(Action::Allow);
    table.set_from(460, Action::Errno(38));
    newer.set_table(NATIVE, table);
    let everything = Profile::unconfined();
    let found: Vec<_> = differences(NATIVE, &everything, &newer).map(|difference| difference.expect("small")).collect();
    assert!(found.iter().all(|found| found.before == Action::Allow && found.after == Action::Errno(38)));
    assert!(found.iter().any(|found| found.name == Some("mseal") && found.number == 462 && found.last == 462));
    assert_eq!(found.last().map(|found| (found.name, found.last)), Some((None, NATIVE.last_number())));
    let numbers: u64 = found.iter().map(|found| u64::from(found.last - found.number) + 1).sum();
    assert_eq!(numbers, u64::from(NATIVE.last_number()) - 459);
}

/// An ABI that only one profile knows is compared with the other's answer to foreign ABIs.
#[test]
fn a_missing_table_is_the_foreign_answer() {
    let mut a = Profile::new(Action::KillProcess);
    let b = a.clone();
    a.set_table(Arch::I386, Table::new(Action::KillProcess));
    assert!(is(&a, &b));
    a.set_table(Arch::I386, Table::with(Action::KillProcess, vec![(1, Decision::always(Action::Allow))]));
    let found: Vec<_> = differences(NATIVE, &b, &a).map(|difference| difference.expect("small")).collect();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].arch, found[0].name), (Arch::I386, Some("exit")));
    // A kernel that has no such ABI sees no difference.
    assert!(equal(Arch::Aarch64, &a, &b).expect("small"));
}
