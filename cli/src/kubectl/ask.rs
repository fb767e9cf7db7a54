//! Pods, from kubectl or from a file with what it printed.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use serde::de::DeserializeOwned;
use serde_json::Value;
use zerocap_annotations::{ZcError, code, quote};
use zerocap_daemon::pod::{Pod, Pods};

use super::Common;
use crate::failure::Failure;
use crate::input;

impl Common {
    /// kubectl with this context; `arguments` follow.
    pub fn kubectl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        let options = [
            ("--context", self.context.clone().map(OsString::from)),
            ("--kubeconfig", self.kubeconfig.clone().map(Into::into)),
        ];
        for (name, value) in options {
            if let Some(value) = value {
                command.arg(name).arg(value);
            }
        }
        command.args(arguments).stdin(Stdio::null());
        command
    }

    /// What kubectl answers, as JSON.
    pub fn ask<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T, Failure> {
        let said = |text: &str| {
            let message = format!("kubectl {}: {}", arguments.join(" "), text.trim());
            Failure::bad_input(ZcError::new(code::cluster::KUBECTL, message, "look at the context and your rights"))
        };
        let output = self.kubectl(arguments).output().map_err(|error| said(&error.to_string()))?;
        if !output.status.success() {
            return Err(said(&String::from_utf8_lossy(&output.stderr)));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| said(&error.to_string()))
    }

    /// The pods of the namespace, or of all of them.
    pub fn pods(&self, all: bool) -> Result<Vec<Pod>, Failure> {
        if self.from.is_some() {
            let mut pods = self.read()?;
            pods.retain(|pod| all || self.namespace.as_ref().is_none_or(|name| *name == pod.metadata.namespace));
            return Ok(pods);
        }
        let mut arguments = vec!["get", "pods", "-o", "json"];
        match &self.namespace {
            Some(namespace) => arguments.extend(["-n", namespace]),
            None if all => arguments.push("-A"),
            None => {}
        }
        self.ask::<Pods>(&arguments).map(|pods| pods.items)
    }

    /// One pod.
    pub fn pod(&self, name: &str) -> Result<Pod, Failure> {
        if self.from.is_some() {
            let found = self.pods(false)?.into_iter().find(|pod| pod.metadata.name == name);
            return found.ok_or_else(|| not_a_pod(format!("there is no pod {} in it", quote(name))));
        }
        let mut arguments = vec!["get", "pod", "-o", "json"];
        if let Some(namespace) = &self.namespace {
            arguments.extend(["-n", namespace]);
        }
        // A name that begins with a dash is a name.
        arguments.extend(["--", name]);
        self.ask(&arguments)
    }

    /// A list of pods, or a single one.
    fn read(&self) -> Result<Vec<Pod>, Failure> {
        let Some(path) = &self.from else { return Ok(Vec::new()) };
        let document: Value = input::json(path)?;
        let kind = document.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        let pods = match kind.as_str() {
            "List" | "PodList" => serde_json::from_value::<Pods>(document).map(|pods| pods.items),
            "Pod" => serde_json::from_value(document).map(|pod| vec![pod]),
            _ => return Err(not_a_pod(format!("{} is no list of pods: its kind is {}", path.display(), quote(&kind)))),
        };
        pods.map_err(|error| not_a_pod(format!("{}: {error}", path.display())))
    }
}

fn not_a_pod(message: String) -> Failure {
    Failure::bad_input(ZcError::new(code::cluster::NOT_A_POD, message, "give what `kubectl get pods -o json` prints"))
}
