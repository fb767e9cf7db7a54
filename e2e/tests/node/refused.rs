//! Bad input: refused with its code, in one line, as `kubectl describe` would show it; nothing stays behind.

use std::collections::BTreeSet;
use std::fs;

use zerocap_e2e::pod::{PLATFORM, PodBuilder};
use zerocap_e2e::verdict::fail;
use zerocap_e2e::{Node, TestResult, ensure, leak, node};

use crate::{ENGINES, Suite};

/// A row: its name, how the pod is made, the code that the refusal must carry.
type Row = (&'static str, fn(PodBuilder<'_>) -> PodBuilder<'_>, &'static str);

const TABLE: &[Row] = &[
    ("unknown_knob", |p| p.platform().annotate("zerocap.io/proxyport", "3128"), "ZC0101"),
    ("bad_mode", |p| p.annotate(PLATFORM.0, "plattform"), "ZC0102"),
    ("bad_port", |p| p.platform().annotate("zerocap.io/proxy-port", "70000"), "ZC0102"),
    ("bad_path", |p| p.platform().annotate("zerocap.io/fs-write", "relative/path"), "ZC0102"),
    ("conflicting_spellings", |p| p.platform().annotate("zerocap.io/network-enforcement", "cluster"), "ZC0103"),
    ("over_the_size_limit", |p| p.platform().annotate("zerocap.io/fs-read", &"/x,".repeat(100_000)), "ZC0104"),
    ("exception_without_mode", |p| p.annotate("unix.zerocap.io/main", "any"), "ZC0105"),
    ("exception_stricter", |p| p.platform().annotate("filesystem.zerocap.io/main", "read-only"), "ZC0106"),
    ("not_supported", |p| p.platform().annotate("zerocap.io/fd-allow", "0-2"), "ZC0109"),
    (
        "contradiction",
        |p| p.platform().annotate("zerocap.io/filesystem", "read-only").annotate("zerocap.io/fs-write", "/data"),
        "ZC0110",
    ),
    ("mode_not_permitted", |p| p.platform().annotate("zerocap.io/mode", "audit"), "ZC0208"),
    ("no_such_policy", |p| p.platform().annotate("zerocap.io/policy", "nobody-wrote-it"), "ZC0209"),
    ("host_network", |p| p.platform().host_network(), "ZC0304"),
    ("privileged", |p| p.platform().privileged(), "ZC0305"),
    ("promise_only_partly_kept", |p| p.platform().annotate("zerocap.io/require", "neighbours"), "ZC0502"),
];

pub fn add(suite: &mut Suite) {
    for (name, build, code) in TABLE {
        for handler in [ENGINES[1], ENGINES[2], "zerocap-runtimepath"] {
            suite.with(format!("refused::{name}::{handler}"), handler, move |node| {
                refused(node, build(node.pod(handler)), code)
            });
        }
    }
    suite.each("refused::no_engine", &["zerocap-noengine"], no_engine);
    suite.each("refused::floor_that_does_not_parse", &[ENGINES[1]], bad_floor);
}

fn refused(node: &Node, pod: PodBuilder<'_>, code: &str) -> TestResult {
    let message = match pod.start() {
        Err(refusal) => refusal.message().to_owned(),
        Ok(pod) => match pod.sleeper("main") {
            Err(refusal) => format!("{} (sandbox {})", refusal.message(), pod.id),
            Ok(_) => return fail("it was started"),
        },
    };
    ensure!(message.contains(code), "refused without {code}: {message}");
    ensure!(!message.contains('\n'), "more than one line: {message}");
    let ids = ids(&message);
    // containerd 1.7 names none: what stays is then found when all tests have ended.
    ensure!(!ids.is_empty() || node::is_containerd_1(), "no id to look for: {message}");
    for id in ids {
        let left = leak::appeared(node, &BTreeSet::new(), Some(&id))?;
        ensure!(left.is_empty(), "left behind: {}", left.join(", "));
    }
    Ok(())
}

/// Container ids in a message: containerd names the sandbox or container that it could not start.
fn ids(message: &str) -> Vec<String> {
    let words = message.split(|c: char| !c.is_ascii_hexdigit());
    words.filter(|w| w.len() == 64).map(str::to_owned).collect()
}

/// The engine's name stands in double quotes, as with containerd's own shim.
fn no_engine(node: &Node, handler: &str) -> TestResult {
    let Err(refusal) = node.pod(handler).start() else { return fail("it was started without an engine") };
    let message = refusal.message();
    ensure!(message.contains("\"/nonexistent/engine\""), "the engine is not named: {message}");
    ensure!(message.contains("ZC0801"), "no code: {message}");
    Ok(())
}

/// A floor that cannot be read refuses every pod, annotated or not. It concerns the whole node, so on a node of its own.
fn bad_floor(_: &Node, handler: &str) -> TestResult {
    let mut node = Node::start()?;
    fs::write(node.path("/etc/zerocap/floor.toml"), "version = 1\n[defaults\n")?;
    refused(&node, node.pod(handler), "ZC0201")?;
    refused(&node, node.pod(handler).platform(), "ZC0201")?;
    fs::remove_file(node.path("/etc/zerocap/floor.toml"))?;
    drop(node.pod(handler).platform().start()?);
    node.down()?;
    Ok(())
}
