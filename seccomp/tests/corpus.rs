//! The fuzzers' corpus, replayed: what a fuzzer found once stays found.
//!
//! The seeds are written by `ZEROCAP_WRITE_CORPUS=1 cargo test -p zerocap-seccomp --test corpus`.

mod judge;

use std::fs;
use std::path::{Path, PathBuf};

use zerocap_seccomp::Insn;
use zerocap_seccomp::opcode as op;
use zerocap_seccomp::walk::write_raw;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target)
}

fn seed(target: &str, name: &str, bytes: &[u8]) {
    let path = corpus(target).join(name);
    if std::env::var_os("ZEROCAP_WRITE_CORPUS").is_some() {
        fs::create_dir_all(corpus(target)).expect("writable");
        fs::write(&path, bytes).expect("writable");
    }
    assert_eq!(fs::read(&path).expect("a seed"), bytes, "{name} is stale");
}

/// Judge everything in the corpus; so many of them have to be good ones.
fn replay(target: &str, judge: fn(&[u8]) -> bool, good: usize) {
    let entries: Vec<_> =
        fs::read_dir(corpus(target)).expect("a corpus").map(|entry| entry.expect("an entry").path()).collect();
    let taken = entries.iter().filter(|path| judge(&fs::read(path).expect("a file"))).count();
    let shown: Vec<_> = entries.iter().map(|path| path.file_name()).collect();
    assert!(taken >= good && taken < entries.len(), "{target}: {taken} of {shown:?} are taken");
}

#[test]
fn filters() {
    // A filter of a preset as it was once; it need not follow the preset.
    let loaded = fs::read(corpus("filter_walk").join("general")).expect("a seed");
    let ret = |k| Insn::stmt(op::RET_K, k);
    let jump = |code, k, jt, jf| Insn { code, jt, jf, k };
    let hand = [
        Insn::stmt(op::LD_ABS, 0),
        jump(op::JEQ, 56, 0, 9),
        Insn::stmt(op::LD_ABS, 16),
        Insn::stmt(op::ST, 3),
        Insn::stmt(op::AND, 0x7e02_0000),
        Insn::stmt(op::TAX, 0),
        Insn::stmt(op::LD_MEM, 3),
        Insn::stmt(op::AND | op::SRC_X, 0),
        Insn::stmt(op::DIV, 3),
        jump(op::JGT, 1, 0, 1),
        ret(0x0005_0001),
        ret(0x7fff_0000),
    ];
    let address = [Insn::stmt(op::LD_ABS, 12), jump(op::JGE, 0x7fff, 0, 1), ret(0x7fff_0000), ret(0x8000_0000)];
    let product = [
        Insn::stmt(op::LD_ABS, 16),
        Insn::stmt(op::TAX, 0),
        Insn::stmt(op::LD_ABS, 24),
        Insn::stmt(op::MUL | op::SRC_X, 0),
        Insn::stmt(op::RET_A, 0),
    ];
    seed("filter_walk", "hand", &write_raw(&hand));
    seed("filter_walk", "address", &write_raw(&address));
    seed("filter_walk", "product", &write_raw(&product));
    seed("filter_walk", "cut", &loaded[..loaded.len() - 3]);
    seed("filter_walk", "no-return", &loaded[..80]);
    replay("filter_walk", judge::raw_filter, 4);
}

#[test]
fn intents() {
    let whole = r#"version = 1
summary = "all of it"
knobs = ["on"]
[answers]
known = "EPERM"
unknown = "ENOSYS"
foreign = "kill-process"
[allow]
read = "why"
[refuse.EACCES]
ptrace = "why"
[conditional.clone]
why = "why"
otherwise = "EPERM"
when = [{ flags = { none-of = ["CLONE_NEWUSER"] }, unless = ["on"] }, { if = ["on"], flags = 1, then = "log" }]
"#;
    let list = r#"version = 1
base = "base"
[allow]
clone = { flags = { any-of = ["CLONE_THREAD"] } }
openat = { flags = { mask = 3, in = [0, 1] } }
[deny]
mount = "why"
[arch.aarch64.deny]
ioctl = { cmd = { only = [0xffff] }, then = "kill-process" }
"#;
    seed("intent_parse", "whole", whole.as_bytes());
    seed("intent_parse", "list", list.as_bytes());
    seed("intent_parse", "unknown-name", whole.replace("ptrace", "ptrcae").as_bytes());
    seed("intent_parse", "number", whole.replace("flags = 1", "flags = -1").as_bytes());
    seed("intent_parse", "binary", &[0xff, 0xfe, 0, 1]);
    seed("intent_parse", "nested", "a = ".repeat(3).replace("a = ", "[[[[").as_bytes());
    replay("intent_parse", judge::intent, 2);
}

#[test]
fn profiles() {
    let rules = r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":1,"architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86","SCMP_ARCH_X32"],
"syscalls":[{"names":["read","socket","personality"],"action":"SCMP_ACT_ALLOW"},
{"names":["clone","bind"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":2114060288,"valueTwo":0,"op":"SCMP_CMP_MASKED_EQ"}]},
{"names":["kill"],"action":"SCMP_ACT_LOG","args":[{"index":1,"value":9,"op":"SCMP_CMP_NE"},{"index":0,"value":1,"op":"SCMP_CMP_GT"}]}]}"#;
    seed("oci_read", "rules", rules.as_bytes());
    seed("oci_read", "null", b"null");
    seed("oci_read", "twice", rules.replace("\"index\":0,\"value\":1,", "\"index\":1,\"value\":1,").as_bytes());
    seed("oci_read", "index", rules.replace("\"index\":1", "\"index\":6").as_bytes());
    seed("oci_read", "action", rules.replace("SCMP_ACT_LOG", "SCMP_ACT_NOTHING").as_bytes());
    seed("oci_read", "cut", &rules.as_bytes()[..200]);
    replay("oci_read", judge::oci_json, 3);
}
