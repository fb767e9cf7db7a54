//! The chart's admission policies know the annotations by a file of their own; here it is held to the grammar. How its templates turn
//! the file into CEL is the cluster's tests' to judge, which ask the API server; what stands in the file is judged here, since here
//! thousands of values can be tried.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use regex::Regex;
use serde_json::Value;
use zerocap_annotations::knob::Knob;
use zerocap_annotations::{Floor, PodPolicy};

fn file() -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/zerocap/files/grammar.json");
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

#[test]
fn the_chart_knows_the_same_knobs() {
    let grammar = file();
    let of = |knob: &Value| {
        let says = |key: &str, default| knob[key].as_bool().unwrap_or(default);
        (knob["name"].as_str().unwrap().to_owned(), (says("exceptions", true), says("platform", false)))
    };
    let chart: BTreeMap<String, (bool, bool)> = grammar["knobs"].as_array().unwrap().iter().map(of).collect();
    let shim: BTreeMap<String, (bool, bool)> =
        Knob::ALL.into_iter().map(|knob| (knob.name().to_owned(), (knob.has_order(), knob.needs_platform()))).collect();
    assert_eq!(chart, shim);
}

/// A form of an entry: what it matches, what it must not match, the largest number at its end, how far apart two may be.
struct Form(Regex, Option<Regex>, Option<i64>, Option<i64>);

/// What the file says of a knob's values.
struct Judge {
    list: bool,
    words: Vec<String>,
    forms: Vec<Form>,
    continued: Option<Regex>,
}

impl Judge {
    fn of(knob: Knob) -> Self {
        let grammar = file();
        let said =
            grammar["knobs"].as_array().unwrap().iter().find(|said| said["name"] == knob.name()).unwrap().clone();
        let pattern = |text: &Value| {
            let mut text = text.as_str().unwrap().to_owned();
            for (name, part) in grammar["parts"].as_object().unwrap() {
                text = text.replace(&format!("{{{name}}}"), part.as_str().unwrap());
            }
            Regex::new(&text).unwrap()
        };
        let list = |key: &str| said[key].as_array().cloned().unwrap_or_default();
        let number = |text: &Value| text.as_str().unwrap().parse().ok();
        let form = |form: &Value| {
            let never = Some(&form[1]).filter(|text| *text != "").map(&pattern);
            Form(pattern(&form[0]), never, number(&form[2]), number(&form[3]))
        };
        for why in list("why") {
            pattern(&why[0]);
        }
        assert_eq!(list("why").last().unwrap()[0], "", "{knob}: nothing is said of some values");
        Self {
            list: said["list"] == true,
            words: list("words").iter().map(|word| word.as_str().unwrap().to_owned()).collect(),
            forms: list("forms").iter().map(form).collect(),
            continued: said.get("continued").map(pattern),
        }
    }

    /// The same steps as in `templates/_grammar.tpl`.
    fn admits(&self, value: &str) -> bool {
        if value.chars().count() > 16384 {
            return false;
        }
        let value = value.trim();
        if self.words.iter().any(|word| word == value) {
            return true;
        }
        let entries: Vec<&str> = if self.list { value.split(',').map(str::trim).collect() } else { vec![value] };
        entries.len() <= 256
            && entries.iter().all(|entry| self.forms.iter().any(|form| form.fits(entry)))
            && self.continued.as_ref().is_none_or(|continued| !continued.is_match(entries[0]))
    }
}

impl Form {
    fn fits(&self, entry: &str) -> bool {
        let Self(matches, never, largest, apart) = self;
        let numbers = |largest: &i64| {
            let tail = &entry[entry.rfind(':').map_or(0, |at| at + 1)..];
            let numbers: Vec<i64> = tail.split('-').map(|number| number.parse().unwrap()).collect();
            let far = numbers.last().unwrap() - numbers[0];
            numbers.iter().all(|number| number <= largest) && (0..=apart.unwrap_or(0)).contains(&far)
        };
        matches.is_match(entry)
            && never.as_ref().is_none_or(|never| !never.is_match(entry))
            && largest.as_ref().is_none_or(numbers)
    }
}

/// Whether the shim takes the value, as a code if not.
fn shim(knob: Knob, value: &str) -> Result<(), &'static str> {
    let mode =
        if knob == Knob::NetworkEnforcement { ("zerocap.io/unix", "any") } else { ("network-enforcement", "platform") };
    let annotations = [(format!("zerocap.io/{knob}"), value.to_owned()), (mode.0.to_owned(), mode.1.to_owned())];
    PodPolicy::new(&annotations.into(), &Floor::none()).map(drop).map_err(|error| error.code.as_str())
}

/// What the file admits and the shim refuses, since a regular expression cannot say it or a newer shim may know more. Each is
/// tried below.
fn is_left_to_the_shim(knob: Knob, value: &str) -> bool {
    let entries = || value.split(',').map(str::trim);
    match knob {
        // Bits of a network beyond its length, the many wrong spellings of an IPv6 address, and how many ports a name has that
        // stands in an entry before.
        Knob::Egress => {
            entries().any(|entry| entry.contains('/') || entry.contains('['))
                || entries().skip(1).any(|entry| entry.contains('-') && !entry.contains(':'))
        }
        // Whether there is a call of that name.
        Knob::SeccompDeny | Knob::SeccompAllow => true,
        // Length of a path; a descriptor that is named twice.
        Knob::FsRead | Knob::FsWrite | Knob::FsExecute => entries().any(|path| path.len() > 4095),
        Knob::FdOpen => true,
        _ => false,
    }
}

/// Codes of what is wrong with a value by itself. Others depend on the floor, on other knobs or on the version.
const SYNTAX: [&str; 2] = ["ZC0102", "ZC0104"];

fn compare(knob: Knob, judge: &Judge, value: &str) -> Result<(), String> {
    let (chart, shim) = (judge.admits(value), shim(knob, value));
    let refused = shim.is_err_and(|code| SYNTAX.contains(&code));
    match (chart, refused) {
        (false, false) => Err(format!("{knob}: admission refuses {value:?}, which the shim takes")),
        (true, true) if !is_left_to_the_shim(knob, value) => {
            Err(format!("{knob}: admission takes {value:?}, which the shim refuses"))
        }
        _ => Ok(()),
    }
}

/// Values that are nearly right, and some that are.
fn values(knob: Knob) -> BoxedStrategy<String> {
    let pieces: &[&str] = match knob {
        Knob::Egress => &[
            "a",
            "b.c",
            "example.com",
            "*.",
            "*",
            ".",
            "..",
            "-",
            "A-1",
            "x9",
            "9x",
            "0x10",
            "0X1",
            "00a",
            "0-a",
            "7",
            "127.1",
            "10.0.0.1",
            "010.0.0.1",
            "256.1.1.1",
            "1.2.3.4.5",
            "2130706433",
            "10.0.0.0/8",
            "10.0.0.1/8",
            "/0",
            "/33",
            "/032",
            "[::1]",
            "[fd00::/8]",
            "[::ffff:10.0.0.0/104]",
            "[1:2]",
            "[",
            "]",
            "::1",
            "localhost",
            "LOCALHOST.",
            "x.localhost",
            "localhost.x",
            "b\u{fc}cher.example",
            "xn--bcher-kva.example",
            "a_b",
            "tcp://",
            "udp://",
            "TCP://",
            "http://",
            "://",
            ":",
            ":80",
            ":443",
            ":0",
            ":080",
            ":65535",
            ":65536",
            ":1-64",
            ":1-65",
            ":2-1",
            ":1-65535",
            "80",
            "1-64",
            "1-2-3",
            "-80",
            ",",
            ", ",
            " ",
            "\t",
            "\u{a0}",
            "\u{3000}",
            "\n",
            "\u{0}",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "%eth0",
            "\"",
            "\\",
        ],
        Knob::Listen | Knob::ProxyPort => &[
            "80", "8080", "0", "080", "65535", "65536", "*", "none", ",", " ", "\u{a0}", "80-90", "-", "x", "+80",
            "\u{663}",
        ],
        Knob::FdAllow => {
            &["0", "3-9", "0", "1", "7", "0-2", "2-1", "1048575", "1048576", "00", "-", ",", " ", "x", "9999999"]
        }
        Knob::FdOpen => &[
            "3=/a:ro",
            "1023=/a/..b:rw",
            "1024=/a:ro",
            "9=/..:ro",
            "8=/b/../c:rw",
            "3",
            "2",
            "7",
            "1023",
            "1024",
            "03",
            "=",
            "/data",
            "/in",
            "/..",
            "..",
            "/",
            ":",
            ":ro",
            ":rw",
            ":wo",
            ",",
            " ",
            "\n",
        ],
        Knob::FsRead | Knob::FsWrite | Knob::FsExecute => &[
            "/", "/usr", "/etc/x", "..", "/..", "...", "/...", ".", "~", "x", ",", " ", "\u{a0}", "\n", "\u{7f}",
            "\u{85}", "\u{9f}", "\u{0}", "\u{fc}", "//",
        ],
        Knob::SeccompDeny | Knob::SeccompAllow => {
            &["ptrace", "openat2", "exit", "exit_group", "ptrac", "Ptrace", "_llseek", "a-b", ",", " ", "1a", ""]
        }
        Knob::Policy => {
            &["web", "-", "1", "Web", "a", "/", ",", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]
        }
        _ => &[
            "platform",
            "cluster",
            "namespace",
            "general",
            "strict",
            "minimal",
            "model-backend",
            "sandbox-blocklist",
            "image",
            "read-only",
            "container",
            "any",
            "none",
            "privileges",
            "egress",
            "files",
            "enforce",
            "audit",
            "record",
            "Platform",
            ",",
            ", ",
            " ",
            "x",
        ],
    };
    let soup = prop::collection::vec(select(pieces), 0..7).prop_map(|pieces| pieces.concat());
    if knob != Knob::Egress {
        return soup.boxed();
    }
    // Of pieces alone few are destinations.
    let ports: Vec<&str> =
        pieces.iter().copied().filter(|piece| piece.starts_with(':') && !piece.ends_with(':')).collect();
    let right = select(&["api.example.com", "a.b.", "10.0.0.0/8", "10.1.2.3", "[::1]", "[fd00::/8]", "9x", "A-1"][..]);
    let host = prop_oneof![right, select(pieces)];
    let more = select(&["", "", "", "-90", "-70000"][..]);
    let entry = (select(&["", "", "tcp://", "udp://", "*."][..]), host, select(ports), more)
        .prop_map(|(scheme, host, port, more)| format!("{scheme}{host}{port}{more}"));
    let list = prop::collection::vec(entry, 1..4).prop_map(|entries| entries.join(", "));
    prop_oneof![soup, list].boxed()
}

#[test]
fn admission_refuses_nothing_that_the_shim_takes() {
    for knob in Knob::ALL {
        let judge = Judge::of(knob);
        let cases = match knob {
            Knob::Egress => 3000,
            Knob::SeccompDeny | Knob::SeccompAllow => 300,
            _ => 1000,
        };
        let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
        let (taken, refused) = (Cell::new(0), Cell::new(0));
        let outcome = TestRunner::new(config).run(&values(knob), |value| {
            let count = if judge.admits(&value) { &taken } else { &refused };
            count.set(count.get() + 1);
            compare(knob, &judge, &value).map_err(TestCaseError::fail)
        });
        outcome.unwrap_or_else(|error| panic!("{error}"));
        let (taken, refused) = (taken.get(), refused.get());
        assert!(taken > 3 && refused > 30, "{knob}: {taken} values were taken and {refused} refused: one-sided");
    }
}

#[test]
fn bounds_of_lists_names_and_values() {
    let label = "a".repeat(63);
    let name = |length: usize| {
        let whole = format!("{label}.{label}.{label}.{}", "a".repeat(200));
        whole[..length.min(192)].to_owned() + &"b".repeat(length.saturating_sub(192).min(63))
    };
    let many = |entry: &str, times: usize| vec![entry; times].join(",");
    let wide = |times: usize| {
        (0..times)
            .map(|n| format!("service-{n}.a-long-name.of-a-namespace.svc.cluster.local:443"))
            .collect::<Vec<_>>()
            .join(",")
    };
    for (knob, value, takes) in [
        (Knob::Listen, many("80", 256), true),
        (Knob::Listen, many("80", 257), false),
        (Knob::Egress, many("10.0.0.1:80", 256), true),
        (Knob::Egress, many("10.0.0.1:80", 257), false),
        (Knob::Egress, wide(200), true),
        (Knob::Egress, wide(256), true),
        (Knob::Egress, format!("{}:1", name(253)), true),
        (Knob::Egress, format!("{}.:1", name(253)), true),
        (Knob::Egress, format!("tcp://*.{}:1", name(253)), true),
        (Knob::Egress, format!("{}:1", name(254)), false),
        (Knob::Egress, format!("{}.:1", name(254)), false),
        (Knob::Egress, format!("*.{}:1", name(254)), false),
        (Knob::FsRead, format!("/{}", "a".repeat(16384)), false),
        (Knob::FsRead, format!("/{}", "\u{fc}".repeat(2000)), true),
    ] {
        let judge = Judge::of(knob);
        assert_eq!(
            shim(knob, &value).is_err_and(|code| SYNTAX.contains(&code)),
            !takes,
            "{knob}: the shim on {} bytes",
            value.len()
        );
        assert_eq!(judge.admits(&value), takes, "{knob}: the chart on {value}");
    }
}

#[test]
fn what_is_left_to_the_shim_is_refused_there() {
    for (knob, value) in [
        (Knob::Egress, "10.0.0.1/8:80"),
        (Knob::Egress, "[1:2]:80"),
        (Knob::Egress, "[::1::]:80"),
        (Knob::Egress, "a.b:80,1000-2000"),
        (Knob::SeccompDeny, "ptrac"),
        (Knob::SeccompAllow, "no_such_call"),
        (Knob::FsRead, &format!("/{}", "a".repeat(4095))),
        (Knob::FdOpen, "7=/a:ro,7=/b:ro"),
    ] {
        assert!(is_left_to_the_shim(knob, value), "{knob}: {value} is not listed");
        assert!(Judge::of(knob).admits(value), "{knob}: the chart refuses {value}: take it off the list");
        assert!(shim(knob, value).is_err_and(|code| SYNTAX.contains(&code)), "{knob}: nobody refuses {value}");
    }
}
