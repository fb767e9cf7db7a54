//! Terminals.

use std::io::Write;

use super::execs::end;
use super::streams::{Reader, fifo, writer};
use super::{Outcome, scenarios};
use zerocap_e2e::task::Run;

scenarios! { "terminal":
    both output "a container's terminal, drained to its very end";
    both input_and_size "input over a terminal, and its size";
    both exec "a terminal for an exec";
    both resize_without "resize without a terminal";
    both resize_created "resize before the start";
}

async fn output(run: &Run) -> Outcome {
    let out = fifo(run, "out")?;
    let reader = Reader::of(&out);
    run.bundle("c", &["sh", "-c", "seq 1 20000; echo end"], |config| config["process"]["terminal"] = true.into())?;
    let mut request = run.request("c");
    request.terminal = true;
    request.stdout = out.display().to_string();
    run.create_with(request).await;
    run.start_process("c", "").await;
    run.wait("c", "").await;
    run.delete("c", "").await;
    let bytes = reader.all().await?;
    run.note(&format!(
        "{} bytes, the last {:?}",
        bytes.len(),
        String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(9)..])
    ));
    run.event("/tasks/delete", 1).await
}

async fn input_and_size(run: &Run) -> Outcome {
    let (input, out) = (fifo(run, "in")?, fifo(run, "out")?);
    let reader = Reader::of(&out);
    let mut file = writer(&input)?;
    let script = "read line; echo \"got $line\"; stty size; [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo terminal";
    run.bundle("c", &["sh", "-c", script], |config| config["process"]["terminal"] = true.into())?;
    let mut request = run.request("c");
    request.terminal = true;
    request.stdin = input.display().to_string();
    request.stdout = out.display().to_string();
    run.create_with(request).await;
    run.start_process("c", "").await;
    run.state("c", "").await;
    run.resize("c", "", 123, 45).await;
    file.write_all(b"words\n").map_err(|error| error.to_string())?;
    run.wait("c", "").await;
    run.resize("c", "", 80, 24).await;
    run.delete("c", "").await;
    run.note(&format!("out {:?}", String::from_utf8_lossy(&reader.all().await?)));
    run.event("/tasks/delete", 1).await
}

async fn exec(run: &Run) -> Outcome {
    let (input, out) = (fifo(run, "in")?, fifo(run, "out")?);
    let reader = Reader::of(&out);
    let mut file = writer(&input)?;
    run.run("c", &["sleep", "1000"]).await?;
    let mut request = run.exec_request("c", "e", &["sh", "-c", "read line; stty size; echo \"$line\"; exit 9"]);
    request.terminal = true;
    request.stdin = input.display().to_string();
    request.stdout = out.display().to_string();
    run.exec_with(request).await;
    run.resize("c", "e", 10, 10).await;
    run.start_process("c", "e").await;
    run.state("c", "e").await;
    run.resize("c", "e", 90, 30).await;
    file.write_all(b"typed\n").map_err(|error| error.to_string())?;
    run.wait("c", "e").await;
    run.delete("c", "e").await;
    run.note(&format!("out {:?}", String::from_utf8_lossy(&reader.all().await?)));
    end(run).await
}

async fn resize_without(run: &Run) -> Outcome {
    run.run("c", &["sleep", "1000"]).await?;
    run.resize("c", "", 80, 24).await;
    run.exec("c", "e", &["sleep", "1000"]).await;
    run.resize("c", "e", 80, 24).await;
    run.start_process("c", "e").await;
    run.resize("c", "e", 80, 24).await;
    run.kill("c", "e", 9).await;
    run.wait("c", "e").await;
    run.delete("c", "e").await;
    end(run).await
}

async fn resize_created(run: &Run) -> Outcome {
    let out = fifo(run, "out")?;
    let reader = Reader::of(&out);
    run.bundle("c", &["stty", "size"], |config| config["process"]["terminal"] = true.into())?;
    let mut request = run.request("c");
    request.terminal = true;
    request.stdout = out.display().to_string();
    run.create_with(request).await;
    run.resize("c", "", 70, 20).await;
    run.start_process("c", "").await;
    run.wait("c", "").await;
    run.delete("c", "").await;
    run.note(&format!("out {:?}", String::from_utf8_lossy(&reader.all().await?)));
    run.event("/tasks/delete", 1).await
}
