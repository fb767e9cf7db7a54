//! The chart: installed as a user installs it, and what it says about values that cannot be meant.

use std::io;

use zerocap_e2e::cluster::{Cluster, Helm};
use zerocap_e2e::{TestResult, ensure, node};

use crate::Suite;

/// Where Helm finds it.
pub fn folder() -> String {
    node::repository().join("charts/zerocap").display().to_string()
}

/// What the README says, with an image that the private cluster has. Policies take a moment to bite.
pub fn install(cluster: &Cluster) -> io::Result<()> {
    let image = format!("test.image={}", node::image("busybox"));
    cluster.helm(&[
        "install",
        "zerocap",
        &folder(),
        "-n",
        "zerocap",
        "--create-namespace",
        "--set",
        &image,
        "--set",
        "test.imagePullPolicy=Never",
        "--wait",
    ])?;
    std::thread::sleep(std::time::Duration::from_secs(2));
    Ok(())
}

pub fn add(suite: &mut Suite) {
    for helm in Helm::ALL {
        let name = |what: &str| format!("chart::{}::{what}", helm.name());
        suite.add(&name("helm_test"), move |cluster| helm_test(cluster, helm));
        suite.add(&name("lint_and_server_side_dry_run"), move |cluster| clean(cluster, helm));
        suite.add(&name("contradictions_are_sentences"), move |cluster| contradictions(cluster, helm));
        suite.add_alone(&name("install_upgrade_rollback_uninstall"), move |cluster| there_and_back(cluster, helm));
    }
    suite.add_alone("chart::class_set_by_the_api_server", set_class);
}

fn helm_test(cluster: &Cluster, helm: Helm) -> TestResult {
    let said = cluster.helm_of(helm, &["test", "zerocap", "-n", "zerocap", "--timeout", "90s"], "")?;
    ensure!(said.contains("Succeeded"), "helm test: {said}");
    Ok(())
}

fn template(cluster: &Cluster, helm: Helm, settings: &[&str]) -> io::Result<String> {
    let mut arguments = vec!["template", "zerocap"];
    let folder = folder();
    arguments.extend([folder.as_str(), "-n", "default", "--kube-version", "1.36.0"]);
    for setting in settings {
        arguments.extend(["--set", setting]);
    }
    cluster.helm_of(helm, &arguments, "")
}

/// Everything that the chart can make.
const EVERYTHING: &[&str] = &[
    "networkPolicy.namespaces={default}",
    "image.repository=example.com/zerocap",
    "installer.enabled=true",
    "installer.floor=version = 1",
    "installer.maxUnavailable=2",
    // Words of a shell, not of YAML.
    "installer.containerd.restart=echo \"now: $(date)\" # soon; systemctl restart containerd",
    "installer.startupTaint=zerocap.io/not-ready",
    "daemon.enabled=true",
    "daemon.dashboard=true",
];

fn clean(cluster: &Cluster, helm: Helm) -> TestResult {
    let said = cluster.helm_of(helm, &["lint", "--strict", &folder()], "")?;
    ensure!(said.contains("0 chart(s) failed"), "helm lint: {said}");
    let made = template(cluster, helm, EVERYTHING)?;
    let words = r#"- "--restart=echo \"now: $(date)\" # soon; systemctl restart containerd""#;
    ensure!(made.contains(words), "the shell's words in the installer's pod: {made}");
    let said = cluster
        .exec(&["kubectl", "apply", "--server-side", "--dry-run=server", "--force-conflicts", "-f", "-"], &made)?;
    let errors = String::from_utf8_lossy(&said.stderr);
    ensure!(said.status.success() && !errors.contains("Warning"), "server-side dry run: {errors}");
    // Each expression of each policy was type-checked by the API server.
    let warnings = "-ojsonpath={.items[*].status.typeChecking.expressionWarnings}";
    let said = cluster.kubectl(&["get", "validatingadmissionpolicies", warnings], "")?;
    ensure!(said.trim().is_empty(), "type checking: {said}");
    Ok(())
}

fn contradictions(cluster: &Cluster, helm: Helm) -> TestResult {
    for (settings, sentence) in [
        (&["runtimeClasses.platform.name=zerocap"][..], "give the two classes different names"),
        (&["admission.enabled=false", "admission.setRuntimeClass=true"], "set both, or neither"),
        (&["installer.enabled=true"], "needs image.repository"),
        (&["installer.action=uninstall"], "does nothing without installer.enabled"),
        (&["daemon.metrics.listen=0.0.0.0:9465"], "needs daemon.enabled"),
        (&["daemon.metrics.serviceMonitor=true"], "set daemon.metrics.listen"),
        (&["daemon.enabled=true", "daemon.metrics.listen=9465"], "listen"),
        (
            &[
                "daemon.enabled=true",
                "image.repository=registry.example/zerocap",
                "daemon.metrics.listen=0.0.0.0:9465",
                "daemon.metrics.serviceMonitor=true",
            ],
            "set daemon.metrics.certificateSecret",
        ),
        (&["installer.engine=kata"], "engine"),
        (&["installer.maxUnavailable=0"], "maxUnavailable"),
        (&["installer.startupTaint=not ready"], "startupTaint"),
        (&["installer.startupTaint=zerocap.io/not-ready"], "would stay on every node"),
        (&["admission.withoutRuntimeClass=perhaps"], "withoutRuntimeClass"),
        (&["admission.failurePolicy=Maybe"], "failurePolicy"),
        (&["runtimeclasses.create=false"], "runtimeclasses"),
        (&["runtimeClasses.annotated.handler=No_Handler"], "handler"),
    ] {
        let text = template(cluster, helm, settings).err().map(|e| e.to_string()).unwrap_or_default();
        ensure!(text.contains(sentence), "{settings:?}: {text:?}");
    }
    let without = template(cluster, helm, &["admission.enabled=false"])?;
    ensure!(without.contains("kind: RuntimeClass") && !without.contains("AdmissionPolicy"), "switched off: {without}");
    Ok(())
}

/// A second release beside the first, under other names. Of the admission policies there is one set for all.
fn there_and_back(cluster: &Cluster, helm: Helm) -> TestResult {
    let kinds = "runtimeclasses,leases,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,daemonsets,\
                 configmaps,validatingadmissionpolicies,validatingadmissionpolicybindings";
    let ours = || cluster.kubectl(&["get", kinds, "-A", "-l", "app.kubernetes.io/instance=second", "-oname"], "");
    let folder = folder();
    let apply = |verb: &[&str], settings: &[&str]| {
        let mut arguments = [verb, &["second", &folder, "-n", "second", "--create-namespace", "--wait"]].concat();
        let names = ["runtimeClasses.annotated.name=second", "runtimeClasses.platform.name=second-platform"];
        for setting in names.iter().chain(&["admission.enabled=false"]).chain(settings) {
            arguments.extend(["--set", setting]);
        }
        cluster.helm_of(helm, &arguments, "")
    };
    let overhead = || cluster.kubectl(&["get", "runtimeclass", "second", "-ojsonpath={.overhead.podFixed.memory}"], "");
    // No node has the label: DaemonSets and all that belongs to them, and no pod.
    let everything = [
        "image.repository=example.com/zerocap",
        "installer.enabled=true",
        "daemon.enabled=true",
        "installer.nodeSelector.none=here",
        "daemon.nodeSelector.none=here",
        "runtimeClasses.overhead.memory=16Mi",
    ];
    apply(&["install"], &[])?;
    let first = ours()?;
    ensure!(first.contains("second-platform") && !first.contains("daemonset"), "installed: {first}");
    ensure!(overhead()? == "8Mi", "the overhead is {}", overhead()?);
    apply(&["upgrade"], &everything)?;
    let second = ours()?;
    ensure!(second.contains("second-installer-0") && second.contains("daemonset"), "upgraded: {second}");
    ensure!(overhead()? == "16Mi", "the overhead is {}", overhead()?);
    // What a node writes into a Lease is no business of an upgrade's.
    let held = r#"{"spec":{"holderIdentity":"somebody"}}"#;
    cluster.kubectl(&["-n", "second", "patch", "lease", "second-installer-0", "--type=merge", "-p", held], "")?;
    apply(&["upgrade"], &everything)?;
    let holder = ["-n", "second", "get", "lease", "second-installer-0", "-ojsonpath={.spec.holderIdentity}"];
    ensure!(cluster.kubectl(&holder, "")? == "somebody", "the upgrade took the Lease");
    cluster.helm_of(helm, &["rollback", "second", "1", "-n", "second", "--wait"], "")?;
    ensure!(ours()? == first, "rolled back: {}", ours()?);
    ensure!(overhead()? == "8Mi", "the overhead is {}", overhead()?);
    cluster.helm_of(helm, &["uninstall", "second", "-n", "second", "--wait"], "")?;
    ensure!(ours()?.is_empty(), "left behind: {}", ours()?);
    Ok(())
}

fn set_class(cluster: &Cluster) -> TestResult {
    let rendered = cluster.helm(&[
        "template",
        "zerocap",
        &folder(),
        "--kube-version",
        "1.36.0",
        "--api-versions",
        "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy",
        "--set",
        "admission.setRuntimeClass=true",
        "--show-only",
        "templates/admission/pods.yaml",
    ])?;
    let mutating: Vec<&str> =
        rendered.split("\n---\n").filter(|part| part.contains("kind: MutatingAdmissionPolicy")).collect();
    ensure!(mutating.len() == 2, "{} objects, not a policy and its binding", mutating.len());
    cluster.apply(&mutating.join("\n---\n"))?;
    let mut pod = crate::manifest::restricted("pod");
    pod["spec"]["runtimeClassName"] = serde_json::json!(null);
    let space = crate::manifest::Namespace::new(cluster)?;
    let class = space.until(std::time::Duration::from_secs(20), "the class set by the API server", || {
        let arguments =
            ["-n", &space.name, "create", "--dry-run=server", "-ojsonpath={.spec.runtimeClassName}", "-f", "-"];
        Ok(cluster.kubectl(&arguments, &pod.to_string()).is_ok_and(|class| class == "zerocap"))
    });
    cluster.kubectl(&["delete", "-f", "-"], &mutating.join("\n---\n"))?;
    Ok(class?)
}
