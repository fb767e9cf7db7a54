//! The floor: what the node's administrator demands, annotation or not. It concerns a whole node, so these tests have
//! nodes of their own.

use std::fs;

use zerocap_e2e::{Node, TestResult, ensure};

use crate::{ENGINES, Suite};

pub fn add(suite: &mut Suite) {
    // The second encoding has no option for a floor: there only the file can demand one.
    suite.each("floor::default_for_the_node", &[ENGINES[1], "zerocap-runtimepath"], default_for_the_node);
    suite.each("floor::one_namespace", &[ENGINES[1]], one_namespace);
    suite.each("floor::annotations_only_tighten", &[ENGINES[1]], only_tighten);
}

/// Runs `body` on a fresh node with that floor file.
fn with(floor: &str, body: impl FnOnce(&Node) -> TestResult) -> TestResult {
    let mut node = Node::start()?;
    fs::write(node.path("/etc/zerocap/floor.toml"), floor)?;
    let result = body(&node);
    node.down()?;
    result
}

fn confined(node: &Node, handler: &str, namespace: &str) -> Result<Vec<String>, zerocap_e2e::Outcome> {
    let pod = node.pod(handler).namespace(namespace).start()?;
    let main = pod.sleeper("main")?;
    let status = main.kernel_status()?;
    // An ordinary restricted pod has no capabilities either; the second filter is ours.
    let mut missing = status.unconfined();
    if status.get("Seccomp_filters") < "2" {
        missing.push(format!("Seccomp_filters {}", status.get("Seccomp_filters")));
    }
    Ok(missing)
}

fn default_for_the_node(_: &Node, handler: &str) -> TestResult {
    with("version = 1\n[defaults]\nnetwork-enforcement = \"platform\"\n", |node| {
        let missing = confined(node, handler, "any")?;
        ensure!(missing.is_empty(), "a pod without annotations is not confined: {missing:?}");
        Ok(())
    })
}

fn one_namespace(_: &Node, handler: &str) -> TestResult {
    let floor =
        "version = 1\n[[section]]\nnamespaces = [\"prod-*\"]\n[section.defaults]\nnetwork-enforcement = \"platform\"\n";
    with(floor, |node| {
        let missing = confined(node, handler, "prod-web")?;
        ensure!(missing.is_empty(), "a pod of the namespace is not confined: {missing:?}");
        let missing = confined(node, handler, "staging")?;
        ensure!(!missing.is_empty(), "a pod of another namespace is confined");
        Ok(())
    })
}

fn only_tighten(_: &Node, handler: &str) -> TestResult {
    with(
        "version = 1\n[defaults]\nnetwork-enforcement = \"platform\"\n[ceilings]\nnetwork-enforcement = \"platform\"\n",
        |node| {
            let Err(refusal) = node.pod(handler).annotate("network-enforcement", "cluster").start() else {
                return zerocap_e2e::verdict::fail("an annotation went below the floor");
            };
            ensure!(refusal.message().contains("ZC0207"), "refused without ZC0207: {}", refusal.message());
            Ok(())
        },
    )
}
