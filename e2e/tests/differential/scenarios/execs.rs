//! Further processes.

use super::{Outcome, scenarios};
use zerocap_e2e::task::Run;

scenarios! { "execs":
    both whole "exec, start, state, wait, delete";
    both statuses "exit statuses of execs";
    both ids "duplicate and unknown exec ids";
    both never_started "an exec that is deleted without having been started";
    both missing_program "an exec of a program that is not there leaves the container unharmed";
    both after_exit "an exec after the end of the first process";
    both started_after_exit "an exec that was added before the end and is started after it";
    both die_with_init "execs end with the first process, whose exit comes last";
    both killed "an exec that is killed, and one that was not started";
    both many "sixteen execs at once";
    both listed "pids name the execs";
    both before_start "an exec in a container that was not started yet";
    both long_arguments "arguments of 20 kB, and an environment";
    both deleted_while_running "an exec that is deleted while it runs";
}

async fn whole(run: &Run) -> Outcome {
    run.run("c", &["sleep", "1000"]).await?;
    run.exec("c", "e", &["sleep", "1000"]).await;
    run.state("c", "e").await;
    run.start_process("c", "e").await;
    run.state("c", "e").await;
    run.kill("c", "e", 9).await;
    run.wait("c", "e").await;
    run.state("c", "e").await;
    run.delete("c", "e").await;
    run.state("c", "e").await;
    end(run).await
}

/// Kills, waits for and deletes the container.
pub async fn end(run: &Run) -> Outcome {
    run.kill("c", "", 9).await;
    run.wait("c", "").await;
    run.delete("c", "").await;
    run.event("/tasks/delete", 1).await
}

async fn statuses(run: &Run) -> Outcome {
    run.run("c", &["sleep", "1000"]).await?;
    for (exec, script) in [("a", "exit 0"), ("b", "exit 7"), ("d", "kill -9 $$"), ("f", "kill -15 $$")] {
        run.exec_whole("c", exec, &["sh", "-c", script]).await;
    }
    end(run).await
}

async fn ids(run: &Run) -> Outcome {
    run.run("c", &["sleep", "1000"]).await?;
    run.exec("c", "e", &["true"]).await;
    run.exec("c", "e", &["true"]).await;
    run.start_process("c", "other").await;
    run.wait("c", "other").await;
    run.kill("c", "other", 9).await;
    run.delete("c", "other").await;
    run.resize("c", "other", 1, 1).await;
    run.close_io("c", "other").await;
    run.exec("unknown", "e", &["true"]).await;
    run.start_process("c", "e").await;
    run.wait("c", "e").await;
    run.exec("c", "e", &["true"]).await;
    run.delete("c", "e").await;
    run.exec_whole("c", "e", &["true"]).await;
    end(run).await
}

async fn never_started(run: &Run) -> Outcome {
    run.run("c", &["sleep", "1000"]).await?;
    run.exec("c", "e", &["true"]).await;
    run.delete("c", "e").await;
    run.state("c", "e").await;
    end(run).await
}

async fn missing_program(run: &Run) -> Outcome {
    run.run("c", &["sleep", "1000"]).await?;
    run.exec("c", "e", &["/nowhere/program"]).await;
    run.start_process("c", "e").await;
    run.state("c", "e").await;
    run.wait("c", "e").await;
    run.delete("c", "e").await;
    run.state("c", "").await;
    run.exec_whole("c", "f", &["true"]).await;
    end(run).await
}

async fn after_exit(run: &Run) -> Outcome {
    run.run("c", &["true"]).await?;
    run.wait("c", "").await;
    run.exec("c", "e", &["true"]).await;
    run.delete("c", "").await;
    run.event("/tasks/delete", 1).await
}

async fn started_after_exit(run: &Run) -> Outcome {
    run.run("c", &["sleep", "1000"]).await?;
    run.exec("c", "e", &["true"]).await;
    run.kill("c", "", 9).await;
    run.wait("c", "").await;
    run.start_process("c", "e").await;
    run.state("c", "e").await;
    run.delete("c", "e").await;
    run.delete("c", "").await;
    run.event("/tasks/delete", 1).await
}

async fn die_with_init(run: &Run) -> Outcome {
    run.run("c", &["sleep", "1000"]).await?;
    run.exec("c", "e", &["sleep", "1000"]).await;
    run.start_process("c", "e").await;
    run.kill("c", "", 9).await;
    run.wait("c", "").await;
    run.wait("c", "e").await;
    run.state("c", "e").await;
    run.delete("c", "e").await;
    run.delete("c", "").await;
    run.event("/tasks/delete", 1).await
}

async fn killed(run: &Run) -> Outcome {
    run.run("c", &["sleep", "1000"]).await?;
    run.exec("c", "e", &["sleep", "1000"]).await;
    run.kill("c", "e", 9).await;
    let pid = run.start_process("c", "e").await;
    run.is_program(pid, "sleep").await?;
    run.kill("c", "e", 15).await;
    run.wait("c", "e").await;
    run.kill("c", "e", 15).await;
    run.delete("c", "e").await;
    end(run).await
}

async fn many(run: &Run) -> Outcome {
    run.run("c", &["sleep", "1000"]).await?;
    let ids = (0..16).map(|n| format!("e{n}")).collect::<Vec<_>>();
    for id in &ids {
        run.exec("c", id, &["sh", "-c", "exit 5"]).await;
    }
    // Started and ended side by side: neither the order of answers nor that of events is anybody's promise.
    let task = &run.task;
    let ends = ids.iter().map(|id| async move {
        use containerd_shim_protos::api::{StartRequest, WaitRequest};
        let start = StartRequest { id: "c".into(), exec_id: id.clone(), ..StartRequest::default() };
        task.start(zerocap_e2e::task::soon(), &start)
            .await
            .map_err(|error| zerocap_e2e::task::calls::refusal(&error))?;
        let wait = WaitRequest { id: "c".into(), exec_id: id.clone(), ..WaitRequest::default() };
        task.wait(zerocap_e2e::task::soon(), &wait)
            .await
            .map(|end| end.exit_status)
            .map_err(|e| zerocap_e2e::task::calls::refusal(&e))
    });
    let ends = futures_util::future::join_all(ends).await;
    run.note(&format!("sixteen ends: {ends:?}"));
    run.event("/tasks/exit", 16).await?;
    run.forget_events("sixteen execs");
    for id in &ids {
        run.delete_unnamed("c", id).await;
    }
    end(run).await
}

async fn listed(run: &Run) -> Outcome {
    run.run("c", &["sleep", "1000"]).await?;
    run.exec("c", "e", &["sleep", "1000"]).await;
    run.pids("c").await;
    run.start_process("c", "e").await;
    run.pids("c").await;
    run.kill("c", "e", 9).await;
    run.wait("c", "e").await;
    run.pids("c").await;
    run.delete("c", "e").await;
    run.kill("c", "", 9).await;
    run.wait("c", "").await;
    run.pids("c").await;
    run.delete("c", "").await;
    run.pids("c").await;
    run.event("/tasks/delete", 1).await
}

async fn before_start(run: &Run) -> Outcome {
    run.create("c", &["sleep", "1000"]).await?;
    run.exec("c", "e", &["true"]).await;
    run.state("c", "e").await;
    run.start_process("c", "").await;
    run.start_process("c", "e").await;
    run.wait("c", "e").await;
    run.delete("c", "e").await;
    end(run).await
}

async fn long_arguments(run: &Run) -> Outcome {
    run.run("c", &["sleep", "1000"]).await?;
    let long = "x".repeat(20_000);
    run.exec_whole("c", "e", &["sh", "-c", "[ ${#1} = 20000 ]", "sh", &long]).await;
    let out = run.dir.join("env");
    let mut request = run.exec_request("c", "f", &["sh", "-c", "echo \"$A-$(id -u)-$PWD\""]);
    let mut process = zerocap_e2e::task::spec::process(&["sh", "-c", "echo \"$A-$(id -u)-$PWD\""]);
    process["env"] = serde_json::json!(["PATH=/bin", "A=b c"]);
    process["cwd"] = "/tmp".into();
    request.spec = containerd_shim_protos::protobuf::MessageField::some(zerocap_e2e::task::calls::json("x", &process));
    request.stdout = format!("file://{}", out.display());
    request.stderr = request.stdout.clone();
    run.exec_with(request).await;
    run.start_process("c", "f").await;
    run.wait("c", "f").await;
    run.delete("c", "f").await;
    run.note(&format!("it says {:?}", std::fs::read_to_string(out)));
    end(run).await
}

async fn deleted_while_running(run: &Run) -> Outcome {
    run.run("c", &["sleep", "1000"]).await?;
    run.exec("c", "e", &["sleep", "1000"]).await;
    run.start_process("c", "e").await;
    run.delete("c", "e").await;
    run.state("c", "e").await;
    run.kill("c", "e", 9).await;
    run.wait("c", "e").await;
    run.delete("c", "e").await;
    end(run).await
}
