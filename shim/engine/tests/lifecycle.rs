//! The engine's commands on real containers.

mod cgroup_view;
mod support;

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::Command;

use serde_json::{Value, json};
use support::{Container, eventually, skip};

const SLEEP: &str = "sleep 1000";

#[test]
fn a_container_lives_its_life() {
    let c = Container::new("echo started; trap 'exit 7' TERM; while :; do sleep 0.01; done").created();
    let state = c.status();
    assert_eq!(state["status"], "created");
    assert_eq!(state["id"], "c1");
    let pid = state["pid"].as_i64().unwrap();
    let written = fs::read_to_string(c.dir.path().join("init.pid")).unwrap();
    assert_eq!(written.trim(), pid.to_string());
    // The workload waits for start.
    assert!(!fs::read_to_string(c.out()).unwrap().contains("started"));

    c.ok(&["start", "c1"]);
    c.wait_for("started");
    assert_eq!(c.status()["status"], "running");
    let pids: Vec<i64> = serde_json::from_str(&c.ok(&["ps", "--format", "json", "c1"])).unwrap();
    assert!(pids.contains(&pid), "{pids:?}");

    c.ok(&["kill", "c1", "TERM"]);
    eventually("the end", || c.status()["status"] == "stopped");
    assert_eq!(c.status()["pid"], 0);
    assert_eq!(c.refused(&["kill", "c1", "9"]), "container not running");
    assert_eq!(c.refused(&["start", "c1"]), "cannot start a container that has stopped");

    c.ok(&["delete", "c1"]);
    assert_eq!(c.state_root(), Vec::<String>::new());
    assert_eq!(c.refused(&["state", "c1"]), "container does not exist");
    let leaves: Vec<_> = c.cgroups().into_iter().filter(|p| p.join("c1").exists()).collect();
    assert_eq!(leaves, Vec::<std::path::PathBuf>::new());
}

#[test]
fn init_and_exec_run_restricted() {
    let look = "grep -E '^(Cap|NoNewPrivs|Seccomp:|Uid)' /proc/self/status; \
                unshare -U true; echo unshare=$?; ls /proc/self/fd | wc -w; cat /proc/self/oom_score_adj; echo done-$0";
    let c = Container::new(&format!("{look}; {SLEEP}")).running();
    let init = c.wait_for("done-");
    fs::write(c.out(), "").unwrap();
    let output = c.exec(look, Vec::new());
    assert!(output.status.success(), "{}", c.wait_for(""));
    let exec = c.wait_for("done-");
    for (who, text) in [("init", init), ("exec", exec)] {
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert!(text.contains(&format!("{set}:\t0000000000000000")), "{who}: {text}");
        }
        assert!(text.contains("NoNewPrivs:\t1"), "{who}: {text}");
        assert!(text.contains("Seccomp:\t2"), "{who}: {text}");
        assert!(text.contains("Uid:\t65532"), "{who}: {text}");
        // The profile's own errno shows that it is the profile that refuses.
        assert!(text.contains("Operation not supported"), "{who}: {text}");
        assert!(text.contains("unshare=1"), "{who}: {text}");
        // 0, 1, 2, and the one that ls lists with.
        assert!(text.contains("\n4\n1000\n"), "{who}: {text}");
    }
}

/// Without the profile the same call does not meet the profile's errno: the control of the test above.
#[test]
fn without_a_profile_unshare_is_not_refused_by_one() {
    let c = Container::new("");
    let mut spec = c.spec(&format!("grep Seccomp: /proc/self/status; unshare -U true; echo done; {SLEEP}"));
    spec["linux"].as_object_mut().unwrap().remove("seccomp");
    c.write_spec(&spec);
    let c = c.running();
    let text = c.wait_for("done");
    assert!(text.contains("Seccomp:\t0"), "{text}");
    assert!(!text.contains("Operation not supported"), "{text}");
}

/// A profile that takes away what libcontainer itself would need after loading one: it has to allow execve only.
#[test]
fn a_profile_need_not_serve_the_engine() {
    let c = Container::new("");
    let mut spec = c.spec(&format!("grep Seccomp: /proc/self/status; echo done; {SLEEP}"));
    spec["linux"]["seccomp"]["syscalls"] = json!([{
        "names": [
            "accept", "accept4", "listen", "bind", "connect", "socket", "sendmsg", "recvmsg", "recvfrom", "shutdown",
            "faccessat", "faccessat2", "capset", "prctl", "seccomp", "unlink", "unlinkat"
        ],
        "action": "SCMP_ACT_KILL_PROCESS"
    }]);
    c.write_spec(&spec);
    let c = c.running();
    assert!(c.wait_for("done").contains("Seccomp:\t2"));
    fs::write(c.out(), "").unwrap();
    let output = c.exec("grep Seccomp: /proc/self/status; echo done", Vec::new());
    assert!(output.status.success(), "{}", c.logged());
    assert!(c.wait_for("done").contains("Seccomp:\t2"));
    // What is shown is the bundle that was given.
    assert_eq!(c.status()["bundle"], json!(fs::canonicalize(c.bundle()).unwrap()));
}

/// A profile that cannot be loaded: the process ends, and its program never runs.
#[test]
fn a_profile_that_fails_stops_the_start() {
    let c = Container::new("");
    let mut spec = c.spec("echo ran");
    // The same argument compared twice in contradicting ways, which libseccomp refuses.
    spec["linux"]["seccomp"]["syscalls"] = json!([{
        "names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": [{ "index": 9, "value": 1, "op": "SCMP_CMP_EQ" }]
    }]);
    c.write_spec(&spec);
    let c = c.created();
    c.ok(&["start", "c1"]);
    eventually("the end", || c.status()["status"] == "stopped");
    let text = c.wait_for("zerocap-engine: cannot load the seccomp profile");
    assert!(!text.contains("ran\n"), "{text}");
}

/// Without no_new_privs the profile is loaded while there are capabilities for it.
#[test]
fn a_profile_without_no_new_privs_is_loaded_too() {
    let c = Container::new("");
    let mut spec = c.spec(&format!("grep -E 'Seccomp:|NoNewPrivs' /proc/self/status; echo done; {SLEEP}"));
    spec["process"]["noNewPrivileges"] = json!(false);
    spec["process"].as_object_mut().unwrap().remove("noNewPrivileges");
    c.write_spec(&spec);
    let c = c.running();
    let text = c.wait_for("done");
    assert!(text.contains("Seccomp:\t2") && text.contains("NoNewPrivs:\t0"), "{text}");
}

/// `"capabilities": {}` is what the CRI writes for a pod that drops all.
#[test]
fn capability_sets_that_are_left_out_are_empty() {
    for (label, capabilities) in [("an empty object", json!({})), ("no object", Value::Null)] {
        let c = Container::new("");
        let mut spec = c.spec(&format!("grep Cap /proc/self/status; echo done; {SLEEP}"));
        // Root regains at execve whatever the bounding set leaves.
        spec["process"]["user"] = json!({ "uid": 0, "gid": 0 });
        spec["process"]["capabilities"] = capabilities;
        if spec["process"]["capabilities"].is_null() {
            spec["process"].as_object_mut().unwrap().remove("capabilities");
        }
        c.write_spec(&spec);
        let c = c.running();
        let text = c.wait_for("done");
        assert_eq!(text.matches("\t0000000000000000").count(), 5, "{label}: {text}");
    }
}

#[test]
fn announced_descriptors_arrive_and_no_other() {
    let script = "readlink /proc/self/fd/9; cat <&3; echo from-the-container >&4; ls /proc/self/fd | tr '\\n' ' '; \
                  echo done; sleep 1000";
    let c = Container::new(script);
    let (mut theirs_in, ours_in) = std::io::pipe().map(|(r, w)| (w, r)).unwrap();
    let (mut ours_out, theirs_out) = std::io::pipe().unwrap();
    theirs_in.write_all(b"from-the-shim\n").unwrap();
    drop(theirs_in);
    let output = c.create(vec![OwnedFd::from(ours_in), OwnedFd::from(theirs_out)]);
    assert!(output.status.success(), "{}", c.logged());
    c.ok(&["start", "c1"]);
    let text = c.wait_for("done");
    assert!(text.contains("from-the-shim"), "{text}");
    // 0 to 4, and the one that ls lists with.
    assert!(text.contains("0 1 2 3 4 5 done"), "{text}");
    let mut line = [0; 19];
    ours_out.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"from-the-container\n");

    // The same for an exec.
    fs::write(c.out(), "").unwrap();
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"for-the-exec\n").unwrap();
    drop(writer);
    let output = c.exec("cat <&3; ls /proc/self/fd | tr '\\n' ' '; echo done", vec![OwnedFd::from(reader)]);
    assert!(output.status.success(), "{}", c.logged());
    let text = c.wait_for("done");
    assert!(text.contains("for-the-exec"), "{text}");
    assert!(text.contains("0 1 2 3 4 done"), "{text}");
}

/// A descriptor that the shim happens to hold without close-on-exec, and one that is a directory of the host.
#[test]
fn inherited_descriptors_do_not_leak() {
    use command_fds::{CommandFdExt, FdMapping};

    let c = Container::new(&format!("ls /proc/self/fd | tr '\\n' ' '; echo done; {SLEEP}"));
    let out = fs::File::create(c.out()).unwrap();
    let stray = |n| FdMapping { parent_fd: OwnedFd::from(fs::File::open("/").unwrap()), child_fd: n };
    let mut create = c.engine();
    create.arg("create").arg("--bundle").arg(c.bundle()).arg("c1");
    create.stdout(out.try_clone().unwrap()).stderr(out.try_clone().unwrap());
    create.fd_mappings(vec![stray(3), stray(4), stray(20)]).unwrap();
    assert!(create.status().unwrap().success(), "{}", c.logged());
    c.ok(&["start", "c1"]);
    assert!(c.wait_for("done").contains("0 1 2 3 done"));

    fs::write(c.out(), "").unwrap();
    let mut exec = c.engine();
    exec.arg("exec").arg("--detach").arg("--process").arg(c.process("ls /proc/self/fd | tr '\\n' ' '; echo done"));
    exec.arg("c1").stdout(out.try_clone().unwrap()).stderr(out);
    exec.fd_mappings(vec![stray(3), stray(20)]).unwrap();
    assert!(exec.status().unwrap().success(), "{}", c.logged());
    let text = c.wait_for("done");
    assert!(text.trim_start_matches('\0').contains("0 1 2 3 done"), "{text}");
}

#[test]
fn announcing_more_than_is_open_is_refused() {
    let c = Container::new(SLEEP);
    let bundle = c.bundle().to_string_lossy().into_owned();
    let message = c.refused(&["create", "--bundle", &bundle, "--preserve-fds", "1", "c1"]);
    assert_eq!(message, "--preserve-fds 1, but descriptor 3 is not open");
    assert!(!c.dir.path().join("state/c1").exists());
}

#[test]
fn socket_activation_of_the_shim_does_not_reach_the_container() {
    use command_fds::{CommandFdExt, FdMapping};

    let c = Container::new(&format!("ls /proc/self/fd | tr '\\n' ' '; env; echo done; {SLEEP}"));
    let out = fs::File::create(c.out()).unwrap();
    let mut create = c.engine();
    create.env("LISTEN_FDS", "1").env("LISTEN_PID", "1").env("LISTEN_FDNAMES", "x");
    create.arg("create").arg("--bundle").arg(c.bundle()).arg("c1");
    create.stdout(out.try_clone().unwrap()).stderr(out);
    let parent_fd = OwnedFd::from(fs::File::open("/").unwrap());
    create.fd_mappings(vec![FdMapping { parent_fd, child_fd: 3 }]).unwrap();
    assert!(create.status().unwrap().success(), "{}", c.logged());
    c.ok(&["start", "c1"]);
    let text = c.wait_for("done");
    assert!(text.contains("0 1 2 3 "), "{text}");
    assert!(!text.contains("LISTEN_"), "{text}");
}

#[test]
fn the_environment_is_the_specs_in_order() {
    let c = Container::new("");
    let mut spec = c.spec("");
    spec["process"]["args"] = json!(["env"]);
    spec["process"]["env"] = json!(["B=1", "PATH=/usr/bin:/bin", "A=2", "B=3", "EMPTY=", "C=a=b"]);
    c.write_spec(&spec);
    let c = c.running();
    let text = c.wait_for("C=a=b\nHOME=/\n");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines, ["PATH=/usr/bin:/bin", "A=2", "B=3", "EMPTY=", "C=a=b", "HOME=/"]);
}

/// A change to a spec.
type Change = Box<dyn Fn(&mut Value)>;

/// Every failed create: runc's words, and nothing left.
#[test]
fn a_refused_create_leaves_nothing() {
    let no_such = "no such file or directory";
    let cases: Vec<(&str, Change, &str)> = vec![
        ("absolute", Box::new(|s| s["process"]["args"] = json!(["/nothing"])), no_such),
        (
            "in PATH",
            Box::new(|s| s["process"]["args"] = json!(["nothing"])),
            "exec: \"nothing\": executable file not found in $PATH",
        ),
        ("directory", Box::new(|s| s["process"]["args"] = json!(["/usr"])), "exec: \"/usr\": is a directory"),
        ("no permission", Box::new(|s| s["process"]["args"] = json!(["/proc/version"])), "permission denied"),
        ("no arguments", Box::new(|s| s["process"]["args"] = json!([])), "process.args must not be empty"),
        ("environment", Box::new(|s| s["process"]["env"] = json!(["=x"])), "invalid environment variable"),
        ("cgroup root", Box::new(|s| s["linux"]["cgroupsPath"] = json!("/")), "is not a cgroup below the root"),
        ("our own cgroup", Box::new(|s| s["linux"]["cgroupsPath"] = json!("")), "is not a cgroup below the root"),
        ("action", Box::new(|s| s["linux"]["seccomp"]["defaultAction"] = json!("SCMP_ACT_X")), "SCMP_ACT_X"),
        (
            "hook",
            Box::new(|s| s["hooks"] = json!({ "createRuntime": [{ "path": "/bin/false", "args": ["false"] }] })),
            "hook",
        ),
    ];
    for (label, change, message) in cases {
        let c = Container::new(SLEEP);
        let mut spec = c.spec(SLEEP);
        change(&mut spec);
        c.write_spec(&spec);
        let output = c.create(Vec::new());
        assert_eq!(output.status.code(), Some(1), "{label}");
        let logged = c.logged();
        assert!(logged.contains(message), "{label}: {logged}");
        assert!(!logged.contains('\n'), "{label}: {logged:?}");
        assert_eq!(c.state_root(), Vec::<String>::new(), "{label}");
        assert!(!c.dir.path().join("init.pid").exists(), "{label}");
        let left: Vec<_> = c.cgroups().into_iter().filter(|p| p.join("c1").exists()).collect();
        assert!(left.is_empty(), "{label}: {left:?}");
    }
}

#[test]
fn a_refused_exec_leaves_the_container_unharmed() {
    let c = Container::new(SLEEP).running();
    for (program, message) in [
        ("nothing", "exec: \"nothing\": executable file not found in $PATH"),
        ("/nothing", "exec: \"/nothing\": stat /nothing: no such file or directory"),
    ] {
        let path = c.process("");
        let mut process: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        process["args"] = json!([program]);
        fs::write(&path, process.to_string()).unwrap();
        let message_logged = c.refused(&["exec", "--detach", "--process", path.to_str().unwrap(), "c1"]);
        assert!(message_logged.contains(message), "{message_logged}");
    }
    assert_eq!(c.status()["status"], "running");
    // Neither failed nor successful execs leave files.
    assert!(c.exec("true", Vec::new()).status.success());
    let mut names: Vec<_> = fs::read_dir(c.dir.path().join("state/c1"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["engine.json", "notify.sock", "state.json", "youki_config.json"]);
}

#[test]
fn an_attached_exec_ends_with_its_status() {
    let c = Container::new(SLEEP).running();
    for (script, code) in [("exit 0", 0), ("exit 42", 42), ("kill -9 $$", 137)] {
        let path = c.process(script);
        let output = c.run(&["exec", "--process", path.to_str().unwrap(), "c1"]);
        assert_eq!(output.status.code(), Some(code), "{script}");
    }
}

#[test]
fn a_signal_to_a_created_container_does_not_start_or_spoil_it() {
    let c = Container::new(&format!("echo started; {SLEEP}")).created();
    // A pid namespace's init ignores signals that it has no handler for.
    c.ok(&["kill", "c1", "USR1"]);
    assert_eq!(c.status()["status"], "created");
    c.ok(&["start", "c1"]);
    c.wait_for("started");
    // A real-time signal, by number and by name.
    c.ok(&["kill", "c1", "37"]);
    c.ok(&["kill", "c1", "SIGRTMIN+3"]);
    assert_eq!(c.refused(&["kill", "c1", "NOSUCH"]), "unknown signal \"NOSUCH\"");
}

#[test]
fn a_created_container_can_be_killed_and_deleted() {
    let c = Container::new(SLEEP).created();
    c.ok(&["kill", "c1", "KILL"]);
    eventually("the end", || c.status()["status"] == "stopped");
    c.ok(&["delete", "c1"]);

    let c = Container::new(SLEEP).running();
    assert_eq!(c.refused(&["delete", "c1"]), "cannot delete container c1 that is not stopped: running");
    c.ok(&["delete", "--force", "c1"]);
    c.ok(&["delete", "--force", "c1"]);
    assert_eq!(c.refused(&["delete", "c1"]), "container does not exist");
}

#[test]
fn kill_all_reaches_every_process() {
    let c = Container::new(&format!("{SLEEP} & {SLEEP} & echo started; wait")).running();
    c.wait_for("started");
    let pids = || serde_json::from_str::<Vec<i32>>(&c.ok(&["ps", "--format", "json", "c1"])).unwrap();
    eventually("three processes", || pids().len() == 3);
    c.ok(&["kill", "--all", "c1", "KILL"]);
    eventually("the end of all", || pids().is_empty());
}

#[test]
fn a_reused_pid_is_not_mistaken_for_the_container() {
    let c = Container::new(SLEEP).running();
    c.ok(&["kill", "c1", "KILL"]);
    eventually("the end", || c.status()["status"] == "stopped");
    // The record now names a living stranger, as after a wrap of the pid numbers.
    let mut stranger = Command::new("sleep").arg("1000").spawn().unwrap();
    let path = c.dir.path().join("state/c1/state.json");
    let mut state: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    state["pid"] = json!(stranger.id());
    state["status"] = json!("running");
    fs::write(&path, state.to_string()).unwrap();

    assert_eq!(c.status()["status"], "stopped");
    assert_eq!(c.refused(&["kill", "c1", "KILL"]), "container not running");
    c.ok(&["delete", "--force", "c1"]);
    assert!(stranger.try_wait().unwrap().is_none(), "a stranger was killed");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn pause_stops_and_resume_goes_on() {
    let c = Container::new("while :; do echo tick; sleep 0.01; done").running();
    c.wait_for("tick");
    c.ok(&["pause", "c1"]);
    assert_eq!(c.status()["status"], "paused");
    let before = fs::metadata(c.out()).unwrap().len();
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(fs::metadata(c.out()).unwrap().len(), before);
    assert!(c.exec("true", Vec::new()).status.code() == Some(1));
    assert!(c.logged().contains("cannot exec in a paused container"), "{}", c.logged());
    c.ok(&["resume", "c1"]);
    assert_eq!(c.status()["status"], "running");
    eventually("ticks", || fs::metadata(c.out()).unwrap().len() > before);
    assert_eq!(c.refused(&["resume", "c1"]), "container not paused");

    // Killed while paused: version 1 cgroups hold even SIGKILL back until thawed.
    c.ok(&["pause", "c1"]);
    c.ok(&["kill", "c1", "KILL"]);
    eventually("the end", || c.status()["status"] == "stopped");
}

/// Whoever looks right after start sees the workload, under its profile.
#[test]
fn after_start_it_is_the_program() {
    for _ in 0..10 {
        let c = Container::new(SLEEP).running();
        let status = fs::read_to_string(format!("/proc/{}/status", c.status()["pid"])).unwrap();
        assert!(status.contains("Seccomp:\t2") && status.starts_with("Name:\tsh\n"), "{status}");
    }
}

/// A container in the PID namespace of another, as in a pod that shares its processes.
#[test]
fn a_pid_namespace_can_be_shared() {
    let pause = Container::new(SLEEP).running();
    let c = Container::new("");
    let mut spec =
        c.spec(&format!("cat /sys/fs/cgroup/*/cgroup.procs /sys/fs/cgroup/cgroup.procs; echo pid=$$; {SLEEP}"));
    spec["linux"]["namespaces"][0]["path"] = json!(format!("/proc/{}/ns/pid", pause.status()["pid"]));
    spec["mounts"].as_array_mut().unwrap().push(json!({
        "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
        "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]
    }));
    c.write_spec(&spec);
    let c = c.running();
    let text = c.wait_for("pid=");
    assert!(!text.contains("pid=1\n"), "{text}");
    // It sees its own group, in which it is not alone with strangers: the pause process is in another one.
    assert!(!text.lines().any(|line| line == "1"), "{text}");
    let own = text.lines().filter_map(|line| line.strip_prefix("pid=")).next().unwrap();
    assert!(text.lines().any(|line| line == own), "{text}");
}

#[test]
fn update_changes_limits() {
    let c = Container::new(SLEEP).running();
    let file = c.dir.path().join("resources.json");
    fs::write(&file, json!({ "cpu": { "shares": 2048 }, "memory": { "limit": 134217728 } }).to_string()).unwrap();
    c.ok(&["update", "--resources", file.to_str().unwrap(), "c1"]);
    let limits: Vec<String> = c
        .cgroups()
        .into_iter()
        .flat_map(|p| ["memory.limit_in_bytes", "memory.max"].map(|f| p.join("c1").join(f)))
        .filter_map(|p| fs::read_to_string(p).ok())
        .collect();
    assert_eq!(limits, ["134217728\n"]);
    for junk in ["", "{", "[]", "{\"memory\":{\"limit\":\"x\"}}"] {
        fs::write(&file, junk).unwrap();
        let message = c.refused(&["update", "--resources", file.to_str().unwrap(), "c1"]);
        assert!(message.contains("cannot parse the resources"), "{junk}: {message}");
    }
}

#[test]
fn a_terminal_comes_through_the_console_socket() {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};

    let c = Container::new("");
    let script = "test -t 0 && test -t 1 && echo can-be-opened > $(readlink /proc/self/fd/0) && echo is-a-terminal";
    let mut spec = c.spec(&format!("{script}; {SLEEP}"));
    spec["process"]["terminal"] = json!(true);
    c.write_spec(&spec);
    let socket = c.dir.path().join("console.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let bundle = c.bundle().to_string_lossy().into_owned();
    let message = c.refused(&["create", "--bundle", &bundle, "c1"]);
    assert!(message.contains("console socket"), "{message}");

    let mut create = c.engine();
    create.arg("create").arg("--bundle").arg(c.bundle()).arg("--console-socket").arg(&socket).arg("c1");
    let status = create.stdout(std::process::Stdio::null()).status().unwrap();
    assert!(status.success(), "{}", c.logged());
    let (peer, _) = listener.accept().unwrap();
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut name = [0; 64];
    let mut parts = [std::io::IoSliceMut::new(&mut name)];
    rustix::net::recvmsg(&peer, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC).unwrap();
    let terminal = ancillary
        .drain()
        .find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        })
        .expect("no terminal came");
    c.ok(&["start", "c1"]);
    let mut seen = String::new();
    let mut terminal = fs::File::from(terminal);
    while !seen.contains("is-a-terminal") {
        let mut buffer = [0; 256];
        let n = terminal.read(&mut buffer).unwrap();
        assert!(n > 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
    assert!(seen.contains("can-be-opened"), "{seen}");
}

#[test]
fn device_rules_hold_in_version_1() {
    device_rules_hold(|c| c);
}

#[test]
fn device_rules_hold_in_version_2() {
    if loads_device_programs() {
        device_rules_hold(Container::unified);
    } else {
        skip("root may not raise RLIMIT_MEMLOCK");
    }
}

/// A root process that may make device nodes, as the CRI's default capabilities let it, opens none that the rules deny.
fn device_rules_hold(place: impl Fn(Container) -> Container) {
    // /dev/loop-control: harmless to open, and on nobody's list of default devices.
    let script = format!("mknod /tmp/d c 10 237 && echo made; cat /tmp/d 2>&1 <&- | head -c 100; echo done; {SLEEP}");
    let try_it = |rules: Value| {
        let c = place(Container::new(""));
        let mut spec = c.spec(&script);
        spec["process"]["user"] = json!({ "uid": 0, "gid": 0 });
        for set in ["bounding", "effective", "permitted"] {
            spec["process"]["capabilities"][set] = json!(["CAP_MKNOD"]);
        }
        spec["linux"]["resources"] = json!({ "devices": rules });
        c.write_spec(&spec);
        let c = c.running();
        let text = c.wait_for("done");
        assert!(text.contains("made"), "{text}");
        text
    };
    let denied = try_it(json!([{ "allow": false, "access": "rwm" }]));
    assert!(denied.contains("not permitted"), "{denied}");
    let control = try_it(json!([{ "allow": true, "access": "rwm" }]));
    assert!(!control.contains("not permitted"), "{control}");
}

/// Device rules of version 2 are a program, for which libcgroups raises a limit.
fn loads_device_programs() -> bool {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Memlock);
    limit.maximum.is_none_or(|bytes| bytes >= 128 << 20)
        || caps::has_cap(None, caps::CapSet::Effective, caps::Capability::CAP_SYS_RESOURCE).unwrap()
}

#[test]
fn a_container_lives_on_version_2_cgroups_too() {
    let c = Container::new("").unified();
    let mut spec = c.spec(&format!("{SLEEP} & {SLEEP} & echo started; wait"));
    spec["linux"]["resources"] = json!({ "devices": [{ "allow": false, "access": "rwm" }] });
    c.write_spec(&spec);
    if !loads_device_programs() {
        // Rules that cannot be enforced: no container.
        assert!(!c.create(Vec::new()).status.success());
        assert!(c.logged().contains("Failed to increase rlimit"), "{}", c.logged());
        return;
    }
    let c = c.running();
    c.wait_for("started");
    let pids = || serde_json::from_str::<Vec<i32>>(&c.ok(&["ps", "--format", "json", "c1"])).unwrap();
    eventually("three processes", || pids().len() == 3);
    assert!(c.exec("echo from-exec", Vec::new()).status.success(), "{}", c.logged());
    c.wait_for("from-exec");
    c.ok(&["pause", "c1"]);
    c.ok(&["resume", "c1"]);
    c.ok(&["kill", "--all", "c1", "KILL"]);
    eventually("the end of all", || pids().is_empty());
    c.ok(&["delete", "c1"]);
    let left: Vec<_> = c.cgroups().into_iter().filter(|p| p.join("c1").exists()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn features_are_an_oci_document() {
    let c = Container::new(SLEEP);
    let features: oci_spec::runtime::Features = serde_json::from_str(&c.ok(&["features"])).unwrap();
    assert_eq!(features.oci_version_max(), "1.2.1");
    assert_eq!(c.run(&["no-such-command"]).status.code(), Some(2));
}
