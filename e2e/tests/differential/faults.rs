//! Faults, with real engines: whatever breaks in the middle, nothing stays behind and nothing runs less confined.
//!
//! Each row runs for a plain and for a confined container, with runc and with crun. `ZEROCAP_SEED` repeats a run.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::time::{Duration, SystemTime};

use containerd_shim_protos::api::{CreateTaskRequest, DeleteResponse, Mount};
use containerd_shim_protos::protobuf::{Message, MessageField};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::Signal;

use zerocap_e2e::task::{self, Run, Shim, engine_path, until};

type Outcome = Result<(), String>;

/// The node's user that is root in a pod with users of its own.
const FIRST_USER: u32 = 100_000;

/// The rows of the table.
pub const TABLE: [(&str, Row); 7] = [
    ("the_shim_is_killed", Row::Killed),
    ("the_shim_is_killed_after_its_container", Row::KilledAfterwards),
    ("the_shim_is_asked_to_end", Row::Asked),
    ("the_engine_breaks", Row::Engine),
    ("the_bundles_disk_is_full", Row::BundleFull),
    ("the_states_disk_is_full", Row::StateFull),
    ("nothing_can_run_from_the_states_disk", Row::StateWithoutExec),
];

/// What is broken.
#[derive(Clone, Copy, Debug)]
pub enum Row {
    Killed,
    KilledAfterwards,
    Asked,
    Engine,
    BundleFull,
    StateFull,
    StateWithoutExec,
}

/// Runs one row.
pub fn row(row: Row, shim: Shim, engine: &'static str) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    runtime.block_on(async {
        match row {
            Row::Killed => killed(shim, engine).await,
            Row::KilledAfterwards => killed_afterwards(shim, engine).await,
            Row::Asked => asked(shim, engine).await,
            Row::Engine => engine_breaks(shim, engine).await,
            Row::BundleFull => bundle_full(shim, engine).await,
            Row::StateFull => state_full(shim, engine).await,
            Row::StateWithoutExec => state_without_exec(shim, engine).await,
        }
    })
}

/// Random enough for delays, and the same again for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn seed() -> u64 {
    let given = std::env::var("ZEROCAP_SEED").ok().and_then(|text| text.parse().ok());
    given.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::from(now.subsec_nanos())
    })
}

/// How often something is done: as often as in the long form with `ZEROCAP_SOAK=1`, a tenth of that with 10.
pub fn rounds(usual: usize, long: usize) -> usize {
    let part = std::env::var("ZEROCAP_SOAK").ok().map(|text| text.parse::<usize>().unwrap_or(1).max(1));
    part.map_or(usual, |part| (long / part).max(usual))
}

/// kill -9 of the shim at any moment of a pod's life; containerd then runs `delete` for every container it knows.
async fn killed(shim: Shim, engine: &'static str) -> Outcome {
    let seed = seed();
    let mut random = Random(seed);
    for round in 0..rounds(5, 200) {
        let run = Run::start(shim, engine).await?;
        let delay = Duration::from_micros(random.below(300_000));
        let told = |what: &str| format!("ZEROCAP_SEED={seed} round {round}, killed after {delay:?}: {what}");
        tokio::select! {
            life = life(&run) => life.map_err(|error| told(&error))?,
            () = tokio::time::sleep(delay) => {}
        }
        task::kill(run.shim_pid());
        until("the shim's end", || !task::alive(run.shim_pid())).await?;
        if shim == Shim::Confined {
            confined(&run).map_err(|error| told(&error))?;
        }
        for id in ["c", "d"].into_iter().filter(|id| run.bundle_of(id).join("config.json").exists()) {
            run.call_binary(id, "delete", &run.options(|_| {})).map_err(|error| told(&format!("delete: {error}")))?;
        }
        nothing_left(&run).await.map_err(|error| told(&error))?;
        let _ = fs::remove_dir_all(&run.dir);
    }
    Ok(())
}

/// kill -9 of the shim after one of its containers has ended: `delete` tells how, and that the other was killed.
async fn killed_afterwards(shim: Shim, engine: &'static str) -> Outcome {
    let run = Run::start(shim, engine).await?;
    // The second one of a name, in the same bundle, is not taken for the first.
    run.create("d", &["sh", "-c", "exit 5"]).await?;
    run.start_process("d", "").await.ok_or_else(|| format!("d does not start: {:?}", run.last()))?;
    run.wait("d", "").await;
    run.delete("d", "").await;
    let mut pids = Vec::new();
    for (id, script) in [("c", "exit 3"), ("d", "sleep 1000")] {
        run.create(id, &["sh", "-c", script]).await?;
        let pid = run.start_process(id, "").await;
        pids.push(pid.ok_or_else(|| format!("{id} does not start: {:?}", run.last()))?);
    }
    run.wait("c", "").await;
    task::kill(run.shim_pid());
    until("the shim's end", || !task::alive(run.shim_pid())).await?;
    for (id, pid, status) in [("c", pids[0], 3), ("d", pids[1], 137)] {
        let (answer, _) = run.call_binary(id, "delete", &run.options(|_| {}))?;
        let answer = DeleteResponse::parse_from_bytes(&answer).map_err(|error| error.to_string())?;
        if (answer.pid, answer.exit_status, answer.exited_at.seconds > 0) != (pid, status, true) {
            return Err(format!("{id} had the process {pid} and ended with {status}; delete says {answer}"));
        }
    }
    nothing_left(&run).await
}

/// SIGTERM and SIGINT: the shim stays while a container lives, and ends, with nothing left, when none does.
async fn asked(shim: Shim, engine: &'static str) -> Outcome {
    let run = Run::start(shim, engine).await?;
    run.run("c", &["sleep", "1000"]).await?;
    for signal in [Signal::TERM, Signal::INT, Signal::TERM] {
        task::signal(run.shim_pid(), signal);
        run.exec_quietly("c", "e", &["true"]).await?;
        if !task::alive(run.shim_pid()) || run.processes().is_empty() {
            return Err(format!("{signal:?} ends what lives: {:?}", run.last()));
        }
    }
    run.kill("c", "", 9).await;
    run.wait("c", "").await;
    run.delete("c", "").await;
    task::signal(run.shim_pid(), Signal::TERM);
    until("the shim's end", || !task::alive(run.shim_pid())).await?;
    nothing_left(&run).await
}

/// What the shim is killed in: two containers with execs, one of them deleted again.
async fn life(run: &Run) -> Outcome {
    for id in ["c", "d"] {
        run.create(id, &["sleep", "1000"]).await?;
        run.start_process(id, "").await;
        for exec in ["e", "f"] {
            run.exec(id, exec, &["sleep", "1000"]).await;
            run.start_process(id, exec).await;
        }
    }
    run.kill("c", "", 9).await;
    run.delete("c", "").await;
    Ok(())
}

/// Whether every workload that lives is as confined as it was.
fn confined(run: &Run) -> Outcome {
    for pid in run.processes() {
        let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        // Engines' own stages come and go; the workload is what was asked for.
        if read("comm").trim_end() != "sleep" {
            continue;
        }
        let status = read("status");
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
        let held = field("CapEff:") == "0000000000000000"
            && field("CapBnd:") == "0000000000000000"
            && field("NoNewPrivs:") == "1"
            && field("Seccomp:") == "2";
        if !held && !status.is_empty() {
            return Err(format!("a workload runs unconfined: {status}"));
        }
    }
    Ok(())
}

async fn nothing_left(run: &Run) -> Outcome {
    let mut left = Vec::new();
    let gone = until("an empty node", || {
        left = run.left();
        left.extend(run.processes().iter().map(|pid| format!("the process {pid}")));
        left.is_empty()
    });
    gone.await.map_err(|_| format!("left behind: {left:?}"))
}

/// The engine's name, in front of which a script does what `what` says when its verb is `verb`.
fn broken_engine(run: &Run, verb: &str, what: &str) -> Result<String, String> {
    let real = engine_path(run.engine);
    let path = run.dir.join(format!("broken-{}", run.engine));
    let script = format!("#!/bin/sh\ncase \" $* \" in *\" {verb} \"*) {what} ;; esac\nexec {real} \"$@\"\n");
    let made = fs::write(&path, script.replace("REAL", &real))
        .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)));
    made.map_err(|error| error.to_string())?;
    Ok(path.display().to_string())
}

/// The engine fails, dies, prints garbage, or fails after it has done its work, at each of its verbs.
async fn engine_breaks(shim: Shim, engine: &'static str) -> Outcome {
    let breaks = [
        ("fails", "exit 1"),
        ("dies", "kill -9 $$"),
        ("prints garbage", "head -c 200000 /dev/urandom; head -c 200000 /dev/urandom >&2; exit 3"),
        ("fails afterwards", "REAL \"$@\"; exit 1"),
        ("dies afterwards", "REAL \"$@\"; kill -9 $$"),
    ];
    let run = Run::start(shim, engine).await?;
    for verb in ["create", "exec"] {
        for (name, what) in breaks {
            let told = |error: &str| format!("{verb} {name}: {error}; {:?}", run.last());
            run.bundle("c", &["sleep", "1000"], |_| {})?;
            let program = broken_engine(&run, verb, what)?;
            let options = run.options(|options| options.binary_name = program);
            let request = CreateTaskRequest { options: MessageField::some(options), ..run.request("c") };
            let made = run.create_with(request).await;
            if verb == "create" {
                if made.is_some() {
                    return Err(told("it was created"));
                }
            } else {
                run.start_process("c", "").await.ok_or_else(|| told("it does not start"))?;
                run.exec("c", "e", &["sleep", "1000"]).await;
                if run.start_process("c", "e").await.is_some() {
                    return Err(told("the exec was started"));
                }
                run.delete("c", "e").await;
                let left = || run.processes().len();
                until("the end of the exec", || left() == 1).await.map_err(|error| told(&error))?;
                run.kill("c", "", 9).await;
                run.wait("c", "").await;
                run.delete("c", "").await;
            }
            let stays = |left: &String| !left.contains("socket");
            let mut left = Vec::new();
            let clean = until("a clean node", || {
                left = run.left();
                left.retain(stays);
                left.is_empty() && run.processes().is_empty()
            });
            clean.await.map_err(|_| told(&format!("left behind: {left:?} {:?}", run.processes())))?;
        }
    }
    works(&run).await?;
    ended(run).await
}

/// The shim still does its work.
async fn works(run: &Run) -> Outcome {
    run.create("c", &["sleep", "1000"]).await?;
    run.start_process("c", "").await.ok_or_else(|| format!("nothing works afterwards: {:?}", run.last()))?;
    run.kill("c", "", 9).await;
    run.wait("c", "").await;
    run.delete("c", "").await;
    Ok(())
}

async fn ended(run: Run) -> Outcome {
    let lines = run.finish().await?;
    let left = lines.iter().filter(|line| line.starts_with("left:")).collect::<Vec<_>>();
    if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
}

/// A small file system that is full, for as long as it lives.
struct Full<'a>(&'a Path);

impl<'a> Full<'a> {
    fn mount(at: &'a Path) -> Result<Self, String> {
        fs::create_dir_all(at).map_err(|error| error.to_string())?;
        let options = c"size=64k,mode=755";
        mount("small", at, "tmpfs", MountFlags::empty(), options).map_err(|error| format!("tmpfs: {error}"))?;
        Ok(Self(at))
    }

    fn fill(&self) {
        // Until there is no room: that it ends with an error is the point.
        let _ = fs::write(self.0.join("full"), vec![0; 1 << 20]);
    }
}

impl Drop for Full<'_> {
    fn drop(&mut self) {
        let _ = unmount(self.0, UnmountFlags::DETACH);
    }
}

/// The bundle lies on a disk without room.
async fn bundle_full(shim: Shim, engine: &'static str) -> Outcome {
    let run = Run::start(shim, engine).await?;
    let bundle = run.bundle_of("full");
    {
        let disk = Full::mount(&bundle)?;
        // Its root file system comes as a mount, as containerd's do.
        let config = zerocap_e2e::task::spec::container(&["sleep", "1000"], &run.groups.in_spec("full"));
        fs::write(bundle.join("config.json"), run.annotated(config).to_string()).map_err(|e| e.to_string())?;
        fs::create_dir(bundle.join("rootfs")).map_err(|e| e.to_string())?;
        disk.fill();
        let rootfs = Mount {
            type_: "bind".into(),
            source: run.bundle_of("c").join("rootfs").display().to_string(),
            options: vec!["rbind".into(), "rw".into()],
            ..Mount::default()
        };
        let request = CreateTaskRequest { rootfs: vec![rootfs], ..run.request("full") };
        if run.create_with(request).await.is_some() {
            run.kill("full", "", 9).await;
            run.delete("full", "").await;
            return Err("a container was created on a full disk".into());
        }
        let inside = bundle.join("rootfs").display().to_string();
        let mounts = run.left().into_iter().filter(|left| left.contains(&inside)).collect::<Vec<_>>();
        if !mounts.is_empty() {
            return Err(format!("left behind: {mounts:?}"));
        }
    }
    let _ = fs::remove_dir_all(&bundle);
    works(&run).await?;
    ended(run).await
}

/// Our own state lies on a disk without room: a confined container is not started, a plain one needs none.
async fn state_full(shim: Shim, engine: &'static str) -> Outcome {
    let run = Run::start(shim, engine).await?;
    let state = run.dir.join("state");
    {
        let disk = Full::mount(&state)?;
        disk.fill();
        run.create("c", &["sleep", "1000"]).await?;
        let started = run.start_process("c", "").await.is_some();
        if started != (shim == Shim::Plain) {
            return Err(format!("with a full disk it started: {started}; {:?}", run.last()));
        }
        run.kill("c", "", 9).await;
        run.wait("c", "").await;
        run.delete("c", "").await;
    }
    works(&run).await?;
    ended(run).await
}

/// /run is mounted noexec on hardened nodes, and the launcher lies below it. With a user namespace too (`hostUsers: false`), whose root
/// is nobody on the node.
async fn state_without_exec(shim: Shim, engine: &'static str) -> Outcome {
    let run = Run::start(shim, engine).await?;
    let state = run.dir.join("state");
    mount("hardened", &state, "tmpfs", MountFlags::NOEXEC | MountFlags::NOSUID, c"mode=755")
        .map_err(|e| e.to_string())?;
    // Users of another namespace cannot pass the folders above the bundle.
    let passable = Path::new("/run").join(format!("rootfs-{}", run.shim_pid()));
    let ended = async {
        for (id, user_namespace) in [("host", false), ("user", true)] {
            run.bundle(id, &["sleep", "1000"], |config| {
                if user_namespace {
                    in_user_namespace(config);
                    config["root"]["path"] = passable.display().to_string().into();
                }
            })?;
            if user_namespace {
                passed_on(&run.bundle_of(id).join("rootfs"), &passable).map_err(|error| error.to_string())?;
            }
            let made = run.create_with(run.request(id)).await;
            made.ok_or_else(|| format!("{id} is not created: {:?}", run.last()))?;
            let pid =
                run.start_process(id, "").await.ok_or_else(|| format!("{id} does not start: {:?}", run.last()))?;
            run.is_program(Some(pid), "sleep").await?;
            let map = fs::read_to_string(format!("/proc/{pid}/uid_map")).map_err(|e| e.to_string())?;
            if map.contains(&FIRST_USER.to_string()) != user_namespace {
                return Err(format!("{id} has the wrong users: {map}"));
            }
        }
        if shim == Shim::Confined {
            confined(&run)?;
        }
        for id in ["host", "user"] {
            run.exec_quietly(id, "e", &["true"]).await.map_err(|error| format!("exec in {id}: {error}"))?;
            run.kill(id, "", 9).await;
            run.wait(id, "").await;
            run.delete(id, "").await;
        }
        Ok(())
    }
    .await;
    // The launcher's own file system, and ours below it.
    for at in [&state.join(".launcher"), &state, &passable] {
        let _ = unmount(at, UnmountFlags::DETACH);
    }
    let _ = fs::remove_dir(&passable);
    ended?;
    self::ended(run).await
}

/// The image of a pod with users of its own, as containerd makes it: theirs, where they can reach it.
fn passed_on(rootfs: &Path, at: &Path) -> std::io::Result<()> {
    chown(rootfs, Some(FIRST_USER), Some(FIRST_USER))?;
    fs::create_dir(at)?;
    Ok(mount(rootfs, at, "", MountFlags::BIND, None)?)
}

fn in_user_namespace(config: &mut serde_json::Value) {
    let map = serde_json::json!([{"containerID": 0, "hostID": FIRST_USER, "size": 65_536}]);
    config["linux"]["uidMappings"] = map.clone();
    config["linux"]["gidMappings"] = map;
    if let Some(namespaces) = config["linux"]["namespaces"].as_array_mut() {
        namespaces.push(serde_json::json!({"type": "user"}));
    }
}
