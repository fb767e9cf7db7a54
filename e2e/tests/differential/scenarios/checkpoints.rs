//! Checkpoint and restore, with criu.

use std::fs;
use std::path::Path;

use containerd_shim_protos::api::CreateTaskRequest;
use containerd_shim_protos::protobuf::MessageField;
use serde_json::Value;

use super::execs::end;
use super::streams::{NOWHERE, fifo, writer};
use super::{Outcome, scenarios};
use zerocap_e2e::task::{Run, engine_path, until};

scenarios! { "checkpoints":
    criu taken "a checkpoint of a created and of a running container, which goes on, then one that ends it";
    plain impossible "a checkpoint where none can be written";
    criu nowhere "restore from a checkpoint that is not there";
    criu announced "every call on a container that is to be restored, before its start";
    criu restored "a container goes on where its checkpoint was taken, with its streams, and lives on as any other";
    criu with_terminal "the same with a terminal";
    criu work_path "CriuWorkPath: where criu leaves its log";
}

/// Why the reference cannot checkpoint or restore here, if it cannot.
pub fn obstacle(engine: &str) -> Option<&'static str> {
    if engine != "runc" {
        // crun forgets a container with its checkpoint, so that the reference cannot delete it.
        Some("containerd's shim checkpoints and restores by what only runc does")
    } else if !Path::new(&engine_path("criu")).exists() {
        Some("there is no criu")
    } else {
        None
    }
}

/// criu reads the limits of other users' processes only where it has CAP_SYS_RESOURCE, which root may lack here.
fn as_root(config: &mut Value) {
    config["process"]["user"] = serde_json::json!({ "uid": 0, "gid": 0 });
}

/// Makes the checkpoint `image` of a container `c` that counts into /n, and removes the container.
pub async fn take(run: &Run, edit: impl FnOnce(&mut CreateTaskRequest)) -> Result<String, String> {
    let image = run.dir.join("image").display().to_string();
    let mut request = run.request("c");
    edit(&mut request);
    run.bundle("c", &["sh", "-c", COUNTS], |config| {
        as_root(config);
        config["process"]["terminal"] = request.terminal.into();
    })?;
    run.create_with(request).await;
    run.start_process("c", "").await;
    counts_on(run).await?;
    run.checkpoint_and_end("c", &image).await?;
    run.wait("c", "").await;
    run.delete("c", "").await;
    Ok(image)
}

/// Counts for ever, and answers each line that it is told. No process comes and goes beside it: criu may miss one.
const COUNTS: &str = "n=0; while :; do n=$((n+1)); echo $n >/n; read -t 0.05 line && echo \"got $line\"; done";

/// Streams on which nothing is said.
pub fn quiet(run: &Run) -> Result<impl Fn(&mut CreateTaskRequest) + use<>, String> {
    let input = fifo(run, "quiet")?.display().to_string();
    Ok(move |request: &mut CreateTaskRequest| {
        request.stdin.clone_from(&input);
        request.stdout = NOWHERE.into();
        request.stderr = NOWHERE.into();
    })
}

/// How far the program has counted.
pub fn count(run: &Run) -> u64 {
    let text = fs::read_to_string(run.bundle_of("c").join("rootfs/n")).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// Waits until the program has counted further than it has now.
pub async fn counts_on(run: &Run) -> Outcome {
    let now = count(run);
    until("a higher count", || count(run) > now).await
}

async fn taken(run: &Run) -> Outcome {
    let image = |name: &str| run.dir.join(name).display().to_string();
    run.bundle("c", &["sh", "-c", COUNTS], as_root)?;
    let mut request = run.request("c");
    quiet(run)?(&mut request);
    run.create_with(request).await;
    run.checkpoint("c", &image("early")).await;
    run.start_process("c", "").await;
    counts_on(run).await?;
    run.checkpoint("c", &image("first")).await;
    counts_on(run).await?;
    run.state("c", "").await;
    run.checkpoint_and_end("c", &image("second")).await?;
    run.wait("c", "").await;
    run.state("c", "").await;
    run.checkpoint("c", &image("late")).await;
    run.delete("c", "").await;
    for name in ["early", "first", "second", "late"] {
        run.note(&format!("{name}: {}", run.dir.join(name).join("inventory.img").exists()));
    }
    run.event("/tasks/delete", 1).await
}

async fn impossible(run: &Run) -> Outcome {
    let file = run.dir.join("file");
    fs::write(&file, "").map_err(|error| error.to_string())?;
    run.run("c", &["sleep", "1000"]).await?;
    run.checkpoint("c", &file.join("below").display().to_string()).await;
    run.state("c", "").await;
    end(run).await
}

async fn nowhere(run: &Run) -> Outcome {
    let request = CreateTaskRequest { checkpoint: run.dir.join("nothing").display().to_string(), ..run.request("c") };
    run.create_with(request).await;
    run.state("c", "").await;
    run.start_process("c", "").await;
    run.state("c", "").await;
    run.delete("c", "").await;
    Ok(())
}

async fn announced(run: &Run) -> Outcome {
    let checkpoint = run.dir.join("nothing").display().to_string();
    run.create_with(CreateTaskRequest { checkpoint, ..run.request("c") }).await;
    run.pause("c").await;
    run.resume("c").await;
    run.kill("c", "", 9).await;
    run.exec("c", "e", &["true"]).await;
    run.checkpoint("c", &run.dir.join("image").display().to_string()).await;
    run.resize("c", "", 80, 24).await;
    run.close_io("c", "").await;
    run.connect_task("c").await;
    run.state("c", "").await;
    run.delete("c", "").await;
    run.state("c", "").await;
    Ok(())
}

async fn restored(run: &Run) -> Outcome {
    let (input, out) = (fifo(run, "in")?, fifo(run, "out")?);
    let (mut told, heard) = (writer(&input)?, writer(&out)?);
    let streams = |request: &mut CreateTaskRequest| {
        request.stdin = input.display().to_string();
        request.stdout = out.display().to_string();
        request.stderr = NOWHERE.into();
    };
    let image = take(run, &streams).await?;
    let before = count(run);
    let mut request = CreateTaskRequest { checkpoint: image, ..run.request("c") };
    streams(&mut request);
    run.create_with(request).await;
    run.state("c", "").await;
    run.start_process("c", "").await;
    run.state("c", "").await;
    counts_on(run).await?;
    run.note(&format!("goes on: {}", count(run) > before));
    answers(run, &mut told, heard).await?;
    run.exec_whole("c", "e", &["sh", "-c", "exit 4"]).await;
    run.pause("c").await;
    run.resume("c").await;
    run.note(&format!("statistics: {}", run.stats("c").await.is_some()));
    end_again(run).await
}

/// Ends the second container of the name, as [`end`] does the first.
async fn end_again(run: &Run) -> Outcome {
    end(run).await?;
    run.event("/tasks/delete", 2).await
}

/// Tells the program a word until it answers: the former container's copying may take the first of them.
async fn answers(run: &Run, told: &mut fs::File, heard: fs::File) -> Outcome {
    use std::io::{BufRead, BufReader, Write};
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(heard).lines().map_while(Result::ok);
        let _ = sender.send(lines.find(|line| line.contains("got")));
    });
    let mut line = None;
    for _ in 0..40 {
        told.write_all(b"a word\n").map_err(|error| error.to_string())?;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        line = receiver.try_recv().ok().flatten();
        if line.is_some() {
            break;
        }
    }
    run.note(&format!("it answers: {}", line.is_some()));
    Ok(())
}

async fn with_terminal(run: &Run) -> Outcome {
    let (input, out) = (fifo(run, "in")?, fifo(run, "out")?);
    let (mut told, heard) = (writer(&input)?, writer(&out)?);
    let terminal = |request: &mut CreateTaskRequest| {
        request.terminal = true;
        request.stdin = input.display().to_string();
        request.stdout = out.display().to_string();
    };
    let image = take(run, &terminal).await?;
    let mut request = CreateTaskRequest { checkpoint: image, ..run.request("c") };
    terminal(&mut request);
    run.create_with(request).await;
    run.start_process("c", "").await;
    run.resize("c", "", 123, 45).await;
    counts_on(run).await?;
    answers(run, &mut told, heard).await?;
    end_again(run).await
}

async fn work_path(run: &Run) -> Outcome {
    let streams = quiet(run)?;
    let image = take(run, &streams).await?;
    let work = run.dir.join("work");
    let options = run.options(|options| options.criu_work_path = work.display().to_string());
    let mut request = CreateTaskRequest { checkpoint: image, options: MessageField::some(options), ..run.request("c") };
    streams(&mut request);
    run.create_with(request).await;
    run.start_process("c", "").await;
    run.note(&format!("the log is there: {}", work.join("restore.log").exists()));
    end_again(run).await
}
