//! Nothing waits for another one's engine.

use containerd_shim::protos::api::Status;
use containerd_shim::protos::ttrpc::Code;

use crate::rig::{Rig, code, soon};

#[tokio::test]
async fn a_slow_create_delays_nobody_and_its_name_is_taken() {
    let rig = Rig::start().await;
    rig.run("a", "sleep 1000").await;
    rig.order("create.hold", "");
    let slow = rig.create_request("slow", "sleep 1000");
    let task = rig.task.clone();
    let creating = tokio::spawn(async move { task.create(soon(), &slow).await });
    rig.held("create").await;
    assert_eq!(rig.status("a", "").await, Status::RUNNING);
    rig.exec("a", "e", "exit 2").await.unwrap();
    rig.start_task("a", "e").await.unwrap();
    assert_eq!(rig.wait("a", "e").await.unwrap(), 2);
    rig.kill("a", "", 9).await.unwrap();
    assert_eq!(rig.wait("a", "").await.unwrap(), 137);
    assert_eq!(code(rig.create("slow", "true").await).0, Code::ALREADY_EXISTS);
    assert!(!creating.is_finished());
    rig.revoke("create.held");
    creating.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_slow_exec_delays_neither_the_next_nor_state_and_kill() {
    let rig = Rig::start().await;
    rig.run("c", "sleep 1000").await;
    rig.exec("c", "slow", "true").await.unwrap();
    rig.order("exec.hold", "");
    let task = rig.task.clone();
    let starting = tokio::spawn(async move {
        let request =
            containerd_shim::api::StartRequest { id: "c".into(), exec_id: "slow".into(), ..Default::default() };
        task.start(soon(), &request).await
    });
    rig.held("exec").await;
    rig.exec("c", "quick", "exit 6").await.unwrap();
    rig.start_task("c", "quick").await.unwrap();
    assert_eq!(rig.wait("c", "quick").await.unwrap(), 6);
    assert_eq!(rig.status("c", "slow").await, Status::CREATED);
    rig.kill("c", "", 15).await.unwrap();
    assert!(!starting.is_finished());
    rig.revoke("exec.held");
    starting.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_a_whole_container() {
    let rig = Rig::start().await;
    rig.order("create.hold", "");
    let client = rig.reconnect().await;
    let request = rig.create_request("c", "sleep 1000");
    let creating = tokio::spawn(async move { client.create(soon(), &request).await });
    rig.held("create").await;
    creating.abort();
    rig.revoke("create.held");
    rig.events_until("/tasks/create c").await;
    assert_eq!(rig.status("c", "").await, Status::CREATED);
}

#[tokio::test]
async fn a_create_that_containerd_has_given_up_leaves_neither_container_nor_shim() {
    let rig = Rig::start().await;
    let shim = rig.shim_pid().await;
    rig.order("create.hold", "");
    let client = rig.reconnect().await;
    let request = rig.create_request("c", "sleep 1000");
    let creating = tokio::spawn(async move { client.create(soon(), &request).await });
    rig.held("create").await;
    creating.abort();
    rig.task.shutdown(soon(), &Default::default()).await.unwrap();
    rig.revoke("create.held");
    rig.gone(shim).await;
    assert!(rig.calls().contains(&"delete c".to_owned()), "{:?}", rig.calls());
    assert!(!rig.socket().exists());
}

#[tokio::test]
async fn many_execs_at_once_each_have_their_status() {
    let rig = Rig::start().await;
    rig.run("c", "sleep 1000").await;
    let mut running = Vec::new();
    for number in 0..30_u32 {
        let id = format!("e{number}");
        rig.exec("c", &id, &format!("exit {number}")).await.unwrap();
        let task = rig.task.clone();
        running.push(tokio::spawn(async move {
            let start =
                containerd_shim::api::StartRequest { id: "c".into(), exec_id: id.clone(), ..Default::default() };
            task.start(soon(), &start).await.unwrap();
            let wait = containerd_shim::protos::api::WaitRequest { id: "c".into(), exec_id: id, ..Default::default() };
            task.wait(soon(), &wait).await.unwrap().exit_status
        }));
    }
    for (number, exec) in running.into_iter().enumerate() {
        assert_eq!(exec.await.unwrap(), u32::try_from(number).unwrap());
    }
}
