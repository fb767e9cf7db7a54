//! Standard streams over FIFOs.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use containerd_shim::api::{CloseIORequest, CreateTaskRequest};

use crate::rig::{PATIENCE, Rig, soon};

fn fifo(directory: &Path, name: &str) -> PathBuf {
    let path = directory.join(name);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    path
}

/// A reader as containerd has it: open before anybody writes.
fn reader(path: &Path) -> File {
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap();
    OpenOptions::new().read(true).custom_flags(flags).open(path).unwrap()
}

async fn read_to_end(file: &mut File) -> Vec<u8> {
    let deadline = Instant::now() + PATIENCE;
    let mut all = Vec::new();
    let mut begun = false;
    loop {
        let mut buffer = [0; 65536];
        match file.read(&mut buffer) {
            // Before a writer has come, a FIFO reads as ended.
            Ok(0) if begun => return all,
            Ok(length) => {
                begun |= length > 0;
                all.extend(&buffer[..length]);
            }
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
        assert!(Instant::now() < deadline, "no end after {} bytes", all.len());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn run_with_streams(rig: &Rig, program: &str, stdin: &Path, stdout: &Path, stderr: &Path) {
    let path = |path: &Path| path.display().to_string();
    let request = CreateTaskRequest {
        stdin: path(stdin),
        stdout: path(stdout),
        stderr: path(stderr),
        ..rig.create_request("c", program)
    };
    rig.task.create(soon(), &request).await.unwrap();
    rig.start_task("c", "").await.unwrap();
}

#[tokio::test]
async fn every_byte_arrives_on_its_stream_and_then_the_end() {
    let rig = Rig::start().await;
    let [stdin, stdout, stderr] = ["in", "out", "err"].map(|name| fifo(rig.dir.path(), name));
    let (mut out, mut err) = (reader(&stdout), reader(&stderr));
    run_with_streams(&rig, "echo no >&2; head -c 3000000 /dev/zero", &stdin, &stdout, &stderr).await;
    assert_eq!(read_to_end(&mut out).await.len(), 3_000_000);
    assert_eq!(read_to_end(&mut err).await, b"no\n");
    assert_eq!(rig.wait("c", "").await.unwrap(), 0);
    rig.delete("c", "").await.unwrap();
}

#[tokio::test]
async fn input_outlives_its_writers_until_it_is_closed() {
    let rig = Rig::start().await;
    let [stdin, stdout, stderr] = ["in", "out", "err"].map(|name| fifo(rig.dir.path(), name));
    let (mut out, _err) = (reader(&stdout), reader(&stderr));
    run_with_streams(&rig, "cat", &stdin, &stdout, &stderr).await;
    for words in ["first ", "second"] {
        // A writer that comes and goes, as containerd does when it restarts.
        let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap();
        let mut writer = OpenOptions::new().write(true).custom_flags(flags).open(&stdin).unwrap();
        writer.write_all(words.as_bytes()).unwrap();
        drop(writer);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let close = CloseIORequest { id: "c".into(), stdin: true, ..CloseIORequest::default() };
    rig.task.close_io(soon(), &close).await.unwrap();
    assert_eq!(read_to_end(&mut out).await, b"first second");
    assert_eq!(rig.wait("c", "").await.unwrap(), 0);
}

#[tokio::test]
async fn output_waits_for_a_reader_that_comes_late() {
    let rig = Rig::start().await;
    let [stdin, stdout, stderr] = ["in", "out", "err"].map(|name| fifo(rig.dir.path(), name));
    run_with_streams(&rig, "echo kept", &stdin, &stdout, &stderr).await;
    assert_eq!(rig.wait("c", "").await.unwrap(), 0, "the exit does not wait for readers");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(read_to_end(&mut reader(&stdout)).await, b"kept\n");
}

#[tokio::test]
async fn an_exit_comes_at_once_though_a_descendant_keeps_the_output_open() {
    let rig = Rig::start().await;
    let [stdin, stdout, stderr] = ["in", "out", "err"].map(|name| fifo(rig.dir.path(), name));
    let mut out = reader(&stdout);
    // The descendant waits for what is written after the exit.
    let end = rig.dir.path().join("end");
    let program = format!("(until [ -e {} ]; do sleep 0.01; done; echo late) & echo early", end.display());
    run_with_streams(&rig, &program, &stdin, &stdout, &stderr).await;
    assert_eq!(rig.wait("c", "").await.unwrap(), 0);
    fs::write(end, "").unwrap();
    assert_eq!(read_to_end(&mut out).await, b"early\nlate\n");
}

#[tokio::test]
async fn a_file_is_appended_to() {
    let rig = Rig::start().await;
    let log = rig.dir.path().join("logs/container.log");
    let request = CreateTaskRequest {
        stdout: format!("file://{}", log.display()),
        stderr: format!("file://{}", log.display()),
        ..rig.create_request("c", "echo one; echo two >&2")
    };
    rig.task.create(soon(), &request).await.unwrap();
    rig.start_task("c", "").await.unwrap();
    rig.wait("c", "").await.unwrap();
    rig.delete("c", "").await.unwrap();
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.contains("one\n") && text.contains("two\n"), "{text:?}");
}

#[tokio::test]
async fn a_logger_reads_both_streams() {
    let rig = Rig::start().await;
    let script = rig.dir.path().join("logger");
    let log = rig.dir.path().join("logged");
    fs::write(&script, "#!/bin/sh\nexec 5>&-\n(cat <&3; cat <&4; echo $CONTAINER_ID $2) >$1\n").unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let uri = format!("binary://{}?{}=word", script.display(), log.display());
    let request =
        CreateTaskRequest { stdout: uri.clone(), stderr: uri, ..rig.create_request("c", "echo one; echo two >&2") };
    rig.task.create(soon(), &request).await.unwrap();
    rig.start_task("c", "").await.unwrap();
    rig.wait("c", "").await.unwrap();
    rig.delete("c", "").await.unwrap();
    assert_eq!(fs::read_to_string(&log).unwrap(), "one\ntwo\nc word\n");
}
