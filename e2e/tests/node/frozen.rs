//! The policy is fixed when the sandbox is made. Annotations are mutable, and the kubelet reads them again for each
//! container: a later difference must not loosen anything.

use zerocap_e2e::attack::PROGRAM;
use zerocap_e2e::pod::PLATFORM;
use zerocap_e2e::{Node, TestResult, ensure};

use crate::{ENGINES, Suite};

pub fn add(suite: &mut Suite) {
    suite.each("frozen::annotation_removed_later", &ENGINES, |n, h| later(n, h, &[]));
    suite.each("frozen::mode_loosened_later", &ENGINES, |n, h| later(n, h, &[(PLATFORM.0, "cluster")]));
    suite.each("frozen::knob_loosened_later", &ENGINES, |n, h| later(n, h, &[PLATFORM, ("zerocap.io/listen", "*")]));
    suite.each("frozen::annotation_added_later", &ENGINES, added);
}

/// A platform pod whose annotations are different when its second container is made: confined as before, or refused.
fn later(node: &Node, handler: &str, now: &[(&str, &str)]) -> TestResult {
    crate::import_once(node, &format!("attacks={PROGRAM}"))?;
    let pod = node.pod(handler).platform().start()?;
    let container =
        match pod.container("later").image("attacks").pod_annotations_now(now).command(&["sleep", "100000"]).start() {
            Ok(container) => container,
            Err(refusal) => {
                ensure!(refusal.message().contains("ZC"), "refused without a code: {}", refusal.message());
                return Ok(());
            }
        };
    let missing = container.kernel_status()?.unconfined();
    ensure!(missing.is_empty(), "init is not confined: {missing:?}");
    let tried = container.exec(&["/attacks", "tcp4", "udp4", "bind_tcp", "listen_without_bind"])?.stdout;
    ensure!(!tried.contains("SUCCEEDED") && tried.lines().count() == 4, "loosened: {tried}");
    Ok(())
}

/// The other way round: never half a confinement.
fn added(node: &Node, handler: &str) -> TestResult {
    let pod = node.pod(handler).start()?;
    match pod.container("later").pod_annotations_now(&[PLATFORM]).command(&["sleep", "100000"]).start() {
        Ok(container) => {
            let missing = container.kernel_status()?.unconfined();
            ensure!(missing.is_empty(), "started, but not confined: {missing:?}");
        }
        Err(refusal) => ensure!(refusal.message().contains("ZC"), "refused without a code: {}", refusal.message()),
    }
    Ok(())
}
