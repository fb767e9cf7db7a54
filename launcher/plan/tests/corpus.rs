//! The fuzzers' corpus, replayed: what a fuzzer found once stays found.
//!
//! The seeds are written by `ZEROCAP_WRITE_CORPUS=1 cargo test -p zerocap-plan --test corpus`.

use std::fs;
use std::path::{Path, PathBuf};

use zerocap_plan::record::{Comm, Connect, Failure, Program, RECORD_LEN, Ready, Record, Skipped, Step};
use zerocap_plan::{
    CookieSite, DecodeError, Filter, Insn, Landlock, LaunchPlan, Missing, PathRule, PlanView, PortRule, Role,
};

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target)
}

fn each(target: &str, mut judge: impl FnMut(&str, &[u8])) {
    let mut count = 0;
    for entry in fs::read_dir(corpus(target)).unwrap() {
        let entry = entry.unwrap();
        judge(entry.file_name().to_str().unwrap(), &fs::read(entry.path()).unwrap());
        count += 1;
    }
    assert!(count >= 5, "the corpus of {target} has {count} entries");
}

fn seed(target: &str, name: &str, bytes: &[u8]) {
    let path = corpus(target).join(name);
    if std::env::var_os("ZEROCAP_WRITE_CORPUS").is_some() {
        fs::create_dir_all(corpus(target)).unwrap();
        fs::write(&path, bytes).unwrap();
    }
    assert_eq!(fs::read(&path).unwrap(), bytes, "{name} is stale");
}

fn plans() -> Vec<(&'static str, LaunchPlan)> {
    let bare = LaunchPlan {
        role: Role::Init,
        landlock: None,
        forbidden_connect: None,
        native_abi_only: false,
        filters: Vec::new(),
    };
    let rule = |path: &str, missing| PathRule { path: path.as_bytes().to_vec(), access: 0xe, missing };
    let landlock = Landlock {
        handled_fs: 0xffff,
        handled_net: 3,
        scoped: 3,
        paths: vec![rule("/", Missing::Fail), rule("/dev/null", Missing::Skip), rule("/1234567", Missing::Fail)],
        ports: vec![PortRule { port: 3128, access: 2 }],
    };
    let insn = |code, k| Insn { code, jt: 0, jf: 0, k };
    let filter = Filter {
        insns: vec![insn(0x20, 40), insn(0xa4, 0), insn(6, 0x7fff_0000)],
        cookie: vec![CookieSite { insn: 1, word: 0 }],
        spec_allow: true,
    };
    let net = Landlock { handled_net: 3, ports: landlock.ports.clone(), ..Landlock::default() };
    vec![
        ("bare", bare.clone()),
        ("files", LaunchPlan { landlock: Some(landlock.clone()), ..bare.clone() }),
        ("net", LaunchPlan { landlock: Some(net), forbidden_connect: Some(1), role: Role::Exec, ..bare.clone() }),
        ("filters", LaunchPlan { filters: vec![filter.clone(); 3], native_abi_only: true, ..bare.clone() }),
        ("all", LaunchPlan { landlock: Some(landlock), filters: vec![filter], native_abi_only: true, ..bare }),
    ]
}

#[test]
fn plans_of_the_corpus() {
    for (name, plan) in plans() {
        let bytes = plan.encode().unwrap();
        seed("plan_decode", name, &bytes);
        let mut cut = bytes.clone();
        cut.pop();
        seed("plan_decode", &format!("{name}-cut"), &cut);
        assert_eq!(LaunchPlan::decode(&bytes), Ok(plan));
        assert!(PlanView::decode(&cut).is_err());
    }
    let mut other = plans()[0].1.encode().unwrap();
    other[6] = 2;
    seed("plan_decode", "version-2", &other);
    assert_eq!(PlanView::decode(&other).unwrap_err(), DecodeError::Version);
    each("plan_decode", |name, bytes| {
        if let Ok(plan) = LaunchPlan::decode(bytes) {
            assert_eq!(plan.encode().as_deref(), Ok(bytes), "{name}");
        }
    });
}

#[test]
fn records_of_the_corpus() {
    let mut skipped = Skipped::default();
    skipped.insert(7);
    let ready = |connect, landlock| {
        Record::Ready(Ready { comm: Comm::random(9), landlock, connect, filters: 2, paths: 3, skipped })
    };
    let failure = |step, errno, detail| Record::Error(Failure { step, errno, detail });
    for (name, record) in [
        ("ready", ready(Connect::NotTried, false)),
        ("ready-refused", ready(Connect::Refused, true)),
        ("ready-stronger", ready(Connect::Stronger(1), true)),
        ("error-plan", failure(Step::Plan, 0, DecodeError::Magic as u32)),
        ("error-execute", failure(Step::Execute, 2, Program::BadInterpreter as u32)),
    ] {
        seed("record_decode", name, &record.encode());
        assert_eq!(Record::decode(&record.encode()), Some(record));
    }
    each("record_decode", |name, bytes| {
        let bytes: &[u8; RECORD_LEN] = bytes.try_into().unwrap();
        assert!(Record::decode(bytes).is_none_or(|record| record.encode() == *bytes), "{name}");
    });
}
