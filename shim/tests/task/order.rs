//! The order of events, which containerd's core depends on.

use containerd_shim::protos::api::Status;

use crate::rig::Rig;

fn tasks(events: &[String]) -> Vec<&str> {
    events.iter().map(|event| event.strip_prefix("/tasks/").unwrap()).collect()
}

#[tokio::test]
async fn create_start_exit_delete_also_for_a_program_that_ends_at_once() {
    let rig = Rig::start().await;
    for round in 0..20 {
        let id = format!("c{round}");
        rig.run(&id, "exit 3").await;
        rig.wait(&id, "").await.unwrap();
        rig.delete(&id, "").await.unwrap();
        let events = rig.events_until(&format!("/tasks/delete {id}")).await;
        let last = &tasks(&events)[events.len() - 4..];
        let expected = ["create", "start", "exit", "delete"].map(|kind| match kind {
            "exit" => format!("exit {id} 3"),
            kind => format!("{kind} {id}"),
        });
        assert_eq!(last, expected);
    }
}

#[tokio::test]
async fn the_first_processs_exit_comes_after_every_execs() {
    let rig = Rig::start().await;
    rig.run("c", "sleep 1000").await;
    // Not in a PID namespace: it outlives the first process, as one does that the kernel has not ended yet.
    let end = rig.dir.path().join("end");
    rig.exec("c", "e", &format!("until [ -e {} ]; do sleep 0.01; done; exit 4", end.display())).await.unwrap();
    rig.start_task("c", "e").await.unwrap();
    rig.kill("c", "", 9).await.unwrap();
    // State knows it though the exec still runs.
    rig.becomes("c", "", Status::STOPPED).await;
    std::fs::write(end, "").unwrap();
    assert_eq!(rig.wait("c", "").await.unwrap(), 137);
    let events = rig.events_until("/tasks/exit c 137").await;
    assert_eq!(tasks(&events), ["create c", "start c", "exec-added c", "exec-started c", "exit e 4", "exit c 137"]);
}

#[tokio::test]
async fn an_exec_that_is_being_started_holds_the_first_processs_exit_back_and_stays_created() {
    let rig = Rig::start().await;
    rig.run("c", "sleep 1000").await;
    rig.exec("c", "e", "true").await.unwrap();
    rig.order("exec.hold", "");
    rig.order("exec.fail", "no such process");
    let (started, ()) = tokio::join!(rig.start_task("c", "e"), async {
        rig.held("exec").await;
        rig.kill("c", "", 9).await.unwrap();
        rig.becomes("c", "", Status::STOPPED).await;
        assert_eq!(rig.status("c", "e").await, Status::CREATED);
        rig.revoke("exec.held");
    });
    assert!(started.is_err());
    let events = rig.events_until("/tasks/exit c 137").await;
    assert_eq!(tasks(&events), ["create c", "start c", "exec-added c", "exit c 137"]);
    assert_eq!(rig.delete("c", "e").await.unwrap(), 0);
    rig.delete("c", "").await.unwrap();
}

#[tokio::test]
async fn deleting_an_exec_publishes_nothing_and_a_failed_create_nothing_at_all() {
    let rig = Rig::start().await;
    rig.order("create.fail", "cannot");
    rig.create("bad", "true").await.unwrap_err();
    rig.revoke("create.fail");
    rig.run("c", "sleep 1000").await;
    rig.exec("c", "e", "exit 5").await.unwrap();
    rig.start_task("c", "e").await.unwrap();
    assert_eq!(rig.wait("c", "e").await.unwrap(), 5);
    assert_eq!(rig.delete("c", "e").await.unwrap(), 5);
    rig.kill("c", "", 15).await.unwrap();
    rig.wait("c", "").await.unwrap();
    rig.delete("c", "").await.unwrap();
    let events = rig.events_until("/tasks/delete c").await;
    let expected = ["create c", "start c", "exec-added c", "exec-started c", "exit e 5", "exit c 143", "delete c"];
    assert_eq!(tasks(&events), expected);
}
