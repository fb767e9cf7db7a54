//! Odd names of programs: ours runs what containerd's own shim runs, and fails where that fails.

use zerocap_e2e::{Container, Node, TestResult, ensure};

use crate::{ENGINES, REFERENCES, Suite};

/// Files that are programs, or look like some.
const PREPARE: &str = r"mkdir /tmp/d && cd /tmp/d
printf '#!/tmp/d/two\n' >one; printf '#!/tmp/d/three\n' >two; printf '#!/bin/echo\n' >three; printf '#!/tmp/d/loop\n' >loop
printf '#!\n' >empty; printf 'echo plain\n' >plain; printf '#!/bin/echo a b\r\n' >carriage; mkfifo fifo; ln -s self self
cp /bin/busybox echo; ln -s echo chmod; chmod 755 one two three loop empty plain carriage fifo; chmod 111 echo; cp /bin/busybox not; chmod 644 not";

pub fn add(suite: &mut Suite) {
    let all: Vec<&'static str> = REFERENCES.iter().chain(&ENGINES).copied().collect();
    suite.each("programs::odd_names", &all, odd_names);
    suite.each("programs::the_launcher_by_hand", &ENGINES, by_hand);
}

fn odd_names(node: &Node, handler: &str) -> TestResult {
    let pod = node.pod(handler).platform().start()?;
    let main = pod.sleeper("main")?;
    let prepared = main.sh(PREPARE)?;
    ensure!(prepared.code == 0, "the files cannot be made: {prepared:?}");
    let (long, deep) = (format!("/{}", "x".repeat(5000)), format!("/{}bin/echo", "./".repeat(2040)));
    // What it prints, or nothing where it cannot run.
    let cases: &[(&[&str], Option<&str>)] = &[
        (&[""], None),
        (&["."], None),
        (&["/"], None),
        (&["/dev/null"], None),
        (&["/dev/stdin"], None),
        (&["/proc/self/fd/3"], None),
        (&["/bin/echo\n"], None),
        (&[&long], None),
        (&["/tmp/d/loop"], None),
        (&["/tmp/d/empty"], None),
        (&["/tmp/d/plain"], None),
        (&["/tmp/d/fifo"], None),
        (&["/tmp/d/self"], None),
        (&["/tmp/d/not"], None),
        (&[&deep, "deep"], Some("deep\n")),
        (&["//bin//echo", "slashes"], Some("slashes\n")),
        (&["bin/echo", "relative"], Some("relative\n")),
        (&["echo", "two\nlines\u{7}", ""], Some("two\nlines\u{7} \n")),
        (&["/tmp/d/echo", "unreadable"], Some("unreadable\n")),
        (&["/tmp/d/one", "word"], Some("/tmp/d/three /tmp/d/two /tmp/d/one word\n")),
        (&["/tmp/d/carriage"], Some("a b\r /tmp/d/carriage\n")),
    ];
    for (words, expected) in cases {
        let (said, why) = outcome(&main, words);
        let shown: String = format!("{words:?}").chars().take(60).collect();
        ensure!(said.as_deref() == *expected, "{shown}: {said:?}, not {expected:?}: {why}");
    }
    Ok(())
}

fn outcome(container: &Container<'_>, words: &[&str]) -> (Option<String>, String) {
    match container.exec(words) {
        Ok(output) if output.code == 0 => (Some(output.stdout), output.stderr),
        Ok(output) => (None, output.stderr),
        Err(refusal) => (None, refusal.message().to_owned()),
    }
}

/// The workload may run the launcher like any program: without a plan it does nothing, and nothing is lost by that.
fn by_hand(node: &Node, handler: &str) -> TestResult {
    let pod = node.pod(handler).platform().start()?;
    let main = pod.sleeper("main")?;
    let script = "printf '#!/.zerocap/launcher\\n' >/tmp/script && chmod 755 /tmp/script && echo plan >/tmp/plan";
    ensure!(main.sh(script)?.code == 0, "the script cannot be made");
    for line in [
        "/.zerocap/launcher /bin/echo escaped",
        "/tmp/script /bin/echo escaped",
        "/.zerocap/launcher /bin/echo escaped 3</tmp/plan 4>/tmp/record 5</dev/zero",
        "/.zerocap/launcher /bin/echo escaped 3</.zerocap/launcher 4>/tmp/record 5</dev/zero",
    ] {
        let output = main.sh(line)?;
        ensure!(output.code == 125 || output.code == 1, "`{line}`: {output:?}");
        ensure!(!output.stdout.contains("escaped"), "`{line}` ran a program: {output:?}");
    }
    Ok(())
}
