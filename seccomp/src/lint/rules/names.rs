//! SL16: names that are no system calls, and keys that nobody reads.

use serde_json::Value;

use super::super::Form;
use super::super::edit::Edit;
use super::super::finding::{Note, Severity};
use super::super::rule::{Rule, Sample};
use super::super::subject::Subject;
use super::super::words;
use super::super::written::Written;
use crate::oci::unread::{self, UnreadKey};
use crate::{Action, lookup, suggest};

pub(super) static RULE: Rule = Rule {
    id: "SL16",
    slug: "names",
    severity: Severity::Error,
    title: "a name that is no system call",
    why: "Engines skip names that libseccomp does not know, without a word: misspelt ones, names in the wrong case, \
          placeholders, and calls that are newer than the library. In a list of refusals the call stays open; in a list of \
          permissions it stays closed. Keys that the format does not have are skipped as well.",
    advice: "Correct the name. For calls that the node's libseccomp does not know, refuse by default and allow by name.",
    fires: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["ptrace", "Ptrcae", "<your syscall>"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }
] }"#,
    ),
    silent: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["ptrace"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }
] }"#,
    ),
    check,
};

type Version = (u8, u8, u8);

/// Calls that libseccomp knows from this version on (its release notes name the kernel whose table it has: 5.17 in 2.5.4,
/// 6.7 in 2.5.5, 6.13 in 2.5.6 and 2.6.0).
const SINCE: &[(Version, &[&str])] = &[
    ((2, 5, 5), &["cachestat", "fchmodat2", "futex_requeue", "futex_wait", "futex_wake", "map_shadow_stack"]),
    (
        (2, 5, 6),
        &[
            "getxattrat",
            "listmount",
            "listxattrat",
            "lsm_get_self_attr",
            "lsm_list_modules",
            "lsm_set_self_attr",
            "mseal",
            "removexattrat",
            "setxattrat",
            "statmount",
            "uretprobe",
        ],
    ),
    ((2, 6, 1), &["file_getattr", "file_setattr", "listns", "open_tree_attr", "uprobe"]),
];

/// From which version on libseccomp knows a call, if not from ever on.
fn since(name: &str) -> Option<Version> {
    SINCE.iter().find(|(_, names)| names.contains(&name)).map(|(version, _)| *version)
}

fn check(subject: &Subject<'_>, notes: &mut Vec<Note>) {
    for rule in subject.applying() {
        for (index, name) in rule.names.iter().enumerate() {
            // Looking for what was meant takes time; who has a hundred wrong names has another problem.
            if notes.len() < MOST
                && let Some(note) = unknown(subject, rule, name, index)
            {
                notes.push(note);
            }
        }
        too_new(subject, rule, notes);
    }
    if let Some(source) = subject.source {
        let value = source.value();
        let profile = if subject.form == Form::Config { value.pointer("/linux/seccomp") } else { Some(value) };
        profile.into_iter().for_each(|profile| unread_keys(subject, profile, notes));
    }
}

/// How many findings of this rule are told.
const MOST: usize = 100;

fn effect(rule: &Written) -> &'static str {
    if rule.action.permits() { "the call stays refused" } else { "the call stays as it is by default" }
}

fn unknown(subject: &Subject<'_>, rule: &Written, name: &str, index: usize) -> Option<Note> {
    let at = format!("{}[{index}]", rule.names_at());
    let native = subject.native();
    if let Some(call) = lookup(name) {
        let listed = native.family().iter().any(|abi| call.number(*abi).is_some());
        // Names of other architectures are usual in profiles for several; in a list of refusals of one they mislead.
        let misleading = name == "umount" && rule.action.refuses();
        if !listed || call.number(native).is_some() || !misleading {
            return None;
        }
        let note = Note::new(Severity::Warning, at)
            .wrote(format!("{name} is refused"))
            .kernel(format!("{} has no such call: there the function is umount2", native.name()))
            .instead("\"umount2\"");
        return Some(note);
    }
    let meant = suggest(name);
    let placeholder = name.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
    let source = subject.source?;
    let path = rule.names_at();
    let (instead, edit) = match meant.filter(|_| !placeholder) {
        Some(meant) if rule.names.iter().any(|other| other == meant) => {
            (format!("leave it out: {meant} is there as well"), Edit::remove_elements(source, &path, &[index]))
        }
        Some(meant) => {
            let text = format!("\"{meant}\"");
            let edit = (rule.action.refuses() && source.elements(&path).get(index).is_some())
                .then(|| Edit::new(vec![(source.span(&at), text.clone())]))
                .flatten();
            (text, edit)
        }
        None => (
            "leave it out, or write the call that was meant".to_owned(),
            Edit::remove_elements(source, &path, &[index]),
        ),
    };
    let note = Note::new(if rule.action.refuses() { Severity::Error } else { Severity::Warning }, at)
        .wrote(format!("\"{}\"", printable(name)))
        .kernel(format!("no system call has this name: engines skip it, {}", effect(rule)))
        .instead(instead)
        .edit(edit);
    Some(note)
}

/// A name for a message: without control characters, and short.
fn printable(name: &str) -> String {
    name.chars().take(64).map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn too_new(subject: &Subject<'_>, rule: &Written, notes: &mut Vec<Note>) {
    let Some(version) = subject.options.libseccomp else { return };
    let new: Vec<&String> = rule.names.iter().filter(|name| since(name).is_some_and(|since| since > version)).collect();
    if new.is_empty() {
        return;
    }
    let open = !rule.action.permits() && subject.default.is_some_and(Action::permits);
    let (a, b, c) = version;
    notes.push(
        Note::new(if open { Severity::Error } else { Severity::Warning }, rule.names_at())
            .wrote(rule.words())
            .kernel(format!("libseccomp {a}.{b}.{c} does not know {}: skipped, {}", words::list(&new), effect(rule)))
            .instead("refuse by default; or a filter of your own (`zerocap seccomp compile`), which knows them"),
    );
}

fn unread_keys(subject: &Subject<'_>, profile: &Value, notes: &mut Vec<Note>) {
    let room = MOST.saturating_sub(notes.len());
    notes.extend(unread::keys(profile).into_iter().take(room).map(|UnreadKey { at, key, meant }| {
        Note::new(Severity::Warning, format!("{}{at}", subject.prefix))
            .wrote(format!("the key \"{}\"", printable(&key)))
            .kernel("no engine reads it")
            .instead(meant.map_or("leave it out".to_owned(), |meant| format!("\"{meant}\"?")))
    }));
}
