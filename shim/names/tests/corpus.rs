//! The fuzzers' corpus, replayed: what a fuzzer found once stays found.
//!
//! The seeds are written by `ZEROCAP_WRITE_CORPUS=1 cargo test -p zerocap-names --test corpus`.

mod judge;

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target)
}

/// Writes or compares seeds, then judges everything in the corpus; `good` says which seeds are taken.
fn replay(target: &str, judge: fn(&[u8]) -> bool, seeds: &[(&str, Vec<u8>, bool)]) {
    if std::env::var_os("ZEROCAP_WRITE_CORPUS").is_some() {
        fs::create_dir_all(corpus(target)).expect("writable");
        for (name, bytes, _) in seeds {
            fs::write(corpus(target).join(name), bytes).expect("writable");
        }
    }
    for (name, bytes, good) in seeds {
        assert_eq!(&fs::read(corpus(target).join(name)).expect("a seed"), bytes, "{name} is stale");
        assert_eq!(judge(bytes), *good, "{target}: {name}");
    }
    for entry in fs::read_dir(corpus(target)).expect("a corpus") {
        judge(&fs::read(entry.expect("an entry").path()).expect("a file"));
    }
}

/// `a.test` A IN, behind a header with these counts of records.
fn question(name: &[u8], additional: u8) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, additional];
    message.extend(name);
    message.extend([0, 1, 0, 1]);
    message
}

const NAME: &[u8] = b"\x01a\x04test\0";
const OPT: [u8; 11] = [0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0];

fn questions() -> Vec<(&'static str, Vec<u8>, bool)> {
    let plain = question(NAME, 0);
    let mut edns = question(NAME, 1);
    edns.extend(OPT);
    let mut version = question(NAME, 1);
    version.extend(OPT);
    version[plain.len() + 6] = 1;
    let long: Vec<u8> = (0..3).flat_map(|_| [vec![63], vec![b'x'; 63]].concat()).chain([0]).collect();
    vec![
        ("plain", plain.clone(), true),
        ("edns", edns, true),
        ("version", version, false),
        ("long", question(&long, 0), true),
        ("loop", question(b"\xc0\x0c", 0), false),
        ("bytes", question(b"\x03a.\0\0", 0), true),
        ("cut", plain[..20].to_vec(), false),
        ("header", plain[..12].to_vec(), false),
    ]
}

fn replies() -> Vec<(&'static str, Vec<u8>, bool)> {
    let head = |answers: u8| vec![0x81, 0x80, 0, answers, 0, 0, 0, 0];
    let record = |owner: &[u8], rtype: u8, data: &[u8]| {
        let fixed = [0, rtype, 0, 1, 0, 0, 0, 60, 0, data.len() as u8];
        [owner, &fixed, data].concat()
    };
    let a = record(b"\xc0\x0c", 1, &[192, 0, 2, 1]);
    let looped = record(b"\xc0\x0c", 5, b"\xc0\x0c");
    let alias = [record(b"\xc0\x0c", 5, b"\x01b\0"), record(b"\x01B\0", 1, &[192, 0, 2, 2])].concat();
    let mut truncated = head(0);
    truncated[0] |= 2;
    vec![
        ("address", [head(1), a.clone()].concat(), true),
        ("six", [head(1), record(b"\xc0\x0c", 28, &[0x20; 16])].concat(), true),
        ("alias", [head(2), alias].concat(), true),
        ("loop", [head(1), looped].concat(), false),
        ("short", [head(1), record(b"\xc0\x0c", 1, &[192, 0, 2])].concat(), false),
        ("count", [head(200), a].concat(), false),
        ("truncated", truncated, false),
        ("pointer", [head(1), record(b"\xff\xff", 1, &[1, 2, 3, 4])].concat(), false),
    ]
}

#[test]
fn questions_of_the_workload() {
    replay("names_question", judge::question, &questions());
}

#[test]
fn replies_of_servers() {
    replay("names_reply", judge::reply, &replies());
}

#[test]
fn resolver_files() {
    let seeds = [
        ("pod", b"search a.b c\nnameserver 10.96.0.10\noptions ndots:5\n".to_vec(), true),
        ("odd", b"nameserver\noptions ndots: timeout:x :\nsearch\n\xff".to_vec(), false),
        ("empty", Vec::new(), false),
    ];
    replay("names_resolv_conf", judge::resolv_conf, &seeds);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Bytes that were changed in a few places: what a fuzzer tries first.
    #[test]
    fn changed_messages(seed in 0..16usize, changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..6), cut: bool) {
        let all: Vec<Vec<u8>> = questions().into_iter().chain(replies()).map(|(_, bytes, _)| bytes).collect();
        let mut bytes = all[seed].clone();
        for (place, byte) in &changes {
            let place = place % bytes.len();
            bytes[place] = *byte;
        }
        if cut {
            bytes.truncate(changes[0].0 % (bytes.len() + 1));
        }
        judge::question(&bytes);
        judge::reply(&bytes);
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        judge::question(&bytes);
        judge::reply(&bytes);
        judge::resolv_conf(&bytes);
    }
}
