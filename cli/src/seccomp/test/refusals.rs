//! What was refused, how often, and to whom.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use nix::unistd::Pid;
use serde_json::{Value, json};
use zerocap_seccomp::arguments::{self, Kind};
use zerocap_seccomp::{Action, Arch, SeccompData, X32_BIT, name_of};

use crate::seccomp::{names, words};
use crate::table;

/// How many different refusals are kept apart.
const MAX_KEPT: usize = 4096;
/// How much of a path is shown.
const MAX_PATH: usize = 256;

/// Every refusal of a run.
pub struct Refusals {
    native: Arch,
    kept: BTreeMap<Key, Refusal>,
    /// Those beyond the bound.
    more: u64,
    order: usize,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    call: String,
    comm: String,
    answer: Action,
}

struct Refusal {
    order: usize,
    times: u64,
    pid: i32,
    /// The first call, in words.
    example: String,
    data: SeccompData,
}

impl Refusals {
    /// None yet.
    pub fn new(native: Arch) -> Self {
        Self { native, kept: BTreeMap::new(), more: 0, order: 0 }
    }

    /// A thread was refused a call.
    pub fn add(&mut self, pid: Pid, data: &SeccompData, answer: Action) {
        let (arch, number) = self.abi(data);
        let name = name_of(arch, number);
        let mut call = name.map_or_else(|| format!("number {number}"), str::to_owned);
        if arch != self.native {
            let _ = write!(call, " ({})", arch.name());
        }
        let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let key = Key { call, comm: table::clean(comm.trim_end()), answer };
        if let Some(known) = self.kept.get_mut(&key) {
            known.times += 1;
        } else if self.kept.len() < MAX_KEPT {
            let example = example(arch, name.unwrap_or_default(), data, pid);
            let order = self.order;
            self.order += 1;
            self.kept.insert(key, Refusal { order, times: 1, pid: pid.as_raw(), example, data: *data });
        } else {
            self.more += 1;
        }
    }

    fn abi(&self, data: &SeccompData) -> (Arch, u32) {
        let found = self.native.family().iter().find(|arch| arch.audit() == data.arch).copied();
        match found {
            Some(Arch::X86_64 | Arch::X32) if data.nr >= X32_BIT => (Arch::X32, data.nr - X32_BIT),
            other => (other.unwrap_or(self.native), data.nr),
        }
    }

    /// In the order in which they were first seen.
    fn sorted(&self) -> Vec<(&Key, &Refusal)> {
        let mut all: Vec<_> = self.kept.iter().collect();
        all.sort_by_key(|(_, refusal)| refusal.order);
        all
    }

    /// For people.
    pub fn table(&self, profile: &str) -> String {
        if self.kept.is_empty() {
            return format!("zerocap: {profile} refused nothing\n");
        }
        let mut rows = table::table(&["refused", "answer", "times", "process", "first call"]);
        for (key, refusal) in self.sorted() {
            let process = format!("{} {}", key.comm, refusal.pid);
            rows.add_row([
                &key.call,
                &names::action(key.answer),
                &refusal.times.to_string(),
                &process,
                &refusal.example,
            ]);
        }
        let mut text = format!("zerocap: {profile} refused:\n");
        for line in rows.lines() {
            let _ = writeln!(text, "{}", line.trim_end());
        }
        if self.more > 0 {
            let _ = writeln!(text, "and {} calls more, which are not told apart", self.more);
        }
        text
    }

    /// For programs.
    pub fn json(&self, profile: &str, status: u8) -> Value {
        let refused: Vec<Value> = self
            .sorted()
            .into_iter()
            .map(|(key, refusal)| {
                json!({
                    "call": key.call, "answer": names::action(key.answer), "times": refusal.times, "process": key.comm,
                    "pid": refusal.pid, "number": refusal.data.nr, "args": refusal.data.args, "first": refusal.example,
                })
            })
            .collect();
        json!({ "profile": profile, "exit-status": status, "refused": refused, "not-told-apart": self.more })
    }
}

/// The call with its arguments; paths are read from the stopped thread's memory.
fn example(arch: Arch, name: &str, data: &SeccompData, pid: Pid) -> String {
    let known = arguments::of(arch, name);
    let shown = words::call(name, &data.args[..known.len()]);
    let path = known.iter().zip(data.args).find(|(argument, _)| {
        argument.kind == Kind::Pointer && (argument.name.contains("path") || argument.name.contains("filename"))
    });
    match path.and_then(|(_, address)| text_at(pid, address)) {
        Some(path) => format!("{shown} {}", table::clean(&path)),
        None => shown,
    }
}

fn text_at(pid: Pid, address: u64) -> Option<String> {
    let memory = File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut bytes = [0; MAX_PATH];
    // It may lie at the end of what is mapped.
    let in_page = usize::try_from(4096 - address % 4096).ok()?.min(MAX_PATH);
    let count = memory.read_at(&mut bytes[..in_page], address).ok()?;
    let end = bytes[..count].iter().position(|byte| *byte == 0)?;
    Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
}
