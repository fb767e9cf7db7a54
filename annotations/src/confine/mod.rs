//! The policy compiled for one OCI spec: rewritten spec, launch plan, what the parked process must show, report.

mod custom;
mod facts;
mod landlock;
mod layers;
mod mounts;
mod names;
mod namespaces;
mod packets;
mod process;
mod promises;
mod reach;
mod refuse;
mod shape;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use zerocap_plan::{LaunchPlan, Role};

use crate::code;
use crate::error::ZcError;
use crate::host::Host;
use crate::policy::Policy;
use crate::report::{Change, Report, Setting, TargetKind};
use facts::Facts;
use layers::Layers;
pub use names::Names;
pub use packets::{Allow, PacketRules};
pub use process::CORE_LIMIT;
pub use reach::{By, Reach, one_destination, reach};

/// Which process is to be confined.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target<'a> {
    /// The pod's pause container. It runs no foreign code, so it gets no launcher.
    Sandbox,
    /// A container's first process.
    Init,
    /// A process executed into the container.
    Exec {
        /// The process of the request (`ExecProcessRequest.spec`), which containerd derives from its own, un-rewritten
        /// copy of the spec.
        process: &'a Value,
    },
    /// A program on this machine, started without a container: only what the launcher does is had, and the spec is no more
    /// than the process's description.
    Machine {
        /// Whether the one who starts it may empty the capability bounding set (CAP_SETPCAP).
        privileged: bool,
    },
}

impl Target<'_> {
    fn kind(self) -> TargetKind {
        match self {
            Self::Sandbox => TargetKind::Sandbox,
            Self::Init => TargetKind::Init,
            Self::Exec { .. } => TargetKind::Exec,
            Self::Machine { .. } => TargetKind::Machine,
        }
    }

    /// Whether there is a container around the process.
    fn in_container(self) -> bool {
        !matches!(self, Self::Machine { .. })
    }
}

/// The policy compiled for one process.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Confinement {
    /// The rewritten config.json; for an exec the rewritten process. Untouched where the policy is not active.
    pub spec: Value,
    /// What the launcher does; `None` where there is no launcher.
    pub plan: Option<LaunchPlan>,
    /// The rules of the container's packet fence; `None` where it gets none. Those of its first process hold for its execs.
    pub packets: Option<PacketRules>,
    /// What the names among them are resolved by; `None` where there are none, and for an exec, which gets those of the first process.
    pub names: Option<Names>,
    /// What the parked process must show.
    pub expect: Expect,
    /// The engine is to run with [`CORE_LIMIT`], which the process inherits: the engine may not set it.
    pub core_limit_inherited: bool,
    /// What is enforced, promise by promise.
    pub report: Report,
}

/// What the kernel must show of the process while it is parked, or the start fails.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Expect {
    /// All five capability sets are empty.
    pub caps_zero: bool,
    /// The bounding set need not be: whoever starts the process may not empty it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub any_bounding: bool,
    /// `NoNewPrivs: 1`.
    pub no_new_privs: bool,
    /// `Seccomp_filters` is at least this; with 0 the process may be without a filter.
    pub min_filters: u32,
    /// The uid on the node (a container's uid is mapped through its user namespace); `None` where the spec does not show it.
    pub uid: Option<u32>,
    /// The PID namespace is neither the shim's nor another container's.
    pub own_pid_ns: bool,
    /// The IPC namespace is neither the shim's nor the sandbox's.
    pub own_ipc_ns: bool,
    /// The launcher must report a Landlock domain.
    pub landlock: bool,
    /// The process is inside of the container's packet fence.
    #[serde(default)]
    pub packet_fence: bool,
    /// The core limit is [`CORE_LIMIT`], soft and hard.
    #[serde(default)]
    pub no_core: bool,
    /// The process must be the launcher, with stdio and the hand-over's descriptors only.
    pub launcher: bool,
}

/// Compiles the policy for one process. A pure function: what must be known of the node is in `host`.
///
/// `spec` is the config.json of the container as the CRI wrote it, also for an exec (never the rewritten one).
///
/// # Errors
/// * ZC03xx: the spec cannot be confined;
/// * ZC04xx: the pod's own seccomp profile cannot be read or compiled;
/// * ZC05xx: a promise that the policy requires is not kept on this host;
/// * ZC0602: the launch plan would be larger than the launcher accepts.
pub fn confine(spec: &Value, target: Target<'_>, policy: &Policy, host: &Host) -> Result<Confinement, ZcError> {
    let sandbox = target == Target::Sandbox;
    if !policy.active() || (sandbox && !policy.platform()) {
        return Ok(untouched(spec, target, policy, host));
    }
    shape::check(spec)?;
    if let Target::Exec { process } = target {
        shape::check_process(process)?;
    }
    let facts = Facts::of(spec, target)?;
    if policy.platform() && target.in_container() {
        refuse::with_platform(spec, target, policy, &facts)?;
    }
    refuse::over_launcher(&facts, target)?;

    // A program of this machine has no cgroup of its own.
    let fenced = policy.platform() && !sandbox && target.in_container() && host.packet_fence.works;
    let packets = fenced.then(|| PacketRules::of(policy));
    let names = if fenced && target == Target::Init { Names::of(policy, host, &facts) } else { None };
    let mut layers = Layers::of(spec, target, policy, host, packets.as_ref())?;
    let landlock = if sandbox { None } else { landlock::compile(policy, host, &facts, target, packets.as_ref()) };
    let promises = promises::table(policy, host, &facts, target, landlock.as_ref());
    promises::require(&promises)?;

    let mut changes = Vec::new();
    let mut notes = promises::notes(policy, &facts, target);
    if !sandbox {
        custom::notes(policy, &mut notes);
    }
    let parts = Parts { policy, host, facts: &facts, names: names.as_ref() };
    let spec = rewrite(spec, target, &parts, &mut layers, &mut changes, &mut notes);
    let mut expect = expect(policy, &facts, target, &layers, landlock.is_some());
    expect.packet_fence = fenced;
    let plan = plan(target, layers, landlock)?;

    let report = Report { promises, changes, notes, active: true, ..empty_report(target, policy, host) };
    let core_limit_inherited = process::inherits_core_limit(target, &parts);
    Ok(Confinement { spec, plan, packets, names, expect, core_limit_inherited, report })
}

fn untouched(spec: &Value, target: Target<'_>, policy: &Policy, host: &Host) -> Confinement {
    let spec = match target {
        Target::Exec { process } => process,
        _ => spec,
    };
    Confinement {
        spec: spec.clone(),
        plan: None,
        packets: None,
        names: None,
        expect: Expect::default(),
        core_limit_inherited: false,
        report: Report { promises: promises::not_asked(policy), ..empty_report(target, policy, host) },
    }
}

fn empty_report(target: Target<'_>, policy: &Policy, host: &Host) -> Report {
    let settings = policy.settings();
    let setting = |knob| {
        let source = policy.sources().get(&knob)?.clone();
        Some((knob, Setting { value: settings.text(knob)?, source }))
    };
    Report {
        version: Report::VERSION,
        container: policy.container_name().to_owned(),
        target: target.kind(),
        active: false,
        engine: host.engine.name.clone(),
        kernel: host.kernel.clone(),
        policy: settings.knobs().filter_map(setting).collect(),
        promises: Vec::new(),
        changes: Vec::new(),
        differences: policy.differences().to_vec(),
        notes: Vec::new(),
        verified: Vec::new(),
    }
}

/// What was decided, and what it was decided by.
struct Parts<'a> {
    policy: &'a Policy,
    host: &'a Host,
    facts: &'a Facts<'a>,
    names: Option<&'a Names>,
}

fn rewrite(
    spec: &Value,
    target: Target<'_>,
    parts: &Parts<'_>,
    layers: &mut Layers,
    changes: &mut Vec<Change>,
    notes: &mut Vec<String>,
) -> Value {
    let Parts { policy, host, facts, names } = *parts;
    match target {
        Target::Exec { process } => {
            let mut process = process.clone();
            process::rewrite(&mut process, target, parts, changes);
            return process;
        }
        // Nobody reads it: there is no engine.
        Target::Machine { .. } => return spec.clone(),
        Target::Sandbox | Target::Init => {}
    }
    let mut spec = layers.write(spec, changes);
    if let Some(process) = spec.get_mut("process") {
        process::rewrite(process, target, parts, changes);
    }
    if target == Target::Init {
        if policy.platform() {
            namespaces::own_ipc(&mut spec, policy.ipc_sysctls(), changes);
            mounts::private_shm(&mut spec, facts, changes, notes);
        }
        if policy.read_only() {
            mounts::read_only(&mut spec, facts, changes);
        }
        if let Some(names) = names {
            mounts::names(&mut spec, facts, names, changes, notes);
        }
        mounts::launcher(&mut spec, host, changes);
    }
    spec
}

fn expect(policy: &Policy, facts: &Facts<'_>, target: Target<'_>, layers: &Layers, landlock: bool) -> Expect {
    Expect {
        caps_zero: policy.platform(),
        any_bounding: target == Target::Machine { privileged: false },
        no_new_privs: true,
        min_filters: layers.count(),
        uid: facts.node_uid,
        own_pid_ns: facts.own_pid(),
        own_ipc_ns: policy.platform() && target != Target::Sandbox && target.in_container(),
        landlock,
        packet_fence: false,
        no_core: process::expects_no_core(target, policy),
        launcher: target != Target::Sandbox,
    }
}

fn plan(
    target: Target<'_>,
    layers: Layers,
    landlock: Option<landlock::Compiled>,
) -> Result<Option<LaunchPlan>, ZcError> {
    let role = match target {
        Target::Sandbox => return Ok(None),
        Target::Init | Target::Machine { .. } => Role::Init,
        Target::Exec { .. } => Role::Exec,
    };
    let (landlock, forbidden_connect) = landlock.map_or((None, None), |l| (Some(l.ruleset), l.forbidden_connect));
    let plan = LaunchPlan {
        role,
        landlock,
        forbidden_connect,
        native_abi_only: layers.native_abi_only(),
        filters: layers.filters,
    };
    plan.encode().map_err(|error| {
        ZcError::new(
            code::handover::PLAN_TOO_LARGE,
            error.to_string(),
            "shorten the lists of fs-read, fs-write, fs-execute or listen",
        )
    })?;
    Ok(Some(plan))
}
