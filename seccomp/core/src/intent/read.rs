//! From TOML to [`Intent`].

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::error::IntentError;
use super::{Argument, Entry, Intent, Line, arguments, constant, errno};
use crate::{Action, Arch, Clause, Condition, Test, Width, lookup};

type Result<T> = std::result::Result<T, IntentError>;

/// The version of the schema.
const VERSION: i64 = 1;
const TOP: &[&str] = &["version", "summary", "base", "knobs", "answers", "allow", "refuse", "conditional"];
const TESTS: &[&str] = &["is", "not", "in", "mask", "none-of", "all-of", "only"];

/// How many profiles may be built on one another.
const MAX_BASES: usize = 4;

pub(super) fn intent(text: &str, bases: &dyn Fn(&str) -> Option<String>, depth: usize) -> Result<Intent> {
    let top: Table = text.parse().map_err(|error: toml::de::Error| IntentError::Syntax(error.to_string()))?;
    known_keys(&top, "", TOP)?;
    if top.get("version").and_then(Value::as_integer) != Some(VERSION) {
        return Err(IntentError::at("version", format!("this version of zerocap reads {VERSION}")));
    }
    let base = top.get("base").map(|name| base(name, bases, depth)).transpose()?;
    let summary = text_of(top.get("summary"), "summary")?.to_owned();
    let mut knobs = strings(top.get("knobs"), "knobs")?;
    let answers = table(top.get("answers"), "answers")?;
    known_keys(answers, "answers", &["known", "unknown", "foreign"])?;
    let answer = |key: &str, inherited: Option<Action>| match (answers.get(key), inherited) {
        (None, Some(inherited)) => Ok(inherited),
        (value, _) => action(value, &format!("answers.{key}")),
    };
    let known = answer("known", base.as_ref().map(|base| base.known))?;
    let unknown = answer("unknown", base.as_ref().map(|base| base.unknown))?;
    let foreign = answer("foreign", base.as_ref().map(|base| base.foreign))?;
    let inherited = base.map_or_else(BTreeMap::new, |base| {
        knobs.extend(base.knobs.into_iter().filter(|knob| !knobs.contains(knob)).collect::<Vec<_>>());
        base.lines
    });
    let mut intent = Intent { summary, knobs, known, unknown, foreign, lines: BTreeMap::new() };
    for (name, why) in table(top.get("allow"), "allow")? {
        simple(&mut intent, &format!("allow.{name}"), name, why, Action::Allow)?;
    }
    for (how, calls) in table(top.get("refuse"), "refuse")? {
        let at = format!("refuse.{how}");
        let action = action(Some(&Value::String(how.clone())), &at)?;
        for (name, why) in table(Some(calls), &at)? {
            simple(&mut intent, &format!("{at}.{name}"), name, why, action)?;
        }
    }
    for (name, value) in table(top.get("conditional"), "conditional")? {
        let at = format!("conditional.{name}");
        let line = conditional(&intent.knobs, name, table(Some(value), &at)?, &at)?;
        insert(&mut intent, &at, name, line)?;
    }
    for (name, line) in inherited {
        intent.lines.entry(name).or_insert(line);
    }
    Ok(intent)
}

fn base(name: &Value, bases: &dyn Fn(&str) -> Option<String>, depth: usize) -> Result<Intent> {
    let name = text_of(Some(name), "base")?;
    if depth >= MAX_BASES {
        return Err(IntentError::at("base", format!("more than {MAX_BASES} profiles are built on one another")));
    }
    let text = bases(name).ok_or_else(|| IntentError::at("base", format!("there is no profile {name}")))?;
    intent(&text, bases, depth + 1).map_err(|error| IntentError::at("base", format!("{name}: {error}")))
}

fn simple(intent: &mut Intent, at: &str, name: &str, why: &Value, action: Action) -> Result<()> {
    let line = Line { why: reason(Some(why), at)?, entries: Vec::new(), otherwise: action };
    insert(intent, at, name, line)
}

fn insert(intent: &mut Intent, at: &str, name: &str, line: Line) -> Result<()> {
    let call = lookup(name).ok_or_else(|| IntentError::at(at, "no system call has this name"))?;
    if !Arch::NATIVE.iter().any(|arch| call.number(*arch).is_some()) {
        return Err(IntentError::at(at, "neither x86_64 nor aarch64 has this call"));
    }
    match intent.lines.insert(call.name(), line) {
        None => Ok(()),
        Some(_) => Err(IntentError::at(at, "this call is decided elsewhere in the file as well")),
    }
}

fn conditional(knobs: &[String], name: &str, body: &Table, at: &str) -> Result<Line> {
    known_keys(body, at, &["why", "otherwise", "when"])?;
    let otherwise = action(body.get("otherwise"), &format!("{at}.otherwise"))?;
    let Some(Value::Array(when)) = body.get("when") else {
        return Err(IntentError::at(&format!("{at}.when"), "expected an array of tables"));
    };
    let mut entries = Vec::new();
    for (index, value) in when.iter().enumerate() {
        let at = format!("{at}.when[{index}]");
        entries.push(entry(knobs, name, table(Some(value), &at)?, &at)?);
    }
    Ok(Line { why: reason(body.get("why"), at)?, entries, otherwise })
}

fn entry(knobs: &[String], name: &str, body: &Table, at: &str) -> Result<Entry> {
    let known = arguments(name);
    let mut conditions = Vec::new();
    let (mut on, mut off, mut then) = (Vec::new(), Vec::new(), Action::Allow);
    for (key, value) in body {
        let at = format!("{at}.{key}");
        match key.as_str() {
            "if" => on = knob_list(knobs, value, &at)?,
            "unless" => off = knob_list(knobs, value, &at)?,
            "then" => then = action(Some(value), &at)?,
            "why" => _ = reason(Some(value), &at)?,
            argument => {
                let index = known.iter().position(|known| known.name == argument).ok_or_else(|| {
                    let names: Vec<_> = known.iter().map(|known| known.name).collect();
                    IntentError::at(&at, format!("{name} has no such argument; it has: {}", names.join(", ")))
                })?;
                conditions.push(condition(index, known[index], value, &at)?);
            }
        }
    }
    Ok(Entry { on, off, clause: Clause { conditions, action: then } })
}

fn condition(index: usize, argument: Argument, value: &Value, at: &str) -> Result<Condition> {
    let test = match value {
        Value::Table(body) => test(body, at)?,
        single => Test::Eq(number(single, at)?),
    };
    let fits = |value: &u64| value & !argument.width.mask() == 0;
    let operands_fit = match &test {
        Test::Eq(v) | Test::Ne(v) => fits(v),
        // The mask of `only` is a complement: it reaches over the width on purpose.
        Test::MaskedEq { datum, .. } | Test::MaskedNe { datum, .. } => fits(datum),
        Test::OneOf { values, .. } => values.iter().all(fits),
        Test::Lt(_) | Test::Le(_) | Test::Gt(_) | Test::Ge(_) => true,
    };
    if !operands_fit && argument.width == Width::W32 {
        return Err(IntentError::at(at, "the argument has 32 bits, the value more"));
    }
    u8::try_from(index)
        .ok()
        .and_then(|index| Condition::new(index, argument.width, test))
        .ok_or_else(|| IntentError::at(at, "calls have at most six arguments"))
}

fn test(body: &Table, at: &str) -> Result<Test> {
    known_keys(body, at, TESTS)?;
    let mask = match body.get("mask") {
        Some(Value::Array(flags)) => {
            Some(flags.iter().try_fold(0, |all, flag| number(flag, at).map(|flag| all | flag))?)
        }
        Some(single) => Some(number(single, at)?),
        None => None,
    };
    let list = |key: &str| -> Result<Option<Vec<u64>>> {
        let Some(value) = body.get(key) else { return Ok(None) };
        let Value::Array(values) = value else {
            return Err(IntentError::at(&format!("{at}.{key}"), "expected an array"));
        };
        values.iter().map(|value| number(value, at)).collect::<Result<Vec<_>>>().map(Some)
    };
    let union = |values: Vec<u64>| values.into_iter().fold(0, |all, value| all | value);
    let mut tests = Vec::new();
    if let Some(value) = body.get("is") {
        let datum = number(value, at)?;
        tests.push(mask.map_or(Test::Eq(datum), |mask| Test::MaskedEq { mask, datum }));
    }
    if let Some(value) = body.get("not") {
        tests.push(Test::Ne(number(value, at)?));
    }
    if let Some(values) = list("in")? {
        tests.push(Test::OneOf { mask: mask.unwrap_or(u64::MAX), values });
    }
    if let Some(flags) = list("none-of")? {
        tests.push(Test::MaskedEq { mask: union(flags), datum: 0 });
    }
    if let Some(flags) = list("all-of")? {
        let flags = union(flags);
        tests.push(Test::MaskedEq { mask: flags, datum: flags });
    }
    if let Some(flags) = list("only")? {
        tests.push(Test::MaskedEq { mask: !union(flags), datum: 0 });
    }
    if mask.is_some() && !body.contains_key("is") && !body.contains_key("in") {
        return Err(IntentError::at(at, "mask goes with `is` or `in`"));
    }
    match <[Test; 1]>::try_from(tests) {
        Ok([test]) => Ok(test),
        Err(_) => Err(IntentError::at(at, format!("write exactly one of: {}", TESTS.join(", ")))),
    }
}

fn number(value: &Value, at: &str) -> Result<u64> {
    match value {
        Value::Integer(number) => {
            u64::try_from(*number).map_err(|_| IntentError::at(at, "a negative number: write its bits in hexadecimal"))
        }
        Value::String(name) => {
            constant(name).ok_or_else(|| IntentError::at(at, format!("no constant is called {name}")))
        }
        _ => Err(IntentError::at(at, "expected a number or the name of a constant")),
    }
}

fn action(value: Option<&Value>, at: &str) -> Result<Action> {
    let name = text_of(value, at)?;
    Ok(match name {
        "allow" => Action::Allow,
        "log" => Action::Log,
        "trap" => Action::Trap,
        "kill-thread" => Action::KillThread,
        "kill-process" => Action::KillProcess,
        other => Action::Errno(errno(other).ok_or_else(|| {
            IntentError::at(at, format!("{other} is neither an errno nor allow, log, trap, kill-thread, kill-process"))
        })?),
    })
}

fn reason(value: Option<&Value>, at: &str) -> Result<String> {
    let text = text_of(value, at)?;
    if text.trim().is_empty() {
        return Err(IntentError::at(at, "every line needs a reason"));
    }
    Ok(text.to_owned())
}

fn knob_list(knobs: &[String], value: &Value, at: &str) -> Result<Vec<String>> {
    let list = strings(Some(value), at)?;
    match list.iter().find(|knob| !knobs.contains(knob)) {
        None => Ok(list),
        Some(other) => Err(IntentError::at(at, format!("the profile has no knob {other}"))),
    }
}

fn strings(value: Option<&Value>, at: &str) -> Result<Vec<String>> {
    match value {
        None => Ok(Vec::new()),
        Some(Value::Array(values)) => values.iter().map(|value| text_of(Some(value), at).map(str::to_owned)).collect(),
        Some(_) => Err(IntentError::at(at, "expected an array of strings")),
    }
}

fn text_of<'a>(value: Option<&'a Value>, at: &str) -> Result<&'a str> {
    value.and_then(Value::as_str).ok_or_else(|| IntentError::at(at, "expected a string"))
}

fn table<'a>(value: Option<&'a Value>, at: &str) -> Result<&'a Table> {
    static EMPTY: std::sync::LazyLock<Table> = std::sync::LazyLock::new(Table::new);
    match value {
        None => Ok(&EMPTY),
        Some(value) => value.as_table().ok_or_else(|| IntentError::at(at, "expected a table")),
    }
}

fn known_keys(table: &Table, at: &str, known: &[&str]) -> Result<()> {
    match table.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => {
            let place = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
            Err(IntentError::at(&place, format!("unknown key; known are: {}", known.join(", "))))
        }
    }
}
