//! docs/attacks.md lists the corpus as it is run: `ZEROCAP_DOCS=write cargo test -p zerocap-e2e --test docs` renews it.

use std::fmt::Write;
use std::fs;

use zerocap_e2e::Profile;
use zerocap_e2e::attack::table::{GROUPS, NOT_COVERED, OPEN, World};
use zerocap_e2e::node::repository;

const HEAD: &str = "# Attacks

Each attack is a small program in `e2e/attacks/`. It runs in a confined pod, as exec with runc, crun and the embedded engine and as
init with crun, and must be refused; and in the same run in a pod under plain runc (the control), where it must succeed. A control
that fails because the kernel has no such thing is counted as skipped. Packets are judged by an observer on the wire.

`hack/test e2e` runs them all; `cargo test -p zerocap-e2e --test node -- attacks::network::udp4` runs one.

A control is *restricted* (the same pod under runc), *unconfined* (the same without seccomp), *escalating* (the same, and setuid
programs may raise privileges) or *root* (uid 0, all capabilities, no seccomp): the least with which the attack succeeds.

| would break | in a pod | control | attacks |
|---|---|---|---|
";

fn world(world: World) -> &'static str {
    match world {
        World::Network => "with a second container",
        World::Datagrams => "with a destination for datagrams",
        World::Neighbour => "with shared processes",
        World::ReadOnly => "with `filesystem: read-only`",
        World::Lists => "with path lists",
    }
}

fn control(profile: Profile) -> String {
    format!("{profile:?}").to_lowercase()
}

#[test]
fn the_page_of_attacks_is_the_corpus() {
    let mut text = HEAD.to_owned();
    let mut count = 0;
    for group in GROUPS {
        count += group.names.len();
        let names = group.names.join(", ");
        writeln!(text, "| {} | {} | {} | {names} |", group.promise, world(group.world), control(group.control))
            .unwrap();
    }
    writeln!(text, "\n{count} attacks. What gets through, and why; the enforcement report says the same:\n").unwrap();
    for open in OPEN {
        writeln!(text, "- {}: {}", open.name, open.reason).unwrap();
    }
    writeln!(text, "\nTried, and covered by no promise unless the mount is read-only: {}.", NOT_COVERED.join(", "))
        .unwrap();
    let file = repository().join("docs/attacks.md");
    if std::env::var_os("ZEROCAP_DOCS").is_some() {
        fs::write(&file, &text).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert!(written == text, "docs/attacks.md is old: ZEROCAP_DOCS=write cargo test -p zerocap-e2e --test docs");
}
