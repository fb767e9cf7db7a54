//! Restore under our shim alone, with every engine that knows it: the reference gives all of them words of runc's.

use containerd_shim_protos::api::CreateTaskRequest;

use crate::scenarios::checkpoints::{count, counts_on, quiet, take};
use zerocap_e2e::task::{Run, Shim};

type Outcome = Result<(), String>;

/// A container goes on where its checkpoint was taken.
pub fn goes_on(engine: &'static str) -> Outcome {
    block_on(async {
        let run = Run::start(Shim::Plain, engine).await?;
        let streams = quiet(&run)?;
        let image = take(&run, &streams).await?;
        let before = count(&run);
        let told = |what: &str| format!("{what}: {:?}", run.last());
        let mut request = CreateTaskRequest { checkpoint: image, ..run.request("c") };
        streams(&mut request);
        if run.create_with(request).await != Some(0) {
            return Err(told("it was made before its start"));
        }
        let pid = run.start_process("c", "").await.ok_or_else(|| told("it does not start"))?;
        counts_on(&run).await?;
        if count(&run) <= before || !run.processes().contains(&pid) {
            return Err(told("it does not go on in its cgroup"));
        }
        run.exec_quietly("c", "e", &["true"]).await?;
        if run.stats("c").await.is_none() {
            return Err(told("it has no statistics"));
        }
        run.kill("c", "", 9).await;
        run.wait("c", "").await;
        run.delete("c", "").await;
        let lines = run.finish().await?;
        let left = lines.iter().filter(|line| line.starts_with("left:")).collect::<Vec<_>>();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
}

/// A confined container is not restored, and its name is free.
pub fn is_refused(engine: &'static str) -> Outcome {
    block_on(async {
        let run = Run::start(Shim::Confined, engine).await?;
        let checkpoint = run.dir.join("image").display().to_string();
        let made = run.create_with(CreateTaskRequest { checkpoint, ..run.request("c") }).await;
        let said = run.last().unwrap_or_default();
        if made.is_some() || !said.contains("FAILED_PRECONDITION: \"ZC0313: ") {
            return Err(said);
        }
        run.run("c", &["sleep", "1000"]).await?;
        run.finish().await.map(drop)
    })
}

fn block_on(work: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    runtime.block_on(work)
}
