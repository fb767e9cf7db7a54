//! Images that fight: what they lack, what they put in the way, and entry points that cannot run. Where containerd's own
//! shim starts an image, ours does (or says why not); where it fails, ours fails with the same words.

use std::time::Duration;

use zerocap_e2e::pod::ContainerBuilder;
use zerocap_e2e::process::Status;
use zerocap_e2e::verdict::fail;
use zerocap_e2e::{Container, Node, Output, TestResult, ensure, ensure_eq};

use crate::{ENGINES, REFERENCES, Suite};

const LIMIT: Duration = Duration::from_secs(20);

pub fn add(suite: &mut Suite) {
    let all: Vec<&'static str> = REFERENCES.iter().chain(&ENGINES).copied().collect();
    for image in ["fight-link", "fight-dangling", "fight-file", "fight-folder"] {
        for handler in ENGINES {
            suite.with(format!("images::{image}::{handler}"), handler, move |node| in_the_way(node, handler, image));
        }
    }
    suite.each("images::bare", &all, bare);
    suite.each("images::readonly_root", &all, readonly_root);
    suite.each("images::empty_path", &all, empty_path);
    suite.each("images::preload", &all, preload);
    suite.each("images::script", &all, script);
    suite.each("images::path_search", &all, path_search);
    for (image, words) in [
        ("fight-nox", "permission denied"),
        ("fight-directory", "directory"),
        ("fight-interpreter", "no such file or directory"),
        ("fight-nomagic", "exec format error"),
        ("fight-missing", "no such file or directory"),
    ] {
        for &handler in &all {
            suite.with(format!("images::{image}::{handler}"), handler, move |node| {
                cannot_run(node, handler, image, words)
            });
        }
    }
    suite.each("images::i386", &all, i386);
}

fn with<T>(
    node: &Node,
    handler: &str,
    image: &str,
    body: impl FnOnce(ContainerBuilder<'_, '_>) -> Result<T, zerocap_e2e::Outcome>,
) -> Result<T, zerocap_e2e::Outcome> {
    crate::import_once(node, "fight")?;
    let pod = node.pod(handler).platform().start()?;
    body(pod.container("main").image(image))
}

fn confined(container: &Container<'_>, handler: &str) -> TestResult {
    if handler.starts_with("zerocap") {
        let missing = container.kernel_status()?.unconfined();
        ensure!(missing.is_empty(), "init is not confined: {missing:?}");
        let status = Status::parse(&container.exec(&["/bin/cat", "/proc/self/status"])?.stdout);
        ensure!(status.unconfined().is_empty(), "exec is not confined: {:?}", status.unconfined());
    }
    Ok(())
}

/// Something lies where our directory is mounted: refused by name, or covered; never followed.
fn in_the_way(node: &Node, handler: &str, image: &str) -> TestResult {
    with(node, handler, image, |container| match container.command(&["/bin/sleep", "100000"]).start() {
        Err(refusal) => {
            ensure!(refusal.message().contains("ZC0314"), "refused without ZC0314: {}", refusal.message());
            Ok(())
        }
        Ok(container) => {
            ensure!(image == "fight-folder", "a start was risked although the name is taken");
            confined(&container, handler)
        }
    })
}

fn bare(node: &Node, handler: &str) -> TestResult {
    with(node, handler, "fight-bare", |c| confined(&c.command(&["/bin/sleep", "100000"]).start()?, handler))
}

fn readonly_root(node: &Node, handler: &str) -> TestResult {
    with(node, handler, "fight-bare", |c| {
        let container = c.readonly_root().command(&["/bin/sleep", "100000"]).start()?;
        ensure!(container.sh("echo x > /file")?.code != 0, "the root is writable");
        confined(&container, handler)
    })
}

fn empty_path(node: &Node, handler: &str) -> TestResult {
    with(node, handler, "fight-nopath", |c| {
        let container = c.command(&["/bin/sleep", "100000"]).start()?;
        said(&container.exec(&["/bin/echo", "here"])?, "here")?;
        confined(&container, handler)
    })
}

/// The image's LD_PRELOAD reaches its own programs unchanged, and not ours: the launcher is static.
fn preload(node: &Node, handler: &str) -> TestResult {
    with(node, handler, "fight-preload", |c| {
        let container = c.command(&["/bin/sleep", "100000"]).start()?;
        said(&container.exec(&["/bin/sh", "-c", "echo $LD_PRELOAD $LD_AUDIT"])?, "/lib/evil.so /lib/evil.so")?;
        confined(&container, handler)
    })
}

fn script(node: &Node, handler: &str) -> TestResult {
    with(node, handler, "fight-script", |c| {
        let container = c.start()?;
        ensure_eq!(container.wait(LIMIT)?, 0, "exit code");
        ensure_eq!(container.log()?, "script:/app:one two words", "what the script saw");
        Ok(())
    })
}

/// A program without a slash is looked for in PATH, relative ones from the working directory.
fn path_search(node: &Node, handler: &str) -> TestResult {
    with(node, handler, "fight-script", |c| {
        let container = c.cwd("/bin").command(&["sleep", "100000"]).start()?;
        said(&container.exec(&["echo", "found"])?, "found")?;
        said(&container.exec(&["./echo", "relative"])?, "relative")?;
        let Err(refusal) = container.exec(&["no-such-program"]) else { return fail("an unknown program was started") };
        ensure!(refusal.message().contains("not found"), "an unknown program: {}", refusal.message());
        Ok(())
    })
}

fn cannot_run(node: &Node, handler: &str, image: &str, words: &str) -> TestResult {
    with(node, handler, image, |c| {
        let container = c.create()?;
        let message = match container.start() {
            Err(refusal) => refusal.message().to_owned(),
            // Engines find some of these only after their start has returned.
            Ok(()) if REFERENCES.contains(&handler) => {
                ensure!(container.wait(LIMIT)? != 0, "{image} ran");
                return Ok(());
            }
            Ok(()) => return fail(format!("{image} was started")),
        };
        // crun has words of its own for two of them.
        let known = message.to_lowercase().contains(words) || (handler == "crun" && message.contains("/app` "));
        ensure!(known, "{image} should fail with `{words}`: {message}");
        container.remove()?;
        Ok(())
    })
}

/// A 32-bit program runs where the kernel can; under platform mode it is refused with a sentence, not killed silently.
fn i386(node: &Node, handler: &str) -> TestResult {
    with(node, handler, "fight-32bit", |c| {
        let container = c.create()?;
        if handler.starts_with("zerocap") {
            let Err(refusal) = container.start() else { return fail("a 32-bit program was started") };
            ensure!(refusal.message().contains("ZC0620"), "no code: {}", refusal.message());
            return Ok(());
        }
        container.start()?;
        ensure_eq!(container.wait(LIMIT)?, 32, "exit code");
        Ok(())
    })
}

fn said(output: &Output, wanted: &str) -> TestResult {
    ensure!(output.code == 0, "exit code {}: {}{}", output.code, output.stdout, output.stderr);
    ensure_eq!(output.stdout.trim(), wanted, "standard output");
    Ok(())
}
