//! A private node, started by `hack/node` and gone with this process; or the machine itself, where a script that speaks alike says so.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::cri::Cri;
use crate::pod::PodBuilder;
use crate::supervised::Supervised;

/// How long a node may take to start; the first start downloads some 50 MB.
const START_LIMIT: Duration = Duration::from_secs(600);

/// A running private node.
#[derive(Debug)]
pub struct Node {
    supervised: Supervised,
    pid: u32,
}

/// The script that makes nodes, unless this names another.
const SCRIPT: &str = "ZEROCAP_NODE";

fn script() -> PathBuf {
    std::env::var_os(SCRIPT).map_or_else(|| repository().join("hack/node"), PathBuf::from)
}

/// The top of this repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap_or_else(|_| PathBuf::from("."))
}

/// Where the built programs are, as `hack/node` finds them.
pub fn release_folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
    let named = std::env::var_os("ZEROCAP_BIN_DIR").map(PathBuf::from);
    let places = named.into_iter().chain([repository().join("dist"), target.join("release")]);
    places.into_iter().find(|folder| has_shim(folder)).unwrap_or_else(|| repository().join("dist"))
}

/// Whether there is a shim to try.
pub fn release_shim_is_built() -> bool {
    has_shim(&release_folder())
}

fn has_shim(folder: &Path) -> bool {
    folder.join("containerd-shim-zerocap-v2").is_file()
}

/// Whether nodes have a containerd of the first generation.
pub fn is_containerd_1() -> bool {
    std::env::var("ZEROCAP_CONTAINERD").is_ok_and(|version| version.starts_with("1."))
}

/// Why no node can run here, if none can.
pub fn obstacle() -> Option<String> {
    match Command::new(script()).arg("check").output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).trim().replace('\n', "; ")),
        Err(error) => Some(format!("hack/node cannot be run: {error}")),
    }
}

impl Node {
    /// Starts a node in a folder of its own below the temporary directory.
    pub fn start() -> io::Result<Self> {
        let supervised = Supervised::start(script(), "e2e", "ready", START_LIMIT)?;
        let pid = fs::read_to_string(supervised.dir().join("pid"))?;
        let pid = pid
            .split(' ')
            .next()
            .and_then(|n| n.parse().ok())
            .ok_or_else(|| io::Error::other("hack/node wrote no pid"))?;
        let node = Self { supervised, pid };
        node.cri()?.wait_until_ready(Duration::from_secs(20))?;
        Ok(node)
    }

    /// The folder with the node's logs and identity.
    pub fn dir(&self) -> &Path {
        self.supervised.dir()
    }

    /// A path of the node's own file system, as this process can open it.
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.pid))
    }

    /// The node's network namespace.
    pub fn netns(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/net", self.pid))
    }

    /// Whether containerd knows a runtime handler of this name here.
    pub fn has_handler(&self, name: &str) -> bool {
        let configuration = fs::read_to_string(self.configuration()).unwrap_or_default();
        configuration.contains(&format!(".runtimes.{name}]"))
    }

    /// Whether systemd manages the containers' cgroups.
    pub fn has_systemd(&self) -> bool {
        fs::read_to_string(self.configuration()).is_ok_and(|text| text.contains("SystemdCgroup = true"))
    }

    /// containerd's configuration, by the same path inside and outside.
    pub fn configuration(&self) -> PathBuf {
        self.dir().join("containerd.toml")
    }

    /// One of the programs that this node runs, if it has been built.
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        fs::canonicalize(self.dir().join("bin").join(name)).ok()
    }

    /// A new connection to the node's containerd.
    pub fn cri(&self) -> io::Result<Cri> {
        Cri::connect(self.path("/run/containerd/containerd.sock"))
    }

    /// Describes a pod of the given runtime handler.
    pub fn pod(&self, handler: &str) -> PodBuilder<'_> {
        PodBuilder::new(self, handler)
    }

    /// Runs a command inside the node's namespaces.
    pub fn exec(&self, command: &[&str]) -> io::Result<std::process::Output> {
        self.supervised.command("exec").args(command).output()
    }

    /// Builds a set of images and gives the folder in which it lies.
    pub fn images(&self, set: &str) -> io::Result<PathBuf> {
        let build = Command::new(repository().join("hack/images/build")).arg(set).output()?;
        const CANNOT: i32 = 3;
        if !build.status.success() {
            let said = String::from_utf8_lossy(&build.stderr);
            return Err(match build.status.code() {
                Some(CANNOT) => io::Error::new(io::ErrorKind::Unsupported, said.trim().to_owned()),
                _ => io::Error::other(format!("hack/images/build {set}: {said}")),
            });
        }
        Ok(PathBuf::from(String::from_utf8_lossy(&build.stdout).trim()))
    }

    /// Builds a set of images (`hack/images/build`) and imports it: a name, or `attacks=PROGRAM`. An error of the kind
    /// `Unsupported` says that this machine cannot have it.
    pub fn import(&self, set: &str) -> io::Result<()> {
        let folder = self.images(set)?;
        let cri = self.cri()?;
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "tar") {
                let output = self.exec(&["ctr", "-n", "k8s.io", "images", "import", &path.to_string_lossy()])?;
                if !output.status.success() {
                    return Err(io::Error::other(format!(
                        "import of {}: {}",
                        path.display(),
                        String::from_utf8_lossy(&output.stderr)
                    )));
                }
                let name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
                cri.wait_for_image(&image(&name), Duration::from_secs(10))?;
            }
        }
        Ok(())
    }

    /// Kills containerd and starts it again; pods live on.
    pub fn restart_containerd(&self) -> io::Result<()> {
        let output = self.supervised.command("restart").output()?;
        if !output.status.success() {
            return Err(io::Error::other(format!("hack/node restart: {}", String::from_utf8_lossy(&output.stderr))));
        }
        self.cri()?.wait_until_ready(Duration::from_secs(20))
    }

    /// Takes the node down and waits until nothing of it is left.
    pub fn down(&mut self) -> io::Result<()> {
        self.supervised.down()
    }
}

/// The full name of one of our test images.
pub fn image(name: &str) -> String {
    format!("zerocap.test/{name}:1")
}
