//! The records' format: what goes in comes out, and nothing else is a record.

use proptest::prelude::*;
use zerocap_plan::record::{Comm, Connect, Failure, Program, RECORD_LEN, Ready, Record, Skipped, Step};

fn ready() -> Ready {
    let mut skipped = Skipped::default();
    skipped.insert(3);
    skipped.insert(1023);
    Ready {
        comm: Comm::random(0x0123_4567_89ab_cdef),
        landlock: true,
        connect: Connect::Refused,
        filters: 2,
        paths: 9,
        skipped,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn announcements_survive_the_journey(
        bits: u64, landlock: bool, filters: u16, paths: u16, errno: u16, connect in 0..3, rules in proptest::collection::vec(0..1024usize, 0..9),
    ) {
        let mut skipped = Skipped::default();
        rules.iter().for_each(|&rule| skipped.insert(rule));
        let connect = [Connect::NotTried, Connect::Refused, Connect::Stronger(errno)][connect as usize];
        let record = Record::Ready(Ready { comm: Comm::random(bits), landlock, connect, filters, paths, skipped });
        prop_assert_eq!(Record::decode(&record.encode()), Some(record));
    }

    #[test]
    fn failures_survive_the_journey(step in proptest::sample::select(Step::ALL), errno: u16, detail: u32) {
        let record = Record::Error(Failure { step, errno, detail });
        prop_assert_eq!(Record::decode(&record.encode()), Some(record));
    }

    #[test]
    fn noise_is_refused(bytes: [u8; RECORD_LEN]) {
        prop_assert_eq!(Record::decode(&bytes), None);
    }

    #[test]
    fn noise_behind_a_good_start_is_one_encoding_or_none(kind in 1..=2u8, noise: [u8; RECORD_LEN]) {
        let mut bytes = Record::Ready(ready()).encode();
        bytes[6] = kind;
        bytes[8..].copy_from_slice(&noise[8..]);
        if let Some(record) = Record::decode(&bytes) {
            prop_assert_eq!(record.encode(), bytes);
        }
    }
}

#[test]
fn every_single_byte_change_is_seen() {
    for record in [
        Record::Ready(ready()),
        Record::Error(Failure { step: Step::Execute, errno: 2, detail: Program::BadInterpreter as u32 }),
    ] {
        let good = record.encode();
        for at in 0..RECORD_LEN {
            for value in 0..=255 {
                let mut bytes = good;
                bytes[at] = value;
                let read = Record::decode(&bytes);
                assert!(read.is_none_or(|read| read.encode() == bytes), "byte {at} = {value}");
                assert_eq!(read == Some(record), bytes == good, "byte {at} = {value}");
            }
        }
    }
}

#[test]
fn names_are_letters_and_differ() {
    let one = Comm::random(1);
    assert_eq!(one.as_bytes().len(), 15);
    assert!(one.as_bytes().iter().all(u8::is_ascii_lowercase));
    assert_eq!(one.as_bytes_with_nul()[15], 0);
    assert_ne!(one, Comm::random(2));
    assert_ne!(one, Comm::random(1 << 59));
    let mut forged = Record::Ready(ready()).encode();
    forged[8..24].copy_from_slice(b"a\n\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(Record::decode(&forged), None);
    forged[8..24].copy_from_slice(&[b'a'; 16]);
    assert_eq!(Record::decode(&forged), None);
    forged[8..24].copy_from_slice(&[0; 16]);
    assert_eq!(Record::decode(&forged), None);
}

#[test]
fn skipped_rules_are_counted() {
    let skipped = ready().skipped;
    assert_eq!(skipped.count(), 2);
    assert!(skipped.contains(3) && skipped.contains(1023) && !skipped.contains(4) && !skipped.contains(1024));
    let mut beyond = skipped;
    beyond.insert(1024);
    assert_eq!(beyond, skipped);
}

#[test]
fn numbers_and_values_agree() {
    for &step in Step::ALL {
        assert_eq!(Step::from_number(step as u16), Some(step));
    }
    for &program in Program::ALL {
        assert_eq!(Program::from_number(program as u32), Some(program));
    }
    assert_eq!((Step::from_number(0), Program::from_number(0)), (None, None));
}
