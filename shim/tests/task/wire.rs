//! Bytes on our socket that no client of the task API sends: the next client is served as if nothing had been.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use containerd_shim::protos::api::Status;
use containerd_shim::protos::protobuf::Message;
use containerd_shim::protos::ttrpc::{Code, Request, Response};
use rustix::process::{Pid, Resource, Rlimit, Uid, getrlimit, prlimit};

use crate::rig::{PATIENCE, Rig};

const SERVICE: &str = "containerd.task.v3.Task";
const REQUEST: u8 = 1;
const RESPONSE: u8 = 2;
const DATA: u8 = 3;

/// A frame as ttrpc has it: length, stream, type, flags, payload.
fn frame(stream: u32, kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap();
    header(length, stream, kind).into_iter().chain(payload.iter().copied()).collect()
}

fn header(length: u32, stream: u32, kind: u8) -> Vec<u8> {
    [length.to_be_bytes().as_slice(), &stream.to_be_bytes(), &[kind, 0]].concat()
}

fn call(service: &str, method: &str, payload: &[u8]) -> Vec<u8> {
    let request =
        Request { service: service.into(), method: method.into(), payload: payload.into(), ..Request::default() };
    frame(1, REQUEST, &request.write_to_bytes().unwrap())
}

/// Random enough, and the same every time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 7_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

fn connect(rig: &Rig) -> UnixStream {
    let stream = UnixStream::connect(rig.socket()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends a frame and reads the answer's status.
fn asked(rig: &Rig, bytes: &[u8]) -> (Code, String) {
    let mut stream = connect(rig);
    stream.write_all(bytes).unwrap();
    let mut header = [0; 10];
    stream.read_exact(&mut header).unwrap();
    assert_eq!(header[8], RESPONSE);
    let mut payload = vec![0; usize::try_from(u32::from_be_bytes(header[..4].try_into().unwrap())).unwrap()];
    stream.read_exact(&mut payload).unwrap();
    let status = Response::parse_from_bytes(&payload).unwrap().status.unwrap();
    (status.code(), status.message)
}

fn descriptors(shim: u32) -> usize {
    fs::read_dir(format!("/proc/{shim}/fd")).unwrap().count()
}

/// Kibibytes of memory that are the shim's own.
fn memory(shim: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{shim}/smaps_rollup")).unwrap();
    let line = rollup.lines().find(|line| line.starts_with("Private_Dirty:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Waits until `done`.
async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn whatever_bytes_come_the_next_client_is_served_and_nothing_is_kept() {
    let rig = Rig::start().await;
    rig.run("c", "sleep 1000").await;
    let shim = rig.shim_pid().await;
    let (open, used) = (descriptors(shim), memory(shim));
    let known = call(SERVICE, "State", b"\x0a\x01c");
    let cases = [
        ("nothing", vec![]),
        ("noise", noise(9_000)),
        ("a length of 4 GB", [header(u32::MAX, 1, REQUEST), noise(100_000)].concat()),
        ("a length of 4 GB and nothing else", header(u32::MAX, 1, REQUEST)),
        ("half a header", known[..5].to_vec()),
        ("half a request", known[..known.len() - 3].to_vec()),
        ("an empty request", frame(1, REQUEST, b"")),
        ("a request that is no message", frame(1, REQUEST, &noise(300))),
        ("an even stream", frame(2, REQUEST, &known[10..])),
        ("a stream twice", [known.clone(), known.clone()].concat()),
        ("a response", frame(1, RESPONSE, &known[10..])),
        ("data on no stream", frame(3, DATA, b"data")),
        ("an unknown type", frame(1, 77, b"data")),
        ("a payload that is no message", call(SERVICE, "Create", &noise(500))),
        ("a thousand requests at once", known.repeat(1000)),
    ];
    for (name, bytes) in &cases {
        for stays in [false, true] {
            let mut stream = connect(&rig);
            // The shim may hang up before all of it is sent.
            let _ = stream.write_all(bytes);
            let kept = stays.then_some(stream);
            assert_eq!(rig.status("c", "").await, Status::RUNNING, "after {name}");
            drop(kept);
        }
    }
    until("the connections are not closed", || descriptors(shim) <= open).await;
    assert!(memory(shim) < used + 8 * 1024, "{} KiB, {used} before", memory(shim));
    assert_eq!(rig.shim_pid().await, shim);
}

#[tokio::test]
async fn what_is_not_there_is_unimplemented_and_what_does_not_decode_is_told() {
    let rig = Rig::start().await;
    let (code, words) = asked(&rig, &call(SERVICE, "Nonsense", b""));
    assert_eq!(code, Code::UNIMPLEMENTED, "{words}");
    for method in ["Create", "Start", "Exec", "State", "Delete", "Kill", "Wait", "Checkpoint"] {
        let (code, words) = asked(&rig, &call(SERVICE, method, b"\x0a\xff\xff\xff"));
        assert_eq!(code, Code::INTERNAL, "{method}: {words}");
    }
    let (code, words) = asked(&rig, &frame(1, REQUEST, &noise(300)));
    assert_eq!(code, Code::INVALID_ARGUMENT, "{words}");
    // Both names of the service are there.
    for service in [SERVICE, "containerd.task.v2.Task"] {
        let (code, _) = asked(&rig, &call(service, "State", b"\x0a\x01x"));
        assert_eq!(code, Code::NOT_FOUND, "{service}");
    }
}

#[tokio::test]
async fn connections_without_end_cost_others_nothing_once_they_are_gone() {
    let rig = Rig::start().await;
    rig.run("c", "sleep 1000").await;
    let shim = rig.shim_pid().await;
    let open = descriptors(shim);
    {
        let _idle = (0..200).map(|_| connect(&rig)).collect::<Vec<_>>();
        assert_eq!(rig.reconnect_and_ask("c").await, Status::RUNNING);
    }
    until("the connections are not closed", || descriptors(shim) <= open).await;
    // Now more than the shim can have: those who are connected are served, and everybody is afterwards.
    let few = u64::try_from(open).unwrap() + 20;
    let pid = Pid::from_raw(i32::try_from(shim).unwrap());
    let own = getrlimit(Resource::Nofile);
    let before = prlimit(pid, Resource::Nofile, Rlimit { current: Some(few), ..own }).unwrap();
    {
        let _idle = (0..100).map(|_| connect(&rig)).collect::<Vec<_>>();
        until("the shim takes no connections", || descriptors(shim) + 1 >= usize::try_from(few).unwrap()).await;
        assert_eq!(rig.status("c", "").await, Status::RUNNING);
    }
    assert_eq!(rig.reconnect_and_ask("c").await, Status::RUNNING);
    prlimit(pid, Resource::Nofile, before).unwrap();
    until("the connections are not closed", || descriptors(shim) <= open + 1).await;
}

#[tokio::test]
async fn another_user_is_turned_away_even_where_the_sockets_mode_lets_him_in() {
    if !rustix::process::geteuid().is_root() {
        writeln!(std::io::stderr(), "SKIPPED: only root can connect as somebody else").unwrap();
        return;
    }
    let rig = Rig::start().await;
    rig.run("c", "sleep 1000").await;
    let socket = rig.socket();
    let folders = socket.ancestors().skip(1).take_while(|folder| folder.starts_with(rig.dir.path()));
    for folder in folders {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
    let request = call(SERVICE, "State", b"\x0a\x01c");
    let answer = |uid: Option<u32>| {
        let (socket, request) = (socket.clone(), request.clone());
        // A thread has a user of its own as far as the kernel is concerned.
        std::thread::spawn(move || {
            if let Some(uid) = uid {
                rustix::thread::set_thread_uid(Uid::from_raw(uid)).unwrap();
            }
            let mut stream = UnixStream::connect(socket).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let _ = stream.write_all(&request);
            let mut byte = [0];
            stream.read(&mut byte).map_or(0, |length| length)
        })
        .join()
        .unwrap()
    };
    assert_eq!(answer(None), 1, "the owner has an answer");
    assert_eq!(answer(Some(65534)), 0, "the stranger has none");
    assert_eq!(rig.status("c", "").await, Status::RUNNING);
}
