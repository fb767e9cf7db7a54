//! Where a container's spec meets its policy.
//!
//! At Create the pod's policy is made or looked up, the spec is rewritten and the launcher's plan made; at Start
//! and Exec the parked launcher is verified before it may go on. What is decided is decided in
//! `zerocap-annotations`; here are only the reads and writes around it.

mod fence;
mod launcher;
mod names;
mod parked;
mod pause;
mod policies;
mod refusals;
mod report;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use command_fds::FdMapping;
use serde_json::Value;
use tokio::sync::oneshot;
use zerocap_annotations::policy::NAMESPACE_ANNOTATION;
use zerocap_annotations::{Expect, Host, Policy, Report, Target, ZcError, code, confine};
use zerocap_node::refusals::{Pod, Refusals};
use zerocap_node::state::{Document, StateDir, Store};

use crate::handover::{Handover, Identity, free_mount_point, in_place};
use crate::status::TaskError;
pub(crate) use fence::remove as remove_fence;
use fence::{Fence, Loading};
use launcher::Launcher;
use names::{Files, Naming, Plan, pods_resolv_conf};
pub(crate) use policies::{FloorOptions, Policies};
use refusals::Followed;

/// The annotations in which the CRI gives the pod's name and UID.
const POD_NAME: &str = "io.kubernetes.cri.sandbox-name";
const POD_UID: &str = "io.kubernetes.cri.sandbox-uid";

/// A confined container, or a confined sandbox.
pub(crate) struct Confined {
    /// The container's name among all of the node.
    name: String,
    /// The spec as containerd wrote it: what execs are confined by.
    original: Value,
    policy: Policy,
    host: Host,
    /// The container's root, as it was mounted for it.
    rootfs: Option<Identity>,
    /// None in a sandbox.
    launcher: Option<Launcher>,
    state: StateDir,
    report: Mutex<Report>,
    /// What the first process must show.
    expect: Expect,
    init: Mutex<Option<Start>>,
    /// Set when the container was created, if it is to have one.
    fence: OnceLock<Fence>,
    /// The names in its `egress`, if it has any.
    naming: Option<Naming>,
    /// Who follows what the fence refuses.
    followed: Mutex<Option<Followed>>,
}

/// One start under way: the hand-over with the launcher, and what it must show.
pub(crate) struct Start {
    handover: Handover,
    expect: Expect,
}

/// What Create found out about a container.
pub(crate) struct Prepared {
    /// None where no knob is set.
    pub(crate) confined: Option<Confined>,
    /// What the engine has to hand to the launcher.
    pub(crate) fds: Vec<FdMapping>,
    /// The first process has to inherit from the engine that it leaves no core.
    pub(crate) no_core: bool,
    /// The packet fence, which is loaded meanwhile.
    fence: Option<Loading>,
    undo: Undo,
}

/// An exec, as the engine has to be asked for it.
pub(crate) struct PreparedExec<'a> {
    /// The process that the engine is given.
    pub(crate) process: Cow<'a, Value>,
    /// What the engine has to hand to the launcher.
    pub(crate) fds: Vec<FdMapping>,
    /// The process has to inherit from the engine that it leaves no core.
    pub(crate) no_core: bool,
    /// The hand-over with the launcher; None where there is none.
    pub(crate) start: Option<Start>,
}

impl<'a> PreparedExec<'a> {
    /// A process as it came, in a container without any knob.
    pub(crate) fn plain(process: &'a Value) -> Self {
        Self { process: Cow::Borrowed(process), fds: Vec::new(), no_core: false, start: None }
    }
}

/// Removes what a Create has written, unless the container came to be.
struct Undo {
    state: Option<StateDir>,
    /// Where config.json is, and what containerd had written there.
    config: Option<(PathBuf, Vec<u8>)>,
}

impl Drop for Undo {
    fn drop(&mut self) {
        let Some(state) = &self.state else { return };
        fence::remove(state);
        remove(state);
        // The next attempt with this bundle must not take our spec for containerd's.
        if let Some((bundle, bytes)) = &self.config
            && let Err(error) = write_config(bundle, bytes)
        {
            tracing::warn!(%error, "cannot restore a container's spec");
        }
    }
}

impl Prepared {
    /// Keeps what was written: the container exists.
    pub(crate) fn keep(mut self) -> Option<Confined> {
        self.undo.state = None;
        self.undo.config = None;
        self.confined
    }

    /// What marks every process of the first start, if there is a launcher.
    pub(crate) fn marks(&self) -> Vec<u64> {
        let confined = self.confined.as_ref();
        let init = confined.map(|confined| confined.init.lock().unwrap_or_else(PoisonError::into_inner));
        init.and_then(|init| init.as_ref().map(Start::marks)).unwrap_or_default()
    }

    /// Puts the packet fence around the first process, before it runs anything.
    pub(crate) fn fence(&mut self, pid: i32) -> Result<(), ZcError> {
        let (Some(loading), Some(confined)) = (self.fence.take(), &self.confined) else { return Ok(()) };
        let (fence, reader) = loading.around(pid, &confined.name, &confined.state)?;
        // It is asked for once.
        let _ = confined.fence.set(fence);
        let followed = Followed::begin(reader, confined.refusals(), confined.state.clone());
        *confined.followed.lock().unwrap_or_else(PoisonError::into_inner) = Some(followed);
        Ok(())
    }

    /// What a container without any knob has.
    pub(crate) fn plain() -> Self {
        Self { confined: None, fds: Vec::new(), no_core: false, fence: None, undo: Undo { state: None, config: None } }
    }
}

/// What Create knows of a container.
pub(crate) struct Request<'a> {
    pub(crate) id: &'a str,
    pub(crate) bundle: &'a Path,
    /// config.json as it was read, and parsed.
    pub(crate) bytes: &'a [u8],
    pub(crate) spec: Value,
    pub(crate) engine: crate::engine::Kind,
    pub(crate) floor: &'a FloorOptions,
}

impl Policies {
    /// Confines a container that is about to be created: its config.json is rewritten where a knob says so.
    pub(crate) fn prepare(&self, request: Request<'_>) -> Result<Prepared, ZcError> {
        let (target, policy) = self.policy_of(request.id, &request.spec, request.floor)?;
        if !policy.active() || (target == Target::Sandbox && !policy.platform()) {
            return Ok(Prepared::plain());
        }
        let launcher = match target {
            Target::Sandbox => None,
            _ => Some(Launcher::install(self.store().root())?),
        };
        let directory = launcher.as_ref().map_or_else(PathBuf::new, |launcher| launcher.directory().to_owned());
        let state = self.store().container(self.namespace(), request.id)?;
        let host = self.host(request.engine, directory, state.files().to_owned())?;
        let confinement = confine(&request.spec, target, &policy, &host)?;

        let mut fds = Vec::new();
        let (mut init, mut root) = (None, None);
        if let Some(plan) = &confinement.plan {
            let place = rootfs(request.bundle, &request.spec);
            free_mount_point(&place)?;
            root = Some(Identity::of(&place).map_err(|error| unreadable(&place, &error))?);
            let (handover, child) = Handover::new(plan, &program(request.spec.get("process")))?;
            fds = child.into_mappings();
            init = Some(Start { handover, expect: confinement.expect.clone() });
        }
        let mut undo = Undo { state: Some(state.clone()), config: None };
        state.write(Document::OriginalConfig, request.bytes)?;
        state.write_json(Document::Report, &confinement.report)?;
        if target == Target::Sandbox
            && let Some(pod) = self.pod(request.id)
        {
            state.write_json(Document::Policy, &*pod)?;
            if let Some(resolv_conf) = pods_resolv_conf(&request.spec)? {
                state.write(Document::ResolvConf, &resolv_conf)?;
            }
        }
        let (naming, tell) = match confinement.names {
            Some(wanted) => {
                let (tell, permits) = oneshot::channel();
                let resolv_conf = self.resolv_conf(&request.spec, &wanted)?;
                let files = Files::make(&wanted)?;
                let plan = Plan { wanted, resolv_conf, files, permits, state: state.clone() };
                (Some(Naming::new(plan, joined_netns(&request.spec))), Some(tell))
            }
            None => (None, None),
        };
        let bytes = serde_json::to_vec(&confinement.spec).map_err(|error| write_failed(&error.into()))?;
        undo.config = Some((request.bundle.to_owned(), request.bytes.to_owned()));
        write_config(request.bundle, &bytes)?;
        let fence = confinement.packets.map(|rules| Loading::begin(rules, tell)).transpose()?;
        let confined = Confined {
            name: format!("{}-{}", self.namespace(), request.id),
            original: request.spec,
            policy,
            host,
            rootfs: root,
            launcher,
            state,
            report: Mutex::new(confinement.report),
            expect: confinement.expect,
            init: Mutex::new(init),
            fence: OnceLock::new(),
            naming,
            followed: Mutex::default(),
        };
        Ok(Prepared { confined: Some(confined), fds, no_core: confinement.core_limit_inherited, fence, undo })
    }
}

impl Confined {
    /// Confines an exec.
    pub(crate) fn exec(&self, process: &Value) -> Result<PreparedExec<'static>, ZcError> {
        let confinement = confine(&self.original, Target::Exec { process }, &self.policy, &self.host)?;
        let mut prepared = PreparedExec {
            process: Cow::Owned(confinement.spec),
            fds: Vec::new(),
            no_core: confinement.core_limit_inherited,
            start: None,
        };
        if let Some(plan) = &confinement.plan {
            let (handover, child) = Handover::new(plan, &program(Some(process)))?;
            prepared.fds = child.into_mappings();
            prepared.start = Some(Start { handover, expect: confinement.expect });
        }
        Ok(prepared)
    }

    /// Whether starts go through the launcher: always but in a sandbox.
    pub(crate) fn has_launcher(&self) -> bool {
        self.launcher.is_some()
    }

    /// Whether the launcher is what would be executed in its name, in the container whose first process this is. Asked
    /// before an engine executes it.
    pub(crate) fn in_place(&self, init: i32) -> Result<(), ZcError> {
        match (self.rootfs, &self.launcher) {
            (Some(rootfs), Some(launcher)) => in_place(init, rootfs, launcher.identity()),
            _ => Ok(()),
        }
    }

    /// The id of the pod's sandbox, if there is one.
    pub(crate) fn sandbox(&self) -> Option<&str> {
        policies::sandbox_of(&self.original)
    }

    /// The start of the first process; once. None in a sandbox, which has no launcher.
    pub(crate) fn init(&self) -> Option<Start> {
        self.init.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits until the names in `egress` are resolved, and somebody answers for them. `pid`: the first process, which waits at the
    /// engine's gate.
    pub(crate) async fn names_ready(&self, pid: i32) -> Result<(), ZcError> {
        match &self.naming {
            Some(naming) => naming.ready(pid).await,
            None => Ok(()),
        }
    }

    /// Ends what is done for the container's processes: there are none any more.
    pub(crate) fn ended(&self) {
        if let Some(naming) = &self.naming {
            naming.end();
        }
    }

    /// Where what the fence refuses is gathered.
    fn refusals(&self) -> Refusals {
        let annotation = |key: &str| {
            let value = self.original.get("annotations").and_then(|all| all.get(key)?.as_str());
            value.unwrap_or_default().to_owned()
        };
        let pod =
            Pod { namespace: annotation(NAMESPACE_ANNOTATION), name: annotation(POD_NAME), uid: annotation(POD_UID) };
        Refusals::new(pod, self.policy.container_name().to_owned(), self.policy.audit())
    }

    /// Removes the packet fence and what is kept on disk: the container is gone.
    pub(crate) fn forget(&self) {
        // First: it would write its file once more.
        drop(self.followed.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.ended();
        fence::remove(&self.state);
        remove(&self.state);
    }
}

impl Policies {
    /// The resolv.conf of a container's pod as it was when the sandbox was created; outside of a pod the container's own.
    fn resolv_conf(&self, spec: &Value, wanted: &zerocap_annotations::Names) -> Result<Vec<u8>, ZcError> {
        let frozen = match policies::sandbox_of(spec) {
            Some(sandbox) => self.store().container(self.namespace(), sandbox)?.read(Document::ResolvConf)?,
            None => pods_resolv_conf(spec)?,
        };
        frozen.ok_or_else(|| {
            let first = wanted.destinations.first().map(ToString::to_string).unwrap_or_default();
            ZcError::new(
                code::names::NO_RESOLV_CONF,
                format!("egress names {first}, and the pod has no /etc/resolv.conf"),
                "give the pod a dnsPolicy with a nameserver, or write addresses",
            )
        })
    }
}

/// The network namespace that a container joins, if it does.
fn joined_netns(spec: &Value) -> Option<PathBuf> {
    let namespaces = spec.pointer("/linux/namespaces").and_then(Value::as_array);
    let network = |namespace: &&Value| namespace.get("type").and_then(Value::as_str) == Some("network");
    let path = namespaces.into_iter().flatten().find(network)?.get("path")?.as_str()?;
    (!path.is_empty()).then(|| path.into())
}

/// Where the container's root file system is.
fn rootfs(bundle: &Path, spec: &Value) -> PathBuf {
    let root = spec.pointer("/root/path").and_then(Value::as_str);
    bundle.join(root.unwrap_or(crate::bundle::ROOTFS))
}

fn unreadable(place: &Path, error: &std::io::Error) -> ZcError {
    ZcError::new(
        code::node::STATE_WRITE,
        format!("{} cannot be looked at: {error}", place.display()),
        "look at the file system of containerd's state directory",
    )
}

/// The program that a process description names.
fn program(process: Option<&Value>) -> String {
    let first = process.and_then(|process| process.pointer("/args/0"));
    first.and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn remove(state: &StateDir) {
    if let Err(error) = state.remove() {
        tracing::warn!(%error, "cannot remove the state of a container");
    }
}

fn write_failed(error: &std::io::Error) -> ZcError {
    ZcError::new(
        code::node::STATE_WRITE,
        format!("cannot write the rewritten config.json: {error}"),
        "look at the file system of containerd's state directory",
    )
}

fn write_config(bundle: &Path, bytes: &[u8]) -> Result<(), ZcError> {
    // Beside it and renamed: an engine never sees half of it.
    let path = bundle.join(crate::bundle::CONFIG);
    let beside = bundle.join(".config.json.zerocap");
    std::fs::write(&beside, bytes).and_then(|()| std::fs::rename(&beside, &path)).map_err(|error| write_failed(&error))
}

/// A refusal in the words of the task API.
pub(crate) fn refused(error: ZcError) -> TaskError {
    TaskError::failed_precondition(error.to_string())
}

/// Where this node's state is.
pub(crate) fn state_root() -> PathBuf {
    Store::of_node().root().to_owned()
}
