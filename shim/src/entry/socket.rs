//! The task service's socket: where it is, whether somebody answers there.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Bytes that fit into a socket address, with the closing zero.
const MAX_PATH: usize = 106;

/// The path in an address like `unix:///run/…`.
pub(crate) fn path_of(address: &str) -> &Path {
    Path::new(address.strip_prefix("unix://").unwrap_or(address))
}

/// What stands behind an address.
pub(super) enum Group {
    /// A living shim answers: it serves this container too.
    Alive,
    /// The socket is ours now.
    Ours(UnixListener),
}

/// Takes the socket at `address`, unless a living shim has it.
pub(super) fn join_or_take(address: &str) -> Result<Group> {
    let path = path_of(address);
    if path.as_os_str().len() > MAX_PATH {
        bail!("the socket path {} is longer than {MAX_PATH} bytes", path.display());
    }
    let Some(directory) = path.parent() else {
        bail!("the socket address {address:?} has no directory");
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    // Twice: a dead shim's socket is removed in between.
    for _ in 0..2 {
        match UnixListener::bind(path) {
            Ok(listener) => {
                fs::set_permissions(path, fs::Permissions::from_mode(0o600)).context("cannot protect the socket")?;
                return Ok(Group::Ours(listener));
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                if UnixStream::connect(path).is_ok() {
                    return Ok(Group::Alive);
                }
                fs::remove_file(path).context("cannot remove the socket of a dead shim")?;
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot bind {}", path.display()));
            }
        }
    }
    bail!("the socket {} is taken again and again", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_living_socket_is_joined_and_a_dead_one_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s/x");
        let address = format!("unix://{}", path.display());
        let Group::Ours(listener) = join_or_take(&address).unwrap() else {
            panic!("nobody was there");
        };
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        assert!(matches!(join_or_take(&address).unwrap(), Group::Alive));
        drop(listener);
        // A child that another test is just starting has a copy of the listener until it executes.
        let taken = (0..500).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            matches!(join_or_take(&address).unwrap(), Group::Ours(_))
        });
        assert!(taken);
    }

    #[test]
    fn a_path_that_is_too_long_is_refused() {
        let address = format!("unix:///tmp/{}", "x".repeat(120));
        assert!(join_or_take(&address).is_err());
    }
}
