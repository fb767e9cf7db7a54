//! A container's life, call by call, with the exact codes.

use std::fs;

use containerd_shim::api::{PidsRequest, ShutdownRequest, UpdateTaskRequest};
use containerd_shim::protos::api::Status;
use containerd_shim::protos::protobuf::MessageField;
use containerd_shim::protos::protobuf::well_known_types::any::Any;
use containerd_shim::protos::ttrpc::Code;

use crate::rig::{Rig, bundle, code, soon, start_shim};

#[tokio::test]
async fn from_create_to_the_end_of_the_shim() {
    let rig = Rig::start().await;
    let pid = rig.create("c", "exit 7").await.unwrap();
    assert_eq!(rig.status("c", "").await, Status::CREATED);
    assert_eq!(rig.start_task("c", "").await.unwrap(), pid);
    assert_eq!(rig.wait("c", "").await.unwrap(), 7);
    assert_eq!(rig.status("c", "").await, Status::STOPPED);
    assert_eq!(rig.delete("c", "").await.unwrap(), 7);
    assert_eq!(code(rig.delete("c", "").await).0, Code::NOT_FOUND);
    assert!(rig.socket().exists());
    let shim = rig.shim_pid().await;
    rig.task.shutdown(soon(), &ShutdownRequest::default()).await.unwrap();
    rig.gone(shim).await;
    assert!(!rig.socket().exists(), "the socket goes with the shim");
}

#[tokio::test]
async fn shutdown_does_nothing_while_a_container_is_left() {
    let rig = Rig::start().await;
    rig.run("c", "sleep 1000").await;
    rig.task.shutdown(soon(), &ShutdownRequest::default()).await.unwrap();
    assert_eq!(rig.status("c", "").await, Status::RUNNING);
}

#[tokio::test]
async fn unknown_names_double_names_and_wrong_states_have_their_codes() {
    let rig = Rig::start().await;
    assert_eq!(code(rig.kill("c", "", 9).await).0, Code::NOT_FOUND);
    assert_eq!(code(rig.start_task("c", "").await).0, Code::NOT_FOUND);
    rig.run("c", "sleep 1000").await;
    assert_eq!(code(rig.create("c", "true").await).0, Code::ALREADY_EXISTS);
    assert_eq!(code(rig.start_task("c", "").await).0, Code::UNKNOWN);
    assert_eq!(code(rig.delete("c", "").await).0, Code::UNKNOWN);
    assert_eq!(code(rig.start_task("c", "none").await).0, Code::NOT_FOUND);
    rig.exec("c", "e", "true").await.unwrap();
    assert_eq!(code(rig.exec("c", "e", "true").await).0, Code::ALREADY_EXISTS);
    assert_eq!(code(rig.kill("c", "e", 9).await).0, Code::FAILED_PRECONDITION);
    assert_eq!(code(rig.kill("c", "", 65).await).0, Code::UNKNOWN);
    for bad in ["../x", "a/b", "a\nb", ""] {
        assert_eq!(code(rig.exec("c", bad, "true").await).0, Code::INVALID_ARGUMENT, "{bad:?}");
        assert_eq!(code(rig.create(bad, "true").await).0, Code::INVALID_ARGUMENT, "{bad:?}");
    }
    assert_eq!(code(rig.task.checkpoint(soon(), &Default::default()).await).0, Code::NOT_FOUND);
    rig.kill("c", "", 9).await.unwrap();
    assert_eq!(rig.wait("c", "").await.unwrap(), 137);
    let (kind, words) = code(rig.kill("c", "", 9).await);
    assert_eq!(kind, Code::NOT_FOUND);
    assert!(words.contains("process already finished"), "{words}");
    assert_eq!(code(rig.start_task("c", "").await).0, Code::UNKNOWN);
    assert_eq!(code(rig.start_task("c", "e").await).0, Code::FAILED_PRECONDITION);
    assert_eq!(rig.delete("c", "e").await.unwrap(), 0, "a never started exec can be deleted");
}

#[tokio::test]
async fn a_created_container_can_be_killed_or_deleted() {
    let rig = Rig::start().await;
    rig.create("killed", "sleep 1000").await.unwrap();
    rig.kill("killed", "", 9).await.unwrap();
    assert_eq!(rig.wait("killed", "").await.unwrap(), 137);
    rig.events_until("/tasks/exit killed 137").await;
    rig.create("deleted", "sleep 1000").await.unwrap();
    assert_eq!(rig.delete("deleted", "").await.unwrap(), 137);
    rig.events_until("/tasks/delete deleted").await;
}

#[tokio::test]
async fn a_second_container_joins_the_living_shim() {
    let rig = Rig::start().await;
    let second = bundle(rig.dir.path(), "d", "true");
    let spec = r#"{"annotations":{"io.kubernetes.cri.sandbox-id":"c"}}"#;
    fs::write(second.join("config.json"), spec).unwrap();
    let (address, _) = start_shim(rig.dir.path(), &second, "d");
    assert_eq!(address, format!("unix://{}", rig.socket().display()));
    assert_eq!(fs::read_to_string(second.join("address")).unwrap(), address);
}

#[tokio::test]
async fn resources_reach_the_engine_and_pids_name_their_execs() {
    let rig = Rig::start().await;
    let pid = rig.run("c", "sleep 1000").await;
    let resources = Any { value: br#"{"pids":{"limit":7}}"#.to_vec(), ..Any::default() };
    let request =
        UpdateTaskRequest { id: "c".into(), resources: MessageField::some(resources), ..UpdateTaskRequest::default() };
    rig.task.update(soon(), &request).await.unwrap();
    assert_eq!(rig.calls().last().unwrap(), r#"update c {"pids":{"limit":7}}"#);
    rig.exec("c", "e", "sleep 1000").await.unwrap();
    let exec = rig.start_task("c", "e").await.unwrap();
    let pids = rig.task.pids(soon(), &PidsRequest { id: "c".into(), ..PidsRequest::default() }).await.unwrap();
    let find = |pid: u32| pids.processes.iter().find(|process| process.pid == pid).unwrap();
    assert!(find(pid).info.is_none());
    assert!(find(exec).info.is_some());
    let broken = Any { value: b"{".to_vec(), ..Any::default() };
    let request = UpdateTaskRequest { resources: MessageField::some(broken), ..request };
    assert_eq!(code(rig.task.update(soon(), &request).await).0, Code::UNKNOWN);
}
