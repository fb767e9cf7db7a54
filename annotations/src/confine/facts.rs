//! What a config.json says, as far as it decides anything. Read once, after the shape was checked.

use std::net::IpAddr;

use serde_json::Value;

use super::Target;
use super::shape::{array, wrong};
use crate::code;
use crate::error::{ZcError, quote};

/// The annotation in which the CRI gives the id of the pod's sandbox.
const SANDBOX_ID: &str = "io.kubernetes.cri.sandbox-id";
/// Files of the kubelet that the CRI binds into every container.
const KUBELET_FILES: [&str; 3] = ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];

/// Where the kubelet says which address the API server's Service has. A name in their place says nothing. A pod that sets both itself gets
/// none from the kubelet: it only loses what guards it, and what it must not lose the floor says.
const API_SERVER: [&str; 2] = ["KUBERNETES_SERVICE_HOST=", "KUBERNETES_PORT_443_TCP_ADDR="];

/// Where a namespace comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Namespace<'a> {
    /// Not listed: the engine's own, which is the node's.
    Node,
    /// Listed without a path: made for this container.
    Own,
    /// Listed with a path: somebody else's.
    Joined(&'a str),
}

impl Namespace<'_> {
    /// Whether the process gets the node's namespace: not listed, or joined through a path that names it.
    pub(super) fn is_node(self) -> bool {
        match self {
            Self::Node => true,
            Self::Own => false,
            Self::Joined(path) => {
                ["/proc/1/", "/proc/self/", "/proc/thread-self/"].iter().any(|prefix| path.starts_with(prefix))
            }
        }
    }
}

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount<'a> {
    /// Absolute, without `.`, `..` and double slashes.
    pub destination: String,
    pub kind: &'a str,
    pub source: &'a str,
    pub options: Vec<&'a str>,
    pub read_only: bool,
}

impl Mount<'_> {
    pub(super) fn is_bind(&self) -> bool {
        self.kind == "bind" || self.options.iter().any(|option| matches!(*option, "bind" | "rbind"))
    }

    /// The kubelet's hosts, hostname and resolv.conf.
    pub(super) fn is_kubelet_file(&self) -> bool {
        self.is_bind() && KUBELET_FILES.contains(&self.destination.as_str())
    }

    /// A place that a pod author made writable: a volume, or the termination log.
    pub(super) fn is_writable_volume(&self, sandbox_id: &str) -> bool {
        let in_dev = crate::knob::is_beneath(&self.destination, "/dev");
        let volume = self.is_bind() || (self.kind == "tmpfs" && !in_dev);
        volume && !self.read_only && !self.is_kubelet_file() && !self.is_sandbox_shm(sandbox_id)
    }

    /// The /dev/shm that the CRI shares among the pod's containers, or the node's own.
    pub(super) fn is_sandbox_shm(&self, sandbox_id: &str) -> bool {
        let of_pod = || {
            let mut parts = self.source.rsplit('/');
            parts.next() == Some("shm") && parts.next() == Some(sandbox_id) && parts.next() == Some("sandboxes")
        };
        self.destination == "/dev/shm" && self.is_bind() && (self.source == "/dev/shm" || of_pod())
    }
}

/// What the spec says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Facts<'a> {
    pub network: Namespace<'a>,
    pub pid: Namespace<'a>,
    pub user: Namespace<'a>,
    pub mounts: Vec<Mount<'a>>,
    pub sandbox_id: &'a str,
    /// What the process's environment says of the API server's Service. Pod and image can say more, and by that tighten only.
    pub api_servers: Vec<IpAddr>,
    /// The process's uid, inside the container.
    pub uid: u32,
    /// The same uid on the node; `None` where the spec does not show it.
    pub node_uid: Option<u32>,
}

impl<'a> Facts<'a> {
    pub(super) fn of(spec: &'a Value, target: Target<'a>) -> Result<Self, ZcError> {
        let process = match target {
            Target::Exec { process } => Some(process),
            _ => spec.get("process"),
        };
        let linux = spec.get("linux");
        let listed = Listed::of(linux)?;
        let user = listed.get("user");
        let uid = uid(process)?;
        Ok(Self {
            network: listed.get("network"),
            pid: listed.get("pid"),
            user,
            mounts: mounts(spec)?,
            sandbox_id: spec
                .get("annotations")
                .and_then(|all| all.get(SANDBOX_ID))
                .and_then(Value::as_str)
                .filter(|id| !id.is_empty())
                .unwrap_or("/"),
            api_servers: api_servers(process)?,
            uid,
            node_uid: if user == Namespace::Node { Some(uid) } else { mapped(linux, uid)? },
        })
    }

    /// Whether the container has a PID namespace of its own.
    pub(super) fn own_pid(&self) -> bool {
        self.pid == Namespace::Own
    }

    /// Places that a pod author made writable.
    pub(super) fn writable_volumes(&self) -> impl Iterator<Item = &Mount<'a>> {
        self.mounts.iter().filter(|mount| mount.is_writable_volume(self.sandbox_id))
    }

    /// What is mounted at a place last, which is what the container sees there.
    fn last_at(&self, place: &str) -> Option<&Mount<'a>> {
        self.mounts.iter().rev().find(|mount| mount.destination == place)
    }

    /// The kubelet's file at a place: one that the CRI keeps in the sandbox's directory, or the pod's `etc-hosts`.
    pub(super) fn kubelet_file(&self, place: &str) -> Option<&'a str> {
        let of_sandbox = format!("/sandboxes/{}/", self.sandbox_id);
        let of_pod = |source: &str| source.contains("/pods/") && source.ends_with("/etc-hosts");
        let mount = self.last_at(place).filter(|mount| mount.is_kubelet_file())?;
        (mount.source.contains(&of_sandbox) || of_pod(mount.source)).then_some(mount.source)
    }

    /// Whether something of the pod author's is mounted there.
    pub(super) fn volume_at(&self, place: &str) -> bool {
        self.last_at(place).is_some() && self.kubelet_file(place).is_none()
    }

    /// A volume of the user at /dev/shm.
    pub(super) fn user_shm(&self) -> bool {
        self.mounts.iter().any(|m| m.destination == "/dev/shm" && m.is_bind() && !m.is_sandbox_shm(self.sandbox_id))
    }
}

fn api_servers(process: Option<&Value>) -> Result<Vec<IpAddr>, ZcError> {
    let env = array(process.and_then(|process| process.get("env")), "/process/env")?;
    let values = env.into_iter().flatten().filter_map(Value::as_str);
    let told = values.filter_map(|line| API_SERVER.into_iter().find_map(|name| line.strip_prefix(name)));
    Ok(told.filter_map(|value| value.parse().ok()).collect())
}

/// The namespaces that the spec lists.
struct Listed<'a>(Vec<(&'a str, Namespace<'a>)>);

impl<'a> Listed<'a> {
    fn of(linux: Option<&'a Value>) -> Result<Self, ZcError> {
        let mut all: Vec<(&str, Namespace<'_>)> = Vec::with_capacity(8);
        let listed = array(linux.and_then(|linux| linux.get("namespaces")), "/linux/namespaces")?;
        for (index, entry) in listed.into_iter().flatten().enumerate() {
            let path = || format!("/linux/namespaces/{index}");
            let Some(kind) = entry.get("type").and_then(Value::as_str) else {
                return Err(wrong(&path(), "has no type"));
            };
            let namespace = match entry.get("path") {
                None | Some(Value::Null) => Namespace::Own,
                Some(Value::String(path)) if path.is_empty() => Namespace::Own,
                Some(Value::String(path)) => Namespace::Joined(path),
                Some(_) => return Err(wrong(&path(), "has a path that is not a string")),
            };
            if all.iter().any(|(other, _)| *other == kind) {
                return Err(ZcError::new(
                    code::spec::DUPLICATE,
                    format!("/linux/namespaces lists {} twice", quote(kind)),
                    "list each namespace once",
                ));
            }
            all.push((kind, namespace));
        }
        Ok(Self(all))
    }

    fn get(&self, kind: &str) -> Namespace<'a> {
        self.0.iter().find(|(other, _)| *other == kind).map_or(Namespace::Node, |(_, namespace)| *namespace)
    }
}

/// A number that the kernel takes as 32 bits; absent is Go's zero.
fn number(value: Option<&Value>, path: &str) -> Result<u32, ZcError> {
    match value {
        None | Some(Value::Null) => Ok(0),
        Some(value) => value
            .as_u64()
            .and_then(|number| u32::try_from(number).ok())
            .ok_or_else(|| wrong(path, "is not a number of 32 bits")),
    }
}

fn uid(process: Option<&Value>) -> Result<u32, ZcError> {
    number(process.and_then(|process| process.get("user")).and_then(|user| user.get("uid")), "/process/user/uid")
}

/// The uid on the node behind a uid in the container's user namespace.
fn mapped(linux: Option<&Value>, uid: u32) -> Result<Option<u32>, ZcError> {
    let path = "/linux/uidMappings";
    let mappings = array(linux.and_then(|linux| linux.get("uidMappings")), path)?;
    for mapping in mappings.into_iter().flatten() {
        let field = |name| number(mapping.get(name), path);
        let (inside, outside, size) = (field("containerID")?, field("hostID")?, field("size")?);
        if let Some(offset) = uid.checked_sub(inside).filter(|offset| *offset < size) {
            return Ok(outside.checked_add(offset));
        }
    }
    Ok(None)
}

fn mounts(spec: &Value) -> Result<Vec<Mount<'_>>, ZcError> {
    let listed = array(spec.get("mounts"), "/mounts")?;
    let mut mounts = Vec::with_capacity(listed.map_or(0, Vec::len));
    for (index, entry) in listed.into_iter().flatten().enumerate() {
        let path = || format!("/mounts/{index}");
        let text = |name: &str| match entry.get(name) {
            None | Some(Value::Null) => Ok(""),
            Some(Value::String(text)) => Ok(text.as_str()),
            Some(_) => Err(wrong(&format!("{}/{name}", path()), "is not a string")),
        };
        let mut options = Vec::new();
        for option in array(entry.get("options"), &format!("{}/options", path()))?.into_iter().flatten() {
            options.push(
                option
                    .as_str()
                    .ok_or_else(|| wrong(&format!("{}/options", path()), "has an entry that is not a string"))?,
            );
        }
        let destination = text("destination")?;
        if destination.is_empty() {
            return Err(wrong(&path(), "has no destination"));
        }
        let read_only = options.iter().rev().find(|o| matches!(**o, "ro" | "rw" | "rro")).is_some_and(|o| *o != "rw");
        mounts.push(Mount {
            destination: clean(destination),
            kind: text("type")?,
            source: text("source")?,
            options,
            read_only,
        });
    }
    Ok(mounts)
}

/// The path as engines join it to the root.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
