//! A node whose kernel lacks what confinement takes: containerd and everything that it starts runs without bpf(2) and Landlock's system
//! calls, as on a kernel without them. The node gets labels that tell, and pods that need more stay Pending with a reason; nothing
//! crashes again and again but the installer, which says why.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;
use zerocap_e2e::cluster::Helm;
use zerocap_e2e::layout::Layout;
use zerocap_e2e::verdict::skip;
use zerocap_e2e::{TestResult, ensure, node};

use crate::Suite;
use crate::installer::{Rig, import};
use crate::manifest::{Namespace, annotated, restricted};

pub fn add(suite: &mut Suite) {
    suite.add_alone("poor::node_without_landlock_and_bpf", |_| poor());
}

/// bpf; landlock_create_ruleset, landlock_add_rule, landlock_restrict_self. asm/unistd_64.h, asm-generic/unistd.h.
const MISSING: &str = if cfg!(target_arch = "x86_64") { "321 444 445 446" } else { "280 444 445 446" };
const RESTART: &str = zerocap_e2e::layout::RESTART;

fn poor() -> TestResult {
    let mut rig = Rig::start(Helm::Four, Layout::Version3)?;
    if import(&rig.cluster, &node::release_folder(), "1")?.is_none() {
        return skip("these programs are linked dynamically: `make build` makes static ones");
    }
    let values = rig.values()?;
    // The node's own PATH has this folder first.
    let wrapper = rig.cluster.dir().join("bin/containerd");
    let real = rig.node("command -v containerd")?;
    let denied = env!("CARGO_BIN_EXE_zerocap-denied");
    fs::write(&wrapper, format!("#!/bin/sh\nexec {denied} {MISSING} -- {} \"$@\"\n", real.trim()))?;
    fs::set_permissions(&wrapper, PermissionsExt::from_mode(0o755))?;
    rig.node(RESTART)?;
    let filters = rig.node("grep ^Seccomp_filters: /proc/$(cat /run/node/containerd.pid)/status")?;
    ensure!(filters.trim().ends_with('1'), "containerd has no filter: {filters:?}");

    rig.apply(&values)?;
    rig.until("the installer's reason", || Ok(rig.said().contains("ZC1111")))?;
    for label in ["ready", "packet-fence", "landlock-files", "landlock-tcp", "landlock-scopes", "landlock-unix"] {
        rig.until(&format!("the label {label}"), || rig.is_labelled(&format!("zerocap.io/{label}=false")))?;
    }
    // What still works is not denied.
    ensure!(rig.is_labelled("zerocap.io/seccomp=true")?, "no label for seccomp: {}", rig.said());

    let space = Namespace::new(&rig.cluster)?;
    space.create(&restricted("by-class"))?;
    let mut selects = annotated(restricted("by-label"), &[]);
    selects["spec"]["runtimeClassName"] = json!(null);
    selects["spec"]["nodeSelector"] = json!({ "zerocap.io/packet-fence": "true" });
    space.create(&selects)?;
    let mut plain = selects.clone();
    plain["metadata"]["name"] = json!("plain");
    plain["spec"]["nodeSelector"] = json!(null);
    plain["spec"]["tolerations"] = json!([{ "operator": "Exists" }]);
    // The control: the node runs what needs nothing of it.
    space.run(&plain)?;
    for pod in ["by-class", "by-label"] {
        rig.until(&format!("why {pod} is not scheduled"), || {
            let story = space.story(pod);
            Ok(story.contains("FailedScheduling") && story.contains("didn't match Pod's node affinity/selector"))
        })?;
        let phase = space.kubectl(&["get", "pod", pod, "-ojsonpath={.status.phase} {.status.containerStatuses}"])?;
        ensure!(phase.trim() == "Pending", "{pod} is {phase}");
    }

    // The same node with all of its kernel. What a kernel can do is remembered for one boot.
    fs::remove_file(&wrapper)?;
    rig.node(&format!("rm /run/zerocap/host.json; {RESTART}"))?;
    rig.kubectl(&["delete", "pods", "-l", "app.kubernetes.io/component=installer", "--now"])?;
    rig.done()?;
    for pod in ["by-class", "by-label"] {
        space.kubectl(&["wait", "--for=condition=Ready", "--timeout=120s", &format!("pod/{pod}")])?;
    }
    drop(space);
    Ok(rig.cluster.down()?)
}
