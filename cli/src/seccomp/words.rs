//! Calls, arguments and conditions, for people.

use zerocap_seccomp::arguments::{self, Argument, Kind};
use zerocap_seccomp::intent::constants;
use zerocap_seccomp::{Arch, Condition, Test, Width};

/// The argument of a call; its name is the same for every architecture that has the call.
fn known(call: &str, index: u8) -> Option<&'static Argument> {
    let lists = Arch::ALL.into_iter().map(|arch| arguments::of(arch, call));
    lists.into_iter().find(|list| !list.is_empty())?.get(usize::from(index))
}

/// The name of an argument, or its number.
pub fn argument(call: &str, index: u8) -> String {
    known(call, index).map_or_else(|| format!("arg{index}"), |known| known.name.to_owned())
}

/// A call with its arguments.
pub fn call(name: &str, args: &[u64]) -> String {
    let words =
        (0u8..).zip(args).map(|(index, value)| format!("{} = {}", argument(name, index), number(name, index, *value)));
    format!("{name}({})", words.collect::<Vec<_>>().join(", "))
}

/// A condition, as in `flags & (CLONE_NEWUSER) = 0`.
pub fn condition(call: &str, condition: &Condition) -> String {
    let index = condition.arg();
    let name = match condition.width() {
        Width::W64 if known(call, index).is_some_and(|known| known.width == Width::W32) => {
            format!("{} (64 bits)", argument(call, index))
        }
        _ => argument(call, index),
    };
    let value = |value: u64| number(call, index, value);
    match condition.test() {
        Test::Eq(v) => format!("{name} = {}", value(*v)),
        Test::Ne(v) => format!("{name} ≠ {}", value(*v)),
        Test::Lt(v) => format!("{name} < {}", value(*v)),
        Test::Le(v) => format!("{name} ≤ {}", value(*v)),
        Test::Gt(v) => format!("{name} > {}", value(*v)),
        Test::Ge(v) => format!("{name} ≥ {}", value(*v)),
        Test::MaskedEq { mask, datum } => format!("{name} & {} = {}", bits(call, index, *mask), value(*datum)),
        Test::MaskedNe { mask, datum } => format!("{name} & {} ≠ {}", bits(call, index, *mask), value(*datum)),
        Test::OneOf { mask, values } => {
            let values: Vec<String> = values.iter().map(|v| value(*v)).collect();
            let whole = condition.width().mask();
            let masked = if mask & whole == whole { String::new() } else { format!(" & {mask:#x}") };
            format!("{name}{masked} in [{}]", values.join(", "))
        }
    }
}

/// Several conditions, which all have to hold.
pub fn conditions(call: &str, all: &[Condition]) -> String {
    match all {
        [] => "always".to_owned(),
        all => all.iter().map(|one| condition(call, one)).collect::<Vec<_>>().join(" and "),
    }
}

/// A mask: flags by name, anything else in hexadecimal.
fn bits(call: &str, index: u8, mask: u64) -> String {
    match family(call, &argument(call, index)) {
        Some(Family { kind: Names::Flags, .. }) => format!("({})", number(call, index, mask)),
        _ => format!("{mask:#x}"),
    }
}

/// A value in the words that its argument is written with.
fn number(call: &str, index: u8, value: u64) -> String {
    let plain = |value: u64| plain(known(call, index), value);
    let Some(family) = family(call, &argument(call, index)) else { return plain(value) };
    let named = |value: u64| family.names().find(|(_, known)| *known == value).map(|(name, _)| name.to_owned());
    let mut names = Vec::new();
    let mut rest = value;
    match family.kind {
        Names::Values => return named(value).unwrap_or_else(|| plain(value)),
        Names::Flags if value == 0 => return plain(value),
        Names::Flags => {}
        Names::ValueAndFlags(mask) => {
            names.push(named(value & mask).unwrap_or_else(|| plain(value & mask)));
            rest &= !mask;
        }
    }
    for (name, bits) in family.names() {
        if bits != 0 && rest & bits == bits {
            names.push(name.to_owned());
            rest &= !bits;
        }
    }
    if rest != 0 {
        names.push(format!("{rest:#x}"));
    }
    names.join("|")
}

/// The names that the values of an argument have.
struct Family {
    prefixes: &'static [&'static str],
    kind: Names,
}

/// How the names make up a value.
enum Names {
    /// One of them.
    Values,
    /// Any of them.
    Flags,
    /// One of them in these bits, and any of them above.
    ValueAndFlags(u64),
}

impl Family {
    fn names(&self) -> impl Iterator<Item = (&'static str, u64)> {
        constants().filter(|(name, _)| self.prefixes.iter().any(|prefix| name.starts_with(prefix)))
    }
}

fn family(call: &str, argument: &str) -> Option<Family> {
    let (prefixes, kind): (&'static [&'static str], Names) = match (call, argument) {
        ("socket" | "socketpair", "domain" | "family") => (&["AF_"], Names::Values),
        ("socket" | "socketpair", "type") => (&["SOCK_"], Names::ValueAndFlags(0xf)),
        ("clone" | "unshare", "flags" | "unshare_flags") => (&["CLONE_"], Names::Flags),
        ("mmap" | "mprotect" | "pkey_mprotect", "prot") => (&["PROT_"], Names::Flags),
        ("mmap", "flags") => (&["MAP_"], Names::Flags),
        ("open" | "openat", "flags") => (&["O_"], Names::ValueAndFlags(3)),
        ("memfd_create", "flags") => (&["MFD_"], Names::Flags),
        ("sendto" | "sendmsg" | "sendmmsg", "flags") => (&["MSG_"], Names::Flags),
        ("ioctl", "cmd") => (&["TIOC", "FIO", "TCGETS"], Names::Values),
        ("setsockopt", "level") => (&["SOL_", "IPPROTO_"], Names::Values),
        _ => return None,
    };
    Some(Family { prefixes, kind })
}

/// A number as its argument is usually written.
fn plain(argument: Option<&Argument>, value: u64) -> String {
    let Some(argument) = argument else { return if value < 10 { value.to_string() } else { format!("{value:#x}") } };
    match argument.kind {
        // All 32 bits, or all 64 of the same negative number.
        Kind::Int | Kind::Fd | Kind::Pid if argument.width == Width::W32 => match u32::try_from(value) {
            Ok(low) => low.cast_signed().to_string(),
            Err(_) => i32::try_from(value.cast_signed()).map_or_else(|_| format!("{value:#x}"), |low| low.to_string()),
        },
        Kind::Unsigned | Kind::Size | Kind::Offset | Kind::Id | Kind::Signal if value < 1 << 32 => value.to_string(),
        Kind::Mode => format!("{value:#o}"),
        _ if value < 10 => value.to_string(),
        _ => format!("{value:#x}"),
    }
}

/// An argument as people write it: a number, or names of constants with `|` between them.
pub fn parse(text: &str) -> Result<u64, String> {
    text.split('|').map(str::trim).try_fold(0, |all, word| Ok(all | one(word)?))
}

fn one(word: &str) -> Result<u64, String> {
    let (sign, digits) = word.strip_prefix('-').map_or((false, word), |rest| (true, rest));
    let number = match digits.get(..2) {
        Some("0x" | "0X") => u64::from_str_radix(&digits[2..], 16),
        Some("0o") => u64::from_str_radix(&digits[2..], 8),
        Some("0b") => u64::from_str_radix(&digits[2..], 2),
        _ => digits.parse(),
    };
    if let Ok(number) = number {
        return Ok(if sign { number.wrapping_neg() } else { number });
    }
    zerocap_seccomp::intent::constant(word).ok_or_else(|| {
        match zerocap_seccomp::intent::closest(word, constants().map(|(name, _)| name)) {
            Some(meant) => format!("{word:?} is neither a number nor a constant; did you mean {meant}?"),
            None => format!("{word:?} is neither a number nor a constant that is known here: write its number"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_as_people_write_them() {
        assert_eq!(parse("AF_INET"), Ok(2));
        assert_eq!(parse("SOCK_STREAM|SOCK_CLOEXEC"), Ok(0x80001));
        assert_eq!(parse("0x10 | 1"), Ok(0x11));
        assert_eq!(parse("-1"), Ok(u64::MAX));
        assert_eq!(parse("0o644"), Ok(0o644));
        assert!(parse("AF_INTE").is_err_and(|error| error.contains("AF_INET")));
        for bad in ["", "|", "0x", "-", "99999999999999999999", "x"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn conditions_in_words() {
        let one = |arg, width, test| Condition::new(arg, width, test).unwrap();
        let newuser = one(0, Width::W32, Test::MaskedEq { mask: 0x1000_0000, datum: 0 });
        assert_eq!(condition("clone", &newuser), "flags & (CLONE_NEWUSER) = 0");
        assert_eq!(condition("socket", &one(0, Width::W64, Test::Eq(2))), "domain (64 bits) = AF_INET");
        assert_eq!(condition("socket", &one(1, Width::W32, Test::Ne(0x80001))), "type ≠ SOCK_STREAM|SOCK_CLOEXEC");
        let kind = one(1, Width::W32, Test::MaskedEq { mask: 0xf, datum: 3 });
        assert_eq!(condition("socket", &kind), "type & 0xf = SOCK_RAW");
        assert_eq!(
            call("openat", &[0xffff_ff9c, 0, 0x80041, 0o644]),
            "openat(dirfd = -100, filename = 0, flags = O_WRONLY|O_CREAT|O_CLOEXEC, mode = 0o644)"
        );
        assert_eq!(call("listen", &[3, 1 << 32 | 1]), "listen(sockfd = 3, backlog = 0x100000001)");
        assert_eq!(conditions("read", &[]), "always");
        assert_eq!(
            call("socket", &[1, 0x4000_0001, 6]),
            "socket(domain = AF_UNIX, type = SOCK_STREAM|0x40000000, protocol = 6)"
        );
    }
}
