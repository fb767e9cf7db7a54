//! Signals, frozen containers, out of memory.

use std::time::Duration;

use super::execs::end;
use super::{Outcome, scenarios};
use zerocap_e2e::task::{Run, groups};

scenarios! { "signals":
    both statuses "which exit status a signal gives";
    both zero_and_nonsense "signal 0, and a number that is no signal";
    both real_time "a real-time signal";
    both after_exit "kill after the end";
    both everyone "kill --all reaches execs too";
    both everyone_after_exit "kill --all after the end";
    both paused "pause, the states, resume";
    both paused_twice "pause and resume in the wrong states";
    both paused_killed "a frozen container is killed";
    both paused_exec "exec, start and delete while frozen";
    both out_of_memory "an out-of-memory kill, its event and its status";
}

async fn statuses(run: &Run) -> Outcome {
    for signal in [1, 2, 3, 6, 9, 10, 15] {
        // A namespace's first process ignores what it does not handle: an exec does not.
        if signal == 1 {
            run.run("c", &["sleep", "1000"]).await?;
        }
        let id = format!("e{signal}");
        run.exec("c", &id, &["sleep", "1000"]).await;
        let pid = run.start_process("c", &id).await;
        run.is_program(pid, "sleep").await?;
        run.kill("c", &id, signal).await;
        run.wait("c", &id).await;
        run.delete("c", &id).await;
    }
    end(run).await
}

async fn zero_and_nonsense(run: &Run) -> Outcome {
    run.run("c", &["sleep", "1000"]).await?;
    run.kill("c", "", 0).await;
    run.kill("c", "", 150).await;
    run.exec("c", "e", &["sleep", "1000"]).await;
    run.start_process("c", "e").await;
    run.kill("c", "e", 0).await;
    run.kill("c", "e", 150).await;
    run.kill("c", "e", 9).await;
    run.wait("c", "e").await;
    run.delete("c", "e").await;
    end(run).await
}

async fn real_time(run: &Run) -> Outcome {
    run.run("c", &["sleep", "1000"]).await?;
    run.exec("c", "e", &["sleep", "1000"]).await;
    let pid = run.start_process("c", "e").await;
    run.is_program(pid, "sleep").await?;
    run.kill("c", "e", 34).await;
    run.wait("c", "e").await;
    run.delete("c", "e").await;
    end(run).await
}

async fn after_exit(run: &Run) -> Outcome {
    run.run("c", &["true"]).await?;
    run.wait("c", "").await;
    run.kill("c", "", 15).await;
    run.kill("c", "", 9).await;
    run.delete("c", "").await;
    run.kill("c", "", 9).await;
    run.event("/tasks/delete", 1).await
}

async fn everyone(run: &Run) -> Outcome {
    run.run("c", &["sleep", "1000"]).await?;
    run.exec("c", "e", &["sleep", "1000"]).await;
    run.start_process("c", "e").await;
    run.kill_all("c", 9).await;
    run.wait("c", "e").await;
    run.wait("c", "").await;
    run.event("/tasks/exit", 2).await?;
    run.delete("c", "e").await;
    run.delete("c", "").await;
    run.event("/tasks/delete", 1).await
}

async fn everyone_after_exit(run: &Run) -> Outcome {
    run.run("c", &["true"]).await?;
    run.wait("c", "").await;
    run.kill_all("c", 9).await;
    run.delete("c", "").await;
    run.event("/tasks/delete", 1).await
}

async fn paused(run: &Run) -> Outcome {
    run.run("c", &["sleep", "1000"]).await?;
    run.exec("c", "e", &["sleep", "1000"]).await;
    run.start_process("c", "e").await;
    run.pause("c").await;
    run.state("c", "").await;
    run.state("c", "e").await;
    run.resume("c").await;
    run.state("c", "").await;
    run.kill("c", "e", 9).await;
    run.wait("c", "e").await;
    run.delete("c", "e").await;
    end(run).await
}

async fn paused_twice(run: &Run) -> Outcome {
    run.create("c", &["sleep", "1000"]).await?;
    run.pause("c").await;
    run.resume("c").await;
    run.start_process("c", "").await;
    run.resume("c").await;
    run.pause("c").await;
    run.pause("c").await;
    run.start_process("c", "").await;
    run.resume("c").await;
    run.kill("c", "", 9).await;
    run.wait("c", "").await;
    run.pause("c").await;
    run.resume("c").await;
    run.delete("c", "").await;
    run.pause("unknown").await;
    run.resume("unknown").await;
    run.event("/tasks/delete", 1).await
}

async fn paused_killed(run: &Run) -> Outcome {
    run.run("c", &["sleep", "1000"]).await?;
    run.pause("c").await;
    run.kill("c", "", 9).await;
    if run.engine == "crun" {
        // It leaves the container frozen, and the signal pending.
        run.resume("c").await;
    }
    run.wait("c", "").await;
    run.state("c", "").await;
    run.delete("c", "").await;
    run.event("/tasks/delete", 1).await
}

async fn paused_exec(run: &Run) -> Outcome {
    run.run("c", &["sleep", "1000"]).await?;
    run.exec("c", "before", &["true"]).await;
    run.pause("c").await;
    run.exec("c", "e", &["true"]).await;
    run.delete("c", "").await;
    run.update("c", r#"{"memory":{"limit":33554432}}"#).await;
    run.resume("c").await;
    run.start_process("c", "before").await;
    run.wait("c", "before").await;
    run.delete("c", "before").await;
    end(run).await
}

async fn out_of_memory(run: &Run) -> Outcome {
    let mut script = "sleep 0.3; tail -c 60000000 /dev/zero".to_owned();
    if groups::by_systemd() {
        // systemd removes a scope with its last process, and whoever comes later learns nothing of the kill.
        script.push_str("; code=$?; sleep 1; exit $code");
    }
    run.bundle("c", &["sh", "-c", &script], |config| {
        config["linux"]["resources"]["memory"] = serde_json::json!({ "limit": 16 << 20, "swap": 16 << 20 });
        if let Some(mounts) = config["mounts"].as_array_mut() {
            mounts.push(serde_json::json!({ "destination": "/dev/zero", "type": "bind", "source": "/dev/zero",
                "options": ["bind", "rw"] }));
        }
    })?;
    run.create_with(run.request("c")).await;
    run.start_process("c", "").await;
    run.wait("c", "").await;
    run.delete("c", "").await;
    run.event("/tasks/delete", 1).await?;
    tokio::time::sleep(Duration::from_millis(50)).await;
    // The kernel may tell of one kill more than once.
    run.once("/tasks/oom");
    Ok(())
}
