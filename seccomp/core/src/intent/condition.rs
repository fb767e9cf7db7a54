//! Conditions on arguments, by name.

use super::error::IntentError;
use super::node::Node;
use super::{Argument, arguments, constant, constants};
use crate::arguments::Kind;
use crate::{Condition, Test, Width};

type Result<T> = std::result::Result<T, IntentError>;

const TESTS: &[&str] = &["is", "not", "in", "mask", "none-of", "any-of", "all-of", "only"];

/// A condition of a call, with the key being the argument's name.
pub(super) fn condition(call: &str, argument: &str, node: &Node<'_>) -> Result<Condition> {
    let known = arguments(call);
    let index = known.iter().position(|known| known.name == argument).ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|known| known.name).collect();
        if names.is_empty() {
            return node
                .wrong_key(format!("the arguments of {call} have no names here: it can be decided by name only"));
        }
        let error = node.wrong_key(format!("{call} has no such argument; it has: {}", names.join(", ")));
        error.meant(argument, names)
    })?;
    one(index, known[index], node)
}

fn one(index: usize, argument: Argument, node: &Node<'_>) -> Result<Condition> {
    let test = if node.is_table() { test(node)? } else { Test::Eq(number(node)?) };
    let fits = |value: &u64| value & !argument.width.mask() == 0;
    let operands_fit = match &test {
        Test::Eq(v) | Test::Ne(v) => fits(v),
        // The mask of `only` is a complement: it reaches over the width on purpose.
        Test::MaskedEq { datum, .. } | Test::MaskedNe { datum, .. } => fits(datum),
        Test::OneOf { values, .. } => values.iter().all(fits),
        Test::Lt(_) | Test::Le(_) | Test::Gt(_) | Test::Ge(_) => true,
    };
    if argument.kind == Kind::Pointer && !matches!(test, Test::Eq(0) | Test::Ne(0)) {
        let error = node.wrong("the argument is a pointer: a filter sees the address, and not what is there");
        return Err(error.hint("compare it with 0 only, which is NULL"));
    }
    if !operands_fit && argument.width == Width::W32 {
        return Err(node.wrong("the argument has 32 bits, the value more"));
    }
    u8::try_from(index)
        .ok()
        .and_then(|index| Condition::new(index, argument.width, test))
        .ok_or_else(|| node.wrong("calls have at most six arguments"))
}

fn test(node: &Node<'_>) -> Result<Test> {
    let body = node.fields()?.only(TESTS)?;
    let union = |node: &Node<'_>| -> Result<u64> { Ok(list(node)?.into_iter().fold(0, |all, value| all | value)) };
    let mask = match body.get("mask") {
        Some(mask) if mask.elements().is_some() => Some(union(mask)?),
        Some(mask) => Some(number(mask)?),
        None => None,
    };
    // A test of no bit always holds, or never does: not what anybody means.
    let flags = |node: &Node<'_>| match union(node)? {
        0 => Err(node.wrong("no flag is named")),
        flags => Ok(flags),
    };
    let mut tests = Vec::new();
    for (key, value) in &body.entries {
        tests.push(match *key {
            "is" => {
                let datum = number(value)?;
                if let Some(mask) = mask.filter(|mask| datum & !mask != 0) {
                    return Err(
                        value.wrong(format!("{datum:#x} has bits outside the mask {mask:#x}: it can never be met"))
                    );
                }
                mask.map_or(Test::Eq(datum), |mask| Test::MaskedEq { mask, datum })
            }
            "not" => Test::Ne(number(value)?),
            "in" => match list(value)? {
                values if values.is_empty() => return Err(value.wrong("no value is listed: it can never be met")),
                values => Test::OneOf { mask: mask.unwrap_or(u64::MAX), values },
            },
            "none-of" => Test::MaskedEq { mask: flags(value)?, datum: 0 },
            "any-of" => Test::MaskedNe { mask: flags(value)?, datum: 0 },
            "all-of" => flags(value).map(|flags| Test::MaskedEq { mask: flags, datum: flags })?,
            "only" => Test::MaskedEq { mask: !union(value)?, datum: 0 },
            _ => continue,
        });
    }
    if mask == Some(0) {
        return Err(node.wrong("a mask of 0 looks at nothing: the condition always holds, or never"));
    }
    if mask.is_some() && body.get("is").is_none() && body.get("in").is_none() {
        return Err(node.wrong("mask goes with `is` or `in`"));
    }
    <[Test; 1]>::try_from(tests)
        .map(|[test]| test)
        .map_err(|_| node.wrong(format!("write exactly one of: {}", TESTS.join(", "))))
}

fn list(node: &Node<'_>) -> Result<Vec<u64>> {
    node.array("numbers or names of constants")?.iter().map(number).collect()
}

fn number(node: &Node<'_>) -> Result<u64> {
    match (node.integer(), node.as_str()) {
        (Some(number), _) => number,
        (None, Some(name)) => constant(name).ok_or_else(|| {
            let error = node.wrong(format!("no constant is called {name}"));
            error.meant(name, constants().map(|(name, _)| name))
        }),
        (None, None) => Err(node.wrong("expected a number or the name of a constant")),
    }
}
