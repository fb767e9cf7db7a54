//! The engine: the program that makes containers, behind runc's command line.
//!
//! runc, crun, youki and the embedded `zerocap-engine` all speak it. An engine is a process of its own
//! for every call; what it says is read from its JSON log, as the other shims do.

mod call;
mod choose;
mod errors;
mod gate;
mod in_flight;

pub use call::{Aborter, Stdio};
pub use choose::Kind;
pub use errors::EngineError;
pub(crate) use errors::last_error_in as log_error;
pub use in_flight::end as end_in_flight;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use call::Call;
use command_fds::FdMapping;
use containerd_shim::protos::shim::oci::CheckpointOptions;

use crate::options::Options;
use crate::reaper::{ExitWatch, Reaper};

/// Where the engine keeps its state unless the options say otherwise; the path of the other shims.
const DEFAULT_ROOT: &str = "/run/containerd/runc";
/// Bound on creating a container or an exec: slow disks and cgroups take long, an engine that hangs
/// must not take for ever.
const LONG: Duration = Duration::from_secs(120);
/// Bound on writing or reading all memory of a container, at the pace of a disk.
const IMAGES: Duration = Duration::from_secs(3600);
/// Bound on every other call.
const SHORT: Duration = Duration::from_secs(30);

/// One engine with the settings of one container.
#[derive(Clone)]
pub struct Engine {
    kind: Kind,
    program: PathBuf,
    root: PathBuf,
    systemd_cgroup: bool,
    no_pivot: bool,
    no_new_keyring: bool,
    /// Where engines look for programs, if not where we do.
    path: Option<OsString>,
    reaper: Reaper,
}

/// What starting a process in a container needs, for `create` and `exec` alike.
pub struct Spawn<'a> {
    /// The container's bundle: log file and working directory.
    pub bundle: &'a Path,
    /// Where the engine writes the new process id.
    pub pid_file: &'a Path,
    /// Where the engine sends the terminal, if there is one.
    pub console_socket: Option<&'a Path>,
    /// Standard streams of the new process.
    pub stdio: Stdio,
    /// Descriptors that the new process gets, numbered from 3 without gaps.
    pub fds: Vec<FdMapping>,
    /// The new process inherits from the engine that it leaves no core.
    pub no_core: bool,
}

impl Engine {
    /// The engine that `options` ask for.
    ///
    /// # Errors
    /// [`EngineError::Missing`] when it is not installed.
    pub fn new(options: &Options, namespace: &str, reaper: Reaper) -> Result<Self, EngineError> {
        let (kind, program) = choose::choose(options)?;
        let root = match options.root.as_str() {
            "" => DEFAULT_ROOT,
            root => root,
        };
        Ok(Self {
            kind,
            program,
            root: Path::new(root).join(namespace),
            systemd_cgroup: options.systemd_cgroup,
            no_pivot: options.no_pivot_root,
            no_new_keyring: options.no_new_keyring,
            path: criu_first(&options.criu_path),
            reaper,
        })
    }

    /// Which engine this is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The engine's program.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// `create`: the container exists afterwards, its first process waits for [`Engine::start`].
    ///
    /// # Errors
    /// The engine's own words.
    pub async fn create(&self, id: &str, spawn: Spawn<'_>) -> Result<(), EngineError> {
        let mut args = arguments(["create", "--bundle"]);
        args.push(spawn.bundle.into());
        if self.no_pivot {
            args.push("--no-pivot".into());
        }
        if self.no_new_keyring {
            args.push("--no-new-keyring".into());
        }
        self.begin_spawn(id, args, spawn, LONG)?.complete().await.map(drop)
    }

    /// Begins `exec`: runs the process that the JSON file `process` describes in container `id`.
    ///
    /// # Errors
    /// When the engine cannot be run at all.
    pub fn begin_exec(&self, id: &str, process: &Path, spawn: Spawn<'_>) -> Result<Running, EngineError> {
        let mut args = arguments(["exec", "--detach", "--process"]);
        args.push(process.into());
        self.begin_spawn(id, args, spawn, LONG)
    }

    fn begin_spawn(
        &self,
        id: &str,
        mut args: Vec<OsString>,
        spawn: Spawn<'_>,
        limit: Duration,
    ) -> Result<Running, EngineError> {
        args.push("--pid-file".into());
        args.push(spawn.pid_file.into());
        if let Some(socket) = spawn.console_socket {
            args.push("--console-socket".into());
            args.push(socket.into());
        }
        if !spawn.fds.is_empty() {
            // The number must be exactly what is open: runc hands on its own descriptors otherwise.
            args.push("--preserve-fds".into());
            args.push(spawn.fds.len().to_string().into());
        }
        args.push(id.into());
        self.begin(Call {
            bundle: spawn.bundle,
            args,
            stdio: spawn.stdio,
            fds: spawn.fds,
            no_core: spawn.no_core,
            limit,
        })
    }

    /// Begins `start` without waiting for it: the engine's end arrives in the returned watch, its
    /// words in the log of `bundle`.
    ///
    /// # Errors
    /// When the engine cannot be run at all.
    pub fn begin_start(&self, id: &str, bundle: &Path) -> Result<Running, EngineError> {
        self.begin(Call { limit: LONG, ..Call::short(bundle, arguments(["start", id])) })
    }

    /// `kill`: sends a signal to the first process, or to all.
    ///
    /// # Errors
    /// The engine's own words.
    pub async fn kill(&self, id: &str, bundle: &Path, signal: u32, all: bool) -> Result<(), EngineError> {
        let number = signal.to_string();
        let mut args = arguments(["kill"]);
        if all {
            args.push("--all".into());
        }
        args.extend([id.into(), number.into()]);
        self.call(Call::short(bundle, args)).await.map(drop)
    }

    /// `delete`, by force if asked: the engine's state and the cgroups are gone afterwards.
    ///
    /// # Errors
    /// The engine's own words.
    pub async fn delete(&self, id: &str, bundle: &Path, force: bool) -> Result<(), EngineError> {
        let mut args = arguments(["delete"]);
        if force {
            args.push("--force".into());
        }
        args.push(id.into());
        self.call(Call::short(bundle, args)).await.map(drop)
    }

    /// Removes what is left of the state of container `id`, of which the engine itself says that there is none: an
    /// engine that was cut off leaves half of it, and refuses the name from then on.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove_remains(&self, id: &str) -> io::Result<()> {
        match fs::remove_dir_all(self.root.join(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// `pause`: freezes all processes.
    ///
    /// # Errors
    /// The engine's own words.
    pub async fn pause(&self, id: &str, bundle: &Path) -> Result<(), EngineError> {
        self.simple(bundle, SHORT, ["pause", id]).await
    }

    /// `resume`: thaws all processes.
    ///
    /// # Errors
    /// The engine's own words.
    pub async fn resume(&self, id: &str, bundle: &Path) -> Result<(), EngineError> {
        self.simple(bundle, SHORT, ["resume", id]).await
    }

    /// `checkpoint`: writes the container's processes to `image`, working in `work`.
    ///
    /// # Errors
    /// The engine's own words.
    pub async fn checkpoint(
        &self,
        id: &str,
        bundle: &Path,
        work: &Path,
        image: &Path,
        options: &CheckpointOptions,
    ) -> Result<(), EngineError> {
        let mut args = arguments(["checkpoint", "--image-path"]);
        args.extend([image.into(), "--work-path".into(), work.into()]);
        let flags = [
            (options.open_tcp, "--tcp-established"),
            (options.external_unix_sockets, "--ext-unix-sk"),
            (options.terminal, "--shell-job"),
            (options.file_locks, "--file-locks"),
            (!options.exit, "--leave-running"),
        ];
        args.extend(flags.iter().filter(|(wanted, _)| *wanted).map(|(_, flag)| (*flag).into()));
        for namespace in &options.empty_namespaces {
            args.extend(["--empty-ns".into(), namespace.into()]);
        }
        args.push(id.into());
        self.call(Call { limit: IMAGES, ..Call::short(bundle, args) }).await.map(drop)
    }

    /// `restore`: the container exists afterwards and runs, from the checkpoint in `image`.
    ///
    /// # Errors
    /// The engine's own words.
    pub async fn restore(&self, id: &str, spawn: Spawn<'_>, image: &Path, work: &Path) -> Result<(), EngineError> {
        let args = self.restore_arguments(spawn.bundle, image, work);
        self.begin_spawn(id, args, spawn, IMAGES)?.complete().await.map(drop)
    }

    fn restore_arguments(&self, bundle: &Path, image: &Path, work: &Path) -> Vec<OsString> {
        let mut args = arguments(["restore", "--detach", "--image-path"]);
        args.extend([image.into(), "--work-path".into(), work.into(), "--bundle".into(), bundle.into()]);
        // crun has neither word: it never is a subreaper, and always uses pivot_root here.
        if self.kind != Kind::Crun {
            args.push("--no-subreaper".into());
            args.extend(self.no_pivot.then(|| "--no-pivot".into()));
        }
        args
    }

    /// `update`: applies resource limits, given as the OCI `linux.resources` JSON.
    ///
    /// # Errors
    /// The engine's own words.
    pub async fn update(&self, id: &str, bundle: &Path, resources: &[u8]) -> Result<(), EngineError> {
        let call = Call {
            stdio: Stdio::input(resources).map_err(|error| self.cannot_run(error))?,
            ..Call::short(bundle, arguments(["update", "--resources", "-", id]))
        };
        self.call(call).await.map(drop)
    }

    /// `features`: the OCI features document. Runs without the reaper, for the `-info` action.
    ///
    /// # Errors
    /// When the engine cannot be run or fails.
    pub fn features(&self) -> Result<Vec<u8>, EngineError> {
        let output = std::process::Command::new(&self.program)
            .arg("features")
            .stdin(std::process::Stdio::null())
            .output()
            .map_err(|error| self.cannot_run(error))?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            let text = String::from_utf8_lossy(&output.stderr);
            Err(EngineError::Failed(text.trim().to_owned()))
        }
    }

    async fn simple<const N: usize>(&self, bundle: &Path, limit: Duration, args: [&str; N]) -> Result<(), EngineError> {
        let call = Call { limit, ..Call::short(bundle, arguments(args)) };
        self.call(call).await.map(drop)
    }

    /// Flags that stand before the verb.
    fn global_arguments(&self, bundle: &Path) -> Vec<OsString> {
        let mut args = arguments(["--root"]);
        args.push(self.root.clone().into());
        args.push("--log".into());
        args.push(bundle.join(errors::LOG_FILE).into());
        args.extend(arguments(["--log-format", "json"]));
        if self.systemd_cgroup {
            args.push("--systemd-cgroup".into());
        }
        args
    }
}

/// The search path on which an engine finds the criu that the options name: engines take no other answer.
fn criu_first(criu: &str) -> Option<OsString> {
    let folder = Path::new(criu).parent().filter(|folder| folder.is_absolute())?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path))).ok()
}

/// An engine call that is under way.
pub struct Running {
    /// Tells when the engine ends.
    pub exit: ExitWatch,
    pub(crate) finish: call::Finish,
}

fn arguments<const N: usize>(args: [&str; N]) -> Vec<OsString> {
    args.iter().map(OsStr::new).map(OsString::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// An engine by that name, which is never run.
    fn engine(folder: &Path, name: &str, options: Options) -> Engine {
        let program = folder.join(name);
        fs::write(&program, "").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let options = Options { binary_name: program.display().to_string(), ..options };
        Engine::new(&options, "ns", Reaper::new()).unwrap()
    }

    #[test]
    fn the_cgroup_driver_and_the_namespace_reach_the_engine() {
        let folder = tempfile::tempdir().unwrap();
        let arguments = |options| engine(folder.path(), "runc", options).global_arguments(Path::new("/b"));
        let flag = OsString::from("--systemd-cgroup");
        assert!(!arguments(Options::default()).contains(&flag));
        let with = arguments(Options { systemd_cgroup: true, root: "/r".into(), ..Options::default() });
        assert!(with.contains(&flag));
        assert_eq!(with[..2], ["--root", "/r/ns"]);
    }

    #[test]
    fn a_restore_is_asked_for_in_words_that_the_engine_knows() {
        let folder = tempfile::tempdir().unwrap();
        let words = |name| {
            let engine = engine(folder.path(), name, Options { no_pivot_root: true, ..Options::default() });
            engine.restore_arguments(Path::new("/b"), Path::new("/i"), Path::new("/w"))
        };
        let common = ["restore", "--detach", "--image-path", "/i", "--work-path", "/w", "--bundle", "/b"];
        assert_eq!(words("crun"), common);
        let runc = words("runc");
        assert_eq!(runc[..common.len()], common);
        assert_eq!(runc[common.len()..], ["--no-subreaper", "--no-pivot"]);
    }

    #[test]
    fn the_folder_of_the_named_criu_is_looked_in_first() {
        let path = criu_first("/opt/criu/criu").unwrap();
        let own = std::env::var_os("PATH").unwrap_or_default();
        let first = std::env::split_paths(&path).next();
        assert_eq!(first.as_deref(), Some(Path::new("/opt/criu")));
        assert!(std::env::split_paths(&path).skip(1).eq(std::env::split_paths(&own)));
        assert!(criu_first("").is_none() && criu_first("criu").is_none(), "nothing but a path");
    }
}
