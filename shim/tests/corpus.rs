//! The fuzzers' corpus of what comes from containerd, engines and the kernel, replayed: what a fuzzer found once stays found.
//!
//! The seeds are written by `ZEROCAP_WRITE_CORPUS=1 cargo test -p zerocap-shim --test corpus`.

use std::fs;
use std::path::{Path, PathBuf};

use containerd_shim::api::{
    CheckpointTaskRequest, CreateTaskRequest, ExecProcessRequest, Options, StateRequest, UpdateTaskRequest,
};
use containerd_shim::bootstrap::{BootstrapParams, Extension};
use containerd_shim::protos::protobuf::well_known_types::any::Any;
use containerd_shim::protos::protobuf::{Message, MessageField};
use containerd_shim::protos::shim::oci::CheckpointOptions;
use containerd_shim::protos::ttrpc::Request;
use zerocap_shim::decode;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target)
}

/// Holds the seeds to their bytes, and judges everything in the corpus; so many of them have to be good ones.
fn replay(target: &str, judge: fn(&[u8]) -> bool, good: usize, seeds: &[(&str, Vec<u8>)]) {
    for (name, bytes) in seeds {
        let path = corpus(target).join(name);
        if std::env::var_os("ZEROCAP_WRITE_CORPUS").is_some() {
            fs::create_dir_all(corpus(target)).unwrap();
            fs::write(&path, bytes).unwrap();
        }
        assert_eq!(&fs::read(&path).unwrap(), bytes, "{name} is stale");
    }
    let entries = fs::read_dir(corpus(target)).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let taken = entries.iter().filter(|path| judge(&fs::read(path).unwrap())).count();
    assert!(taken >= good && taken < entries.len(), "{target}: {taken} of {} are taken", entries.len());
}

fn bytes(message: &impl Message) -> Vec<u8> {
    message.write_to_bytes().unwrap()
}

fn cut(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len() - 2].to_vec()
}

fn any(kind: &str, value: &[u8]) -> Any {
    Any { type_url: kind.into(), value: value.into(), ..Any::default() }
}

fn options() -> Any {
    let options = Options { binary_name: "crun".into(), io_uid: 7, ..Options::default() };
    any("containerd.runc.v1.Options", &bytes(&options))
}

/// `runtimeoptions.v1.Options` with a body, which no crate offers.
fn toml(text: &str) -> Any {
    let mut message = vec![0x1a, u8::try_from(text.len()).unwrap()];
    message.extend(text.as_bytes());
    any("runtimeoptions.v1.Options", &message)
}

fn call(method: &str, payload: &[u8]) -> Vec<u8> {
    let service = "containerd.task.v3.Task".into();
    bytes(&Request { service, method: method.into(), payload: payload.into(), ..Request::default() })
}

#[test]
fn requests() {
    let create = |edit: fn(&mut CreateTaskRequest)| {
        let mut create = CreateTaskRequest {
            id: "c1".into(),
            bundle: "/b".into(),
            stdout: "binary:///bin/log?a=b".into(),
            options: MessageField::some(options()),
            ..CreateTaskRequest::default()
        };
        edit(&mut create);
        call("Create", &bytes(&create))
    };
    let exec = |spec: &str| {
        let spec = MessageField::some(any("x", spec.as_bytes()));
        call("Exec", &bytes(&ExecProcessRequest { id: "c1".into(), exec_id: "e".into(), spec, ..Default::default() }))
    };
    let update = |text: &str| {
        let resources = MessageField::some(any("x", text.as_bytes()));
        call("Update", &bytes(&UpdateTaskRequest { id: "c1".into(), resources, ..Default::default() }))
    };
    let checkpoint = |options: &[u8]| {
        let options = MessageField::some(any("x", options));
        call("Checkpoint", &bytes(&CheckpointTaskRequest { id: "c1".into(), options, ..Default::default() }))
    };
    let whole = create(|_| {});
    let seeds = [
        ("create", whole.clone()),
        ("create-cut", cut(&whole)),
        ("create-newline", create(|create| create.stdout = "/a\nb".into())),
        ("create-id", create(|create| create.id = "../c1".into())),
        (
            "create-options",
            create(|create| create.options = MessageField::some(any("containerd.runc.v1.Options", &[255; 9]))),
        ),
        ("exec", exec(r#"{"args":["sh"],"user":{"uid":1},"new":[]}"#)),
        ("exec-shape", exec(r#"{"args":"sh"}"#)),
        ("exec-deep", exec(&"[".repeat(300))),
        ("update", update(r#"{"memory":{"limit":-1},"unified":{"a":"b"}}"#)),
        ("update-shape", update("[]")),
        ("checkpoint", checkpoint(&bytes(&CheckpointOptions { exit: true, ..CheckpointOptions::default() }))),
        ("checkpoint-options", checkpoint(&[255; 9])),
        ("state", call("State", &bytes(&StateRequest { id: "c1".into(), ..StateRequest::default() }))),
        ("unknown", call("Nonsense", b"")),
    ];
    replay("task_request", decode::request, 5, &seeds);
}

#[test]
fn starts() {
    let params = |id: &str| {
        bytes(&BootstrapParams {
            instance_id: id.into(),
            namespace: "k8s.io".into(),
            containerd_ttrpc_address: "/t".into(),
            extensions: vec![Extension { value: MessageField::some(options()), ..Extension::default() }],
            ..BootstrapParams::default()
        })
    };
    let seeds = [
        ("empty", vec![]),
        ("options", bytes(&options())),
        ("parameters", params("c1")),
        ("parameters-of-another", params("c2")),
        ("parameters-cut", cut(&params("c1"))),
    ];
    replay("start_input", decode::start, 3, &seeds);
}

#[test]
fn runtime_options() {
    let seeds = [
        ("runc", bytes(&options())),
        ("runc-cut", cut(&bytes(&options()))),
        // The field that containerd 2 took out of the message.
        ("runc-criu", bytes(&any("containerd.runc.v1.Options", b"\x42\x0e/opt/criu/criu"))),
        ("toml", bytes(&toml("BinaryName = 'crun'\nfloor = 'platform'"))),
        ("toml-unknown", bytes(&toml("enginee = 'crun'"))),
        ("toml-no-text", bytes(&any("runtimeoptions.v1.Options", b"\x1a\x02\xff\xff"))),
        ("another", bytes(&any("some.Options", b""))),
    ];
    replay("runtime_options", decode::options, 3, &seeds);
}

#[test]
fn engine_logs() {
    let runc = "{\"level\":\"warning\",\"msg\":\"w\"}\n{\"level\":\"error\",\"msg\":\"runc create failed: x\",\"time\":\"t\"}\n";
    let seeds = [
        ("runc", runc.as_bytes().to_vec()),
        ("crun", b"{\n  \"msg\": \"load `config.json`\",\n  \"level\": \"error\"\n}\n".to_vec()),
        ("youki", b"{\"level\":\"ERROR\",\"message\":\"failed\\n\\nStack backtrace:\\n 0: x\"}".to_vec()),
        ("between-garbage", format!("garbage {{\n{runc}more {{").into_bytes()),
        ("garbage", b"\xff{\"level\":3}{[1]\n{\"level\":".to_vec()),
        ("deep", "{\"level\":[".repeat(200).into_bytes()),
    ];
    replay("engine_log", decode::engine_log, 4, &seeds);
}

#[test]
fn cgroup_lines() {
    let mounts = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 c rw\n";
    let of = |membership: &str| format!("{membership}\n\n{mounts}").into_bytes();
    let seeds = [
        ("hybrid", of("4:memory:/kubepods/a\n0::/kubepods/a")),
        ("systemd", of("4:memory:/kubepods.slice/kubepods-pod1.slice/cri-containerd-a.scope\n0::/")),
        ("root", of("4:memory:/\n0::/")),
        ("outside", of("4:memory:/../other\n0::/a/../..")),
        ("garbage", b"::::\n4:\n0::\n\n- - cgroup2\n1 2 3 4 5 - cgroup x".to_vec()),
    ];
    replay("cgroup_lines", decode::cgroups, 2, &seeds);
    let paths = [
        ("path", b"/kubepods/pod1/c1".to_vec()),
        ("unit", b"kubepods-pod1.slice:cri-containerd:c1".to_vec()),
        ("another", b"/kubepods/pod1/c2".to_vec()),
        ("upwards", b"/c1/../c1".to_vec()),
        ("units", b"a--b.slice:cri-containerd:c1".to_vec()),
        ("colons", b":::::c1".to_vec()),
    ];
    replay("cgroups_path", decode::cgroups_path, 2, &paths);
}

#[test]
fn files_of_a_bundle() {
    let leftovers = [
        (
            "first-version",
            br#"{"version":1,"engine":"","binary_name":"crun","root":"","systemd_cgroup":true}"#.to_vec(),
        ),
        ("newer", br#"{"version":9,"binary_name":"crun","new":[1]}"#.to_vec()),
        ("empty", b"{}".to_vec()),
        ("other-kinds", br#"{"version":"1"}"#.to_vec()),
        ("cut", br#"{"version":1,"#.to_vec()),
    ];
    replay("bundle_options", decode::leftover, 3, &leftovers);
    let groups = [
        ("sandbox", br#"{"annotations":{"io.kubernetes.cri.sandbox-id":"s"}}"#.to_vec()),
        ("own", br#"{"annotations":null}"#.to_vec()),
        ("no-text", br#"{"annotations":{"io.kubernetes.cri.sandbox-id":1}}"#.to_vec()),
        ("cut", b"{".to_vec()),
    ];
    replay("bundle_group", decode::group, 2, &groups);
}
