//! Lists of somebody's own: built on a preset, with rules by name.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use common::{argument_classes, assert_means};
use proptest::prelude::*;
use zerocap_seccomp::intent::{Intent, IntentError, MAX_TEXT};
use zerocap_seccomp::preset::Preset;
use zerocap_seccomp::{Action, Arch, Gate, compile, lookup, names};

const EPERM: Action = Action::Errno(1);

fn preset(name: &str) -> Option<String> {
    Preset::from_name(name)?;
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("presets/{name}.toml"))).ok()
}

fn read(text: &str) -> Result<Intent, IntentError> {
    Intent::parse_with(text, &preset)
}

fn on_general(rest: &str) -> Intent {
    read(&format!("version = 1\nbase = \"general\"\n{rest}\n")).unwrap_or_else(|error| panic!("{error}"))
}

fn answer(intent: &Intent, arch: Arch, call: &str, args: [u64; 3]) -> Action {
    let args = [args[0], args[1], args[2], 0, 0, 0];
    let call = lookup(call).expect("a known name");
    intent.decision_on(arch, call, &BTreeSet::from(["unix"])).action(&args)
}

#[test]
fn allow_and_deny_with_conditions_by_name() {
    const NEWUSER: u64 = 0x1000_0000;
    const NEWNS: u64 = 0x2_0000;
    let intent = on_general(
        "[allow]\nclone = { flags = { none-of = [\"CLONE_NEWUSER\"] } }\nptrace = \"a debugger\"\nacct = { why = \"seen\", then = \"log\" }\n\
         [deny]\nmkdir = \"no\"\nsocket = [{ domain = \"AF_NETLINK\", then = \"EAFNOSUPPORT\" }, { domain = \"AF_UNIX\", then = \"kill\" }]\n\
         uname = { then = 13 }",
    );
    let on = Arch::X86_64;
    assert_eq!(answer(&intent, on, "clone", [NEWNS, 0, 0]), Action::Allow, "as this list says, not as general does");
    assert_eq!(answer(&intent, on, "clone", [NEWNS | NEWUSER | 1 << 40, 0, 0]), EPERM);
    assert_eq!(answer(&intent, on, "ptrace", [0; 3]), Action::Allow);
    assert_eq!(answer(&intent, on, "acct", [0; 3]), Action::Log);
    assert_eq!(answer(&intent, on, "mkdir", [0; 3]), EPERM);
    assert_eq!(answer(&intent, on, "uname", [0; 3]), Action::Errno(13));
    assert_eq!(answer(&intent, on, "socket", [16, 3, 0]), Action::Errno(97));
    assert_eq!(answer(&intent, on, "socket", [1, 1, 0]), Action::KillProcess);
    assert_eq!(answer(&intent, on, "socket", [2, 1, 0]), Action::Allow, "the rest is the base's");
    assert_eq!(answer(&intent, on, "socket", [40, 1, 0]), Action::Errno(13), "the rest is the base's");
    assert_eq!(answer(&intent, on, "mount", [0; 3]), EPERM, "no line of this list");
    for arch in Arch::NATIVE {
        let profile = intent.profile(arch, &BTreeSet::from(["unix"]));
        let program = compile(&profile, arch, Gate::None).expect("small");
        assert!(assert_means(&program.insns, &profile, arch, 5_000, "list") > 20_000);
    }
}

#[test]
fn a_mere_list_of_names_is_enough() {
    let intent = on_general("deny = [\"mkdir\", \"bpf\"]\nallow = [\"ptrace\"]");
    assert_eq!(answer(&intent, Arch::X86_64, "mkdir", [0; 3]), EPERM);
    assert_eq!(answer(&intent, Arch::X86_64, "ptrace", [0; 3]), Action::Allow);
}

/// `deny` wins over `allow`, in whatever order they stand.
#[test]
fn what_is_denied_is_denied() {
    for rest in ["deny = [\"ptrace\"]\nallow = [\"ptrace\"]", "allow = [\"ptrace\"]\ndeny = [\"ptrace\"]"] {
        assert_eq!(answer(&on_general(rest), Arch::X86_64, "ptrace", [0; 3]), EPERM);
    }
    let intent = on_general("[allow]\nptrace = \"d\"\n[deny]\nptrace = { why = \"k\", if = [\"listen\"] }");
    assert_eq!(answer(&intent, Arch::X86_64, "ptrace", [0; 3]), Action::Allow);
    let on = BTreeSet::from(["listen"]);
    assert_eq!(intent.decision(lookup("ptrace").expect("known"), &on).unconditional(), Some(EPERM));
}

#[test]
fn sections_for_one_architecture() {
    let intent = on_general(
        "[arch.aarch64.deny]\nopenat = \"there\"\n[arch.x86_64.allow]\nioperm = \"here\"\n[arch.x86_64.deny]\nopenat = { flags = 7 }",
    );
    assert_eq!(answer(&intent, Arch::Aarch64, "openat", [0; 3]), EPERM);
    assert_eq!(answer(&intent, Arch::X86_64, "openat", [0; 3]), Action::Allow);
    assert_eq!(answer(&intent, Arch::X86_64, "openat", [0, 0, 7]), EPERM);
    assert_eq!(answer(&intent, Arch::X86_64, "ioperm", [0; 3]), Action::Allow);
    assert!(!intent.refused(&BTreeSet::new()).contains(&"openat"), "x86_64 permits it with some arguments");
    assert!(intent.refused(&BTreeSet::new()).contains(&"ptrace"));

    // A line of a list built on this one counts for both.
    let text = "version = 1\nbase = \"general\"\n[arch.aarch64.deny]\nopenat = \"there\"\n";
    let bases = |name: &str| if name == "mine" { Some(text.to_owned()) } else { preset(name) };
    let with =
        |rest: &str| Intent::parse_with(&format!("version = 1\nbase = \"mine\"\n{rest}\n"), &bases).expect("right");
    assert_eq!(answer(&with(""), Arch::Aarch64, "openat", [0; 3]), EPERM);
    assert_eq!(answer(&with("allow = [\"openat\"]"), Arch::Aarch64, "openat", [0; 3]), Action::Allow);
    let narrowed = with("[deny]\nopenat = { flags = 7 }");
    assert_eq!(answer(&narrowed, Arch::Aarch64, "openat", [0; 3]), EPERM, "what was denied stays denied");
    assert_eq!(answer(&narrowed, Arch::X86_64, "openat", [0, 0, 7]), EPERM);
}

#[test]
fn knobs_that_are_on_without_being_asked_for() {
    assert_eq!(on_general("on = [\"unix\", \"listen\"]").on, ["unix", "listen"]);
    assert!(read("version = 1\nbase = \"general\"\non = [\"lsiten\"]").is_err());
}

/// Which rule decides, with its place and its words.
#[test]
fn the_deciding_rule_is_known() {
    let intent = on_general("[deny]\nsocket = { domain = \"AF_NETLINK\", why = \"no routes\" }");
    let on = BTreeSet::from(["unix"]);
    let line = intent.line(Arch::X86_64, lookup("socket").expect("known")).expect("it is decided");
    let rule = line.deciding(&on, &[16, 3, 0, 0, 0, 0]).expect("the first rule");
    assert_eq!((rule.place.file.as_str(), rule.place.line), ("", 4));
    assert_eq!(rule.why.as_deref(), Some("no routes"));
    assert_eq!(rule.written, "{ domain = \"AF_NETLINK\", why = \"no routes\" }");
    let base = line.deciding(&on, &[1, 1, 0, 0, 0, 0]).expect("the base's rule");
    assert_eq!(base.place.file, "general");
    assert!(line.deciding(&on, &[40, 1, 0, 0, 0, 0]).is_none());
}

/// One error with line, column and hint for everything that a person may get wrong.
#[test]
fn errors_have_a_place_and_a_hint() {
    let ok = "version = 1\nbase = \"general\"\n";
    for (rest, expected) in [
        ("[deny]\nptrcae = \"x\"", "line 4, column 1: deny.ptrcae: no system call has this name; did you mean ptrace?"),
        ("[deny]\nPtrace = \"x\"", "line 4, column 1: deny.Ptrace: no system call has this name; did you mean ptrace?"),
        ("[deny]\n\"\" = \"x\"", "line 4, column 1: deny.: no system call has this name"),
        (
            "[Deny]",
            "line 3, column 2: Deny: unknown key; known are: version, summary, base, knobs, on, answers, allow, deny, refuse, conditional, arch; did you mean deny?",
        ),
        (
            "[deny]\nmkdir = { then = \"eperm\" }",
            "line 4, column 18: deny.mkdir.then: eperm is neither an errno nor allow, log, trap, kill-thread, kill-process; did you mean EPERM?",
        ),
        (
            "[deny]\nmkdir = { then = \"allow\" }",
            "line 4, column 18: deny.mkdir.then: what is permitted stands under `allow`; here write an errno, \"trap\" or \"kill-process\"",
        ),
        (
            "[allow]\nmkdir = { then = \"EPERM\" }",
            "line 4, column 18: allow.mkdir.then: what is refused stands under `deny`; here write \"allow\" or \"log\"",
        ),
        ("[deny]\nmkdir = { then = 4096 }", "line 4, column 18: deny.mkdir.then: an errno is a number from 1 to 4095"),
        ("[deny]\nmkdir = { then = 0 }", "line 4, column 18: deny.mkdir.then: an errno is a number from 1 to 4095"),
        (
            "[deny]\nmkdir = { then = -1 }",
            "line 4, column 18: deny.mkdir.then: a negative number; write its bits in hexadecimal, as 0xffffffff",
        ),
        (
            "[deny]\nclone = { flags = 0x1ffffffffffffffff }",
            "line 4, column 19: deny.clone.flags: a number that has more than 64 bits",
        ),
        (
            "[deny]\nclone = { flags = 0x1ffffffff }",
            "line 4, column 19: deny.clone.flags: the argument has 32 bits, the value more",
        ),
        (
            "[deny]\nclone = { flgs = 1 }",
            "line 4, column 11: deny.clone.flgs: clone has no such argument; it has: flags, stack, parent_tid; did you mean flags?",
        ),
        (
            "[deny]\nclone = { flags = { none_of = [1] } }",
            "line 4, column 21: deny.clone.flags.none_of: unknown key; known are: is, not, in, mask, none-of, any-of, all-of, only; did you mean none-of?",
        ),
        (
            "[deny]\nclone = { flags = { none-of = [\"CLONE_NEWUSR\"] } }",
            "line 4, column 32: deny.clone.flags.none-of[0]: no constant is called CLONE_NEWUSR; did you mean CLONE_NEWUSER?",
        ),
        ("[deny]\nclone = { flags = { all-of = [] } }", "line 4, column 30: deny.clone.flags.all-of: no flag is named"),
        (
            "[deny]\nclone = { flags = { mask = 0, is = 0 } }",
            "line 4, column 19: deny.clone.flags: a mask of 0 looks at nothing: the condition always holds, or never",
        ),
        (
            "[deny]\nclone = { flags = { mask = 1, is = 2 } }",
            "line 4, column 36: deny.clone.flags.is: 0x2 has bits outside the mask 0x1: it can never be met",
        ),
        ("[deny]\nclone = []", "line 4, column 9: deny.clone: no rule is written"),
        (
            "[deny]\nclone = 7",
            "line 4, column 9: deny.clone: expected the reason as a string, or a table with conditions",
        ),
        ("[deny]\nmkdir = \"a\"\nmkdir = \"b\"", "line 5, column 1: duplicate key"),
        (
            "[arch.x86-64.deny]",
            "line 3, column 7: arch.x86-64: sections are for x86_64 and aarch64; did you mean x86_64?",
        ),
        ("[arch.aarch64.deny]\nmkdir = \"x\"", "line 4, column 1: arch.aarch64.deny.mkdir: aarch64 has no such call"),
        (
            "[arch.aarch64]\nbase = \"x\"",
            "line 4, column 1: arch.aarch64.base: unknown key; known are: allow, deny, refuse, conditional",
        ),
        ("deny = [\"mkdir\", 7]", "line 3, column 18: deny[1]: expected a string"),
        ("ü = 1", "line 3, column 1: "),
    ] {
        let error = read(&format!("{ok}{rest}")).expect_err(rest).to_string();
        let same = if rest.is_ascii() { error == expected } else { error.starts_with(expected) };
        assert!(same, "{rest}\n  found    {error}\n  expected {expected}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    for (text, expected) in [
        ("", "line 1, column 1: version: is missing; begin the file with: version = 1"),
        ("version = 2", "line 1, column 11: version: this version of zerocap reads 1"),
        ("version = \"1\"", "line 1, column 11: version: this version of zerocap reads 1"),
        (
            "version = 1",
            "line 1, column 1: answers: is missing; build the list on a preset, as base = \"general\", or write [answers]",
        ),
        ("version = 1\nbase = \"generl\"", "line 2, column 8: base: there is no profile generl"),
    ] {
        assert_eq!(read(text).expect_err(text).to_string(), expected, "{text}");
    }
    let large = format!("# {}", "x".repeat(MAX_TEXT));
    assert!(read(&large).is_err_and(|error| error.to_string().contains("more than 1024 KiB")));
    assert!(read(&format!("a = {}", "[".repeat(100_000))).is_err());
    let many = "{ stack = 1 },".repeat(300);
    assert!(
        read(&format!("{ok}[deny]\nclone = [{many}]"))
            .is_err_and(|error| error.to_string().contains("more than 256 rules"))
    );
}

/// Names of calls of x86-64 that have named arguments, to build lists from.
fn rules() -> impl Strategy<Value = String> {
    let condition = prop_oneof![
        Just("flags = { none-of = [1, 0x10000000] }"),
        Just("flags = { only = [0x10f00] }"),
        Just("flags = { is = 0x100, mask = 0xf00 }"),
        Just("flags = { any-of = [\"CLONE_NEWUSER\", \"CLONE_NEWNS\"] }"),
        Just("stack = 0"),
        Just("stack = { not = 0 }"),
        Just("flags = { in = [0, 17, 0x1200011] }, stack = { in = [0, 4096] }"),
    ];
    let then = prop_oneof![Just("EPERM"), Just("ENOSYS"), Just("trap"), Just("kill-process"), Just("kill-thread")];
    let rule = (condition, then).prop_map(|(condition, then)| format!("{{ {condition}, then = \"{then}\" }}"));
    proptest::collection::vec(rule, 1..5).prop_map(|rules| rules.join(", "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is denied, nothing is permitted that the base refuses.
    #[test]
    fn deny_only_tightens(rules in rules(), base in 0..Preset::ALL.len()) {
        let base = Preset::ALL[base].name();
        let plain = read(&format!("version = 1\nbase = \"{base}\"\n")).expect("right");
        let denied = read(&format!("version = 1\nbase = \"{base}\"\n[deny]\nclone = [{rules}]\n")).expect("right");
        for call in names().filter(|call| call.number(Arch::X86_64).is_some()) {
            let on = BTreeSet::new();
            let (before, after) = (plain.decision_on(Arch::X86_64, call, &on), denied.decision_on(Arch::X86_64, call, &on));
            if call.name() != "clone" {
                prop_assert_eq!(before, after);
                continue;
            }
            for args in argument_classes(&after, 2_000) {
                let (before, after) = (before.action(&args), after.action(&args));
                prop_assert!(!after.permits() || before.permits(), "{:x?}: {:?} {:?}", args, before, after);
            }
        }
    }

    /// Damage is an error that lies inside of the text, or leaves a list.
    #[test]
    fn damaged_lists(at in 0..400usize, cut in 0..8usize, put in "[\\[\\]{}=\",.#a-z0-9\\\\ü\n-]{0,4}") {
        let text = "version = 1\nbase = \"general\"\non = [\"unix\"]\nknobs = [\"k\"]\n[answers]\nknown = \"EPERM\"\n[allow]\n\
                    clone = { flags = { none-of = [\"CLONE_NEWUSER\"] }, if = [\"k\"], why = \"w\" }\n[deny]\nmount = \"m\"\n\
                    socket = [{ domain = 0x10, then = \"EACCES\" }, { type = { mask = 0xf, in = [1, 2] } }]\n[arch.x86_64.deny]\n\
                    ioperm = { then = \"kill\" }\n";
        prop_assert!(read(text).is_ok());
        let at = at.min(text.len());
        let damaged = format!("{}{put}{}", &text[..at], &text[(at + cut).min(text.len())..]);
        if let Err(error) = read(&damaged) {
            prop_assert!(error.line >= 1 && error.line <= damaged.lines().count() + 1, "{} in {:?}", error, damaged);
            prop_assert!(error.column >= 1 && !error.to_string().contains('\n'), "{} in {:?}", error, damaged);
        }
    }
}
