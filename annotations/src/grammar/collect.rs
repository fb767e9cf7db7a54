//! All annotations of a pod as typed settings: pod-wide ones and exceptions.

use std::collections::BTreeMap;

use super::key::{self, Key};
use super::{BARE, PREFIX};
use crate::code;
use crate::error::{ZcError, quote};
use crate::knob::{Knob, Settings};

/// Most bytes that one of our annotations may have.
pub const MAX_VALUE: usize = 16 * 1024;
/// Most annotations of ours that one pod may have.
pub const MAX_ANNOTATIONS: usize = 256;

/// What the annotations of one pod say, each value parsed, nothing compared with the floor yet.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Written {
    /// Pod-wide values.
    pub pod: Settings,
    /// Exceptions by container.
    pub exceptions: BTreeMap<String, Settings>,
    /// Whether network-enforcement was written without our prefix.
    pub bare: bool,
}

impl Written {
    /// The key as it stands in the pod, for errors and the report.
    pub(crate) fn pod_key(&self, knob: Knob) -> String {
        if knob == Knob::NetworkEnforcement && self.bare { BARE.to_owned() } else { format!("{PREFIX}/{knob}") }
    }
}

/// The key of an exception.
pub(crate) fn exception_key(knob: Knob, container: &str) -> String {
    format!("{knob}.{PREFIX}/{container}")
}

/// Reads every annotation of ours; others are not looked at.
///
/// # Errors
/// ZC0101 to ZC0104 and ZC0108, for the first key in the order of the map.
pub(crate) fn collect(annotations: &BTreeMap<String, String>) -> Result<Written, ZcError> {
    let ours = || annotations.iter().filter(|(key, _)| key::is_ours(key));
    let count = ours().count();
    if count > MAX_ANNOTATIONS {
        return Err(ZcError::new(
            code::annotation::TOO_LARGE,
            format!("the pod has {count} annotations of zerocap"),
            format!("write at most {MAX_ANNOTATIONS}"),
        ));
    }
    let mut written = Written::default();
    for (name, value) in ours() {
        if value.len() > MAX_VALUE {
            return Err(ZcError::new(
                code::annotation::TOO_LARGE,
                format!("annotation {} has {} bytes", quote(name), value.len()),
                format!("write at most {MAX_VALUE}"),
            ));
        }
        match key::parse(name)? {
            Key::Pod(Knob::NetworkEnforcement) => set_mode(&mut written, name, value)?,
            Key::Pod(knob) => set(&mut written.pod, knob, name, value)?,
            Key::Exception(knob, container) => {
                set(written.exceptions.entry(container.to_owned()).or_default(), knob, name, value)?;
            }
        }
    }
    Ok(written)
}

/// `network-enforcement` has two spellings, which may both be there as long as they agree.
fn set_mode(written: &mut Written, name: &str, value: &str) -> Result<(), ZcError> {
    let before = written.pod.network_enforcement;
    set(&mut written.pod, Knob::NetworkEnforcement, name, value)?;
    written.bare |= name == BARE;
    if before.is_some() && before != written.pod.network_enforcement {
        return Err(ZcError::new(
            code::annotation::CONFLICTING_SPELLINGS,
            format!("annotations {BARE} and {PREFIX}/{BARE} have different values"),
            "keep one of the two",
        ));
    }
    Ok(())
}

fn set(settings: &mut Settings, knob: Knob, name: &str, value: &str) -> Result<(), ZcError> {
    settings.set(knob, value).map_err(|malformed| {
        let code = if malformed.too_large { code::annotation::TOO_LARGE } else { code::annotation::BAD_VALUE };
        ZcError::new(code, format!("annotation {} {}", quote(name), malformed.what), malformed.instead)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knob::{Listen, NetworkEnforcement};

    fn read(pairs: &[(&str, &str)]) -> Result<Written, &'static str> {
        let map = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        collect(&map).map_err(|error| error.code.as_str())
    }

    #[test]
    fn pod_wide_values_and_exceptions() {
        let written = read(&[
            ("network-enforcement", "platform"),
            ("zerocap.io/listen", "80"),
            ("listen.zerocap.io/web", "80,8080"),
            ("example.com/other", "x"),
        ]);
        let Ok(written) = written else { panic!("{written:?}") };
        assert_eq!(written.pod.network_enforcement, Some(NetworkEnforcement::Platform));
        assert_eq!(written.pod.listen, Some(Listen::Ports([80].into())));
        assert_eq!(written.exceptions["web"].listen, Some(Listen::Ports([80, 8080].into())));
        assert_eq!(written.pod_key(Knob::NetworkEnforcement), "network-enforcement");
    }

    #[test]
    fn two_spellings_must_agree() {
        let both = |a, b| {
            read(&[("network-enforcement", a), ("zerocap.io/network-enforcement", b)])
                .map(|w| w.pod.network_enforcement)
        };
        assert_eq!(both("platform", "platform"), Ok(Some(NetworkEnforcement::Platform)));
        assert_eq!(both("cluster", "namespace"), Ok(Some(NetworkEnforcement::Cluster)));
        assert_eq!(both("platform", "cluster"), Err("ZC0103"));
        assert_eq!(both("platform", "bogus"), Err("ZC0102"));
    }

    #[test]
    fn bounds() {
        let big = "8080,".repeat(1024 * 1024 / 5);
        assert_eq!(read(&[("zerocap.io/listen", &big)]).err(), Some("ZC0104"));
        let entries = vec!["80"; 300].join(",");
        assert_eq!(read(&[("zerocap.io/listen", &entries)]).err(), Some("ZC0104"));
        let keys: Vec<String> = (0..=MAX_ANNOTATIONS).map(|n| format!("listen.zerocap.io/c{n}")).collect();
        let many: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), "80")).collect();
        assert_eq!(read(&many).err(), Some("ZC0104"));
        assert_eq!(read(&[("example.com/listen", &big)]), Ok(Written::default()));
    }
}
