//! `zerocap explain`: the shim's decision, without a shim.

mod code;
mod dest;
mod diff;
mod plan;
mod show;

pub use code::page;

use crate::out::{out, outln};
use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;
use zerocap_annotations::policy::{CONTAINER_ANNOTATION, NAMESPACE_ANNOTATION};
use zerocap_annotations::{Confinement, Floor, Host, PodPolicy, Policy, Target, ZcError, code as codes, confine};
use zerocap_node::floor;

use crate::args::{Explain, ExplainOutput};
use crate::failure::Failure;
use crate::{input, this_host};

/// The config.json of an ordinary pod that the *restricted* Pod Security Standard admits, for those who have none.
const SAMPLE: &str = include_str!("../data/sample.json");
/// Tells the pause container from the others.
const TYPE_ANNOTATION: &str = "io.kubernetes.cri.container-type";

/// Prints an error's page, or a confinement.
pub fn run(arguments: &Explain) -> Result<ExitCode, Failure> {
    if arguments.list {
        code::list();
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(code) = &arguments.code {
        return code::page(code);
    }
    let question = Question::read(arguments)?;
    let answer = question.answer()?;
    if let Some(to) = &arguments.dest {
        return dest::run(to, &answer, arguments.output);
    }
    match arguments.output {
        ExplainOutput::Table => show::table(&question, &answer),
        ExplainOutput::Json => show::json(&question, &answer),
        ExplainOutput::Diff => out!("{}", diff::unified(question.original(), &answer.confinement.spec)),
        ExplainOutput::Spec => outln!("{:#}", answer.confinement.spec),
    }
    Ok(ExitCode::SUCCESS)
}

/// Everything that decides.
struct Question {
    /// What the spec is called in the answer.
    title: String,
    spec: Value,
    /// The process of an exec.
    process: Option<Value>,
    floor: Floor,
    host: Host,
}

/// What is decided.
struct Answer {
    policy: Policy,
    confinement: Confinement,
}

impl Question {
    fn read(arguments: &Explain) -> Result<Self, Failure> {
        let (title, mut spec) = match &arguments.spec {
            Some(path) => (path.display().to_string(), input::json(path)?),
            None => ("a restricted pod (built-in example)".to_owned(), sample()),
        };
        annotate(&mut spec, arguments)?;
        let process = match &arguments.exec {
            None => None,
            Some(None) => Some(spec["process"].clone()),
            Some(Some(path)) => Some(input::json(path)?),
        };
        Ok(Self {
            title,
            process,
            spec,
            floor: match &arguments.floor {
                Some(path) => given_floor(path)?,
                None => Floor::none(),
            },
            host: match arguments.host.to_str() {
                Some("this") => this_host::as_for_root(&arguments.engine)?,
                _ => input::json_or_toml(&arguments.host)?,
            },
        })
    }

    fn answer(&self) -> Result<Answer, Failure> {
        let decide = || -> Result<Answer, ZcError> {
            let pod = PodPolicy::from_sandbox(&self.spec, &self.floor)?;
            let is_sandbox = self.spec["annotations"][TYPE_ANNOTATION] == "sandbox";
            let (policy, target) = match &self.process {
                _ if is_sandbox && self.process.is_none() => (pod.sandbox()?, Target::Sandbox),
                None => (pod.container_of(&self.spec)?, Target::Init),
                Some(process) => (pod.container_of(&self.spec)?, Target::Exec { process }),
            };
            let confinement = confine(&self.spec, target, &policy, &self.host)?;
            Ok(Answer { policy, confinement })
        };
        decide().map_err(Failure::refused)
    }

    /// What is rewritten: the spec, or the process of an exec.
    fn original(&self) -> &Value {
        self.process.as_ref().unwrap_or(&self.spec)
    }
}

/// The example, which is part of the program.
pub fn sample() -> Value {
    serde_json::from_str(SAMPLE).unwrap_or_default()
}

/// A floor that a person names must exist; that of a node need not.
pub fn given_floor(path: &Path) -> Result<Floor, Failure> {
    input::text(path)?;
    floor::load(path).map_err(Failure::bad_input)
}

/// Puts the command line's annotations over those of the spec, as if the pod had them.
fn annotate(spec: &mut Value, arguments: &Explain) -> Result<(), Failure> {
    let given = arguments
        .annotation
        .iter()
        .map(|(key, value)| (key.as_str(), value))
        .chain(arguments.container.iter().map(|name| (CONTAINER_ANNOTATION, name)))
        .chain(arguments.namespace.iter().map(|name| (NAMESPACE_ANNOTATION, name)));
    let Some(object) = spec.as_object_mut() else {
        let error = ZcError::new(codes::node::NOT_JSON, "the spec is not a JSON object", "give a config.json");
        return Err(Failure::bad_input(error));
    };
    for (key, value) in given {
        let annotations = object.entry("annotations").or_insert_with(|| Value::Object(Default::default()));
        // Anything but an object is reported by the policy, with its code.
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.insert(key.to_owned(), Value::String(value.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_a_container_without_privileges() {
        let sample = sample();
        assert_eq!(sample["process"]["noNewPrivileges"], true);
        assert_eq!(sample["process"]["capabilities"], serde_json::json!({}));
        assert_eq!(sample["annotations"][TYPE_ANNOTATION], "container");
    }
}
