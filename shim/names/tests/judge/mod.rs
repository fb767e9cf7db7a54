//! What must hold for any bytes: asked by the fuzzers, and of their corpus by tests/corpus.rs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use zerocap_names::wire::{Kind, Reply, ask, question_of, read};
use zerocap_names::{HostName, ResolvConf};

/// Any bytes of a workload are no question, or one whose answers fit and repeat it. Returns whether they were a question.
pub fn question(bytes: &[u8]) -> bool {
    let Ok(question) = question_of(bytes) else { return false };
    let addresses: Vec<IpAddr> =
        (0..16).flat_map(|n| [Ipv4Addr::from(n).into(), Ipv6Addr::from(u128::from(n)).into()]).collect();
    for room in [question.room(), usize::from(u16::MAX)] {
        let answer = question.answer(&addresses, 60, room);
        assert!(answer.len() <= room, "{} bytes in {room}", answer.len());
        assert_eq!(answer[..2], bytes[..2]);
        assert_ne!(answer[2] & 0x80, 0);
        // What is left out is said to be.
        let (cut, count) = (answer[2] & 2 != 0, u16::from_be_bytes([answer[6], answer[7]]));
        assert_eq!(cut, count < 32);
        // What we write is a reply: to be left alone.
        assert!(question_of(&answer).is_err());
    }
    if let Some(name) = question.host() {
        assert_eq!(HostName::parse(name.as_str()), Some(name));
    }
    true
}

/// Any bytes behind our own question are read within bounds. Returns whether they were an answer with an address.
pub fn reply(bytes: &[u8]) -> bool {
    let mut found = false;
    for (name, kind) in [("a.test", Kind::A), ("b.a.test", Kind::Aaaa)] {
        let name = HostName::parse(name).expect("a name").to_wire();
        // The first bytes are flags and counts, the rest stands behind the question.
        let mut message = ask(7, &name, kind);
        for (place, byte) in (2..4).chain(6..12).zip(bytes) {
            message[place] = *byte;
        }
        message[2] |= 0x80;
        message.extend(bytes.iter().skip(8));
        if let Reply::Found(answer) = read(&message, 7, &name, kind) {
            assert!(answer.addresses.len() <= 256 && answer.aliases <= 8);
            assert!(answer.addresses.iter().all(|address| address.is_ipv6() == (kind == Kind::Aaaa)));
            assert!(answer.alias.is_none() || answer.addresses.is_empty());
            found |= !answer.addresses.is_empty();
        }
        // And as they are.
        let _ = read(bytes, 7, &name, kind);
    }
    found
}

/// Any bytes are a resolv.conf within the bounds. Returns whether it has a search list.
pub fn resolv_conf(bytes: &[u8]) -> bool {
    let conf = ResolvConf::parse(bytes);
    assert!((1..=3).contains(&conf.nameservers.len()) && conf.search.len() <= 32 && conf.ndots <= 15);
    assert!((1..=30).contains(&conf.timeout.as_secs()) && (1..=5).contains(&conf.attempts));
    !conf.search.is_empty()
}
