//! Pods and containers as the kubelet would make them; they are removed when their value goes out of scope.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use k8s_cri::v1::security_profile::ProfileType;
use k8s_cri::v1::{
    Capability, ContainerConfig, ContainerMetadata, ContainerStatus, ContainerStatusRequest, CreateContainerRequest,
    DnsConfig, ExecSyncRequest, IdMapping, ImageSpec, Int64Value, KeyValue, LinuxContainerConfig,
    LinuxContainerResources, LinuxContainerSecurityContext, LinuxPodSandboxConfig, LinuxSandboxSecurityContext, Mount,
    NamespaceMode, NamespaceOption, PodSandboxConfig, PodSandboxMetadata, PodSandboxStatusRequest,
    RemoveContainerRequest, RemovePodSandboxRequest, RunPodSandboxRequest, SecurityProfile, StartContainerRequest,
    StopContainerRequest, StopPodSandboxRequest, UserNamespace,
};
use tonic::Status;

use crate::cri::Cri;
use crate::node::{Node, image};

/// The annotation that this project is about.
pub const PLATFORM: (&str, &str) = ("network-enforcement", "platform");
/// The user of our pods, as `runAsNonRoot` wants it.
pub const UID: i64 = 65532;

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// How much a pod's author has given away. Only the first is what Pod Security's *restricted* level admits; the
/// others are controls: worlds in which an attack must succeed for its refusal elsewhere to mean anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// uid 65532, no capabilities, no new privileges, RuntimeDefault seccomp.
    Restricted,
    /// The same without seccomp.
    Unconfined,
    /// The same, and setuid programs may raise privileges.
    Escalating,
    /// uid 0 with all capabilities and no seccomp.
    Root,
}

/// A pod to be.
#[derive(Debug, Clone)]
pub struct PodBuilder<'n> {
    node: &'n Node,
    handler: String,
    annotations: HashMap<String, String>,
    namespaces: NamespaceOption,
    profile: Profile,
    privileged: bool,
    namespace: String,
    dns: Option<DnsConfig>,
    sysctls: HashMap<String, String>,
}

impl<'n> PodBuilder<'n> {
    pub(crate) fn new(node: &'n Node, handler: &str) -> Self {
        let namespaces = NamespaceOption { pid: NamespaceMode::Container.into(), ..NamespaceOption::default() };
        Self {
            node,
            handler: handler.to_owned(),
            annotations: HashMap::new(),
            namespaces,
            profile: Profile::Restricted,
            privileged: false,
            namespace: "default".to_owned(),
            dns: None,
            sysctls: HashMap::new(),
        }
    }

    /// Adds an annotation.
    #[must_use]
    pub fn annotate(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Asks for platform mode.
    #[must_use]
    pub fn platform(self) -> Self {
        self.annotate(PLATFORM.0, PLATFORM.1)
    }

    /// All containers see each other's processes.
    #[must_use]
    pub fn shared_pid(mut self) -> Self {
        self.namespaces.pid = NamespaceMode::Pod.into();
        self
    }

    /// A user namespace of the pod's own: `hostUsers: false`.
    #[must_use]
    pub fn own_users(mut self) -> Self {
        let mapping = || vec![IdMapping { container_id: 0, host_id: 1 << 20, length: 1 << 16 }];
        let mode = NamespaceMode::Pod.into();
        self.namespaces.userns_options = Some(UserNamespace { mode, uids: mapping(), gids: mapping() });
        self
    }

    /// The node's own network.
    #[must_use]
    pub fn host_network(mut self) -> Self {
        self.namespaces.network = NamespaceMode::Node.into();
        self
    }

    /// A privileged pod.
    #[must_use]
    pub fn privileged(mut self) -> Self {
        self.privileged = true;
        self
    }

    /// The nameserver and the search list of its resolv.conf.
    #[must_use]
    pub fn dns(mut self, server: std::net::IpAddr, searches: &[&str]) -> Self {
        let searches = searches.iter().map(|&domain| domain.to_owned()).collect();
        self.dns = Some(DnsConfig { servers: vec![server.to_string()], searches, options: vec!["ndots:5".to_owned()] });
        self
    }

    /// A sysctl of the pod.
    #[must_use]
    pub fn sysctl(mut self, key: &str, value: &str) -> Self {
        self.sysctls.insert(key.to_owned(), value.to_owned());
        self
    }

    /// The Kubernetes namespace.
    #[must_use]
    pub fn namespace(mut self, name: &str) -> Self {
        name.clone_into(&mut self.namespace);
        self
    }

    /// The default profile of its containers.
    #[must_use]
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// The pod's cgroup, as a kubelet of that driver names it; without systemd, containerd's own choice will do.
    fn cgroup_parent(&self, name: &str) -> String {
        if !self.node.has_systemd() {
            return String::new();
        }
        format!("kubepods-besteffort-pod{}_uid.slice", name.replace('-', "_"))
    }

    /// Starts the sandbox.
    pub fn start(self) -> Result<Pod<'n>, Status> {
        let name = format!("e2e-{}", COUNTER.fetch_add(1, Ordering::Relaxed));
        let cri = self.node.cri()?;
        let cgroup_parent = self.cgroup_parent(&name);
        let config = PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: name.clone(),
                uid: format!("{name}-uid"),
                namespace: self.namespace,
                attempt: 0,
            }),
            hostname: if self.namespaces.network == i32::from(NamespaceMode::Node) {
                String::new()
            } else {
                name.clone()
            },
            log_directory: format!("/var/log/pods/{name}"),
            annotations: self.annotations,
            dns_config: self.dns,
            linux: Some(LinuxPodSandboxConfig {
                security_context: Some(LinuxSandboxSecurityContext {
                    namespace_options: Some(self.namespaces.clone()),
                    privileged: self.privileged,
                    seccomp: Some(seccomp(ProfileType::RuntimeDefault)),
                    ..LinuxSandboxSecurityContext::default()
                }),
                cgroup_parent,
                sysctls: self.sysctls,
                ..LinuxPodSandboxConfig::default()
            }),
            ..PodSandboxConfig::default()
        };
        let request = RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: self.handler.clone() };
        let id = cri.wait(cri.runtime().run_pod_sandbox(request))?.pod_sandbox_id;
        Ok(Pod {
            node: self.node,
            cri,
            id,
            config,
            namespaces: self.namespaces,
            profile: self.profile,
            privileged: self.privileged,
        })
    }
}

/// A running sandbox.
#[derive(Debug)]
pub struct Pod<'n> {
    /// Its node.
    pub node: &'n Node,
    cri: Cri,
    /// The sandbox's id.
    pub id: String,
    /// What it was made from; a kubelet may send other annotations with a later container.
    pub config: PodSandboxConfig,
    namespaces: NamespaceOption,
    profile: Profile,
    privileged: bool,
}

impl<'n> Pod<'n> {
    /// Describes a container of this pod.
    pub fn container(&self, name: &str) -> ContainerBuilder<'_, 'n> {
        ContainerBuilder {
            pod: self,
            profile: self.profile,
            annotations: None,
            config: ContainerConfig {
                metadata: Some(ContainerMetadata {
                    name: name.to_owned(),
                    attempt: COUNTER.fetch_add(1, Ordering::Relaxed),
                }),
                image: Some(ImageSpec { image: image("busybox"), ..ImageSpec::default() }),
                ..ContainerConfig::default()
            },
            readonly_root: false,
            user: None,
            memory: None,
        }
    }

    /// A container that sleeps, for tests that exec into it.
    pub fn sleeper(&self, name: &str) -> Result<Container<'_>, Status> {
        self.container(name).command(&["sleep", "100000"]).start()
    }

    /// A container of the image `python` that sleeps, for tests that exec scripts into it.
    pub fn python(&self, name: &str) -> Result<Container<'_>, Status> {
        let sleep = ["/usr/bin/python3", "-c", "import time; time.sleep(100000)"];
        self.container(name).image("python").command(&sleep).start()
    }

    /// The pod's addresses, IPv4 first.
    pub fn addresses(&self) -> Result<Vec<String>, Status> {
        let request = PodSandboxStatusRequest { pod_sandbox_id: self.id.clone(), verbose: false };
        let network = self.cri.wait(self.cri.runtime().pod_sandbox_status(request))?.status.and_then(|s| s.network);
        let Some(network) = network else { return Ok(Vec::new()) };
        Ok(std::iter::once(network.ip).chain(network.additional_ips.into_iter().map(|a| a.ip)).collect())
    }

    /// The pause process, numbered as on the node.
    pub fn pause_pid(&self) -> Result<u32, Status> {
        let request = PodSandboxStatusRequest { pod_sandbox_id: self.id.clone(), verbose: true };
        let answer = self.cri.wait(self.cri.runtime().pod_sandbox_status(request))?;
        pid_of(&answer.info)
    }

    /// Its network namespace, as this process can open it.
    pub fn netns(&self) -> Result<PathBuf, Status> {
        Ok(self.node.path(&format!("/proc/{}/ns/net", self.pause_pid()?)))
    }

    /// A folder of the node that the pod's user owns: an `emptyDir` of that name.
    pub fn volume(&self, name: &str) -> io::Result<String> {
        let folder = format!("/var/lib/e2e/{}-{name}", self.id.get(..12).unwrap_or_default());
        let path = self.node.path(&folder);
        fs::create_dir_all(&path)?;
        let uid = u32::try_from(UID).map_err(io::Error::other)?;
        std::os::unix::fs::chown(&path, Some(uid), Some(uid))?;
        Ok(folder)
    }

    /// The Ethernet address of its interface.
    pub fn mac(&self) -> io::Result<[u8; 6]> {
        let pause = self.pause_pid().map_err(io::Error::other)?;
        let text = fs::read_to_string(self.node.path(&format!("/proc/{pause}/root/sys/class/net/eth0/address")))?;
        let bytes: Vec<u8> = text.trim().split(':').filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
        bytes.try_into().map_err(|_| io::Error::other(format!("no Ethernet address: {text:?}")))
    }

    /// Stops and removes the pod with its containers.
    pub fn remove(&self) -> Result<(), Status> {
        let stop = StopPodSandboxRequest { pod_sandbox_id: self.id.clone() };
        self.cri.wait(self.cri.runtime().stop_pod_sandbox(stop))?;
        let remove = RemovePodSandboxRequest { pod_sandbox_id: self.id.clone() };
        self.cri.wait(self.cri.runtime().remove_pod_sandbox(remove))?;
        // The kubelet's part.
        let slice = self.config.linux.as_ref().map(|linux| linux.cgroup_parent.as_str()).unwrap_or_default();
        if !slice.is_empty() {
            self.node.exec(&["systemctl", "stop", slice])?;
        }
        Ok(())
    }
}

impl Drop for Pod<'_> {
    fn drop(&mut self) {
        // The leak check at the end of the run tells if this did not work.
        let _ = self.remove();
    }
}

/// A container to be.
#[derive(Debug, Clone)]
pub struct ContainerBuilder<'p, 'n> {
    pod: &'p Pod<'n>,
    profile: Profile,
    annotations: Option<HashMap<String, String>>,
    config: ContainerConfig,
    readonly_root: bool,
    user: Option<i64>,
    memory: Option<i64>,
}

impl<'p> ContainerBuilder<'p, '_> {
    /// One of our test images.
    #[must_use]
    pub fn image(mut self, name: &str) -> Self {
        self.config.image = Some(ImageSpec { image: image(name), ..ImageSpec::default() });
        self
    }

    /// Replaces the image's entry point.
    #[must_use]
    pub fn command(mut self, words: &[&str]) -> Self {
        self.config.command = words.iter().map(|&w| w.to_owned()).collect();
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.config.envs.push(KeyValue { key: key.to_owned(), value: value.to_owned() });
        self
    }

    /// Mounts a folder of the node.
    #[must_use]
    pub fn mount(mut self, node_path: &str, at: &str, readonly: bool) -> Self {
        let mount =
            Mount { host_path: node_path.to_owned(), container_path: at.to_owned(), readonly, ..Mount::default() };
        self.config.mounts.push(mount);
        self
    }

    /// With a terminal, or only with an open standard input.
    #[must_use]
    pub fn stdin(mut self, tty: bool) -> Self {
        self.config.stdin = true;
        self.config.tty = tty;
        self
    }

    /// Mounts the root file system read-only.
    #[must_use]
    pub fn readonly_root(mut self) -> Self {
        self.readonly_root = true;
        self
    }

    /// The working directory.
    #[must_use]
    pub fn cwd(mut self, path: &str) -> Self {
        path.clone_into(&mut self.config.working_dir);
        self
    }

    /// A profile other than the pod's.
    #[must_use]
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// Another user.
    #[must_use]
    pub fn user(mut self, uid: i64) -> Self {
        self.user = Some(uid);
        self
    }

    /// A limit of memory, in bytes.
    #[must_use]
    pub fn memory(mut self, limit: i64) -> Self {
        self.memory = Some(limit);
        self
    }

    /// The pod's annotations as they are *now*: a kubelet reads them again for each container.
    #[must_use]
    pub fn pod_annotations_now(mut self, annotations: &[(&str, &str)]) -> Self {
        self.annotations = Some(annotations.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect());
        self
    }

    /// Creates the container without starting it.
    pub fn create(mut self) -> Result<Container<'p>, Status> {
        let pod = self.pod;
        let limit =
            |memory| LinuxContainerResources { memory_limit_in_bytes: memory, ..LinuxContainerResources::default() };
        self.config.linux =
            Some(LinuxContainerConfig { resources: self.memory.map(limit), security_context: Some(self.security()) });
        let meta = self.config.metadata.clone().unwrap_or_default();
        let log_path = format!("{}-{}.log", meta.name, meta.attempt);
        self.config.log_path.clone_from(&log_path);
        let mut sandbox = pod.config.clone();
        if let Some(annotations) = self.annotations {
            sandbox.annotations = annotations;
        }
        let log = pod.node.path(&format!("{}/{log_path}", sandbox.log_directory));
        fs::create_dir_all(pod.node.path(&sandbox.log_directory))?;
        let request = CreateContainerRequest {
            pod_sandbox_id: pod.id.clone(),
            config: Some(self.config),
            sandbox_config: Some(sandbox),
        };
        let id = pod.cri.wait(pod.cri.runtime().create_container(request))?.container_id;
        Ok(Container { cri: &pod.cri, node: pod.node, id, log, owned: true })
    }

    /// Creates and starts the container. One that does not start is removed again.
    pub fn start(self) -> Result<Container<'p>, Status> {
        let container = self.create()?;
        container.start()?;
        Ok(container)
    }

    fn security(&self) -> LinuxContainerSecurityContext {
        let all = vec!["ALL".to_owned()];
        let root = self.profile == Profile::Root;
        let paths = |list: &[&str]| if root { Vec::new() } else { list.iter().map(|&p| p.to_owned()).collect() };
        LinuxContainerSecurityContext {
            capabilities: Some(if root {
                Capability { add_capabilities: all, ..Capability::default() }
            } else {
                Capability { drop_capabilities: all, ..Capability::default() }
            }),
            privileged: self.pod.privileged,
            namespace_options: Some(self.pod.namespaces.clone()),
            run_as_user: Some(Int64Value { value: self.user.unwrap_or(if root { 0 } else { UID }) }),
            run_as_group: Some(Int64Value { value: if root { 0 } else { UID } }),
            readonly_rootfs: self.readonly_root,
            no_new_privs: matches!(self.profile, Profile::Restricted | Profile::Unconfined),
            masked_paths: paths(&[
                "/proc/acpi",
                "/proc/kcore",
                "/proc/keys",
                "/proc/latency_stats",
                "/proc/timer_list",
                "/sys/firmware",
            ]),
            readonly_paths: paths(&["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]),
            seccomp: Some(seccomp(match self.profile {
                Profile::Restricted | Profile::Escalating => ProfileType::RuntimeDefault,
                Profile::Unconfined | Profile::Root => ProfileType::Unconfined,
            })),
            ..LinuxContainerSecurityContext::default()
        }
    }
}

fn seccomp(kind: ProfileType) -> SecurityProfile {
    SecurityProfile { profile_type: kind.into(), ..SecurityProfile::default() }
}

/// What a command said.
#[derive(Debug, Clone)]
pub struct Output {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Exit status.
    pub code: i32,
}

/// A created container.
#[derive(Debug)]
pub struct Container<'p> {
    cri: &'p Cri,
    node: &'p Node,
    /// Its id.
    pub id: String,
    log: PathBuf,
    /// Whether the container goes with this value.
    owned: bool,
}

impl Container<'_> {
    /// Starts it.
    pub fn start(&self) -> Result<(), Status> {
        self.cri.wait(self.cri.runtime().start_container(StartContainerRequest { container_id: self.id.clone() }))?;
        Ok(())
    }

    /// Runs a command in it, as an exec probe does.
    pub fn exec(&self, command: &[&str]) -> Result<Output, Status> {
        self.exec_for(command, 50)
    }

    /// The same with a limit in seconds, after which containerd ends the process.
    pub fn exec_for(&self, command: &[&str], timeout: i64) -> Result<Output, Status> {
        let cmd = command.iter().map(|&w| w.to_owned()).collect();
        let request = ExecSyncRequest { container_id: self.id.clone(), cmd, timeout };
        let answer = self.cri.wait(self.cri.runtime().exec_sync(request))?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Output { stdout: text(answer.stdout), stderr: text(answer.stderr), code: answer.exit_code })
    }

    /// The same over a connection of its own: several may be under way at once.
    pub fn exec_apart(&self, command: &[&str]) -> Result<Output, Status> {
        let cri = self.node.cri()?;
        Container { cri: &cri, node: self.node, id: self.id.clone(), log: PathBuf::new(), owned: false }.exec(command)
    }

    /// A shell line.
    pub fn sh(&self, line: &str) -> Result<Output, Status> {
        self.exec(&["/bin/sh", "-c", line])
    }

    /// Where it stands.
    pub fn status(&self) -> Result<ContainerStatus, Status> {
        let request = ContainerStatusRequest { container_id: self.id.clone(), verbose: false };
        self.cri.wait(self.cri.runtime().container_status(request))?.status.ok_or_else(|| Status::internal("no status"))
    }

    /// Its init process, numbered as on the node.
    pub fn pid(&self) -> Result<u32, Status> {
        let request = ContainerStatusRequest { container_id: self.id.clone(), verbose: true };
        pid_of(&self.cri.wait(self.cri.runtime().container_status(request))?.info)
    }

    /// The status file of its init process, as the node's kernel shows it.
    pub fn kernel_status(&self) -> io::Result<crate::process::Status> {
        let pid = self.pid().map_err(io::Error::other)?;
        crate::process::Status::read(&self.node.path(&format!("/proc/{pid}/status")))
    }

    /// Waits for its end.
    pub fn wait(&self, limit: Duration) -> Result<i32, Status> {
        let deadline = Instant::now() + limit;
        loop {
            let status = self.status()?;
            if status.finished_at != 0 {
                return Ok(status.exit_code);
            }
            if Instant::now() > deadline {
                return Err(Status::deadline_exceeded(format!("the container still runs after {limit:?}")));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What it printed, without the CRI's prefixes.
    pub fn log(&self) -> io::Result<String> {
        let text = fs::read_to_string(&self.log)?;
        Ok(text.lines().map(|l| l.splitn(4, ' ').nth(3).unwrap_or_default()).collect::<Vec<_>>().join("\n"))
    }

    /// Where a terminal or a stream to a new process can be had: a CRI streaming address.
    pub fn stream(&self, command: &[&str], tty: bool) -> Result<crate::stream::Stream, Status> {
        crate::stream::Stream::open(self.node, self.cri, &self.id, command, tty)
    }

    /// Stops it, as the kubelet does: TERM, and KILL after `grace` seconds.
    pub fn stop(&self, grace: i64) -> Result<(), Status> {
        self.cri.wait(
            self.cri.runtime().stop_container(StopContainerRequest { container_id: self.id.clone(), timeout: grace }),
        )?;
        Ok(())
    }

    /// Removes it, running or not.
    pub fn remove(&self) -> Result<(), Status> {
        self.cri.wait(self.cri.runtime().remove_container(RemoveContainerRequest { container_id: self.id.clone() }))?;
        Ok(())
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        if self.owned {
            let _ = self.remove();
        }
    }
}

fn pid_of(info: &HashMap<String, String>) -> Result<u32, Status> {
    let text = info.get("info").ok_or_else(|| Status::internal("containerd gave no verbose information"))?;
    let value: serde_json::Value = serde_json::from_str(text).map_err(|e| Status::internal(e.to_string()))?;
    value["pid"].as_u64().and_then(|p| u32::try_from(p).ok()).ok_or_else(|| Status::internal("containerd gave no pid"))
}
