//! The table promise × fence, and whether it satisfies `require`.

mod machine;

use zerocap_seccomp::preset::refused_names;

use super::facts::{Facts, Namespace};
use super::landlock::{Compiled, fs, net, scope};
use super::layers::last_layers;
use super::names::{is_name, named};
use super::{Target, custom};
use crate::code;
use crate::error::ZcError;
use crate::host::Host;
use crate::knob::{Level, Listen, Preset, Require, Transport, Unix};
use crate::policy::Policy;
use crate::promise::Promise;
use crate::report::{Fence, FenceReport, PromiseReport, State};

/// How one promise is kept, while it is being found out.
struct Row {
    state: State,
    fences: Vec<FenceReport>,
    reasons: Vec<String>,
}

impl Row {
    fn kept() -> Self {
        Self { state: State::Kept, fences: Vec::new(), reasons: Vec::new() }
    }

    fn not_asked(reason: &str) -> Self {
        Self { state: State::NotAsked, fences: Vec::new(), reasons: vec![reason.to_owned()] }
    }

    fn fence(&mut self, fence: Fence, applied: bool, detail: impl Into<String>) {
        self.fences.push(FenceReport { fence, applied, detail: detail.into() });
    }

    fn partly(&mut self, reason: impl Into<String>) {
        self.state = self.state.min(State::Partly);
        self.reasons.push(reason.into());
    }

    fn not_kept(&mut self, reason: impl Into<String>) {
        self.state = self.state.min(State::NotKept);
        self.reasons.push(reason.into());
    }
}

/// What of the policy decides the table.
struct View<'a> {
    policy: &'a Policy,
    host: &'a Host,
    facts: &'a Facts<'a>,
    target: Target<'a>,
    handled_fs: u64,
    handled_net: u64,
    scoped: u64,
}

/// One row per promise.
pub(super) fn table(
    policy: &Policy,
    host: &Host,
    facts: &Facts<'_>,
    target: Target<'_>,
    landlock: Option<&Compiled>,
) -> Vec<PromiseReport> {
    let ruleset = landlock.map(|landlock| &landlock.ruleset);
    let view = View {
        policy,
        host,
        facts,
        target,
        handled_fs: ruleset.map_or(0, |r| r.handled_fs),
        handled_net: ruleset.map_or(0, |r| r.handled_net),
        scoped: ruleset.map_or(0, |r| r.scoped),
    };
    Promise::ALL.map(|promise| finish(promise, view.row(promise), policy.require(), target, view.audits())).into()
}

/// The table of a policy that asks for nothing.
pub(super) fn not_asked(policy: &Policy) -> Vec<PromiseReport> {
    let row =
        |promise| finish(promise, Row::not_asked("no knob asks for it"), policy.require(), Target::Sandbox, false);
    Promise::ALL.map(row).into()
}

fn finish(promise: Promise, row: Row, require: &Require, target: Target<'_>, audits: bool) -> PromiseReport {
    let level = match (require.level(promise), row.state) {
        // What the mode demands, it demands of what the policy asks for.
        (_, State::NotAsked) if *require == Require::Mode => Level::Nothing,
        // The mode that was asked for, and that the floor permits, is the one that does not keep it.
        (_, State::NotKept) if *require == Require::Mode && audits && promise == Promise::Egress => Level::Nothing,
        // The pause container keeps what it can; the promises are made to the containers.
        _ if target == Target::Sandbox => Level::Nothing,
        // There is no packet fence to be had, and who starts a program by hand reads the report.
        (Level::Fully, _) if *require == Require::Mode && !target.in_container() => Level::Partly,
        (level, _) => level,
    };
    PromiseReport { promise, state: row.state, required: level, fences: row.fences, reason: row.reasons.join("; ") }
}

/// Refuses the start where less is kept than is required.
pub(super) fn require(promises: &[PromiseReport]) -> Result<(), ZcError> {
    for row in promises {
        let PromiseReport { promise, reason, .. } = row;
        let error = match (row.required, row.state) {
            (Level::Nothing, _) | (_, State::Kept) | (Level::Partly, State::Partly) => continue,
            (_, State::NotAsked) => ZcError::new(
                code::promise::NOT_ASKED,
                format!("require names {promise}, which the policy does not ask for ({reason})"),
                format!("add the knob that asks for it, or remove {promise} from require"),
            ),
            (_, State::Partly) => ZcError::new(
                code::promise::ONLY_PARTLY,
                format!("{promise} must be fully kept, and is only partly: {reason}"),
                format!(
                    "run the pod where it is fully kept, or accept that by naming the other promises with zerocap.io/require, without {promise}"
                ),
            ),
            (_, State::NotKept) if *promise == Promise::Files => ZcError::new(
                code::promise::NO_LANDLOCK,
                format!("{promise} is not kept on this node: {reason}"),
                "boot the node with Landlock, or remove the path lists",
            ),
            (_, State::NotKept) => ZcError::new(
                code::promise::NOT_KEPT,
                format!("{promise} is not kept on this node: {reason}"),
                "run the pod on a node that has it, or name with require only the promises that are needed",
            ),
        };
        return Err(error);
    }
    Ok(())
}

/// What a reader should know beside the table.
pub(super) fn notes(policy: &Policy, facts: &Facts<'_>, target: Target<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    if !target.in_container() {
        notes.push(machine::NOTE.to_owned());
    }
    if target == Target::Sandbox {
        notes.push("the pause container runs no foreign code and gets no launcher".to_owned());
        return notes;
    }
    if matches!(target, Target::Exec { .. }) && policy.platform() {
        notes.push("a domain of its own: this process reaches neither abstract sockets nor /proc files of the container's first process".to_owned());
        if facts.own_pid() {
            notes.push(
                "signals are not scoped, so that kill -TERM 1 works; the PID namespace is the container's own"
                    .to_owned(),
            );
        }
    }
    if policy.settings().fs_execute.is_some() {
        notes.push(
            "fs-execute binds static programs only: a loader that may be executed runs any file that it may read"
                .to_owned(),
        );
    }
    if policy.presets().0.contains(&Preset::ModelBackend) && !policy.files_asked() {
        notes.push(
            "model-backend is a filter, and filters cannot read paths: files may be opened for writing wherever mounts and modes \
             permit it; filesystem: read-only or fs-write goes with it"
                .to_owned(),
        );
    }
    notes
}

impl View<'_> {
    fn row(&self, promise: Promise) -> Row {
        let platform = self.policy.platform();
        match promise {
            Promise::Files => self.files(),
            Promise::Neighbours if !self.target.in_container() => self.machine_neighbours(),
            Promise::Neighbours if !platform && self.policy.unix() != Unix::Any => self.unix_alone(),
            _ if !platform => Row::not_asked("network-enforcement is cluster"),
            Promise::Privileges => self.privileges(),
            Promise::Egress => self.egress(),
            Promise::Protocols => self.protocols(),
            Promise::Inbound => self.inbound(),
            Promise::Neighbours => self.neighbours(),
            Promise::Descriptors => self.descriptors(),
        }
    }

    fn has(&self, preset: Preset) -> bool {
        self.policy.presets().0.contains(&preset)
    }

    /// Whether a preset refuses this call whatever its arguments.
    fn refuses(&self, call: &str) -> bool {
        // Datagrams change no name.
        last_layers(self.policy, None).iter().any(|layer| refused_names(layer).contains(&call))
    }

    fn sandbox(&self) -> bool {
        self.target == Target::Sandbox
    }

    fn privileges(&self) -> Row {
        let mut row = Row::kept();
        row.fence(Fence::Capabilities, true, "five empty sets");
        row.fence(Fence::NoNewPrivs, true, "");
        let uid = match self.facts.user {
            Namespace::Node => format!("uid {}", self.facts.uid),
            _ => "a user namespace".to_owned(),
        };
        row.fence(Fence::Uid, self.target.in_container() || self.facts.uid != 0, uid);
        row.fence(Fence::Seccomp, true, "no user namespaces");
        self.machine_privileges(&mut row);
        row
    }

    fn egress(&self) -> Row {
        let mut row = Row::kept();
        if self.audits() {
            row.fence(Fence::PacketFence, false, "mode is audit: it counts and reports, and refuses no destination");
            row.fence(Fence::LandlockTcp, false, "mode is audit: connect is left to the packet fence");
            row.fence(Fence::Seccomp, true, "no Fast Open");
            row.not_kept("mode is audit: EVERY destination can be reached; those that egress does not name are counted and reported");
            return row;
        }
        let connect = self.handled_net & net::CONNECT_TCP != 0;
        let egress = self.policy.settings().egress.as_ref();
        let listed = match egress {
            Some(egress) => format!("the loopback proxy and {egress}"),
            None => "the loopback proxy".to_owned(),
        };
        self.packet_fence(&mut row, &listed);
        if self.fenced() && !named(self.policy).is_empty() {
            row.fence(Fence::NameResolver, true, "listed names only, by their own addresses while these are known");
        }
        let only = match egress {
            _ if self.fenced() && (egress.is_some() || !self.policy.listen().is_none()) => {
                "connect to the listed ports only".to_owned()
            }
            _ => format!("connect to port {} only", self.policy.proxy_port()),
        };
        row.fence(Fence::LandlockTcp, connect, if connect { only } else { String::new() });
        let datagrams = egress.is_some_and(|all| all.0.iter().any(|to| to.transport == Transport::Udp || is_name(to)))
            && self.fenced();
        row.fence(Fence::Seccomp, true, if datagrams { "no Fast Open" } else { "no datagrams, no Fast Open" });
        if self.sandbox() {
            row.partly("the pause container has no launcher, so no Landlock");
        } else if self.fenced() {
            // Kept.
        } else if connect {
            row.partly(format!(
                "port {} is reachable on any address, not only on loopback: {}",
                self.policy.proxy_port(),
                self.no_fence()
            ));
            if egress.is_some() {
                row.partly(
                    "the destinations of egress are not opened: Landlock would open their ports on every address",
                );
            }
        } else {
            row.not_kept(format!(
                "{}, and Landlock TCP (ABI 4, Linux 6.7) is missing{}",
                self.no_fence(),
                self.found()
            ));
        }
        row
    }

    /// Whether the process is inside of a packet fence.
    fn fenced(&self) -> bool {
        self.host.packet_fence.works && !self.sandbox() && self.target.in_container()
    }

    /// Whether the fence only watches what goes out.
    fn audits(&self) -> bool {
        self.policy.audit() && self.fenced()
    }

    fn no_fence(&self) -> String {
        if !self.target.in_container() {
            return "a program outside of a container has no packet fence".to_owned();
        }
        match self.host.packet_fence.missing.as_str() {
            "" => "the packet fence (cgroup programs and a cgroup v2 tree, Linux 5.18) cannot be had".to_owned(),
            missing => format!("the packet fence (Linux 5.18) cannot be had: {missing}"),
        }
    }

    fn packet_fence(&self, row: &mut Row, does: &str) {
        let fenced = self.fenced();
        let why_not = || match self.target {
            Target::Init | Target::Exec { .. } => self.host.packet_fence.missing.clone(),
            Target::Sandbox | Target::Machine { .. } => String::new(),
        };
        row.fence(Fence::PacketFence, fenced, if fenced { does.to_owned() } else { why_not() });
    }

    fn protocols(&self) -> Row {
        let mut row = Row::kept();
        row.fence(
            Fence::Seccomp,
            true,
            "socket families, types, protocols and options; no io_uring; the native ABI only",
        );
        self.packet_fence(&mut row, "TCP and UDP sockets only; no options that redirect packets");
        if self.audits() {
            row.partly("mode is audit: datagrams go to every destination, and are counted and reported");
        }
        if self.sandbox() {
            row.partly("the pause container has the OCI layer only, which refuses by name");
        }
        row
    }

    fn inbound(&self) -> Row {
        let mut row = Row::kept();
        let bind = self.handled_net & net::BIND_TCP != 0;
        let listen = self.policy.listen();
        self.packet_fence(&mut row, &format!("nobody reaches any port but those of listen ({listen})"));
        if self.refuses("listen") {
            row.fence(Fence::Seccomp, true, "listen and accept are refused");
            row.fence(Fence::LandlockTcp, bind, if bind { "no bind" } else { "" });
            return row;
        }
        if self.has(Preset::ModelBackend) {
            row.fence(Fence::Seccomp, true, "unix sockets only: no other one can listen");
            row.fence(Fence::LandlockTcp, bind, "");
            if self.sandbox() {
                row.partly("the pause container has the OCI layer only, which refuses by name");
            }
            return row;
        }
        row.fence(Fence::Seccomp, false, "listen and accept are permitted");
        match listen {
            Listen::Ports(_) if bind => {
                row.fence(Fence::LandlockTcp, true, format!("bind to {listen} only"));
                if !self.fenced() {
                    row.partly(format!(
                        "listen without bind takes a free port, which is reachable: {}",
                        self.no_fence()
                    ));
                }
            }
            Listen::Ports(_) if self.fenced() => row.fence(Fence::LandlockTcp, false, ""),
            Listen::Ports(_) => {
                row.fence(Fence::LandlockTcp, false, "");
                row.partly(format!(
                    "any port can be listened on: Landlock TCP (ABI 4, Linux 6.7) is missing{}",
                    self.found()
                ));
            }
            Listen::Any => {
                row.fence(Fence::LandlockTcp, false, "listen is *");
                if !self.fenced() {
                    row.partly("listen is *: every port can be listened on, the proxy's among them");
                }
            }
        }
        row
    }

    fn neighbours(&self) -> Row {
        let mut row = Row::kept();
        if self.sandbox() {
            row.fence(Fence::Seccomp, true, "");
            row.partly("the pod's containers share namespaces with the pause container");
            return row;
        }
        self.unix(&mut row);
        row.fence(Fence::PrivateIpc, true, "");
        if self.facts.user_shm() {
            row.partly("/dev/shm is a volume of the pod");
        }
        row.fence(Fence::PrivatePid, self.facts.own_pid(), "");
        if !self.facts.own_pid() {
            if self.scoped & scope::SIGNAL == 0 {
                row.partly(format!(
                    "the PID namespace is shared and Landlock's signal scope (ABI 6, Linux 6.12) is missing{}",
                    self.found()
                ));
            } else {
                row.partly("the PID namespace is shared: processes of other containers are visible, and can signal this one where they are not confined");
            }
            row.partly("the PID namespace is shared: a process of the same user can read the command line of another container's process, and write its oom_score_adj, autogroup and clear_refs in /proc");
        }
        if self.handled_fs | self.handled_net | self.scoped == 0 {
            row.partly(format!(
                "memory and open files of other processes of the same user can be reached in /proc: Landlock's domains (ABI 2, Linux 5.19) are missing{}",
                self.found()
            ));
        }
        self.other_processes(&mut row);
        row
    }

    /// Calls on other processes, by pid.
    fn other_processes(&self, row: &mut Row) {
        let back = custom::reach_neighbours(self.policy);
        if back.is_empty() {
            row.fence(Fence::Seccomp, true, "no ptrace, no calls on another process's memory, limits or scheduling");
            return;
        }
        row.fence(Fence::Seccomp, true, "no calls on another process's limits or scheduling");
        row.partly(format!("seccomp-allow re-admits {}", back.join(", ")));
    }

    /// `unix: container` or `none` where the network is left to the cluster.
    fn unix_alone(&self) -> Row {
        let mut row = Row::kept();
        self.unix(&mut row);
        row.partly("network-enforcement is cluster: unix sockets only");
        row
    }

    fn unix(&self, row: &mut Row) {
        let scoped = self.scoped & scope::ABSTRACT_UNIX_SOCKET != 0;
        let resolve = self.handled_fs & fs::RESOLVE_UNIX != 0;
        match self.policy.unix() {
            Unix::Any => row.partly("unix is any: sockets of other containers can be reached"),
            Unix::None => row.fence(Fence::Seccomp, true, "no unix sockets but socketpair"),
            Unix::Container => {
                row.fence(Fence::LandlockScope, scoped, if scoped { "abstract unix sockets" } else { "" });
                row.fence(Fence::LandlockUnix, resolve, if resolve { "pathname unix sockets" } else { "" });
                if !scoped {
                    row.partly(format!("abstract unix sockets of the pod's other containers can be reached: Landlock's scope (ABI 6, Linux 6.12) is missing{}", self.found()));
                }
                if !resolve {
                    let which = if self.target.in_container() { "on shared volumes" } else { "with a path" };
                    row.partly(format!(
                        "unix sockets {which} can be reached: Landlock's right to resolve unix sockets (ABI 9) is missing"
                    ));
                }
            }
        }
    }

    fn files(&self) -> Row {
        if !self.policy.files_asked() {
            return Row::not_asked("neither filesystem: read-only nor a path list is set");
        }
        if self.sandbox() {
            return Row::not_asked("the pause container runs no foreign code");
        }
        let settings = self.policy.settings();
        let mut wanted = 0;
        if self.policy.read_only() || settings.fs_write.is_some() {
            wanted |= fs::WRITE;
        }
        if settings.fs_read.is_some() {
            wanted |= fs::READ;
        }
        if settings.fs_execute.is_some() {
            wanted |= fs::EXECUTE;
        }
        let have = self.handled_fs & wanted;
        let mut row = Row::kept();
        row.fence(Fence::LandlockFiles, have != 0, "");
        if self.policy.read_only() {
            self.read_only_mounts(&mut row);
        }
        self.machine_files(&mut row);
        if have == 0 {
            let reason = format!("Landlock (Linux 5.13) is missing{}", self.found());
            let lists = wanted & !fs::WRITE != 0 || settings.fs_write.is_some();
            if lists {
                row.not_kept(reason)
            } else {
                row.partly(reason)
            }
            return row;
        }
        for (right, what) in [
            (
                fs::REFER,
                "renames and hard links within the list across directories are refused altogether (ABI 2, Linux 5.19)",
            ),
            (fs::TRUNCATE, "truncation is not refused (ABI 3, Linux 6.2)"),
            (fs::IOCTL_DEV, "ioctl on devices is not refused (ABI 5, Linux 6.10)"),
        ] {
            if wanted & right != 0 && have & right == 0 {
                row.partly(format!("{what}{}", self.found()));
            }
        }
        if settings.fs_write.is_some() {
            row.partly("Landlock does not refuse changes of mode, owner, times and extended attributes");
        }
        if settings.fs_read.is_some() {
            row.partly("inotify tells names and events in directories that fs-read forbids: Landlock is not asked");
        }
        if settings.fs_execute.is_some() {
            row.partly("a loader that may be executed runs any file that it may read");
            if !self.policy.presets().keep_platform() {
                row.partly(
                    "programs in memory (memfd) are not bound: that takes a built-in seccomp filter (seccomp: general)",
                );
            }
        }
        row
    }

    fn descriptors(&self) -> Row {
        let mut row = Row::kept();
        row.fence(
            Fence::Launcher,
            !self.sandbox(),
            if self.sandbox() { "" } else { "closes what is not stdio; stdio is neither directory nor socket" },
        );
        if self.sandbox() {
            row.partly("the pause container has no launcher");
        }
        row
    }

    /// What this host has, for messages.
    fn found(&self) -> String {
        match self.host.landlock.abi {
            0 => format!(" (kernel {} has no Landlock)", self.host.kernel),
            abi => format!(" (kernel {} has ABI {abi})", self.host.kernel),
        }
    }
}
