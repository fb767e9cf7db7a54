//! What a process finally runs under, worked out from the spec and the plan alone: this is the tests' own reading, so
//! that a mistake of the translation is not repeated here.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;
use zerocap_plan::LaunchPlan;
use zerocap_seccomp::{Arch, Gate, Insn, SeccompData, compile, interpret, oci};

/// What the kernel answers, from loose to strict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    Allow,
    Log,
    Trace,
    Notify,
    Errno,
    Trap,
    KillThread,
    KillProcess,
}

fn answer(value: u32) -> Answer {
    match value & 0xffff_0000 {
        0x7fff_0000 => Answer::Allow,
        0x7ffc_0000 => Answer::Log,
        0x7ff0_0000 => Answer::Trace,
        0x7fc0_0000 => Answer::Notify,
        0x0005_0000 => Answer::Errno,
        0x0003_0000 => Answer::Trap,
        0x0000_0000 => Answer::KillThread,
        _ => Answer::KillProcess,
    }
}

fn cookie_word(word: u8) -> u32 {
    0x5eed_0001 + u32::from(word)
}

/// The launcher's cookie, as it stands in the fourth to sixth argument.
pub fn cookie() -> [u64; 3] {
    [0, 2, 4].map(|word| u64::from(cookie_word(word)) | u64::from(cookie_word(word + 1)) << 32)
}

thread_local! {
    /// Compiling is what most of the time goes to, and many cases have one profile.
    static COMPILED: RefCell<HashMap<String, Vec<Insn>>> = RefCell::default();
}

fn compiled(profile: &Value) -> Vec<Insn> {
    let compile = || {
        let profile = oci::read(profile).expect("a profile that confine accepted or wrote");
        compile(&profile, Arch::X86_64, Gate::None).expect("a filter").insns
    };
    COMPILED.with_borrow_mut(|known| known.entry(profile.to_string()).or_insert_with(compile).clone())
}

/// The filters of a process.
#[derive(Debug, Default)]
pub struct Filters(Vec<Vec<Insn>>);

impl Filters {
    /// The profile of a spec, compiled without a gate.
    pub fn oci(spec: &Value) -> Self {
        match spec.pointer("/linux/seccomp") {
            None | Some(Value::Null) => Self::default(),
            Some(profile) => Self(vec![compiled(profile)]),
        }
    }

    /// Adds what the launcher loads, with a cookie that the workload does not know.
    pub fn and_plan(mut self, plan: Option<&LaunchPlan>) -> Self {
        for filter in plan.into_iter().flat_map(|plan| &plan.filters) {
            let mut insns: Vec<Insn> =
                filter.insns.iter().map(|i| Insn { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect();
            for site in &filter.cookie {
                insns[usize::from(site.insn)].k = cookie_word(site.word);
            }
            self.0.push(insns);
        }
        self
    }

    /// The strictest answer of all filters.
    pub fn answer(&self, data: &SeccompData) -> Answer {
        let one = |insns: &Vec<Insn>| answer(interpret(insns, data).expect("a filter that the kernel would take"));
        self.0.iter().map(one).max().unwrap_or(Answer::Allow)
    }

    /// The strictest answer of all filters but the last `few`, which are not loaded yet.
    pub fn answer_without_last(&self, few: usize, data: &SeccompData) -> Answer {
        let loaded = self.0.len().saturating_sub(few);
        self.0[..loaded]
            .iter()
            .map(|insns| answer(interpret(insns, data).expect("a filter")))
            .max()
            .unwrap_or(Answer::Allow)
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// Capabilities by set; a set that is not written stays as the engine has it, which is "all of them" for the worst one.
pub fn capabilities(process: &Value) -> BTreeMap<&str, BTreeSet<&str>> {
    ["bounding", "effective", "permitted", "inheritable", "ambient"]
        .into_iter()
        .map(|set| match process["capabilities"][set].as_array() {
            Some(names) => (set, names.iter().filter_map(Value::as_str).collect()),
            None => (set, super::generate::CAPABILITIES.into()),
        })
        .collect()
}

/// Which TCP ports a process may connect to and bind, as far as Landlock says.
pub fn ports(plan: Option<&LaunchPlan>, right: u64) -> Ports {
    let landlock = plan.and_then(|plan| plan.landlock.as_ref());
    match landlock.filter(|landlock| landlock.handled_net & right != 0) {
        None => Ports::All,
        Some(landlock) => {
            Ports::These(landlock.ports.iter().filter(|p| p.access & right != 0).map(|p| p.port).collect())
        }
    }
}

/// A set of ports.
#[derive(Debug, PartialEq, Eq)]
pub enum Ports {
    All,
    These(BTreeSet<u16>),
}

impl Ports {
    pub fn within(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::All) => true,
            (Self::All, _) => false,
            (Self::These(a), Self::These(b)) => a.is_subset(b),
        }
    }
}

/// The file rights that Landlock leaves on a path: all that it does not handle, and what a rule at or above it grants.
pub fn rights(plan: Option<&LaunchPlan>, path: &str) -> u64 {
    const REFER: u64 = 1 << 13;
    let Some(landlock) = plan.and_then(|plan| plan.landlock.as_ref()) else { return u64::MAX };
    if landlock.handled_fs == 0 {
        return u64::MAX;
    }
    let above = |rule: &[u8]| {
        let rule = String::from_utf8_lossy(rule).into_owned();
        rule == "/" || path == rule || path.starts_with(&format!("{rule}/"))
    };
    let granted = landlock.paths.iter().filter(|rule| above(&rule.path)).fold(0, |all, rule| all | rule.access);
    !(landlock.handled_fs | REFER) | granted
}
