//! The JSON document as typed rules, in the order in which they were written.

use serde_json::Value;

use super::error::{Error, Problem};
use super::json::Object;
use crate::{Action, Arch, Condition, Flags, MAX_ERRNO, Test, Width};

const EPERM: u16 = 1;

/// Keys of `LinuxSeccomp`, `LinuxSyscall` and `LinuxSeccompArg` in the runtime specification.
const PROFILE_KEYS: &[&str] =
    &["defaultAction", "defaultErrnoRet", "architectures", "flags", "listenerPath", "listenerMetadata", "syscalls"];
pub(super) const RULE_KEYS: &[&str] = &["names", "action", "errnoRet", "args"];
pub(super) const ARG_KEYS: &[&str] = &["index", "value", "valueTwo", "op"];

/// ABIs that runc knows and whose calls a kernel of ours never reports.
const OTHER_ARCHITECTURES: &[&str] = &[
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",
    "SCMP_ARCH_LOONGARCH64",
];

pub(super) struct Document<'a> {
    pub(super) default: Action,
    pub(super) architectures: Vec<Arch>,
    pub(super) flags: Flags,
    pub(super) rules: Vec<Rule<'a>>,
}

pub(super) struct Rule<'a> {
    pub(super) names: Vec<&'a str>,
    pub(super) action: Action,
    /// Alternatives, each a conjunction; empty: unconditional.
    pub(super) alternatives: Vec<Vec<Condition>>,
}

/// `None`: no default action and no rules, which runc takes for "no seccomp".
pub(super) fn parse(seccomp: &Value) -> Result<Option<Document<'_>>, Error> {
    if seccomp.is_null() {
        return Ok(None);
    }
    let object = Object::new(seccomp, "", PROFILE_KEYS)?;
    let default = object.str("defaultAction")?.unwrap_or_default();
    let syscalls = object.array("syscalls")?;
    if default.is_empty() && syscalls.is_empty() {
        return Ok(None);
    }
    let default = action(default, object.u64("defaultErrnoRet")?, &object.path("defaultAction"))?;
    if default == Action::Notify {
        return Err(Error::new("defaultAction", Problem::Notify("as default action")));
    }
    let mut architectures = Vec::new();
    for (index, name) in object.strings("architectures")?.into_iter().enumerate() {
        match Arch::ALL.into_iter().find(|arch| arch.scmp() == name) {
            Some(arch) => architectures.push(arch),
            None if OTHER_ARCHITECTURES.contains(&name) => {}
            None => return Err(unknown(format!("architectures[{index}]"), "an architecture", name)),
        }
    }
    let mut rules = Vec::with_capacity(syscalls.len());
    for (index, value) in syscalls.iter().enumerate() {
        rules.push(rule(value, &format!("syscalls[{index}]"))?);
    }
    Ok(Some(Document { default, architectures, flags: flags(&object)?, rules }))
}

fn unknown(at: impl Into<String>, kind: &'static str, value: &str) -> Error {
    Error::new(at, Problem::Unknown { kind, value: value.to_owned() })
}

fn flags(object: &Object<'_>) -> Result<Flags, Error> {
    // Without the key runc asks for SPEC_ALLOW; an empty list means none.
    if object.get("flags").is_none() {
        return Ok(Flags { log: false, spec_allow: true });
    }
    let mut flags = Flags::default();
    for (index, name) in object.strings("flags")?.into_iter().enumerate() {
        match name {
            "SECCOMP_FILTER_FLAG_LOG" => flags.log = true,
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => flags.spec_allow = true,
            // They have no effect on what is allowed, and the launcher has one thread.
            "SECCOMP_FILTER_FLAG_TSYNC" | "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => {}
            other => return Err(unknown(format!("flags[{index}]"), "a filter flag", other)),
        }
    }
    Ok(flags)
}

fn action(name: &str, errno: Option<u64>, at: &str) -> Result<Action, Error> {
    let number = |max: u16| match errno {
        None => Ok(EPERM),
        Some(value) => u16::try_from(value)
            .ok()
            .filter(|number| *number <= max)
            .ok_or_else(|| Error::new(at, Problem::TooLarge { value, max: u64::from(max) })),
    };
    Ok(match name {
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_TRACE" => Action::Trace(number(u16::MAX)?),
        "SCMP_ACT_NOTIFY" => Action::Notify,
        "SCMP_ACT_ERRNO" => Action::Errno(number(MAX_ERRNO)?),
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        other => return Err(unknown(at, "an action", other)),
    })
}

fn rule<'a>(value: &'a Value, at: &str) -> Result<Rule<'a>, Error> {
    let object = Object::new(value, at, RULE_KEYS)?;
    let name = object.str("action")?.ok_or_else(|| Error::new(object.path("action"), Problem::Missing))?;
    let action = action(name, object.u64("errnoRet")?, &object.path("action"))?;
    let names = object.strings("names")?;
    if names.contains(&"") {
        return Err(Error::new(object.path("names"), Problem::EmptyName));
    }
    if action == Action::Notify && names.contains(&"write") {
        return Err(Error::new(object.path("action"), Problem::Notify("for write")));
    }
    let mut conditions = Vec::new();
    for (index, value) in object.array("args")?.iter().enumerate() {
        conditions.push(condition(value, &format!("{at}.args[{index}]"))?);
    }
    Ok(Rule { names, action, alternatives: alternatives(conditions) })
}

/// One argument twice: runc adds every condition as a rule of its own.
fn alternatives(conditions: Vec<Condition>) -> Vec<Vec<Condition>> {
    let repeated = conditions.iter().enumerate().any(|(i, a)| conditions[..i].iter().any(|b| a.arg() == b.arg()));
    if conditions.is_empty() {
        Vec::new()
    } else if repeated {
        conditions.into_iter().map(|condition| vec![condition]).collect()
    } else {
        vec![conditions]
    }
}

fn condition(value: &Value, at: &str) -> Result<Condition, Error> {
    let object = Object::new(value, at, ARG_KEYS)?;
    let operand = object.u64("value")?.unwrap_or(0);
    let second = object.u64("valueTwo")?.unwrap_or(0);
    let test = match object.str("op")?.unwrap_or_default() {
        "SCMP_CMP_NE" => Test::Ne(operand),
        "SCMP_CMP_LT" => Test::Lt(operand),
        "SCMP_CMP_LE" => Test::Le(operand),
        "SCMP_CMP_EQ" => Test::Eq(operand),
        "SCMP_CMP_GE" => Test::Ge(operand),
        "SCMP_CMP_GT" => Test::Gt(operand),
        "SCMP_CMP_MASKED_EQ" => Test::MaskedEq { mask: operand, datum: second },
        other => return Err(unknown(object.path("op"), "an operator", other)),
    };
    let index = object.u64("index")?.unwrap_or(0);
    u8::try_from(index)
        .ok()
        .and_then(|index| Condition::new(index, Width::W64, test))
        .ok_or_else(|| Error::new(object.path("index"), Problem::TooLarge { value: index, max: 5 }))
}
