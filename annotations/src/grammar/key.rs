//! Keys: which knob, for the pod or for which container.

use super::{BARE, PREFIX, did_you_mean};
use crate::code;
use crate::error::{ZcError, quote};
use crate::knob::{Knob, is_dns_label};

/// What a key of ours names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key<'a> {
    /// A knob of the whole pod.
    Pod(Knob),
    /// A knob of one container.
    Exception(Knob, &'a str),
}

/// Whether the key is one of ours, well-formed or not: the bare spelling, or anything under our prefix, in any case
/// (Kubernetes admits capital letters in annotation keys).
pub fn is_ours(key: &str) -> bool {
    if key.eq_ignore_ascii_case(BARE) {
        return true;
    }
    let prefix = key.split_once('/').map_or(key, |(prefix, _)| prefix);
    prefix.eq_ignore_ascii_case(PREFIX)
        || prefix
            .len()
            .checked_sub(PREFIX.len() + 1)
            .and_then(|at| prefix.get(at..))
            .is_some_and(|tail| tail.starts_with('.') && tail[1..].eq_ignore_ascii_case(PREFIX))
}

/// Reads a key for which [`is_ours`] holds.
pub(super) fn parse(key: &str) -> Result<Key<'_>, ZcError> {
    if key == BARE {
        return Ok(Key::Pod(Knob::NetworkEnforcement));
    }
    let Some((prefix, name)) = key.split_once('/') else {
        return Err(unknown(key, key));
    };
    if prefix == PREFIX {
        return if name.is_empty() {
            Err(malformed(key))
        } else {
            Knob::from_name(name).map(Key::Pod).ok_or_else(|| unknown(key, name))
        };
    }
    let Some(knob) = prefix.strip_suffix(PREFIX).and_then(|prefix| prefix.strip_suffix('.')) else {
        // Our prefix in other letters.
        return Err(unknown(key, if prefix.len() == PREFIX.len() { name } else { prefix_knob(prefix) }));
    };
    let Some(knob) = Knob::from_name(knob) else {
        return Err(unknown(key, knob));
    };
    if is_dns_label(name) { Ok(Key::Exception(knob, name)) } else { Err(malformed(key)) }
}

fn prefix_knob(prefix: &str) -> &str {
    prefix.split_once('.').map_or(prefix, |(knob, _)| knob)
}

fn malformed(key: &str) -> ZcError {
    ZcError::new(
        code::annotation::BAD_KEY,
        format!("annotation {} names no knob or no container", quote(key)),
        "write zerocap.io/KNOB for the pod or KNOB.zerocap.io/CONTAINER for one container",
    )
}

fn unknown(key: &str, knob: &str) -> ZcError {
    let hint = match did_you_mean(knob, Knob::ALL.iter().map(|knob| knob.name())) {
        Some(name) if key.contains('/') && !key.to_ascii_lowercase().starts_with(PREFIX) => {
            format!("did you mean {name}.{PREFIX}/CONTAINER?")
        }
        Some(name) if key.contains('/') => format!("did you mean {PREFIX}/{name}?"),
        Some(name) if name == BARE => format!("did you mean {BARE}?"),
        _ => "remove it, or see `zerocap explain` for the knobs there are".to_owned(),
    };
    ZcError::new(
        code::annotation::UNKNOWN_KNOB,
        format!("annotation {} is not one that zerocap knows", quote(key)),
        hint,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_and_foreign() {
        for ours in [
            "network-enforcement",
            "Network-Enforcement",
            "zerocap.io/x",
            "zerocap.io",
            "zerocap.io/",
            "ZeroCap.IO/listen",
            "listen.zerocap.io/c",
            "a.b.zerocap.io/c",
            ".zerocap.io/c",
        ] {
            assert!(is_ours(ours), "{ours}");
        }
        for foreign in [
            "",
            "x",
            "notzerocap.io/x",
            "zerocap.io.example/x",
            "example/zerocap.io",
            "network-enforcement.example/x",
            "io.kubernetes.cri.container-name",
            "éérocap.io/x",
        ] {
            assert!(!is_ours(foreign), "{foreign}");
        }
    }

    #[test]
    fn every_knob_in_every_spelling() {
        for knob in Knob::ALL {
            assert_eq!(parse(&format!("zerocap.io/{knob}")), Ok(Key::Pod(knob)));
            assert_eq!(parse(&format!("{knob}.zerocap.io/app-1")), Ok(Key::Exception(knob, "app-1")));
        }
        assert_eq!(parse("network-enforcement"), Ok(Key::Pod(Knob::NetworkEnforcement)));
    }

    #[test]
    fn what_is_wrong_has_a_code_and_a_suggestion() {
        for (key, code, hint) in [
            ("zerocap.io/proxyport", "ZC0101", "did you mean zerocap.io/proxy-port?"),
            ("Zerocap.io/listen", "ZC0101", "did you mean zerocap.io/listen?"),
            ("Network-enforcement", "ZC0101", "did you mean network-enforcement?"),
            ("listn.zerocap.io/app", "ZC0101", "did you mean listen.zerocap.io/CONTAINER?"),
            ("listen.Zerocap.io/app", "ZC0101", "did you mean listen.zerocap.io/CONTAINER?"),
            ("zerocap.io/banana", "ZC0101", "remove it, or see `zerocap explain` for the knobs there are"),
            ("zerocap.io", "ZC0101", "remove it, or see `zerocap explain` for the knobs there are"),
            (
                "zerocap.io/",
                "ZC0108",
                "write zerocap.io/KNOB for the pod or KNOB.zerocap.io/CONTAINER for one container",
            ),
            (
                "listen.zerocap.io/My_App",
                "ZC0108",
                "write zerocap.io/KNOB for the pod or KNOB.zerocap.io/CONTAINER for one container",
            ),
        ] {
            let error = parse(key).map_err(|e| (e.code.as_str(), e.hint));
            assert_eq!(error, Err((code, hint.to_owned())), "{key}");
        }
    }
}
