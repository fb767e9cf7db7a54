//! The chart: installed as a user installs it, and what it says about values that cannot be meant.

use std::io;

use zerocap_e2e::cluster::Cluster;
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
    suite.add("chart::helm_test", helm_test);
    suite.add("chart::lint_and_server_side_dry_run", clean);
    suite.add("chart::contradictions_are_sentences", contradictions);
    suite.add_alone("chart::every_object_goes_with_uninstall", uninstall);
    suite.add_alone("chart::class_set_by_the_api_server", set_class);
}

fn helm_test(cluster: &Cluster) -> TestResult {
    let said = cluster.helm(&["test", "zerocap", "-n", "zerocap", "--timeout", "90s"])?;
    ensure!(said.contains("Succeeded"), "helm test: {said}");
    Ok(())
}

fn template(cluster: &Cluster, settings: &[&str]) -> io::Result<String> {
    let mut arguments = vec!["template", "zerocap"];
    let folder = folder();
    arguments.extend([folder.as_str(), "--kube-version", "1.36.0"]);
    for setting in settings {
        arguments.extend(["--set", setting]);
    }
    cluster.helm(&arguments)
}

fn clean(cluster: &Cluster) -> TestResult {
    let said = cluster.helm(&["lint", "--strict", &folder()])?;
    ensure!(said.contains("0 chart(s) failed"), "helm lint: {said}");
    let said = cluster.exec(
        &["kubectl", "apply", "--server-side", "--dry-run=server", "--force-conflicts", "-f", "-"],
        &template(cluster, &["networkPolicy.namespaces={default}"])?,
    )?;
    let errors = String::from_utf8_lossy(&said.stderr);
    ensure!(said.status.success() && !errors.contains("Warning"), "server-side dry run: {errors}");
    // Each expression of each policy was type-checked by the API server.
    let warnings = "-ojsonpath={.items[*].status.typeChecking.expressionWarnings}";
    let said = cluster.kubectl(&["get", "validatingadmissionpolicies", warnings], "")?;
    ensure!(said.trim().is_empty(), "type checking: {said}");
    Ok(())
}

fn contradictions(cluster: &Cluster) -> TestResult {
    for (settings, sentence) in [
        (&["runtimeClasses.platform.name=zerocap"][..], "give the two classes different names"),
        (&["admission.enabled=false", "admission.setRuntimeClass=true"], "set both, or neither"),
        (&["installer.enabled=true"], "needs image.repository"),
        (&["installer.action=uninstall"], "does nothing without installer.enabled"),
        (&["daemon.metrics.listen=0.0.0.0:9465"], "needs daemon.enabled"),
        (&["daemon.metrics.serviceMonitor=true"], "set daemon.metrics.listen"),
        (&["daemon.enabled=true", "daemon.metrics.listen=9465"], "listen"),
        (&["installer.engine=kata"], "engine"),
        (&["admission.withoutRuntimeClass=perhaps"], "withoutRuntimeClass"),
        (&["admission.failurePolicy=Maybe"], "failurePolicy"),
        (&["runtimeclasses.create=false"], "runtimeclasses"),
        (&["runtimeClasses.annotated.handler=No_Handler"], "handler"),
    ] {
        let text = template(cluster, settings).err().map(|e| e.to_string()).unwrap_or_default();
        ensure!(text.contains(sentence), "{settings:?}: {text:?}");
    }
    let without = template(cluster, &["admission.enabled=false"])?;
    ensure!(without.contains("kind: RuntimeClass") && !without.contains("AdmissionPolicy"), "switched off: {without}");
    Ok(())
}

/// A second release beside the first, under other names.
fn other_release(cluster: &Cluster, settings: &[&str]) -> io::Result<String> {
    let folder = folder();
    let mut arguments = vec!["install", "second", &folder, "-n", "second", "--create-namespace", "--wait"];
    for setting in
        ["runtimeClasses.annotated.name=second", "runtimeClasses.platform.name=second-platform"].iter().chain(settings)
    {
        arguments.extend(["--set", setting]);
    }
    cluster.helm(&arguments)
}

fn uninstall(cluster: &Cluster) -> TestResult {
    let objects = || cluster.kubectl(&["get", "runtimeclasses", "-oname"], "");
    let before = objects()?;
    other_release(cluster, &["admission.enabled=false"])?;
    ensure!(objects()?.contains("second-platform"), "the second release made no RuntimeClass");
    cluster.helm(&["uninstall", "second", "-n", "second", "--wait"])?;
    ensure!(objects()? == before, "left behind: {}", objects()?);
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
    cluster.kubectl(&["apply", "-f", "-"], &mutating.join("\n---\n"))?;
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
