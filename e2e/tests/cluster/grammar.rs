//! Hundreds of values, right and wrong, to the real API server and to `zerocap explain`: admission must never refuse what the shim takes,
//! and takes what the shim refuses only where that is listed.

use std::collections::BTreeMap;
use std::io;

use serde_json::{Value, json};
use zerocap_e2e::cluster::Cluster;
use zerocap_e2e::{TestResult, ensure, ensure_eq};

use crate::Suite;
use crate::admission::{PLATFORM, explained};
use crate::manifest::{Namespace, annotated, restricted};

pub fn add(suite: &mut Suite) {
    suite.add("grammar::same_verdict_for_hundreds_of_values", generated);
    suite.add("grammar::same_sentence_as_explain", sentences);
    suite.add("grammar::largest_values_are_judged", largest);
}

/// What the API server says of each pod with these annotations; nothing if it takes it. One call for all of them.
fn asked(cluster: &Cluster, all: &[Vec<(&str, &str)>]) -> io::Result<BTreeMap<usize, String>> {
    let space = Namespace::new(cluster)?;
    let pod = |(number, annotations): (usize, &Vec<_>)| annotated(restricted(&format!("p{number}")), annotations);
    let pods: Vec<Value> = all.iter().enumerate().map(pod).collect();
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": pods });
    let output =
        cluster.exec(&["kubectl", "-n", &space.name, "create", "--dry-run=server", "-f", "-"], &list.to_string())?;
    let (taken, text) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let said: BTreeMap<usize, String> = text
        .split("Error from server ")
        .filter_map(|part| {
            let (number, said) = part.split_once("pods \"p")?.1.split_once('"')?;
            let sentence = said.find("ZC0").map_or(said, |at| &said[at..]);
            Some((number.parse().ok()?, sentence.trim_end().to_owned()))
        })
        .collect();
    // Nobody is left out: each is taken or refused.
    let count = taken.lines().filter(|line| line.starts_with("pod/p")).count();
    if count + said.len() != all.len() {
        return Err(io::Error::other(format!("{count} taken, {} refused, of {}: {text}", said.len(), all.len())));
    }
    Ok(said)
}

/// Values without end, the same ones each time: a linear congruential generator.
struct Values(u64);

impl Values {
    fn of<'a>(&mut self, from: &[&'a str]) -> &'a str {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        from[(self.0 >> 33) as usize % from.len()]
    }

    fn destination(&mut self) -> String {
        let scheme = self.of(&["", "", "", "tcp://", "udp://", "TCP://", "http://", "tcp:"]);
        let host = self.of(&[
            "api.example.com",
            "API.Example.com.",
            "*.models.example",
            "*.A.b.",
            "*",
            "*.",
            "a.*.b",
            "xn--bcher-kva.example",
            "b\u{fc}cher.example",
            "10.1.2.3",
            "10.0.0.0/8",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "0.0.0.0/0",
            "010.0.0.1",
            "127.1",
            "0x7f000001",
            "2130706433",
            "1.2.3.4.5",
            "10.0.0.1.",
            "a.0x10",
            "[fd00::/8]",
            "[::1]",
            "[::ffff:10.0.0.0/104]",
            "[fe80::1%eth0]",
            "[10.0.0.0/8]",
            "fd00::1",
            "[1:2]",
            "localhost",
            "x.LOCALHOST.",
            "a_b",
            "a..b",
            ".a",
            "-a.b",
            "a-.b",
            "9x",
            "",
        ]);
        let port =
            self.of(&[":443", ":443", ":1-64", ":1-65", ":1-65535", ":2-1", ":0", ":080", ":65536", ":http", ":", ""]);
        format!("{scheme}{host}{port}")
    }

    fn egress(&mut self) -> String {
        let separator = self.of(&[",", ", ", " ,", ",,"]);
        let more = self.of(&["", "", "", ",80", ", 8000-8010", ",", ",0", "\u{a0}", "\t", "\n"]);
        match self.of(&["one", "one", "two", "port"]) {
            "one" => format!("{}{more}", self.destination()),
            "two" => format!("{}{separator}{}{more}", self.destination(), self.destination()),
            _ => format!("443{separator}{}", self.destination()),
        }
    }

    fn list(&mut self, from: &[&str]) -> String {
        let separator = self.of(&[",", ",", ", ", ",,", ";"]);
        let many = self.of(&["1", "1", "2", "3"]).len();
        (0..=many).map(|_| self.of(from)).collect::<Vec<_>>().join(separator)
    }

    fn value(&mut self, knob: &str) -> String {
        match knob {
            "egress" => self.egress(),
            "listen" => self.list(&[
                "80", "8080", "65535", "65536", "0", "080", "*", "none", "80-90", "http", " 81", "+80", "\u{a0}82",
            ]),
            "proxy-port" => {
                self.of(&["3129", " 3129", "3129 ", "0", "65536", "three", "03128", "8080,8081", "*"]).to_owned()
            }
            "fs-read" | "fs-write" | "fs-execute" => self.list(&[
                "/",
                "/usr",
                "/etc/../x",
                "/..",
                "/a..b",
                "usr",
                "~/x",
                "/a b",
                " /lib ",
                "/\u{7f}",
                "/\u{fc}",
            ]),
            "seccomp" => {
                self.list(&["general", "strict", "minimal", "model-backend", "sandbox-blocklist", "generel", "General"])
            }
            "seccomp-deny" => self.list(&["ptrace", "openat2", "mkdri", "Ptrace", "a-b", "exit_group"]),
            "require" => self.list(&["egress", "inbound", "files", "egres", "all"]),
            "fd-allow" => self.list(&["0-2", "7", "2-1", "1048575", "1048576", "00", "x"]),
            "fd-open" => {
                self.list(&["7=/data:ro", "8=/out:rw", "2=/x:ro", "1024=/x:ro", "9=/../x:ro", "9=x:ro", "9=/x:wo"])
            }
            "policy" => self.of(&["web", "Web", "a.b", "-a", "a-", "\u{e4}"]).to_owned(),
            "filesystem" => self.of(&["image", "read-only", "readonly", " image ", "Image", ""]).to_owned(),
            "unix" => self.of(&["container", "any", "none", "all", "none,any"]).to_owned(),
            _ => self.of(&["enforce", "audit", "record", "loose", "Enforce", " enforce"]).to_owned(),
        }
    }
}

const KNOBS: [&str; 18] = [
    "egress",
    "egress",
    "egress",
    "egress",
    "egress",
    "listen",
    "proxy-port",
    "fs-read",
    "fs-write",
    "fs-execute",
    "seccomp",
    "seccomp-deny",
    "require",
    "fd-allow",
    "fd-open",
    "filesystem",
    "unix",
    "mode",
];

/// Why the shim refuses what admission takes: not the form of a value.
fn is_for_the_shim(said: &str, value: &str) -> bool {
    // The version, the floor, an order, or another knob.
    let not_the_form =
        ["ZC0105", "ZC0106", "ZC0109", "ZC02", "ZC03", "ZC04", "ZC05"].iter().any(|code| said.starts_with(code));
    // Bits of a network, spellings of IPv6, ports that follow a name, names of calls.
    let no_expression_says_it = value.contains('/') && said.contains("no destination")
        || value.contains('[') && said.contains("no destination")
        || said.contains("more than 64 ports")
        || said.contains("no name of a system call")
        || said.contains("names descriptor");
    not_the_form || said.starts_with("ZC0102") && no_expression_says_it
}

fn generated(cluster: &Cluster) -> TestResult {
    const EACH: usize = 25;
    let mut values = Values(7);
    let mut cases = Vec::new();
    for knob in KNOBS {
        for number in 0..EACH {
            let key = if number % 4 == 3 && !["proxy-port", "fd-open"].contains(&knob) {
                format!("{knob}.zerocap.io/main")
            } else {
                format!("zerocap.io/{knob}")
            };
            cases.push((key, values.value(knob)));
        }
    }
    let all: Vec<Vec<(&str, &str)>> =
        cases.iter().map(|(key, value)| vec![PLATFORM, (key.as_str(), value.as_str())]).collect();
    let server = asked(cluster, &all)?;
    let (mut both, mut neither, mut left) = (0, 0, 0);
    let mut wrong = Vec::new();
    for (number, annotations) in all.iter().enumerate() {
        let (_, value) = annotations[1];
        match (explained(annotations)?, server.get(&number)) {
            (None, None) => neither += 1,
            (Some(shim), Some(said)) if said.starts_with(&shim[..6]) => both += 1,
            (Some(shim), None) if is_for_the_shim(&shim, value) => left += 1,
            (shim, said) => wrong.push(format!("{annotations:?}: explain says {shim:?}, the API server {said:?}")),
        }
    }
    ensure!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), all.len(), wrong.join("\n"));
    // The values are no good if they are all alike.
    ensure!(both > 100 && neither > 60, "{both} refused by both, {neither} taken by both, {left} left to the shim");
    println!("grammar: {both} refused by both, {neither} taken by both, {left} left to the shim");
    Ok(())
}

/// Values for which admission says word by word what `zerocap explain` says.
const SAME: &[(&str, &str)] = &[
    ("zerocap.io/egress", "example.com"),
    ("zerocap.io/egress", "a.b:1, http://c:80"),
    ("zerocap.io/egress", "b\u{fc}cher.example:443"),
    ("zerocap.io/egress", "localhost:80"),
    ("zerocap.io/egress", "443"),
    ("zerocap.io/egress", "a:1,,b:2"),
    ("zerocap.io/listen", ""),
    ("zerocap.io/listen", "http"),
    ("listen.zerocap.io/main", "80,65536"),
    ("zerocap.io/proxy-port", "three"),
    ("zerocap.io/fs-read", "/usr, etc"),
    ("zerocap.io/require", "everything"),
    ("zerocap.io/fd-allow", "0-"),
    ("zerocap.io/fd-open", "2=/x:ro"),
    ("zerocap.io/policy", "Not_a_policy"),
    ("zerocap.io/mode", "whatever-else"),
];

fn sentences(cluster: &Cluster) -> TestResult {
    let all: Vec<Vec<(&str, &str)>> = SAME.iter().map(|case| vec![PLATFORM, *case]).collect();
    let server = asked(cluster, &all)?;
    for (number, annotations) in all.iter().enumerate() {
        let shim = explained(annotations)?.unwrap_or_default();
        let said = server.get(&number).map_or("", String::as_str);
        ensure_eq!(said, shim, "{:?}", annotations[1]);
    }
    Ok(())
}

/// The API server gives each policy a budget: what is as large as the shim takes must not be refused for its price.
fn largest(cluster: &Cluster) -> TestResult {
    let wide: Vec<String> =
        (0..256).map(|n| format!("service-{n}.a-long-name.of-a-namespace.svc.cluster.local:443")).collect();
    let (egress, listen) = (wide.join(","), (1..=256).map(|n| n.to_string()).collect::<Vec<_>>().join(","));
    let paths = (0..256).map(|n| format!("/usr/share/application-{n}/of/some/depth")).collect::<Vec<_>>().join(",");
    // As much as is judged at all, and more than that.
    let much = vec![
        PLATFORM,
        ("zerocap.io/egress", &egress),
        ("egress.zerocap.io/main", &egress),
        ("zerocap.io/fs-read", &paths),
        ("zerocap.io/listen", &listen),
    ];
    let addresses = (0..256).map(|n| format!("10.1.2.{n}:443")).collect::<Vec<_>>().join(",");
    let short = vec![PLATFORM, ("zerocap.io/egress", &addresses), ("egress.zerocap.io/main", &addresses)];
    let more_still = [&much[..], &[("zerocap.io/fs-write", &paths), ("zerocap.io/fs-execute", &paths)]].concat();
    let (more, long) = (format!("{listen},257"), format!("/{}", "a".repeat(16384)));
    let server = asked(
        cluster,
        &[
            much,
            more_still,
            short,
            vec![PLATFORM, ("zerocap.io/listen", &more)],
            vec![PLATFORM, ("zerocap.io/fs-read", &long)],
        ],
    )?;
    for number in [0, 1, 2] {
        let said = server.get(&number).map_or("", String::as_str);
        ensure!(said.is_empty(), "{number} is refused: {said:.300}");
    }
    for number in [3, 4] {
        let said = server.get(&number).map_or("", String::as_str);
        ensure!(said.starts_with("ZC0104"), "{number}: {said:.300}");
    }
    Ok(())
}
