//! SL19: rules that depend on what the container has.

use serde_json::Value;

use super::super::Form;
use super::super::finding::{Note, Severity};
use super::super::rule::{Rule, Sample};
use super::super::subject::Subject;
use super::super::words;

pub(super) static RULE: Rule = Rule {
    id: "SL19",
    slug: "capability-gate",
    severity: Severity::Error,
    title: "rule that depends on a capability, kernel or architecture",
    why: "includes and excludes belong to Docker's format; the engine manager works them out before the OCI runtime sees the \
          profile. An OCI runtime ignores them: the rule then applies always, also to containers that were to be left out. In \
          Docker's format a rule for a capability that the container does not have is not there at all.",
    advice: "In OCI JSON: write out what applies, without includes and excludes. In Docker's: read what is left for this container.",
    fires: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ERRNO", "archMap": [{ "architecture": "SCMP_ARCH_X86_64", "subArchitectures": [] }],
  "syscalls": [
  { "names": ["read", "write"], "action": "SCMP_ACT_ALLOW" },
  { "names": ["mount", "umount2"], "action": "SCMP_ACT_ALLOW", "includes": { "caps": ["CAP_SYS_ADMIN"] } }
] }"#,
    ),
    silent: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ERRNO", "archMap": [{ "architecture": "SCMP_ARCH_X86_64", "subArchitectures": [] }],
  "syscalls": [
  { "names": ["read", "write"], "action": "SCMP_ACT_ALLOW" },
  { "names": ["mount", "umount2"], "action": "SCMP_ACT_ALLOW", "includes": { "caps": ["CAP_SYS_ADMIN"] } }
] }"#,
    )
    .with("--capability CAP_SYS_ADMIN", |options| {
        options.target.capabilities.insert("CAP_SYS_ADMIN".to_owned());
    }),
    check,
};

fn check(subject: &Subject<'_>, notes: &mut Vec<Note>) {
    for rule in subject.rules.iter() {
        let Some(why) = &rule.dropped else { continue };
        notes.push(
            Note::new(Severity::Note, &rule.at)
                .wrote(rule.words())
                .kernel(format!("the rule is not there for this container: {why}"))
                .instead("nothing, if that is meant"),
        );
    }
    let config = (subject.form == Form::Config).then_some(subject.source).flatten();
    let profile = config.and_then(|source| source.value().pointer("/linux/seccomp"));
    let rules = profile.and_then(|profile| profile.get("syscalls")?.as_array());
    for (index, rule) in rules.into_iter().flatten().enumerate() {
        for key in ["includes", "excludes"] {
            let empty = |value: &Value| value.as_object().is_none_or(serde_json::Map::is_empty);
            if rule.get(key).is_none_or(empty) {
                continue;
            }
            let names: Vec<&str> =
                rule.get("names").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
            notes.push(
                Note::new(Severity::Error, format!("{}syscalls[{index}].{key}", subject.prefix))
                    .wrote(format!("{key} for {}", words::list(&names)))
                    .kernel("the OCI runtime does not read it: the rule applies to every container")
                    .instead(format!("the rule without {key} where it applies, no rule where it does not")),
            );
        }
    }
}
