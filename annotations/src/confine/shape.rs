//! The shape of what is read and written, and keys that an engine could take for ours.
//!
//! Go's decoder ignores the case of keys and the last one counts: `Capabilities` after our `capabilities` would undo it.
//! So in every object that we touch, a key that differs only in case from one that the specification has is refused.

use serde_json::{Map, Value};

use crate::code;
use crate::error::{ZcError, quote};

const ROOT: &[&str] = &[
    "ociVersion",
    "process",
    "root",
    "hostname",
    "domainname",
    "mounts",
    "hooks",
    "annotations",
    "linux",
    "solaris",
    "windows",
    "vm",
    "zos",
    "freebsd",
];
const PROCESS: &[&str] = &[
    "terminal",
    "consoleSize",
    "user",
    "args",
    "commandLine",
    "env",
    "cwd",
    "capabilities",
    "rlimits",
    "noNewPrivileges",
    "apparmorProfile",
    "oomScoreAdj",
    "scheduler",
    "selinuxLabel",
    "ioPriority",
    "execCPUAffinity",
];
const USER: &[&str] = &["uid", "gid", "umask", "additionalGids", "username"];
const CAPABILITIES: &[&str] = &["bounding", "effective", "inheritable", "permitted", "ambient"];
const RLIMIT: &[&str] = &["type", "hard", "soft"];
const ROOTFS: &[&str] = &["path", "readonly"];
const MOUNT: &[&str] = &["destination", "type", "source", "options", "uidMappings", "gidMappings"];
const HOOKS: &[&str] = &["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
const LINUX: &[&str] = &[
    "uidMappings",
    "gidMappings",
    "sysctl",
    "resources",
    "cgroupsPath",
    "namespaces",
    "devices",
    "netDevices",
    "seccomp",
    "rootfsPropagation",
    "maskedPaths",
    "readonlyPaths",
    "mountLabel",
    "intelRdt",
    "memoryPolicy",
    "personality",
    "timeOffsets",
];
const NAMESPACE: &[&str] = &["type", "path"];
const MAPPING: &[&str] = &["containerID", "hostID", "size"];
const RESOURCES: &[&str] =
    &["devices", "memory", "cpu", "pids", "blockIO", "hugepageLimits", "network", "rdma", "unified"];
const DEVICE_RULE: &[&str] = &["allow", "type", "major", "minor", "access"];
const SECCOMP: &[&str] =
    &["defaultAction", "defaultErrnoRet", "architectures", "flags", "listenerPath", "listenerMetadata", "syscalls"];
const SYSCALL: &[&str] = &["names", "action", "errnoRet", "args"];
const ARGUMENT: &[&str] = &["index", "value", "valueTwo", "op"];

/// Checks every part of a config.json that is read or written.
pub(super) fn check(spec: &Value) -> Result<(), ZcError> {
    let Some(root) = object(Some(spec), "", ROOT)? else { return Err(wrong("", "is null, not an object")) };
    match root.get("process") {
        None | Some(Value::Null) => return Err(wrong("/process", "is missing")),
        Some(process) => check_process(process)?,
    }
    object(root.get("root"), "/root", ROOTFS)?;
    objects(root.get("mounts"), "/mounts", MOUNT)?;
    object(root.get("hooks"), "/hooks", HOOKS)?;
    let Some(linux) = object(root.get("linux"), "/linux", LINUX)? else {
        return Err(wrong("/linux", "is missing"));
    };
    objects(linux.get("namespaces"), "/linux/namespaces", NAMESPACE)?;
    objects(linux.get("uidMappings"), "/linux/uidMappings", MAPPING)?;
    if let Some(resources) = object(linux.get("resources"), "/linux/resources", RESOURCES)? {
        objects(resources.get("devices"), "/linux/resources/devices", DEVICE_RULE)?;
    }
    if let Some(seccomp) = object(linux.get("seccomp"), "/linux/seccomp", SECCOMP)? {
        objects(seccomp.get("syscalls"), "/linux/seccomp/syscalls", SYSCALL)?;
        for (index, rule) in seccomp.get("syscalls").and_then(Value::as_array).into_iter().flatten().enumerate() {
            objects(rule.get("args"), &format!("/linux/seccomp/syscalls/{index}/args"), ARGUMENT)?;
        }
    }
    Ok(())
}

/// Checks a process: of a config.json or of an exec.
pub(super) fn check_process(process: &Value) -> Result<(), ZcError> {
    let Some(process) = object(Some(process), "/process", PROCESS)? else {
        return Err(wrong("/process", "is null, not an object"));
    };
    object(process.get("user"), "/process/user", USER)?;
    object(process.get("capabilities"), "/process/capabilities", CAPABILITIES)?;
    objects(process.get("rlimits"), "/process/rlimits", RLIMIT)?;
    let Some(args) = array(process.get("args"), "/process/args")? else { return Err(no_program()) };
    if args.is_empty() {
        return Err(no_program());
    }
    match args.iter().position(|arg| !arg.is_string()) {
        Some(index) => Err(wrong(&format!("/process/args/{index}"), "is not a string")),
        None => Ok(()),
    }
}

/// An error about the shape of the spec.
pub(super) fn wrong(path: &str, what: &str) -> ZcError {
    let path = if path.is_empty() { "the OCI spec" } else { path };
    ZcError::new(code::spec::SHAPE, format!("{path} {what}"), "correct the program that wrote the spec")
}

/// An array, or nothing where the key is absent or null.
pub(super) fn array<'a>(value: Option<&'a Value>, path: &str) -> Result<Option<&'a Vec<Value>>, ZcError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(items)) => Ok(Some(items)),
        Some(_) => Err(wrong(path, "is not an array")),
    }
}

fn no_program() -> ZcError {
    ZcError::new(
        code::spec::NO_PROGRAM,
        "/process/args is empty",
        "give the container a command, or the image an entrypoint",
    )
}

fn object<'a>(value: Option<&'a Value>, path: &str, known: &[&str]) -> Result<Option<&'a Map<String, Value>>, ZcError> {
    let map = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(map)) => map,
        Some(_) => return Err(wrong(path, "is not an object")),
    };
    for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
        if let Some(ours) = known.iter().find(|ours| go_folds(key, ours)) {
            return Err(ZcError::new(
                code::spec::KEY_CASE,
                format!("{path}/{} differs only in case from a key that is read", quote(key)),
                format!("write {ours}"),
            ));
        }
    }
    Ok(Some(map))
}

fn objects(value: Option<&Value>, path: &str, known: &[&str]) -> Result<(), ZcError> {
    for (index, item) in array(value, path)?.into_iter().flatten().enumerate() {
        let path = || format!("{path}/{index}");
        // The path is only written out where it is needed: this runs for every container.
        let plain = item.as_object().is_some_and(|map| map.keys().all(|key| known.contains(&key.as_str())));
        if !plain && object(Some(item), &path(), known)?.is_none() {
            return Err(wrong(&path(), "is null, not an object"));
        }
    }
    Ok(())
}

/// Whether Go's encoding/json takes `key` for the ASCII name `name`: by simple folding, which knows two letters beyond
/// ASCII that fold into it.
fn go_folds(key: &str, name: &str) -> bool {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    key.chars().map(fold).eq(name.chars().map(fold))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_is_that_of_go() {
        assert!(go_folds("Capabilities", "capabilities"));
        assert!(go_folds("capabilitie\u{17f}", "capabilities"));
        assert!(go_folds("maskedPath\u{17f}", "maskedPaths"));
        assert!(go_folds("ma\u{17f}\u{212a}edPaths", "maskedPaths"));
        assert!(!go_folds("capability", "capabilities"));
        assert!(!go_folds("capabilities ", "capabilities"));
    }
}
