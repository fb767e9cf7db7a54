//! Every line of every preset: taken away, the filter that is left behaves otherwise on the kernel, so that this test turns red
//! without it. A line that says what holds anyway would be one too many; the few there are have to be named here.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod common;
mod kernel_child;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use common::argument_classes;
use kernel_child::{Call, Outcome, doing, raw, spawn, under};
use zerocap_seccomp::intent::Intent;
use zerocap_seccomp::preset::{LastLayer, Preset, last_layer};
use zerocap_seccomp::{Action, Arch, Decision, Insn, Syscall, lookup, names};

const EPERM: Action = Action::Errno(1);

fn text(name: &str) -> Option<String> {
    fs::read_to_string(format!("{}/presets/{name}.toml", env!("CARGO_MANIFEST_DIR"))).ok()
}

fn intent(preset: Preset) -> Intent {
    Intent::parse_with(&text(preset.name()).expect("the preset"), &text).expect("valid")
}

/// The calls that the preset's own file has a line for.
fn written(preset: Preset) -> BTreeMap<String, &'static str> {
    let file: toml::Table = text(preset.name()).and_then(|text| text.parse().ok()).expect("TOML");
    let keys = |table: Option<&toml::Value>| -> Vec<String> {
        table.and_then(toml::Value::as_table).map(|table| table.keys().cloned().collect()).unwrap_or_default()
    };
    let mut lines = BTreeMap::new();
    lines.extend(keys(file.get("allow")).into_iter().map(|name| (name, "allow")));
    lines.extend(keys(file.get("conditional")).into_iter().map(|name| (name, "conditional")));
    for refused in file.get("refuse").and_then(toml::Value::as_table).into_iter().flat_map(|table| table.values()) {
        lines.extend(keys(Some(refused)).into_iter().map(|name| (name, "refuse")));
    }
    lines
}

/// What a call is answered where the preset's file has no line for it.
fn without(preset: Preset, call: Syscall, on: &BTreeSet<&str>) -> Decision {
    match preset {
        Preset::General | Preset::Minimal => Decision::always(EPERM),
        Preset::SandboxBlocklist => Decision::always(Action::Allow),
        Preset::Strict | Preset::ModelBackend => intent(Preset::General).decision(call, on),
    }
}

fn variants(preset: Preset) -> Vec<LastLayer> {
    LastLayer::all().filter(|layer| layer.preset == preset).collect()
}

/// Refusals that say by name what a profile that refuses by default does anyway: each says what the call would open, and keeps the
/// call from being allowed by the next update of the tables (`every_known_call_has_a_reason`).
fn says_the_default(preset: Preset, kind: &str) -> bool {
    preset == Preset::General && kind == "refuse"
}

#[test]
fn no_line_is_redundant() {
    for preset in Preset::ALL {
        let (intent, mut says_default) = (intent(preset), 0);
        for (name, kind) in written(preset) {
            let call = lookup(&name).expect("a known call");
            let matters = variants(preset).iter().any(|layer| {
                let on: BTreeSet<&str> = layer.knobs().into_iter().collect();
                intent.decision(call, &on) != without(preset, call, &on)
            });
            if !matters {
                assert!(says_the_default(preset, kind), "{name} of {preset:?} changes nothing: take the line out");
                says_default += 1;
            }
        }
        println!("{preset:?}: {} lines, {says_default} of which say the default", written(preset).len());
    }
}

/// The preset's file without one alternative of one condition, or without one value of one list, for each there is.
fn with_less(preset: Preset) -> Vec<(String, Intent)> {
    use toml::Value::{Array, Table};
    let file: toml::Table = text(preset.name()).and_then(|text| text.parse().ok()).expect("TOML");
    let conditional = |file: &toml::Table| file.get("conditional").and_then(toml::Value::as_table).cloned();
    let mut all = Vec::new();
    for (name, line) in conditional(&file).into_iter().flatten() {
        let Some(Array(entries)) = line.get("when") else { continue };
        let mut shorter: Vec<(String, Vec<toml::Value>)> = Vec::new();
        for (at, entry) in entries.iter().enumerate() {
            let mut without = entries.clone();
            without.remove(at);
            shorter.push((format!("{name}.when[{at}]"), without));
            for (argument, test) in entry.as_table().into_iter().flatten() {
                for (list, values) in test.as_table().into_iter().flatten() {
                    // A list of one is the alternative itself.
                    let count = values.as_array().map_or(0, Vec::len);
                    for index in (0..count).filter(|_| count > 1) {
                        let mut changed = entries.clone();
                        if let Some(Table(test)) = changed[at].get_mut(argument)
                            && let Some(Array(values)) = test.get_mut(list)
                        {
                            values.remove(index);
                        }
                        shorter.push((format!("{name}.when[{at}].{argument}.{list}[{index}]"), changed));
                    }
                }
            }
        }
        for (what, entries) in shorter {
            let mut file = file.clone();
            if let Some(Table(line)) = file.get_mut("conditional").and_then(|all| all.get_mut(&name)) {
                line.insert("when".to_owned(), Array(entries));
            }
            // What the reader refuses without this part is not redundant.
            if let Ok(intent) = Intent::parse_with(&file.to_string(), &text) {
                all.push((what, intent));
            }
        }
    }
    all
}

#[test]
fn no_part_of_a_condition_is_redundant() {
    let mut tried = 0;
    for preset in Preset::ALL {
        let whole = intent(preset);
        for (what, less) in with_less(preset) {
            let call = what.split('.').next().and_then(lookup).expect("a known call");
            let differs = variants(preset).iter().any(|layer| {
                let on: BTreeSet<&str> = layer.knobs().into_iter().collect();
                let (before, after) = (whole.decision(call, &on), less.decision(call, &on));
                argument_classes(&before, 20_000).iter().any(|args| before.action(args) != after.action(args))
            });
            assert!(differs, "{what} of {preset:?} changes nothing: take it out");
            tried += 1;
        }
    }
    assert!(tried > 150, "{tried} parts");
}

/// Calls that end, stop or double the child that makes them: each is made in a child of its own.
const ALONE: [&str; 13] = [
    "exit",
    "exit_group",
    "fork",
    "vfork",
    "clone",
    "pause",
    "rt_sigreturn",
    "uretprobe",
    "uprobe",
    "sync",
    "vhangup",
    "reboot",
    "kexec_load",
];

/// Arguments that make nothing happen: pointers, descriptors and numbers that are none.
fn harmless(name: &str) -> [u64; 6] {
    match name {
        // Not all flags at once: a queue would be made.
        "msgget" => [0x7fff_fff0, 0, 0, 0, 0, 0],
        // Without operation: unlike the refusal.
        "futex" => [0, 1, u64::MAX, 0, 0, 0],
        // Without AT_EMPTY_PATH, which `general` refuses.
        "execveat" => [u64::MAX, u64::MAX, u64::MAX, 1, 0, 1],
        // The last three are not what an unpatched gate compares with.
        _ => [u64::MAX, u64::MAX, u64::MAX, u64::MAX - 1, u64::MAX - 1, u64::MAX - 1],
    }
}

/// Of each class of arguments what the kernel shows: a refusal with the errno of the filter, or the bare kernel's answer.
/// Returns what each call returned, under the filter and without.
fn on_the_kernel(
    layer: &LastLayer,
    intent: &Intent,
    chosen: &[(Syscall, Vec<[u64; 6]>)],
) -> Vec<(Syscall, [u64; 6], i64, i64)> {
    let on: BTreeSet<&str> = layer.knobs().into_iter().collect();
    let filter = last_layer(Arch::X86_64, layer).expect("a native architecture").insns;
    let calls: Vec<(Syscall, Call)> = chosen
        .iter()
        .flat_map(|(call, all)| {
            let number = call.number(Arch::X86_64);
            all.iter().filter_map(move |args| Some((*call, Call { number: number?, args: *args })))
        })
        .collect();
    let mut returned = Vec::new();
    for some in calls.chunks(400) {
        let made: Vec<Call> = some.iter().map(|(_, call)| *call).collect();
        let (bare, filtered) = (under(&[], &made), under(&[filter], &made));
        for (((call, made), bare), filtered) in some.iter().zip(&bare).zip(&filtered) {
            let class = |outcome: &Outcome| match outcome {
                Outcome::Returned(value) => (*value).min(0),
                other => panic!("{} {:x?}: {other:?}", call.name(), made.args),
            };
            returned.push((*call, made.args, class(filtered), class(bare)));
            match intent.decision(*call, &on).action(&made.args) {
                Action::Allow => assert_eq!(class(filtered), class(bare), "{} {:x?} {layer:?}", call.name(), made.args),
                Action::Errno(errno) => {
                    assert_eq!(class(filtered), -i64::from(errno), "{} {:x?} {layer:?}", call.name(), made.args);
                }
                other => panic!("{other:?}"),
            }
        }
    }
    returned
}

/// The kernel itself refuses these calls like a filter that has no line for them, whatever the arguments are here.
const KERNEL_ANSWERS_THE_SAME: [&str; 0] = [];

/// Allowed calls reach the kernel and refused ones do not; and for each line the filter without it answers otherwise.
#[test]
fn every_line_is_run_on_the_kernel() {
    let alone: BTreeSet<&str> = ALONE.into();
    for preset in Preset::ALL {
        let (intent, lines) = (intent(preset), written(preset));
        let (mut run, mut seen) = (BTreeSet::new(), BTreeSet::new());
        for listen in [false, true] {
            let layer = LastLayer { preset, listen, ..LastLayer::default() };
            let on: BTreeSet<&str> = layer.knobs().into_iter().collect();
            let chosen: Vec<(Syscall, Vec<[u64; 6]>)> = lines
                .keys()
                .filter(|name| !alone.contains(name.as_str()))
                .map(|name| (lookup(name).expect("known"), vec![harmless(name)]))
                .collect();
            for (call, args, filtered, bare) in on_the_kernel(&layer, &intent, &chosen) {
                run.insert(call.name());
                let same = match without(preset, call, &on).action(&args) {
                    Action::Errno(errno) => filtered == -i64::from(errno),
                    _ => filtered == bare,
                };
                if !same {
                    seen.insert(call.name());
                }
            }
        }
        println!("{preset:?}: {} of {} lines run, {} seen to matter", run.len(), lines.len(), seen.len());
        let left = lines.keys().filter(|name| alone.contains(name.as_str())).count();
        assert_eq!(run.len() + left, on_x86_64(&lines), "{preset:?}: a line is not run");
        // Those with conditions are seen below, at their boundaries.
        let shows_nothing: Vec<&str> = run
            .into_iter()
            .filter(|name| !seen.contains(name) && lines[*name] != "conditional")
            .filter(|name| !says_the_default(preset, lines[*name]))
            .collect();
        assert_eq!(
            shows_nothing, KERNEL_ANSWERS_THE_SAME,
            "{preset:?}: the kernel answers the same without these lines"
        );
    }
}

/// Every condition, at every value that it compares with and beside it, with every bit of the upper half that an `int` ignores.
#[test]
fn every_condition_is_run_on_the_kernel_at_its_boundaries() {
    for layer in LastLayer::all().filter(|layer| layer.exec_listed || layer.platform) {
        let intent = intent(layer.preset);
        let on: BTreeSet<&str> = layer.knobs().into_iter().collect();
        let conditional = |call: &Syscall| {
            let decision = intent.decision(*call, &on);
            decision.unconditional().is_none() && call.number(Arch::X86_64).is_some()
        };
        // clone makes processes, and mmap and mprotect may take away what the child needs: kernel.rs has their cases.
        let by_hand = ["clone", "mmap", "mprotect"];
        let chosen: Vec<(Syscall, Vec<[u64; 6]>)> = names()
            .filter(conditional)
            .filter(|call| !by_hand.contains(&call.name()))
            .map(|call| (call, argument_classes(&intent.decision(call, &on), 120)))
            .collect();
        let made = on_the_kernel(&layer, &intent, &chosen).len();
        assert!(made > 40 || layer.preset == Preset::SandboxBlocklist, "{layer:?}: {made}");
    }
}

/// How many of the lines are about calls that x86-64 has.
fn on_x86_64(lines: &BTreeMap<String, &'static str>) -> usize {
    lines.keys().filter(|name| lookup(name).is_some_and(|call| call.number(Arch::X86_64).is_some())).count()
}

/// Made by a child that does nothing else: what became of it.
fn alone(filters: &[&[Insn]], name: &str) -> Outcome {
    let call = |name: &str, args| {
        let number = lookup(name).and_then(|call| call.number(Arch::X86_64)).expect("x86-64 has it");
        Call { number, args }
    };
    let made = call(name, harmless(name));
    let (process, alarm) = (call(name, [17, 0, 0, 0, 0, 0]), call("alarm", [1, 0, 0, 0, 0, 0]));
    let session = call("setsid", [0; 6]);
    let outcome = match name {
        // A process with SIGCHLD at its end: what clone has in its first argument, and fork does not look at.
        "fork" | "vfork" | "clone" => doing(filters, &|| spawn(&process).min(1)),
        "pause" => doing(filters, &|| if raw(&alarm) < 0 { i64::MIN } else { raw(&made) }),
        // A session of its own has no terminal that could be hung up.
        "vhangup" => doing(filters, &|| if raw(&session) < 0 { i64::MIN } else { raw(&made) }),
        // The numbers that reboot asks for are not there, and the flags of kexec_load are none.
        _ => doing(filters, &|| raw(&made)),
    };
    assert_ne!(outcome, Outcome::Returned(i64::MIN), "{name}: the preparation was refused");
    outcome
}

/// What is refused returns the filter's errno; what is allowed ends as without a filter, which is something else.
#[test]
fn calls_that_end_or_double_a_process_are_run_on_the_kernel() {
    let mut run = BTreeSet::new();
    for preset in Preset::ALL {
        let layer = LastLayer { preset, ..LastLayer::default() };
        let (intent, on) = (intent(preset), layer.knobs().into_iter().collect::<BTreeSet<&str>>());
        let filter = last_layer(Arch::X86_64, &layer).expect("a native architecture").insns;
        for name in ALONE.into_iter().filter(|name| written(preset).contains_key(*name)) {
            let call = lookup(name).expect("a known call");
            let args = if name == "clone" { [17, 0, 0, 0, 0, 0] } else { harmless(name) };
            let (bare, filtered) = (alone(&[], name), alone(&[filter], name));
            match intent.decision(call, &on).action(&args) {
                Action::Allow => assert_eq!(filtered, bare, "{name} under {preset:?}"),
                Action::Errno(errno) => {
                    assert_eq!(filtered, Outcome::Returned(-i64::from(errno)), "{name} under {preset:?}");
                }
                other => panic!("{name} under {preset:?}: {other:?}"),
            }
            // EPERM is what the line's absence would answer, or what the line does.
            assert_ne!(
                bare,
                Outcome::Returned(-1),
                "{name}: the kernel itself refuses it here, so that nothing is shown"
            );
            run.insert(name);
        }
    }
    assert_eq!(run, ALONE.into(), "calls without a line need no place in the list");
}
