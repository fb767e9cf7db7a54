//! An engine that hangs, breaks or says nonsense at any of its verbs: that call waits or fails, nothing else does, and it
//! can be made again.

use std::fs;

use containerd_shim::api::{CheckpointTaskRequest, CreateTaskRequest, PauseRequest, ResumeRequest, UpdateTaskRequest};
use containerd_shim::protos::api::{DeleteRequest, KillRequest, StartRequest, Status};
use containerd_shim::protos::protobuf::MessageField;
use containerd_shim::protos::protobuf::well_known_types::any::Any;
use containerd_shim::protos::shim_async::TaskClient;
use containerd_shim::protos::ttrpc;

use crate::rig::{Rig, code, soon};

/// Every call for which the engine is run, but for Create and exec, which have tests of their own.
const VERBS: [&str; 8] = ["start", "pause", "resume", "update", "checkpoint", "kill", "delete", "restore"];

/// Brings a container `c` to where the engine can be asked to `verb`.
async fn prepare(rig: &Rig, verb: &str) {
    match verb {
        "start" => drop(rig.create("c", "sleep 1000").await.unwrap()),
        "restore" => {
            let request = CreateTaskRequest { checkpoint: "/image".into(), ..rig.create_request("c", "sleep 1000") };
            rig.task.create(soon(), &request).await.unwrap();
        }
        "delete" => {
            rig.run("c", "exit 0").await;
            rig.wait("c", "").await.unwrap();
        }
        "resume" | "kill" => {
            rig.run("c", "sleep 1000").await;
            ask(&rig.task, "pause").await.unwrap();
        }
        _ => drop(rig.run("c", "sleep 1000").await),
    }
}

/// The call that makes the engine `verb` the container `c`.
async fn ask(task: &TaskClient, verb: &str) -> ttrpc::Result<()> {
    let id = || "c".to_owned();
    match verb {
        "start" | "restore" => task.start(soon(), &StartRequest { id: id(), ..Default::default() }).await.map(drop),
        "pause" => task.pause(soon(), &PauseRequest { id: id(), ..Default::default() }).await.map(drop),
        "resume" => task.resume(soon(), &ResumeRequest { id: id(), ..Default::default() }).await.map(drop),
        "checkpoint" => {
            let request = CheckpointTaskRequest { id: id(), path: "/image".into(), ..Default::default() };
            task.checkpoint(soon(), &request).await.map(drop)
        }
        "update" => {
            let resources = MessageField::some(Any { value: b"{}".to_vec(), ..Any::default() });
            task.update(soon(), &UpdateTaskRequest { id: id(), resources, ..Default::default() }).await.map(drop)
        }
        // Only the engine can end a frozen container.
        "kill" => task.kill(soon(), &KillRequest { id: id(), signal: 9, ..Default::default() }).await.map(drop),
        "delete" => task.delete(soon(), &DeleteRequest { id: id(), ..Default::default() }).await.map(drop),
        _ => unreachable!("{verb}"),
    }
}

/// A container beside it is as quick as ever.
async fn neighbour_works(rig: &Rig, verb: &str) {
    assert_eq!(rig.status("other", "").await, Status::RUNNING, "{verb}");
    rig.exec("other", verb, "exit 3").await.unwrap();
    rig.start_task("other", verb).await.unwrap();
    assert_eq!(rig.wait("other", verb).await.unwrap(), 3, "{verb}");
    rig.delete("other", verb).await.unwrap();
}

#[tokio::test]
async fn a_hanging_engine_delays_its_own_call_and_no_other() {
    for verb in VERBS {
        let rig = Rig::start().await;
        rig.run("other", "sleep 1000").await;
        prepare(&rig, verb).await;
        rig.order(&format!("{verb}.hold"), "");
        let task = rig.task.clone();
        let asked = tokio::spawn(async move { ask(&task, verb).await });
        rig.held(verb).await;
        // Not even of the same container.
        rig.status("c", "").await;
        neighbour_works(&rig, verb).await;
        assert!(!asked.is_finished(), "{verb}");
        rig.revoke(&format!("{verb}.held"));
        asked.await.unwrap().unwrap_or_else(|error| panic!("{verb}: {error}"));
    }
}

#[tokio::test]
async fn an_engine_that_breaks_at_a_verb_can_be_asked_again() {
    for verb in VERBS {
        let rig = Rig::start().await;
        rig.run("other", "sleep 1000").await;
        prepare(&rig, verb).await;
        for (how, words) in [("fail", "not today"), ("garbage", ""), ("dies", "killed by signal 9")] {
            rig.order(&format!("{verb}.{how}"), words);
            let (_, said) = code(ask(&rig.task, verb).await);
            assert!(said.contains(words), "{verb} {how}: {said}");
            assert!(said.len() < 20_000, "{verb} {how}: {} bytes", said.len());
            neighbour_works(&rig, verb).await;
            rig.revoke(&format!("{verb}.{how}"));
        }
        ask(&rig.task, verb).await.unwrap_or_else(|error| panic!("{verb}: {error}"));
    }
}

#[tokio::test]
async fn a_terminal_that_never_comes_is_given_up_and_nothing_stays() {
    let rig = Rig::start().await;
    let shim = rig.shim_pid().await;
    // The engine makes the process and sends no terminal.
    let request = CreateTaskRequest { terminal: true, ..rig.create_request("c", "sleep 1000") };
    let (_, words) = code(rig.task.create(soon(), &request).await);
    assert!(words.contains("sent no terminal"), "{words}");
    let pid = fs::read_to_string(rig.dir.path().join("c/init.pid")).unwrap();
    rig.gone(pid.trim().parse().unwrap()).await;
    let sockets = fs::read_dir(rig.dir.path().join("state/.console")).unwrap().count();
    assert_eq!(sockets, 0, "the socket's name stays");
    assert_eq!(rig.shim_pid().await, shim);
    rig.run("c", "sleep 1000").await;
}

#[tokio::test]
async fn a_restored_container_lives_like_any_other() {
    let rig = Rig::start().await;
    let request = CreateTaskRequest { checkpoint: "/image".into(), ..rig.create_request("c", "exit 4") };
    assert_eq!(rig.task.create(soon(), &request).await.unwrap().pid, 0, "Start makes it");
    assert!(!rig.calls().iter().any(|call| call.starts_with("create")), "{:?}", rig.calls());
    assert_eq!(rig.status("c", "").await, Status::CREATED);
    assert!(rig.start_task("c", "").await.unwrap() > 0);
    assert_eq!(rig.wait("c", "").await.unwrap(), 4);
    assert_eq!(rig.delete("c", "").await.unwrap(), 4);
    let events = rig.events_until("/tasks/delete c").await;
    assert_eq!(events, ["/tasks/create c", "/tasks/start c", "/tasks/exit c 4", "/tasks/delete c"]);
}

#[tokio::test]
async fn a_container_with_a_policy_is_never_restored() {
    let rig = Rig::start().await;
    let request = CreateTaskRequest { checkpoint: "/image".into(), ..rig.create_request("c", "sleep 1000") };
    let spec = include_str!("../../../annotations/tests/data/workload.json")
        .replace("io.kubernetes.cri.container-type", "not.from.the.cri");
    let mut spec: serde_json::Value = serde_json::from_str(&spec).unwrap();
    for (key, value) in [("network-enforcement", "platform"), ("zerocap.io/seccomp", "general")] {
        spec["annotations"] = serde_json::json!({ key: value });
        fs::write(rig.dir.path().join("c/config.json"), spec.to_string()).unwrap();
        let (_, words) = code(rig.task.create(soon(), &request).await);
        assert!(words.starts_with("ZC0313: "), "{key}: {words}");
        assert!(!rig.dir.path().join("state/test/c").exists(), "no state stays behind");
    }
    assert!(rig.calls().is_empty(), "no engine was asked: {:?}", rig.calls());
}
