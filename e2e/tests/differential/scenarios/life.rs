//! From create to delete.

use super::{Outcome, scenarios};
use zerocap_e2e::task::{Run, groups};

scenarios! { "life":
    both whole "create, start, wait, delete, with the state after each step";
    both exit_status "a program that ends with a status of its own";
    both short "a program that is gone at once";
    both killed "a program that is killed by a signal";
    both deleted_before_start "a created container is deleted without having been started";
    both killed_before_start "a created container is killed, waited for, deleted";
    both two_containers "two containers in one shim, ended in the other order";
    both again "the id of a deleted container is used again";
    both waits "several waits at once, and one after the end";
    both connect "connect, to a task and to an unknown one";
    both shutdown_with_containers "shutdown while a container lives does nothing";
    both shutdown_after "shutdown after the last delete ends the shim and its socket";
    plain shared_pids "without a PID namespace the end of the first process ends all others";
    both delete_binary "the program's delete, for a container that nobody serves any more";
}

async fn whole(run: &Run) -> Outcome {
    run.create("c", &["sleep", "1000"]).await?;
    run.state("c", "").await;
    run.start_process("c", "").await;
    run.state("c", "").await;
    run.pids("c").await;
    run.kill("c", "", 9).await;
    run.wait("c", "").await;
    run.state("c", "").await;
    run.delete("c", "").await;
    run.state("c", "").await;
    run.event("/tasks/delete", 1).await
}

async fn exit_status(run: &Run) -> Outcome {
    for status in [0, 1, 42, 255] {
        run.run("c", &["sh", "-c", &format!("exit {status}")]).await?;
        run.wait("c", "").await;
        run.state("c", "").await;
        run.delete("c", "").await;
    }
    run.event("/tasks/delete", 4).await
}

async fn short(run: &Run) -> Outcome {
    for _ in 0..5 {
        run.run("c", &["true"]).await?;
        run.wait("c", "").await;
        run.delete("c", "").await;
    }
    run.event("/tasks/delete", 5).await
}

async fn killed(run: &Run) -> Outcome {
    run.run("c", &["sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.02; done"]).await?;
    // The shell sets its trap.
    tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    run.kill("c", "", 15).await;
    run.wait("c", "").await;
    run.delete("c", "").await;
    run.run("c", &["sleep", "1000"]).await?;
    run.kill("c", "", 9).await;
    run.wait("c", "").await;
    run.delete("c", "").await;
    run.event("/tasks/delete", 2).await
}

async fn deleted_before_start(run: &Run) -> Outcome {
    run.create("c", &["sleep", "1000"]).await?;
    run.delete("c", "").await;
    run.state("c", "").await;
    run.event("/tasks/delete", 1).await
}

async fn killed_before_start(run: &Run) -> Outcome {
    run.create("c", &["sleep", "1000"]).await?;
    run.kill("c", "", 9).await;
    run.wait("c", "").await;
    run.state("c", "").await;
    run.start_process("c", "").await;
    run.delete("c", "").await;
    run.event("/tasks/delete", 1).await
}

async fn two_containers(run: &Run) -> Outcome {
    run.run("c", &["sleep", "1000"]).await?;
    run.run("d", &["sleep", "1000"]).await?;
    run.state("d", "").await;
    run.kill("c", "", 9).await;
    run.wait("c", "").await;
    run.event("/tasks/exit", 1).await?;
    run.state("d", "").await;
    run.kill("d", "", 9).await;
    run.wait("d", "").await;
    run.delete("d", "").await;
    run.delete("c", "").await;
    run.event("/tasks/delete", 2).await
}

async fn again(run: &Run) -> Outcome {
    for _ in 0..2 {
        run.run("c", &["sleep", "1000"]).await?;
        run.create("c", &["sleep", "1000"]).await?;
        run.kill("c", "", 9).await;
        run.wait("c", "").await;
        run.delete("c", "").await;
    }
    run.event("/tasks/delete", 2).await
}

async fn waits(run: &Run) -> Outcome {
    run.run("c", &["sleep", "1000"]).await?;
    use containerd_shim_protos::api::WaitRequest;
    let request = WaitRequest { id: "c".into(), ..WaitRequest::default() };
    let wait = || async { run.task.wait(zerocap_e2e::task::soon(), &request).await.map(|end| end.exit_status) };
    let kill = async {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        run.kill("c", "", 9).await;
    };
    // Which of the answers comes first is nobody's promise.
    let ends = tokio::join!(wait(), wait(), wait(), kill);
    run.note(&format!("three waits: {:?}", (ends.0.ok(), ends.1.ok(), ends.2.ok())));
    run.wait("c", "").await;
    run.delete("c", "").await;
    run.wait("c", "").await;
    run.event("/tasks/delete", 1).await
}

async fn connect(run: &Run) -> Outcome {
    run.connect_task("c").await;
    run.run("c", &["sleep", "1000"]).await?;
    run.connect_task("c").await;
    run.connect_task("unknown").await;
    run.kill("c", "", 9).await;
    run.wait("c", "").await;
    run.connect_task("c").await;
    run.delete("c", "").await;
    run.event("/tasks/delete", 1).await
}

async fn shutdown_with_containers(run: &Run) -> Outcome {
    run.run("c", &["sleep", "1000"]).await?;
    run.shutdown("c").await;
    run.state("c", "").await;
    run.kill("c", "", 9).await;
    run.wait("c", "").await;
    run.shutdown("c").await;
    run.state("c", "").await;
    run.delete("c", "").await;
    run.event("/tasks/delete", 1).await
}

async fn shutdown_after(run: &Run) -> Outcome {
    run.run("c", &["true"]).await?;
    run.wait("c", "").await;
    run.delete("c", "").await;
    run.event("/tasks/delete", 1).await?;
    run.shutdown("c").await;
    zerocap_e2e::task::until("the shim's end", || !zerocap_e2e::task::alive(run.shim_pid())).await?;
    run.note(&format!("the socket is there: {}", run.socket().exists()));
    Ok(())
}

async fn shared_pids(run: &Run) -> Outcome {
    run.bundle("c", &["sh", "-c", "sleep 1000 & exec sleep 0.2"], |config| {
        if let Some(list) = config["linux"]["namespaces"].as_array_mut() {
            list.retain(|namespace| namespace["type"] != "pid");
        }
    })?;
    run.create_with(run.request("c")).await;
    run.start_process("c", "").await;
    run.wait("c", "").await;
    zerocap_e2e::task::until("the end of the others", || group_is_empty(run, "c")).await?;
    run.delete("c", "").await;
    run.event("/tasks/delete", 1).await
}

fn group_is_empty(run: &Run, id: &str) -> bool {
    groups::roots().into_iter().all(|root| {
        let group = format!("{}{}/cgroup.procs", root.display(), run.groups.path(id));
        std::fs::read_to_string(group).unwrap_or_default().is_empty()
    })
}

async fn delete_binary(run: &Run) -> Outcome {
    run.run("c", &["sleep", "1000"]).await?;
    run.event("/tasks/start", 1).await?;
    zerocap_e2e::task::kill(run.shim_pid());
    zerocap_e2e::task::until("the shim's end", || !zerocap_e2e::task::alive(run.shim_pid())).await?;
    match run.call_binary("c", "delete", &run.options(|_| {})) {
        Ok((answer, words)) => {
            use containerd_shim_protos::protobuf::{Message, text_format::print_to_string};
            let answer = containerd_shim_protos::api::DeleteResponse::parse_from_bytes(&answer);
            run.note(&format!("delete says {:?} and {words:?}", answer.map(|answer| print_to_string(&answer))));
        }
        Err(words) => run.note(&format!("delete fails: {words}")),
    }
    zerocap_e2e::task::until("the container's end", || group_is_empty(run, "c")).await
}
