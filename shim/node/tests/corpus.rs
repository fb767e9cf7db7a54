//! The fuzzers' corpus of state files, replayed.
//!
//! The seeds are written by `ZEROCAP_WRITE_CORPUS=1 cargo test -p zerocap-node --test corpus`.

use std::fs;
use std::path::Path;

use zerocap_node::fence::FenceState;

#[test]
fn fence_states() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/fence_state");
    let state = FenceState { group: "/kubepods/a/zerocap-k8s.io-a".into(), made: true, programs: vec![7, 8] };
    let whole = serde_json::to_string(&state).unwrap();
    let seeds = [
        ("whole", whole.clone()),
        ("cut", whole[..whole.len() - 1].to_owned()),
        ("numbers-too-large", whole.replace("[7,8]", "[4294967296]")),
        ("an-array", "[\"/a\",true,[]]".to_owned()),
        ("null", "null".to_owned()),
    ];
    for (name, text) in seeds {
        let path = corpus.join(name);
        if std::env::var_os("ZEROCAP_WRITE_CORPUS").is_some() {
            fs::create_dir_all(&corpus).unwrap();
            fs::write(&path, &text).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "{name} is stale");
    }
    let mut taken = 0;
    for entry in fs::read_dir(&corpus).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        if let Ok(state) = serde_json::from_slice::<FenceState>(&bytes) {
            let written = serde_json::to_vec(&state).unwrap();
            assert_eq!(serde_json::from_slice::<FenceState>(&written).unwrap(), state);
            taken += 1;
        }
    }
    assert!(taken >= 1, "no state is one");
}
