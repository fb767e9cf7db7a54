//! The rules of a JSON profile as they are written, one by one.

use serde_json::Value;

use crate::{Action, Condition, Test, Width};

/// A rule.
#[derive(Debug, Clone)]
pub(super) struct Written {
    /// As in `syscalls[3]`.
    pub(super) at: String,
    pub(super) names: Vec<String>,
    /// `None` where the engine would refuse the profile for it.
    pub(super) action: Action,
    /// `SCMP_ACT_…`
    pub(super) word: String,
    pub(super) errno: Option<u64>,
    pub(super) args: Vec<Arg>,
    /// Why the rule does not apply to the target (Docker's format).
    pub(super) dropped: Option<String>,
}

/// A condition.
#[derive(Debug, Clone)]
pub(super) struct Arg {
    /// As in `syscalls[3].args[0]`.
    pub(super) at: String,
    pub(super) index: u8,
    /// `SCMP_CMP_…`
    pub(super) op: String,
    pub(super) value: u64,
    pub(super) value_two: u64,
    /// As libseccomp compares it: 64 bits wide.
    pub(super) condition: Condition,
}

impl Written {
    /// Where the names are.
    pub(super) fn names_at(&self) -> String {
        format!("{}.names", self.at)
    }

    /// Does it apply whatever the arguments?
    pub(super) fn unconditional(&self) -> bool {
        self.args.is_empty()
    }

    /// Is one argument index used twice? Then each condition is a rule of its own.
    pub(super) fn repeats(&self) -> bool {
        self.args.iter().enumerate().any(|(at, arg)| self.args[..at].iter().any(|before| before.index == arg.index))
    }

    /// Arguments for which every condition holds, if each can.
    pub(super) fn example(&self) -> Option<[u64; 6]> {
        let mut args = [0; 6];
        for arg in &self.args {
            args[usize::from(arg.index)] = meeting(&arg.condition)?;
        }
        self.args.iter().all(|arg| arg.condition.holds(&args)).then_some(args)
    }

    /// The arguments that the conditions are about, out of these.
    pub(super) fn shown(&self, args: &[u64; 6]) -> Vec<(u8, u64)> {
        let mut shown: Vec<(u8, u64)> = self.args.iter().map(|arg| (arg.index, args[usize::from(arg.index)])).collect();
        shown.sort_unstable();
        shown.dedup();
        shown
    }

    /// The rule in one line.
    pub(super) fn words(&self) -> String {
        let conditions: Vec<String> = self.args.iter().map(Arg::words).collect();
        let joined = conditions.join(if self.repeats() { " or " } else { " and " });
        let when = if conditions.is_empty() { String::new() } else { format!(" if {joined}") };
        format!("{}{} for {}{when}", self.word, self.number(), super::words::list(&self.names))
    }

    fn number(&self) -> String {
        match (self.action, self.errno) {
            (Action::Errno(_), Some(number)) => format!(" {number}"),
            _ => String::new(),
        }
    }
}

impl Arg {
    /// The condition as a comparison.
    pub(super) fn words(&self) -> String {
        let number = super::words::number;
        let (index, value) = (self.index, number(self.value));
        match self.op.as_str() {
            "SCMP_CMP_NE" => format!("argument {index} != {value}"),
            "SCMP_CMP_LT" => format!("argument {index} < {value}"),
            "SCMP_CMP_LE" => format!("argument {index} <= {value}"),
            "SCMP_CMP_EQ" => format!("argument {index} == {value}"),
            "SCMP_CMP_GE" => format!("argument {index} >= {value}"),
            "SCMP_CMP_GT" => format!("argument {index} > {value}"),
            _ => format!("argument {index} & {value} == {}", number(self.value_two)),
        }
    }
}

/// A value for which a condition holds.
pub(super) fn meeting(condition: &Condition) -> Option<u64> {
    candidate(condition, true)
}

/// A value for which it does not.
pub(super) fn missing(condition: &Condition) -> Option<u64> {
    candidate(condition, false)
}

fn candidate(condition: &Condition, holds: bool) -> Option<u64> {
    let around = |value: u64| vec![value, value.wrapping_add(1), value.wrapping_sub(1), 0, u64::MAX];
    let values = match condition.test() {
        Test::Eq(v) | Test::Ne(v) | Test::Lt(v) | Test::Le(v) | Test::Gt(v) | Test::Ge(v) => around(*v),
        Test::MaskedEq { mask, datum } | Test::MaskedNe { mask, datum } => {
            vec![*datum, datum ^ (mask & mask.wrapping_neg()), 0, u64::MAX]
        }
        Test::OneOf { values, .. } => values.iter().copied().chain([0, 1, u64::MAX]).collect(),
    };
    values.into_iter().find(|value| {
        let mut args = [0; 6];
        args[usize::from(condition.arg())] = *value;
        condition.holds(&args) == holds
    })
}

/// The rules of a profile that the reader has taken. `prefix` is its path in the document.
pub(super) fn rules(profile: &Value, prefix: &str) -> Vec<Written> {
    let listed = profile.get("syscalls").and_then(Value::as_array);
    listed.into_iter().flatten().enumerate().filter_map(|(index, rule)| written(rule, prefix, index)).collect()
}

fn written(rule: &Value, prefix: &str, index: usize) -> Option<Written> {
    let at = format!("{prefix}syscalls[{index}]");
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let names: Vec<String> = match rule.get("names").and_then(Value::as_array) {
        Some(names) if !names.is_empty() => names.iter().filter_map(text).collect(),
        _ => rule.get("name").and_then(text).into_iter().collect(),
    };
    let word = rule.get("action").and_then(text)?;
    let named = rule
        .get("errno")
        .and_then(Value::as_str)
        .and_then(|name| name.parse().ok().or_else(|| crate::oci::errno(name)));
    let errno = named.map(u64::from).or_else(|| rule.get("errnoRet").and_then(Value::as_u64));
    let args = rule.get("args").and_then(Value::as_array).into_iter().flatten().enumerate();
    let args = args.filter_map(|(number, arg)| condition(arg, format!("{at}.args[{number}]"))).collect();
    Some(Written { at, names, action: action(&word, errno)?, word, errno, args, dropped: None })
}

pub(super) fn action(word: &str, errno: Option<u64>) -> Option<Action> {
    let number = errno.map_or(Some(1), |number| u16::try_from(number).ok());
    Some(match word {
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_TRACE" => Action::Trace(number?),
        "SCMP_ACT_NOTIFY" => Action::Notify,
        "SCMP_ACT_ERRNO" => Action::Errno(number?),
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        _ => return None,
    })
}

fn condition(arg: &Value, at: String) -> Option<Arg> {
    let number = |key: &str| arg.get(key).and_then(Value::as_u64).unwrap_or(0);
    let (value, value_two) = (number("value"), number("valueTwo"));
    let op = arg.get("op")?.as_str()?.to_owned();
    let test = match op.as_str() {
        "SCMP_CMP_NE" => Test::Ne(value),
        "SCMP_CMP_LT" => Test::Lt(value),
        "SCMP_CMP_LE" => Test::Le(value),
        "SCMP_CMP_EQ" => Test::Eq(value),
        "SCMP_CMP_GE" => Test::Ge(value),
        "SCMP_CMP_GT" => Test::Gt(value),
        "SCMP_CMP_MASKED_EQ" => Test::MaskedEq { mask: value, datum: value_two },
        _ => return None,
    };
    let index = u8::try_from(number("index")).ok()?;
    Some(Arg { at, index, op, value, value_two, condition: Condition::new(index, Width::W64, test)? })
}
