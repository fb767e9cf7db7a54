//! The profile format of Docker and Podman: OCI JSON with rules that depend on the container and the node.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::errno::errno;
use super::error::{Error, Problem};
use super::json::Object;
use crate::Arch;

pub(super) const PROFILE_KEYS: &[&str] = &[
    "defaultAction",
    "defaultErrnoRet",
    "defaultErrno",
    "architectures",
    "archMap",
    "flags",
    "listenerPath",
    "listenerMetadata",
    "syscalls",
];
pub(super) const RULE_KEYS: &[&str] =
    &["names", "name", "action", "errnoRet", "errno", "args", "comment", "includes", "excludes"];
pub(super) const FILTER_KEYS: &[&str] = &["caps", "arches", "minKernel"];
pub(super) const ARCH_KEYS: &[&str] = &["architecture", "subArchitectures"];

/// What a rule may depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The node's native architecture.
    pub arch: Arch,
    /// The container's bounding set, names as in `CAP_SYS_ADMIN`.
    pub capabilities: BTreeSet<String>,
    /// The node's kernel, its first two numbers.
    pub kernel: (u64, u64),
}

/// The OCI document that the engine would get.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// `linux.seccomp`.
    pub seccomp: Value,
    /// For each of its rules, which rule of the input it is.
    pub kept: Vec<usize>,
    /// Rules of the input that do not apply to the target, and why.
    pub dropped: Vec<(usize, String)>,
}

/// Is this document in Docker's format rather than OCI's? OCI JSON is a part of it, so: does it use what only Docker's
/// has?
#[must_use]
pub fn is_docker(profile: &Value) -> bool {
    let has = |value: &Value, keys: &[&str]| keys.iter().any(|key| value.get(key).is_some());
    let rules = profile.get("syscalls").and_then(Value::as_array);
    has(profile, &["archMap", "defaultErrno"])
        || rules.into_iter().flatten().any(|rule| has(rule, &["name", "comment", "includes", "excludes", "errno"]))
}

/// What Docker would hand to the engine for this target.
///
/// * A rule with `excludes` is left out if the architecture, *one* of the capabilities or the kernel matches; one with
///   `includes` unless architecture, *all* capabilities and kernel match. Architectures have Docker's names (`amd64`).
/// * `archMap` gives the native architecture's entry and those below it; without an entry the native ABI alone counts.
/// * `name` is an old way to write `names`; `errno` and `defaultErrno` are names of numbers (Podman).
///
/// # Errors
///
/// [`Error`] where Docker refuses the profile, or a value has the wrong type.
pub fn resolve(profile: &Value, target: &Target) -> Result<Resolved, Error> {
    if profile.is_null() {
        return Ok(Resolved { seccomp: Value::Null, kept: Vec::new(), dropped: Vec::new() });
    }
    let object = Object::new(profile, "", PROFILE_KEYS)?;
    let mut seccomp = Map::new();
    for key in ["defaultAction", "defaultErrnoRet", "flags", "listenerPath", "listenerMetadata"] {
        if let Some(value) = object.get(key) {
            seccomp.insert(key.to_owned(), value.clone());
        }
    }
    if let Some(number) = named_errno(&object, "defaultErrno")? {
        seccomp.insert("defaultErrnoRet".to_owned(), number.into());
    }
    let architectures = architectures(&object, target.arch)?;
    if !architectures.is_empty() {
        seccomp.insert("architectures".to_owned(), json!(architectures));
    }
    let (mut rules, mut kept, mut dropped) = (Vec::new(), Vec::new(), Vec::new());
    for (index, value) in object.array("syscalls")?.iter().enumerate() {
        let rule = Object::new(value, &format!("syscalls[{index}]"), RULE_KEYS)?;
        let reason = match excluded(&rule, target)? {
            Some(reason) => Some(reason),
            None => not_included(&rule, target)?,
        };
        let converted = convert(&rule)?;
        match reason {
            Some(reason) => dropped.push((index, reason)),
            None => {
                rules.push(converted);
                kept.push(index);
            }
        }
    }
    seccomp.insert("syscalls".to_owned(), rules.into());
    Ok(Resolved { seccomp: seccomp.into(), kept, dropped })
}

/// `SCMP_ARCH_*` to be listed.
fn architectures<'a>(object: &Object<'a>, native: Arch) -> Result<Vec<&'a str>, Error> {
    let mut listed = object.strings("architectures")?;
    let map = object.array("archMap")?;
    if !listed.is_empty() && !map.is_empty() {
        return Err(Error::new("archMap", Problem::Both("architectures", "archMap")));
    }
    let mut found = false;
    for (index, value) in map.iter().enumerate() {
        let entry = Object::new(value, &format!("archMap[{index}]"), ARCH_KEYS)?;
        let name = entry.str("architecture")?.unwrap_or_default();
        let below = entry.strings("subArchitectures")?;
        if name == native.scmp() && !found {
            found = true;
            listed.push(name);
            listed.extend(below);
        }
    }
    Ok(listed)
}

/// Docker's name of an architecture.
fn docker_name(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 | Arch::X32 => "amd64",
        Arch::I386 => "x86",
        Arch::Aarch64 => "arm64",
        Arch::Arm => "arm",
    }
}

fn excluded(rule: &Object<'_>, target: &Target) -> Result<Option<String>, Error> {
    let Some(filter) = filter(rule, "excludes")? else { return Ok(None) };
    let arch = docker_name(target.arch);
    let kernel = min_kernel(&filter)?;
    if filter.strings("arches")?.contains(&arch) {
        return Ok(Some(format!("it excludes {arch}")));
    }
    if let Some(cap) = filter.strings("caps")?.into_iter().find(|cap| target.capabilities.contains(*cap)) {
        return Ok(Some(format!("it excludes containers with {cap}")));
    }
    let matches = kernel.filter(|version| target.kernel >= *version);
    Ok(matches.map(|(major, minor)| format!("it excludes kernels from {major}.{minor} on")))
}

fn not_included(rule: &Object<'_>, target: &Target) -> Result<Option<String>, Error> {
    let Some(filter) = filter(rule, "includes")? else { return Ok(None) };
    let arch = docker_name(target.arch);
    let (arches, kernel) = (filter.strings("arches")?, min_kernel(&filter)?);
    if !arches.is_empty() && !arches.contains(&arch) {
        return Ok(Some(format!("it is for {} only", arches.join(", "))));
    }
    if let Some(cap) = filter.strings("caps")?.into_iter().find(|cap| !target.capabilities.contains(*cap)) {
        return Ok(Some(format!("it is for containers with {cap} only")));
    }
    let misses = kernel.filter(|version| target.kernel < *version);
    Ok(misses.map(|(major, minor)| format!("it is for kernels from {major}.{minor} on")))
}

fn filter<'a>(rule: &Object<'a>, key: &str) -> Result<Option<Object<'a>>, Error> {
    rule.get(key).map(|value| Object::new(value, &rule.path(key), FILTER_KEYS)).transpose()
}

fn min_kernel(filter: &Object<'_>) -> Result<Option<(u64, u64)>, Error> {
    let Some(text) = filter.str("minKernel")?.filter(|text| !text.is_empty()) else { return Ok(None) };
    let number = |part: &str| part.parse::<u8>().ok().filter(|_| !part.starts_with('+')).map(u64::from);
    let version = text.split_once('.').and_then(|(major, minor)| Some((number(major)?, number(minor)?)));
    match version.filter(|version| *version != (0, 0)) {
        Some(version) => Ok(Some(version)),
        None => Err(Error::new(
            filter.path("minKernel"),
            Problem::Unknown { kind: "a kernel version as \"5.10\"", value: text.to_owned() },
        )),
    }
}

fn named_errno(object: &Object<'_>, key: &str) -> Result<Option<u16>, Error> {
    let Some(name) = object.str(key)?.filter(|name| !name.is_empty()) else { return Ok(None) };
    match name.parse().ok().or_else(|| errno(name)) {
        Some(number) => Ok(Some(number)),
        None => Err(Error::new(object.path(key), Problem::Unknown { kind: "an errno", value: name.to_owned() })),
    }
}

/// The rule as OCI JSON.
fn convert(rule: &Object<'_>) -> Result<Value, Error> {
    let mut converted = Map::new();
    for key in ["names", "action", "errnoRet", "args"] {
        if let Some(value) = rule.get(key) {
            converted.insert(key.to_owned(), value.clone());
        }
    }
    if let Some(name) = rule.str("name")?.filter(|name| !name.is_empty()) {
        if !rule.array("names")?.is_empty() {
            return Err(Error::new(rule.path("name"), Problem::Both("name", "names")));
        }
        converted.insert("names".to_owned(), json!([name]));
    }
    if let Some(number) = named_errno(rule, "errno")? {
        converted.insert("errnoRet".to_owned(), number.into());
    }
    Ok(converted.into())
}
