//! Our reading of OCI JSON against libseccomp, driven as runc drives it: random profiles, the same calls, equal verdicts.

mod common;
mod libseccomp;

use std::cell::Cell;
use std::collections::BTreeMap;

use common::{argument_classes, governing, run};
use libseccomp::{ArgCmp, Libseccomp};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use zerocap_seccomp::algebra::{Change, Difference, differences, equal};
use zerocap_seccomp::opcode as op;
use zerocap_seccomp::walk::Walk;
use zerocap_seccomp::{Action, Arch, Gate, Insn, Profile, SeccompData, X32_BIT, compile, name_of, names, oci};

/// Calls with all kinds of lives: everywhere, on one ABI only, multiplexed, number 0, x32 with numbers of their own.
const NAMES: [&str; 16] = [
    "read",
    "write",
    "open",
    "kill",
    "socket",
    "bind",
    "sendto",
    "shmget",
    "ipc",
    "socketcall",
    "execve",
    "ioctl",
    "chown32",
    "personality",
    "clone",
    "no_such_call",
];
const ACTIONS: [(&str, u32); 7] = [
    ("SCMP_ACT_ALLOW", 0x7fff_0000),
    ("SCMP_ACT_ERRNO", 0x0005_0000),
    ("SCMP_ACT_LOG", 0x7ffc_0000),
    ("SCMP_ACT_TRAP", 0x0003_0000),
    ("SCMP_ACT_KILL_PROCESS", 0x8000_0000),
    ("SCMP_ACT_KILL", 0),
    ("SCMP_ACT_TRACE", 0x7ff0_0000),
];
/// `SCMP_FLTATR_CTL_OPTIMIZE`: a list sorted by priority, as libseccomp makes by default, or runc's binary tree.
const LIST: u32 = 1;
const TREE: u32 = 2;
const OPS: [&str; 8] = [
    "",
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_LE",
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_MASKED_EQ",
];

#[derive(Debug, Clone)]
struct Rule {
    names: Vec<usize>,
    action: usize,
    errno: Option<u16>,
    args: Vec<(u32, i32, u64, u64)>,
}

#[derive(Debug, Clone)]
struct Document {
    default: usize,
    errno: Option<u16>,
    architectures: Vec<Arch>,
    rules: Vec<Rule>,
}

impl Document {
    fn json(&self) -> Value {
        let rules: Vec<Value> = self
            .rules
            .iter()
            .map(|rule| {
                let names: Vec<&str> = rule.names.iter().map(|name| NAMES[*name]).collect();
                let args: Vec<Value> = rule
                    .args
                    .iter()
                    .map(|(index, op, a, b)| json!({ "index": index, "op": OPS[*op as usize], "value": a, "valueTwo": b }))
                    .collect();
                json!({ "names": names, "action": ACTIONS[rule.action].0, "errnoRet": rule.errno, "args": args })
            })
            .collect();
        let architectures: Vec<&str> = self.architectures.iter().map(|arch| arch.scmp()).collect();
        json!({ "defaultAction": ACTIONS[self.default].0, "defaultErrnoRet": self.errno,
            "architectures": architectures, "syscalls": rules })
    }
}

fn ret(action: usize, errno: Option<u16>) -> u32 {
    let (name, value) = ACTIONS[action];
    let takes_number = ["SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"].contains(&name);
    value | if takes_number { u32::from(errno.unwrap_or(1)) } else { 0 }
}

/// What runc would load: libseccomp's filter, and the largest number per ABI above which runc answers ENOSYS.
struct Reference {
    insns: Vec<Insn>,
    newest: BTreeMap<Arch, u32>,
}

impl Reference {
    /// What the filter answers to every call, read as a foreign filter: runc's own instructions in front, which look at
    /// the number only, then libseccomp's.
    fn walked(&self, native: Arch) -> Profile {
        let jump = |code, k, jt, jf| Insn { code, jt, jf, k };
        let mut insns = Vec::new();
        for (arch, newest) in &self.newest {
            let section = match arch {
                Arch::X86_64 => vec![jump(op::JSET, X32_BIT, 2, 0)],
                Arch::X32 => vec![jump(op::JSET, X32_BIT, 0, 2)],
                _ => Vec::new(),
            };
            let length = section.len() as u8 + 3;
            insns.extend([
                Insn::stmt(op::LD_ABS, 4),
                jump(op::JEQ, arch.audit(), 0, length),
                Insn::stmt(op::LD_ABS, 0),
            ]);
            insns.extend(section);
            insns.extend([jump(op::JGT, *newest, 0, 1), Insn::stmt(op::RET_K, Action::Errno(38).ret())]);
        }
        insns.extend(&self.insns);
        let mut walk = Walk::new(&insns).expect("libseccomp makes filters that the kernel takes");
        walk.profile(native).expect("libseccomp's filters are profiles")
    }

    /// As `InitSeccomp`, `matchCall` and `findLastSyscalls` of runc do it. `None` if libseccomp refuses a rule.
    fn build(library: &Libseccomp, document: &Document, native: Arch, level: u32) -> Option<Self> {
        let default = ret(document.default, document.errno);
        let filter = library.filter(default);
        if native != Arch::X86_64 {
            filter.add_arch(native);
            filter.remove_arch(Arch::X86_64);
        }
        for arch in &document.architectures {
            filter.add_arch(*arch);
        }
        filter.optimize(level);
        for rule in &document.rules {
            let action = ret(rule.action, rule.errno);
            for name in &rule.names {
                let number = library.resolve(Arch::X86_64, NAMES[*name]);
                if action == default || number == -1 {
                    continue;
                }
                let conditions: Vec<ArgCmp> =
                    rule.args.iter().map(|(arg, op, a, b)| ArgCmp { arg: *arg, op: *op, a: *a, b: *b }).collect();
                let repeated = (0..6).any(|index| conditions.iter().filter(|c| c.arg == index).count() > 1);
                let results: Vec<i32> = if repeated {
                    conditions.iter().map(|condition| filter.add_rule(action, number, &[*condition])).collect()
                } else {
                    vec![filter.add_rule(action, number, &conditions)]
                };
                if results.iter().any(|result| *result != 0) {
                    return None;
                }
            }
        }
        // Nor where the default is ENOSYS anyway.
        let default_is_enosys = default == Action::Errno(38).ret();
        let permissive = default_is_enosys
            || ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"].contains(&ACTIONS[document.default].0);
        let mentioned = || document.rules.iter().flat_map(|rule| &rule.names).map(|name| NAMES[*name]);
        let newest = document
            .architectures
            .iter()
            .filter(|_| !permissive)
            .filter_map(|arch| {
                let newest = mentioned().map(|name| library.resolve(*arch, name)).max().filter(|number| *number > 0)?;
                Some((*arch, newest as u32))
            })
            .collect();
        Some(Self { insns: filter.export(), newest })
    }

    fn action(&self, data: &SeccompData) -> Action {
        let arch = match Arch::ALL.into_iter().find(|arch| arch.audit() == data.arch) {
            Some(Arch::X86_64) if data.nr & X32_BIT != 0 => Arch::X32,
            Some(arch) => arch,
            None => return run(&self.insns, data),
        };
        match self.newest.get(&arch) {
            Some(newest) if data.nr > *newest => Action::Errno(38),
            _ => run(&self.insns, data),
        }
    }
}

fn document(architectures: &'static [Arch]) -> impl Strategy<Value = Document> {
    let value = prop_oneof![0u64..6, Just(u64::from(u32::MAX)), (0u64..4).prop_map(|v| v << 32 | 3), Just(u64::MAX)];
    let arg = (0u32..3, 1i32..8, value.clone(), value);
    let rule = (
        proptest::collection::vec(0usize..NAMES.len(), 1..4),
        0usize..ACTIONS.len(),
        proptest::option::of(1u16..40),
        prop_oneof![2 => Just(Vec::new()), 3 => proptest::collection::vec(arg, 1..3)],
    )
        .prop_map(|(names, action, errno, args)| Rule { names, action, errno, args });
    (
        0usize..ACTIONS.len(),
        proptest::option::of(1u16..40),
        proptest::sample::subsequence(architectures, 0..=architectures.len()),
        proptest::collection::vec(rule, 0..7),
    )
        .prop_map(|(default, errno, architectures, rules)| Document { default, errno, architectures, rules })
}

/// Do rules of different actions apply to one call under conditions? Then libseccomp's answer depends on how its tree is
/// sorted, and ours is only required not to be weaker.
fn ambiguous(document: &Document) -> bool {
    let default = ret(document.default, document.errno);
    let actions = |name: usize| {
        let rules = document.rules.iter().filter(move |rule| rule.names.contains(&name));
        let mut actions: Vec<u32> =
            rules.map(|rule| ret(rule.action, rule.errno)).filter(|ret| *ret != default).collect();
        actions.sort_unstable();
        actions.dedup();
        actions
    };
    // Calls that share a multiplexer count as one.
    let group = |members: &[&str]| {
        let mut all: Vec<u32> = NAMES
            .iter()
            .enumerate()
            .filter(|(_, name)| members.contains(name))
            .flat_map(|(index, _)| actions(index))
            .collect();
        all.sort_unstable();
        all.dedup();
        all.len() > 1
    };
    (0..NAMES.len()).any(|name| actions(name).len() > 1)
        || group(&["socket", "bind", "sendto", "socketcall"])
        || group(&["shmget", "ipc"])
}

/// Do several conditions meet on one call, and not all of them ask for equality? libseccomp sorts them into one tree, in
/// which a comparison that holds leads away from the rules beside it: of "argument 0 is not 1 and argument 1 is 0" and
/// "argument 0 is 0" the second is lost. Before 2.6.1 it loses more when it merges 64-bit comparisons
/// (GHSA-4q85-33p6-j5g6). There it is no reference for what the rules say.
fn merges_badly(document: &Document) -> bool {
    const EQ: i32 = 4;
    let meets = |members: &[&str]| {
        let rules =
            || document.rules.iter().filter(|rule| rule.names.iter().any(|name| members.contains(&NAMES[*name])));
        let conditional = rules().filter(|rule| !rule.args.is_empty());
        let several = conditional.clone().count() > 1
            || conditional.clone().any(|rule| rule.names.len() > 1 && members.len() > 1)
            || conditional.clone().any(|rule| (0..6).any(|i| rule.args.iter().filter(|arg| arg.0 == i).count() > 1));
        several && conditional.flat_map(|rule| &rule.args).any(|arg| arg.1 != EQ)
    };
    NAMES.iter().any(|name| meets(&[name]))
        || meets(&["socket", "bind", "sendto", "socketcall"])
        || meets(&["shmget", "ipc"])
}

fn compare(reference: &Reference, ours: &Profile, insns: &[Insn], native: Arch, exact: bool) -> Result<u64, String> {
    let mut compared = 0;
    for arch in common::AUDIT_ARCHES {
        for name in NAMES.iter().chain(&["getpid", "statx", "rt_sigreturn", "uname"]) {
            for call in names().filter(|call| call.name() == *name) {
                for number in Arch::ALL.iter().filter_map(|abi| call.number(*abi)) {
                    for nr in [number, number | X32_BIT] {
                        for args in argument_classes(&governing(ours, native, arch, nr), 300) {
                            let data = SeccompData { nr, arch, instruction_pointer: 0, args };
                            let (theirs, mine) = (reference.action(&data), run(insns, &data));
                            compared += 1;
                            let wrong = if exact { theirs != mine } else { theirs.stricter_than(mine) };
                            if wrong {
                                return Err(format!("{name}: libseccomp {theirs:?}, zerocap {mine:?} for {data:x?}"));
                            }
                        }
                    }
                }
            }
        }
    }
    Ok(compared)
}

/// Numbers from 2^31 on, which no kernel takes for a call (-1 is what a tracer sets to skip one). runc and libseccomp look
/// at bit 30 of them or compare, here and there; here they are numbers of x32.
fn no_call(difference: &Difference) -> bool {
    difference.arch == Arch::X32 && difference.number >= X32_BIT
}

fn against(architectures: &'static [Arch], native: Arch) {
    let Some(library) = Libseccomp::open() else { return };
    let mut runner = TestRunner::new(Config { cases: 800, failure_persistence: None, ..Config::default() });
    let (exactly, refused, merging, calls) = (Cell::new(0), Cell::new(0), Cell::new(0), Cell::new(0));
    let lists = Cell::new(0);
    let outcome = runner.run(&document(architectures), |document| {
        if merges_badly(&document) {
            merging.set(merging.get() + 1);
            return Ok(());
        }
        let Some(reference) = Reference::build(&library, &document, native, TREE) else {
            refused.set(refused.get() + 1);
            return Ok(());
        };
        let ours = oci::read(&document.json()).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let program = compile(&ours, native, Gate::None).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let exact = !ambiguous(&document);
        // All numbers and all arguments, by meaning; then single calls, by interpreter.
        let theirs = reference.walked(native);
        for difference in differences(native, &theirs, &ours) {
            let difference = difference.map_err(|error| TestCaseError::fail(error.to_string()))?;
            let stricter = difference.change() == Change::Stricter;
            prop_assert!(no_call(&difference) || (stricter && !exact), "{:?}", difference);
        }
        // The same as a list, where every ABI has every call.
        let everywhere =
            |name: &&str| document.architectures.iter().chain([&native]).all(|arch| library.resolve(*arch, name) >= 0);
        if document.rules.iter().flat_map(|rule| &rule.names).all(|name| everywhere(&NAMES[*name])) {
            let list = Reference::build(&library, &document, native, LIST).expect("accepted as a tree");
            prop_assert_eq!(equal(native, &list.walked(native), &theirs), Ok(true), "as a list and as a tree");
            lists.set(lists.get() + 1);
        }
        let compared = compare(&reference, &ours, &program.insns, native, exact).map_err(TestCaseError::fail)?;
        exactly.set(exactly.get() + u32::from(exact));
        calls.set(calls.get() + compared);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    let (exactly, refused, merging, calls) = (exactly.get(), refused.get(), merging.get(), calls.get());
    println!("{exactly} compared exactly, {refused} refused by libseccomp, {merging} without reference, {calls} calls");
    assert!(exactly >= 100 && refused < 100 && lists.get() > 20, "{exactly} {refused} {}", lists.get());
}

#[test]
fn random_profiles_mean_what_libseccomp_makes_of_them_on_x86() {
    against(&[Arch::X86_64, Arch::I386, Arch::X32], Arch::X86_64);
}

#[test]
fn random_profiles_mean_what_libseccomp_makes_of_them_on_arm() {
    against(&[Arch::Aarch64, Arch::Arm], Arch::Aarch64);
}

/// The numbers of our tables are libseccomp's, where it knows the name.
#[test]
fn tables_agree_with_libseccomp() {
    let Some(library) = Libseccomp::open() else { return };
    let mut compared = 0;
    for call in names() {
        for arch in Arch::ALL {
            let theirs = library.resolve(arch, call.name());
            if theirs < 0 {
                continue;
            }
            let ours = call.number(arch).map(|number| if arch == Arch::X32 { number | X32_BIT } else { number });
            assert_eq!(ours, Some(theirs as u32), "{} on {arch:?}", call.name());
            compared += 1;
        }
    }
    assert!(compared > 1500, "{compared}");
}

/// The profile that containerd gives to pods: every number, on every ABI.
#[test]
fn the_runtime_default_profile_means_the_same() {
    let Some(library) = Libseccomp::open() else { return };
    let text = include_str!("../fixtures/runtime-default.json");
    let value: Value = serde_json::from_str(text).expect("valid JSON");
    let filter = library.filter(Action::Errno(1).ret());
    let mut newest: BTreeMap<Arch, u32> = BTreeMap::new();
    let mut unknown = Vec::new();
    for arch in [Arch::X86_64, Arch::I386, Arch::X32] {
        filter.add_arch(arch);
    }
    filter.optimize(2);
    for rule in value["syscalls"].as_array().expect("rules") {
        let action = match rule["action"].as_str() {
            Some("SCMP_ACT_ALLOW") => Action::Allow,
            _ => Action::Errno(rule["errnoRet"].as_u64().expect("a number") as u16),
        };
        let conditions: Vec<ArgCmp> = rule["args"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|arg| ArgCmp {
                arg: arg["index"].as_u64().expect("a number") as u32,
                op: OPS.iter().position(|op| Some(*op) == arg["op"].as_str()).expect("known") as i32,
                a: arg["value"].as_u64().unwrap_or(0),
                b: arg["valueTwo"].as_u64().unwrap_or(0),
            })
            .collect();
        for name in rule["names"].as_array().expect("names") {
            let name = name.as_str().expect("a name");
            for arch in [Arch::X86_64, Arch::I386, Arch::X32] {
                let number = library.resolve(arch, name);
                if number > 0 {
                    newest.entry(arch).and_modify(|n| *n = (*n).max(number as u32)).or_insert(number as u32);
                }
            }
            match library.resolve(Arch::X86_64, name) {
                -1 => unknown.push(name),
                number => assert_eq!(filter.add_rule(action.ret(), number, &conditions), 0, "{name}"),
            }
        }
    }
    let reference = Reference { insns: filter.export(), newest };
    let ours = oci::read(&value).expect("valid");
    let program = compile(&ours, Arch::X86_64, Gate::None).expect("small");
    let mut compared = 0;
    for arch in common::AUDIT_ARCHES {
        for nr in common::interesting_numbers() {
            // Numbers whose names this libseccomp does not have under this ABI are ours to know.
            let abi = Arch::X86_64.family().iter().filter(|abi| abi.audit() == arch);
            let newer = abi.clone().any(|abi| {
                name_of(*abi, nr & !X32_BIT).is_some_and(|name| library.resolve(*abi, name) < 0 && *abi != Arch::I386)
            });
            for args in argument_classes(&governing(&ours, Arch::X86_64, arch, nr), 2000) {
                let data = SeccompData { nr, arch, instruction_pointer: 0, args };
                let (theirs, mine) = (reference.action(&data), run(&program.insns, &data));
                if !newer {
                    assert_eq!(mine, theirs, "{data:x?}, libseccomp lacks {unknown:?}");
                    compared += 1;
                }
            }
        }
    }
    // The rest of the calls differ in what libseccomp's older tables lack only.
    for difference in differences(Arch::X86_64, &reference.walked(Arch::X86_64), &ours) {
        let difference = difference.expect("decided");
        let lacks = |name: &str| library.resolve(difference.arch, name) < 0;
        assert!(no_call(&difference) || difference.name.is_some_and(lacks), "{difference:?}");
    }
    println!("{compared} calls compared; this libseccomp lacks {unknown:?}");
    assert!(compared > 4000, "{compared}");
}
