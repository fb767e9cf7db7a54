//! Standard streams without a terminal.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use containerd_shim_protos::api::CreateTaskRequest;
use rustix::fs::{FileType, Mode, OFlags};

use super::execs::end;
use super::{Outcome, scenarios};
use zerocap_e2e::task::Run;

scenarios! { "streams":
    both fifos "stdin, stdout and stderr over FIFOs";
    both large_output "eight megabytes through a FIFO, every byte";
    both late_reader "a reader that comes after the program has ended";
    both unread "output that nobody is there to read when the container is deleted";
    both vanishing_reader "a reader that goes away and comes back";
    both close_stdin "CloseIO ends the input once the last writer is gone";
    both stdin_stays_open "a writer that goes away without CloseIO does not end the input";
    both files "file:// for both streams, into a folder that does not exist yet";
    both logger "binary:// with the handshake, for a container";
    both logger_of_exec "binary:// for an exec, and all that the program finds in its environment";
    both logger_fails "binary:// with a program that ends at once with an error";
    both logger_missing "binary:// with a program that does not exist";
    both grandchild "an exec's exit comes at once though a descendant keeps its output open";
    both reopen "a program opens its own /proc/self/fd/1 again";
    both exec_streams "streams of an exec";
    both nothing "no streams at all";
}

/// Makes a FIFO in the run's folder.
pub fn fifo(run: &Run, name: &str) -> Result<PathBuf, String> {
    let path = run.dir.join(name);
    rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o700), 0)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

/// Reads a FIFO to its end, in a thread of its own.
pub struct Reader(std::sync::mpsc::Receiver<Vec<u8>>);

impl Reader {
    pub fn of(path: &Path) -> Self {
        let (sender, receiver) = std::sync::mpsc::channel();
        let path = path.to_owned();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Ok(mut file) = fs::File::open(path) {
                let _ = file.read_to_end(&mut bytes);
            }
            let _ = sender.send(bytes);
        });
        Self(receiver)
    }

    /// What was read, when the writer has gone.
    pub async fn all(self) -> Result<Vec<u8>, String> {
        let mut bytes = Err(std::sync::mpsc::TryRecvError::Empty);
        zerocap_e2e::task::until("the end of a stream", || {
            bytes = self.0.try_recv();
            bytes.is_ok()
        })
        .await?;
        bytes.map_err(|error| error.to_string())
    }
}

/// Opens a FIFO for writing although nobody reads yet.
pub fn writer(path: &Path) -> Result<fs::File, String> {
    let fd = rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).map_err(|e| e.to_string())?;
    Ok(fd.into())
}

/// Where a stream goes of which nothing is wanted.
pub const NOWHERE: &str = "/dev/null";

fn text(bytes: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(bytes))
}

/// Runs a container `c` with streams.
async fn with_streams(run: &Run, script: &str, edit: impl FnOnce(&mut CreateTaskRequest)) -> Outcome {
    run.bundle("c", &["sh", "-c", script], |_| {})?;
    let mut request = run.request("c");
    // As containerd does, both streams or none.
    request.stderr = NOWHERE.into();
    edit(&mut request);
    run.create_with(request).await;
    run.start_process("c", "").await.map(drop).ok_or_else(|| "it does not start".to_owned())
}

async fn fifos(run: &Run) -> Outcome {
    let (input, out, err) = (fifo(run, "in")?, fifo(run, "out")?, fifo(run, "err")?);
    let (out_reader, err_reader) = (Reader::of(&out), Reader::of(&err));
    with_streams(run, "read line; echo \"got $line\"; echo trouble >&2; exit 4", |request| {
        request.stdin = input.display().to_string();
        request.stdout = out.display().to_string();
        request.stderr = err.display().to_string();
    })
    .await?;
    run.state("c", "").await;
    let mut file = fs::File::options().write(true).open(&input).map_err(|e| e.to_string())?;
    file.write_all(b"one line\n").map_err(|e| e.to_string())?;
    run.wait("c", "").await;
    run.delete("c", "").await;
    run.note(&format!("out {} err {}", text(&out_reader.all().await?), text(&err_reader.all().await?)));
    run.event("/tasks/delete", 1).await
}

async fn large_output(run: &Run) -> Outcome {
    let out = fifo(run, "out")?;
    let reader = Reader::of(&out);
    with_streams(run, "seq 1 1100000; echo end", |request| request.stdout = out.display().to_string()).await?;
    run.wait("c", "").await;
    run.delete("c", "").await;
    let bytes = reader.all().await?;
    run.note(&format!("{} bytes, the last {}", bytes.len(), text(&bytes[bytes.len().saturating_sub(12)..])));
    run.event("/tasks/delete", 1).await
}

async fn late_reader(run: &Run) -> Outcome {
    let out = fifo(run, "out")?;
    // containerd holds its ends open over a restart; a reader that reads nothing stands for that.
    let held = rustix::fs::open(&out, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).map_err(|e| e.to_string())?;
    with_streams(run, "echo early", |request| request.stdout = out.display().to_string()).await?;
    run.wait("c", "").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut bytes = [0; 64];
    let length = rustix::io::read(&held, &mut bytes).map_err(|e| e.to_string())?;
    run.note(&format!("out {}", text(&bytes[..length])));
    run.delete("c", "").await;
    run.event("/tasks/delete", 1).await
}

async fn unread(run: &Run) -> Outcome {
    let out = fifo(run, "out")?;
    let reader = writer(&out)?;
    with_streams(run, "sleep 0.3; echo unread", |request| request.stdout = out.display().to_string()).await?;
    drop(reader);
    run.wait("c", "").await;
    let before = std::time::Instant::now();
    run.delete("c", "").await;
    run.note(&format!("it is deleted at once: {}", before.elapsed() < Duration::from_secs(5)));
    run.event("/tasks/delete", 1).await
}

async fn vanishing_reader(run: &Run) -> Outcome {
    let out = fifo(run, "out")?;
    let first = fs::File::options().read(true).write(true).open(&out).map_err(|e| e.to_string())?;
    with_streams(run, "echo one; sleep 0.4; echo two; sleep 0.2; echo three", |request| {
        request.stdout = out.display().to_string();
    })
    .await?;
    let mut buffer = [0; 64];
    let length = (&first).read(&mut buffer).map_err(|e| e.to_string())?;
    run.note(&format!("first {}", text(&buffer[..length])));
    drop(first);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let second = Reader::of(&out);
    run.wait("c", "").await;
    run.delete("c", "").await;
    run.note(&format!("second {}", text(&second.all().await?)));
    run.event("/tasks/delete", 1).await
}

async fn close_stdin(run: &Run) -> Outcome {
    let (input, out) = (fifo(run, "in")?, fifo(run, "out")?);
    let reader = Reader::of(&out);
    let mut file = writer(&input)?;
    with_streams(run, "cat; echo end", |request| {
        request.stdin = input.display().to_string();
        request.stdout = out.display().to_string();
    })
    .await?;
    file.write_all(b"some ").map_err(|e| e.to_string())?;
    run.close_io("c", "").await;
    tokio::time::sleep(Duration::from_millis(60)).await;
    run.state("c", "").await;
    file.write_all(b"input\n").map_err(|e| e.to_string())?;
    drop(file);
    run.wait("c", "").await;
    run.close_io("c", "").await;
    run.delete("c", "").await;
    run.note(&format!("out {}", text(&reader.all().await?)));
    run.event("/tasks/delete", 1).await
}

async fn stdin_stays_open(run: &Run) -> Outcome {
    let (input, out) = (fifo(run, "in")?, fifo(run, "out")?);
    let reader = Reader::of(&out);
    with_streams(run, "cat; echo end", |request| {
        request.stdin = input.display().to_string();
        request.stdout = out.display().to_string();
    })
    .await?;
    for words in ["first ", "second "] {
        let mut file = fs::File::options().write(true).open(&input).map_err(|e| e.to_string())?;
        file.write_all(words.as_bytes()).map_err(|e| e.to_string())?;
        drop(file);
        tokio::time::sleep(Duration::from_millis(60)).await;
        run.state("c", "").await;
    }
    run.close_io("c", "").await;
    run.wait("c", "").await;
    run.delete("c", "").await;
    run.note(&format!("out {}", text(&reader.all().await?)));
    run.event("/tasks/delete", 1).await
}

async fn files(run: &Run) -> Outcome {
    let (out, err) = (run.dir.join("logs/a/out"), run.dir.join("logs/b/err"));
    // One stream at a time: which of two is read first is chance.
    for (round, script) in ["echo out", "echo err >&2"].into_iter().enumerate() {
        with_streams(run, script, |request| {
            request.stdout = format!("file://{}", out.display());
            request.stderr = format!("file://{}", err.display());
        })
        .await?;
        run.wait("c", "").await;
        let lines = || fs::read_to_string(&out).unwrap_or_default().lines().count();
        zerocap_e2e::task::until("the file", || lines() > round).await?;
        run.delete("c", "").await;
    }
    run.note(&format!("out {:?} err {:?}", fs::read_to_string(out), fs::read_to_string(err)));
    run.event("/tasks/delete", 2).await
}

/// Writes an executable script.
fn script(run: &Run, name: &str, text: &str) -> Result<String, String> {
    use std::os::unix::fs::PermissionsExt;
    let path = run.dir.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).map_err(|e| e.to_string())?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(|e| e.to_string())?;
    Ok(path.display().to_string())
}

async fn logger(run: &Run) -> Outcome {
    let log = run.dir.join("log");
    let program = script(
        run,
        "logger",
        "echo \"$CONTAINER_NAMESPACE $CONTAINER_ID $# $*\" >>\"$2\"; exec 5>&-; cat <&3 >>\"$2\" & cat <&4 >>\"$2\" & wait",
    )?;
    with_streams(run, "echo said; sleep 0.1; echo complained >&2", |request| {
        request.stdout = format!("binary://{program}?to={}", log.display());
        request.stderr = request.stdout.clone();
    })
    .await?;
    run.wait("c", "").await;
    // A logger is ended with the container, whether it has read everything or not.
    let logged = || fs::read_to_string(&log).unwrap_or_default();
    zerocap_e2e::task::until("the logger", || logged().contains("complained\n")).await?;
    run.delete("c", "").await;
    run.note(&format!("the log holds {:?}", logged()));
    run.event("/tasks/delete", 1).await
}

async fn logger_of_exec(run: &Run) -> Outcome {
    let log = run.dir.join("log");
    let program = script(run, "logger", "tr '\\0' ' ' </proc/self/environ >>\"$2\"; exec 5>&-; cat <&3 >>\"$2\"")?;
    run.run("c", &["sleep", "1000"]).await?;
    let mut request = run.exec_request("c", "e", &["echo", "said"]);
    request.stdout = format!("binary://{program}?to={}", log.display());
    request.stderr = request.stdout.clone();
    run.exec_with(request).await;
    run.start_process("c", "e").await;
    run.wait("c", "e").await;
    let logged = || fs::read_to_string(&log).unwrap_or_default();
    zerocap_e2e::task::until("the logger", || logged().contains("said\n")).await?;
    run.delete("c", "e").await;
    run.note(&format!("the log holds {:?}", logged()));
    end(run).await
}

async fn logger_fails(run: &Run) -> Outcome {
    let program = script(run, "logger", "sleep 0.1; exit 3")?;
    run.bundle("c", &["sleep", "1000"], |_| {})?;
    let mut request = run.request("c");
    request.stdout = format!("binary://{program}");
    request.stderr = request.stdout.clone();
    run.create_with(request).await;
    run.start_process("c", "").await;
    run.state("c", "").await;
    end(run).await
}

async fn logger_missing(run: &Run) -> Outcome {
    let mut request = run.request("c");
    request.stdout = "binary:///nowhere/logger".into();
    request.stderr = request.stdout.clone();
    run.create_with(request).await;
    run.state("c", "").await;
    Ok(())
}

async fn grandchild(run: &Run) -> Outcome {
    let out = fifo(run, "out")?;
    let reader = Reader::of(&out);
    run.run("c", &["sleep", "1000"]).await?;
    let mut request = run.exec_request("c", "e", &["sh", "-c", "(sleep 0.4; echo late) & echo early"]);
    request.stdout = out.display().to_string();
    request.stderr = NOWHERE.into();
    run.exec_with(request).await;
    run.start_process("c", "e").await;
    let before = std::time::Instant::now();
    run.wait("c", "e").await;
    run.note(&format!("the end is known early: {}", before.elapsed() < Duration::from_millis(390)));
    run.delete("c", "e").await;
    run.note(&format!("out {}", text(&reader.all().await?)));
    end(run).await
}

async fn reopen(run: &Run) -> Outcome {
    let out = fifo(run, "out")?;
    let reader = Reader::of(&out);
    run.bundle("c", &["sh", "-c", "echo again >/proc/self/fd/1"], |_| {})?;
    let options = run.options(|options| {
        (options.io_uid, options.io_gid) = (zerocap_e2e::task::spec::USER, zerocap_e2e::task::spec::USER)
    });
    let mut request = run.request("c");
    request.stdout = out.display().to_string();
    request.stderr = NOWHERE.into();
    request.options = containerd_shim_protos::protobuf::MessageField::some(options);
    run.create_with(request).await;
    run.start_process("c", "").await;
    run.wait("c", "").await;
    run.delete("c", "").await;
    run.note(&format!("out {}", text(&reader.all().await?)));
    run.event("/tasks/delete", 1).await
}

async fn exec_streams(run: &Run) -> Outcome {
    let (input, out, err) = (fifo(run, "in")?, fifo(run, "out")?, fifo(run, "err")?);
    let (out_reader, err_reader) = (Reader::of(&out), Reader::of(&err));
    run.run("c", &["sleep", "1000"]).await?;
    let mut request = run.exec_request("c", "e", &["sh", "-c", "cat; echo trouble >&2"]);
    request.stdin = input.display().to_string();
    request.stdout = out.display().to_string();
    request.stderr = err.display().to_string();
    run.exec_with(request).await;
    let mut file = writer(&input)?;
    run.start_process("c", "e").await;
    run.state("c", "e").await;
    file.write_all(b"through\n").map_err(|e| e.to_string())?;
    run.close_io("c", "e").await;
    drop(file);
    run.wait("c", "e").await;
    run.delete("c", "e").await;
    run.note(&format!("out {} err {}", text(&out_reader.all().await?), text(&err_reader.all().await?)));
    end(run).await
}

async fn nothing(run: &Run) -> Outcome {
    run.run("c", &["sh", "-c", "echo out; echo err >&2; cat; exit 3"]).await?;
    run.close_io("c", "").await;
    run.wait("c", "").await;
    run.delete("c", "").await;
    run.event("/tasks/delete", 1).await
}
