//! Engines that fail, and requests that make no sense: one line, an exact code, nothing left.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use containerd_shim::api::CreateTaskRequest;
use containerd_shim::protos::api::{DeleteResponse, Mount, Status};
use containerd_shim::protos::protobuf::well_known_types::any::Any;
use containerd_shim::protos::protobuf::{Message, MessageField};
use containerd_shim::protos::ttrpc::Code;

use crate::rig::{Rig, bundle, code, soon};

#[tokio::test]
async fn the_engines_own_words_are_told_and_the_name_is_free_again() {
    let rig = Rig::start().await;
    rig.order("create.fail", "runc create failed: no such thing");
    let (kind, words) = code(rig.create("c", "true").await);
    assert_eq!(kind, Code::UNKNOWN);
    assert_eq!(words, "OCI runtime create failed: runc create failed: no such thing");
    rig.revoke("create.fail");
    rig.run("c", "sleep 1000").await;
    rig.order("exec.fail", "exec failed: not there");
    rig.exec("c", "e", "true").await.unwrap();
    let (_, words) = code(rig.start_task("c", "e").await);
    assert_eq!(words, "OCI runtime exec failed: exec failed: not there");
    assert_eq!(rig.status("c", "").await, Status::RUNNING, "the container is unharmed");
    rig.delete("c", "e").await.unwrap();
}

#[tokio::test]
async fn an_engine_that_prints_garbage_is_an_error_of_bounded_length() {
    let rig = Rig::start().await;
    rig.run("c", "sleep 1000").await;
    rig.order("pause.garbage", "");
    let request = containerd_shim::api::PauseRequest { id: "c".into(), ..Default::default() };
    let (_, words) = code(rig.task.pause(soon(), &request).await);
    assert!(words.len() < 20_000, "{} bytes", words.len());
    assert_eq!(rig.status("c", "").await, Status::RUNNING);
}

#[tokio::test]
async fn a_process_that_a_failed_exec_has_made_already_does_not_stay() {
    let rig = Rig::start().await;
    rig.run("c", "sleep 1000").await;
    rig.exec("c", "e", "sleep 1000").await.unwrap();
    rig.order("exec.late", "");
    code(rig.start_task("c", "e").await);
    let pid = fs::read_to_string(rig.dir.path().join("c/e.pid")).unwrap();
    rig.gone(pid.trim().parse().unwrap()).await;
    assert_eq!(rig.status("c", "").await, Status::RUNNING);
}

#[tokio::test]
async fn an_engine_that_is_killed_leaves_no_process_and_no_cgroup() {
    let rig = Rig::start().await;
    let id = format!("zerocap-test-{}", std::process::id());
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    let groups = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .filter(|fields| fields[2].starts_with("cgroup"))
        .map(|fields| Path::new(fields[1]).join(&id))
        .collect::<Vec<_>>();
    if groups.is_empty() || groups.iter().any(|group| fs::create_dir(group).is_err()) {
        writeln!(std::io::stderr(), "SKIPPED: cgroups cannot be made here").unwrap();
        return;
    }
    groups.iter().for_each(|group| fs::remove_dir(group).unwrap());
    let request = rig.create_request(&id, "true");
    let spec = format!(r#"{{"linux":{{"cgroupsPath":"/{id}","namespaces":[]}}}}"#);
    fs::write(rig.dir.path().join(&id).join("config.json"), spec).unwrap();
    rig.order("create.killed", "");
    let (_, words) = code(rig.task.create(soon(), &request).await);
    assert!(words.contains("killed by signal 9"), "{words}");
    let left = groups.iter().filter(|group| group.exists()).collect::<Vec<_>>();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn an_engine_that_is_missing_or_no_program_is_named() {
    let rig = Rig::start().await;
    let plain = rig.dir.path().join("plain");
    fs::write(&plain, "#!/bin/sh\n").unwrap();
    let (plain, folder) = (plain.to_str().unwrap(), rig.dir.path().to_str().unwrap());
    for (name, expected) in [("/nonexistent/engine", "ZC0801: "), (folder, "ZC0801: "), (plain, "ZC0802: ")] {
        let options = containerd_shim::api::Options { binary_name: name.into(), ..Default::default() };
        let options = Any {
            type_url: "containerd.runc.v1.Options".into(),
            value: options.write_to_bytes().unwrap(),
            ..Any::default()
        };
        let request = CreateTaskRequest { options: MessageField::some(options), ..rig.create_request("c", "true") };
        let (_, words) = code(rig.task.create(soon(), &request).await);
        assert!(words.starts_with(expected) && words.contains(&format!("{name:?}")), "{words}");
    }
}

#[tokio::test]
async fn a_mount_that_fails_and_streams_that_are_none_leave_nothing() {
    let rig = Rig::start().await;
    let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let good = Mount { type_: "tmpfs".into(), source: "tmpfs".into(), ..Mount::default() };
    let bad = Mount { type_: "nosuchfs".into(), source: "x".into(), ..Mount::default() };
    let request = CreateTaskRequest { rootfs: vec![good.clone(), bad], ..rig.create_request("c", "true") };
    code(rig.task.create(soon(), &request).await);
    let request =
        CreateTaskRequest { rootfs: vec![good], stdout: "/nonexistent/fifo".into(), ..rig.create_request("c", "true") };
    let (_, words) = code(rig.task.create(soon(), &request).await);
    assert!(words.contains("/nonexistent/fifo"), "{words}");
    assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), before);
    assert!(rig.calls().is_empty(), "the engine was not needed: {:?}", rig.calls());
}

#[tokio::test]
async fn descriptors_do_not_pile_up() {
    let rig = Rig::start().await;
    let shim = rig.shim_pid().await;
    let count = || fs::read_dir(format!("/proc/{shim}/fd")).unwrap().count();
    let mut settled = 0;
    for round in 0..20 {
        rig.run("c", "exit 0").await;
        rig.exec("c", "late", "true").await.unwrap_or(());
        rig.wait("c", "").await.unwrap();
        rig.delete("c", "").await.unwrap();
        rig.order("create.fail", "no");
        rig.create("c", "true").await.unwrap_err();
        rig.revoke("create.fail");
        match round {
            5 => settled = count(),
            6.. => assert!(count() <= settled + 1, "round {round}: {} descriptors, {settled} before", count()),
            _ => {}
        }
    }
}

#[tokio::test]
async fn bad_specs_are_refused_with_a_code() {
    let rig = Rig::start().await;
    for (spec, word) in [("{", "config.json"), (r#"{"annotations":{"zerocap.io/nonsense":"x"}}"#, "ZC01")] {
        let request = rig.create_request("c", "true");
        fs::write(rig.dir.path().join("c/config.json"), spec).unwrap();
        let (_, words) = code(rig.task.create(soon(), &request).await);
        assert!(words.contains(word), "{spec}: {words}");
        assert!(!words.contains('\n'), "{words}");
    }
    assert!(!rig.dir.path().join("state/test").exists(), "no state stays behind");
}

#[tokio::test]
async fn delete_without_a_shim_cleans_up_and_answers() {
    let rig = Rig::start().await;
    rig.run("c", "sleep 1000").await;
    let shim = i32::try_from(rig.shim_pid().await).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(shim).unwrap(), rustix::process::Signal::KILL)
        .unwrap();
    let bundle = rig.dir.path().join("c");
    let state = rig.dir.path().join("state/test/c");
    fs::create_dir_all(&state).unwrap();
    fs::write(state.join("report.json"), "{}").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_containerd-shim-zerocap-v2"))
        .args(["-namespace", "test", "-id", "c", "-bundle", bundle.to_str().unwrap(), "delete"])
        .env("ZEROCAP_STATE", rig.dir.path().join("state"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer = DeleteResponse::parse_from_bytes(&output.stdout).unwrap();
    assert_eq!(answer.exit_status, 137);
    assert!(answer.pid > 0);
    assert!(rig.calls().contains(&"delete c".to_owned()), "{:?}", rig.calls());
    assert!(!state.exists(), "what we kept of the container goes too");
    assert!(!rig.socket().exists(), "the dead shim's socket goes too");
}

#[tokio::test]
async fn a_refused_start_leaves_no_process_and_no_socket() {
    let rig = Rig::start().await;
    let broken = bundle(rig.dir.path(), "broken", "true");
    fs::write(broken.join("config.json"), "{").unwrap();
    let sockets = || fs::read_dir(rig.dir.path().join("s")).unwrap().count();
    let before = sockets();
    for arguments in
        [["-namespace", "test", "-id", "broken"], ["-namespace", "", "-id", "x"], ["-namespace", "t", "-id", "a/b"]]
    {
        let mut start = Command::new(env!("CARGO_BIN_EXE_containerd-shim-zerocap-v2"))
            .args(arguments)
            .arg("start")
            .env("TTRPC_ADDRESS", rig.dir.path().join("events"))
            .current_dir(&broken)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        start.stdin.take().unwrap().write_all(b"").unwrap();
        let output = start.wait_with_output().unwrap();
        assert!(!output.status.success());
        assert!(output.stdout.is_empty());
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(words.trim_end().lines().count(), 1, "{words}");
    }
    assert_eq!(sockets(), before);
}
