//! One node after the other: whoever restarts containerd holds a Lease of the cluster meanwhile, if one was named.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use zerocap_annotations::{ZcError, code, quote};
use zerocap_daemon::api::Api;
use zerocap_daemon::lease::{Held, LeaseError, Leases};

use super::enter::Kept;
use crate::server::Server;

/// The flags.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Restart containerd only while holding this Lease of the cluster; given several times: one of them
    #[arg(long = "lease", value_name = "NAMESPACE/NAME", requires = "holder")]
    leases: Vec<String>,

    /// Who holds it: this node's name in Kubernetes
    #[arg(long, value_name = "NODE")]
    holder: Option<String>,

    /// Seconds to wait for it
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    lease_patience: u64,

    #[command(flatten)]
    server: Server,
}

/// What it takes to wait for a turn, read before this process enters other files.
#[derive(Debug)]
pub struct Turn {
    leases: Option<Leases>,
    patience: Duration,
    /// The folder of the token, which the kubelet renews.
    token: Option<Kept>,
}

/// A turn; it ends well only by [`Mine::end`].
#[derive(Debug)]
pub struct Mine {
    held: Option<Held>,
    /// Open for as long as the Lease is renewed and given back.
    _token: Option<Kept>,
}

impl Turn {
    /// Reads certificates, and keeps the token's folder.
    ///
    /// # Errors
    /// ZC1107, ZC1115.
    pub fn prepare(arguments: &Arguments) -> Result<Self, ZcError> {
        let patience = Duration::from_secs(arguments.lease_patience);
        if arguments.leases.is_empty() {
            return Ok(Self { leases: None, patience, token: None });
        }
        let (namespace, names) = names(&arguments.leases)?;
        let mut place = arguments.server.place().map_err(|error| unasked(&error))?;
        let folder = place.token.parent().map_or_else(|| PathBuf::from("."), Path::to_owned);
        let name = place.token.file_name().map(PathBuf::from).unwrap_or_default();
        let token = Kept::open(&folder)?;
        place.token = token.path().join(name);
        let api = Api::new(&place).map_err(|error| unasked(&error))?;
        let holder = arguments.holder.clone().unwrap_or_default();
        Ok(Self { leases: Some(Leases { api, namespace, names, holder }), patience, token: Some(token) })
    }

    /// Waits for it, where there is one to wait for.
    ///
    /// # Errors
    /// ZC1114, ZC1115.
    pub fn wait(self) -> Result<Mine, ZcError> {
        let Some(leases) = self.leases else { return Ok(Mine { held: None, _token: None }) };
        // Standard output has the answer.
        let told = |holders: &str| eprintln!("waiting until {holders} is done");
        match leases.take(self.patience, told) {
            Ok(held) => Ok(Mine { held: Some(held), _token: self.token }),
            Err(error @ LeaseError::Others { .. }) => Err(ZcError::new(
                code::install::TURN,
                error.to_string(),
                "look at the installer's pod of that node; nothing was changed on this one",
            )),
            Err(error) => Err(unasked(&error)),
        }
    }
}

impl Mine {
    /// The work went well: the next one may begin. After a failure the Lease is kept until it lapses, so that one that all nodes have comes
    /// over them slowly.
    pub fn end(self) {
        if let Some(Err(error)) = self.held.map(Held::give_back) {
            eprintln!("{error}; it lapses by itself");
        }
    }
}

/// The Leases' one namespace, and their names.
fn names(leases: &[String]) -> Result<(String, Vec<String>), ZcError> {
    let mut of = None;
    let mut names = Vec::new();
    for lease in leases {
        let Some((namespace, name)) = lease.split_once('/').filter(|(a, b)| is_name(a) && is_name(b)) else {
            let what = format!("{} is no Lease", quote(lease));
            return Err(ZcError::new(code::install::LEASE, what, "write --lease NAMESPACE/NAME"));
        };
        if *of.get_or_insert(namespace) != namespace {
            let what = "the Leases are in several namespaces";
            return Err(ZcError::new(code::install::LEASE, what, "name Leases of one namespace"));
        }
        names.push(name.to_owned());
    }
    Ok((of.unwrap_or_default().to_owned(), names))
}

/// It goes into an address of the API.
fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
    !text.is_empty() && text.len() <= 253 && text.bytes().all(plain)
}

fn unasked(error: &dyn std::error::Error) -> ZcError {
    let instead = "look at the words; without --lease (the chart's installer.lease) nobody waits for other nodes";
    ZcError::new(code::install::LEASE, error.to_string(), instead)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_namespace() {
        let of = |leases: &[&str]| names(&leases.iter().map(|&lease| lease.to_owned()).collect::<Vec<_>>());
        let (namespace, two) = of(&["zerocap/a-0", "zerocap/a-1"]).unwrap();
        assert_eq!((namespace.as_str(), two), ("zerocap", vec!["a-0".to_owned(), "a-1".to_owned()]));
        for bad in [&["a"][..], &["/a"], &["a/"], &["a/b/c"], &["a/B"], &["a/../b"], &["a/x?y=1"], &["a/x", "b/x"]] {
            assert_eq!(of(bad).unwrap_err().code, code::install::LEASE, "{bad:?}");
        }
    }
}
