//! A private one-node Kubernetes, started by `hack/cluster` and gone with this process.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use crate::node::repository;
use crate::supervised::Supervised;

/// How long it may take to start. Its programs are built by then.
const START_LIMIT: Duration = Duration::from_secs(300);

/// The Helm that a person has. The chart is for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Helm {
    /// The last series of version 3.
    Three,
    /// Version 4.
    Four,
}

impl Helm {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Three, Self::Four];

    /// Its name in a test's.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Three => "helm_3",
            Self::Four => "helm_4",
        }
    }

    /// The program; it is built where that has not been done yet.
    fn program(self) -> io::Result<String> {
        match self {
            Self::Three => {
                let folder = said(Command::new(repository().join("hack/cluster.d/helm3")).output()?)?;
                Ok(format!("{}/helm", folder.trim()))
            }
            Self::Four => Ok("helm".to_owned()),
        }
    }
}

/// A running private cluster.
#[derive(Debug)]
pub struct Cluster {
    supervised: Supervised,
    applies: Mutex<()>,
}

fn script() -> PathBuf {
    repository().join("hack/cluster")
}

/// Why no cluster can run here, if none can.
pub fn obstacle() -> Option<String> {
    match Command::new(script()).arg("check").output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).trim().replace('\n', "; ")),
        Err(error) => Some(format!("hack/cluster cannot be run: {error}")),
    }
}

/// Builds Kubernetes where that has not been done yet; ten minutes then.
pub fn build() -> io::Result<()> {
    let status = Command::new(repository().join("hack/cluster.d/build")).stdin(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("hack/cluster.d/build ended with {status}"))) }
}

impl Cluster {
    /// Starts a cluster in a folder of its own below the temporary directory.
    pub fn start() -> io::Result<Self> {
        let supervised = Supervised::start(script(), "cluster", "cluster-ready", START_LIMIT)?;
        Ok(Self { supervised, applies: Mutex::default() })
    }

    /// Runs a command beside the API server, with `input` on its standard input.
    pub fn exec(&self, command: &[&str], input: &str) -> io::Result<Output> {
        let mut child = self
            .supervised
            .command("exec")
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut pipe) = child.stdin.take() {
            pipe.write_all(input.as_bytes())?;
        }
        child.wait_with_output()
    }

    /// `kubectl`; its standard output, or its standard error as the error.
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> io::Result<String> {
        said(self.exec(&[&["kubectl"], arguments].concat(), input)?)
    }

    /// Applies objects. One after the other: kubectl looks first and then creates, so two that want the same object would meet.
    pub fn apply(&self, objects: &str) -> io::Result<()> {
        let _turn = self.applies.lock();
        self.kubectl(&["apply", "-f", "-"], objects).map(drop)
    }

    /// `helm` of version 4, likewise.
    pub fn helm(&self, arguments: &[&str]) -> io::Result<String> {
        self.helm_of(Helm::Four, arguments, "")
    }

    /// A Helm, likewise.
    pub fn helm_of(&self, helm: Helm, arguments: &[&str], input: &str) -> io::Result<String> {
        said(self.exec(&[&[helm.program()?.as_str()], arguments].concat(), input)?)
    }

    /// Builds a set of images (`hack/images/build`) and imports it.
    pub fn import(&self, set: &str) -> io::Result<()> {
        let folder = said(Command::new(repository().join("hack/images/build")).arg(set).output()?)?;
        for entry in fs::read_dir(folder.trim())?.flatten() {
            let path = entry.path().display().to_string();
            if path.ends_with(".tar") {
                said(self.exec(&["ctr", "-n", "k8s.io", "images", "import", &path], "")?)?;
            }
        }
        Ok(())
    }

    /// Kills a component, which comes back by itself.
    pub fn restart(&self, component: &str) -> io::Result<()> {
        said(self.supervised.command("restart").arg(component).output()?).map(drop)
    }

    /// The folder with its logs.
    pub fn dir(&self) -> &Path {
        self.supervised.dir()
    }

    /// Takes it down and waits until nothing is left.
    pub fn down(&mut self) -> io::Result<()> {
        self.supervised.down()
    }
}

fn said(output: Output) -> io::Result<String> {
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let text = String::from_utf8_lossy(&output.stderr);
        Err(io::Error::other(if text.trim().is_empty() {
            String::from_utf8_lossy(&output.stdout).into_owned()
        } else {
            text.into_owned()
        }))
    }
}
