//! The certificate: from files that somebody renews, or made for this start.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::NoServerSessionStorage;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::log::{self, Level};

/// The files are looked at this often.
const LOOK: Duration = Duration::from_secs(10);

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read, or is no PEM.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Certificate and key do not fit, or are of a kind that is not known.
    #[error("{0}")]
    Use(String),
}

/// A certificate with its key.
type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The certificate in use.
pub(super) struct Certificate {
    files: Option<(PathBuf, PathBuf)>,
    /// When the files were written that were read last.
    written: Option<SystemTime>,
    looked: Instant,
    config: Arc<ServerConfig>,
    fingerprint: String,
}

impl Certificate {
    pub(super) fn load(files: Option<(PathBuf, PathBuf)>, name: &str) -> Result<Self, CertificateError> {
        let (written, pair) = match &files {
            Some((certificate, key)) => (newest(certificate, key), read(certificate, key)?),
            None => (None, own(name)?),
        };
        let fingerprint = fingerprint(&pair);
        Ok(Self { files, written, looked: Instant::now(), config: config(pair)?, fingerprint })
    }

    /// SHA-256 of the certificate, as hexadecimal digits.
    pub(super) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// What a connection that begins now gets. New files that cannot be used are said, and the old ones used.
    pub(super) fn current(&mut self) -> Arc<ServerConfig> {
        if self.looked.elapsed() >= LOOK {
            self.look_again();
        }
        self.config.clone()
    }

    fn look_again(&mut self) {
        self.looked = Instant::now();
        let Some((certificate, key)) = &self.files else { return };
        let written = newest(certificate, key);
        if written == self.written {
            return;
        }
        self.written = written;
        let renewed = read(certificate, key).and_then(|pair| Ok((fingerprint(&pair), config(pair)?)));
        match renewed {
            Ok((fingerprint, config)) => {
                log::line(Level::Info, "a renewed certificate is in use", &json!({ "sha256": fingerprint }));
                (self.fingerprint, self.config) = (fingerprint, config);
            }
            Err(error) => log::line(
                Level::Warning,
                "the renewed certificate cannot be used; the old one still is",
                &json!({ "error": error.to_string() }),
            ),
        }
    }
}

fn newest(certificate: &Path, key: &Path) -> Option<SystemTime> {
    let time = |path: &Path| path.metadata().ok()?.modified().ok();
    time(certificate).max(time(key))
}

fn read(certificate: &Path, key: &Path) -> Result<Pair, CertificateError> {
    let unreadable = |path: &Path, error: rustls::pki_types::pem::Error| CertificateError::File {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(certificate, error))?;
    Ok((chain, PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, error))?))
}

/// A certificate that nobody has signed: it hides what is said, and does not show who says it.
fn own(name: &str) -> Result<Pair, CertificateError> {
    let made = rcgen::generate_simple_self_signed([name.to_owned()])
        .map_err(|error| CertificateError::Use(error.to_string()))?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    Ok((vec![made.cert.into()], key.into()))
}

fn fingerprint((chain, _): &Pair) -> String {
    let first = chain.first().map(AsRef::as_ref).unwrap_or_default();
    Sha256::digest(first).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Nothing is kept of a connection that has ended: no sessions, no tickets.
fn config((chain, key): Pair) -> Result<Arc<ServerConfig>, CertificateError> {
    let unusable = |error: rustls::Error| CertificateError::Use(error.to_string());
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(unusable)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, name: &str, at: u64) -> (PathBuf, PathBuf) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let pem = |label: &str, der: &[u8]| {
            let body = base64(der);
            format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
        };
        let files = (dir.join("tls.crt"), dir.join("tls.key"));
        std::fs::write(&files.0, pem("CERTIFICATE", made.cert.der())).unwrap();
        std::fs::write(&files.1, pem("PRIVATE KEY", &made.signing_key.serialize_der())).unwrap();
        touch(&files.0, at);
        files
    }

    fn touch(path: &Path, at: u64) {
        std::fs::File::options()
            .append(true)
            .open(path)
            .unwrap()
            .set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(at))
            .unwrap();
    }

    fn base64(bytes: &[u8]) -> String {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let group = |three: &[u8]| {
            let bits = three.iter().chain(&[0; 2]).take(3).fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
            (0..4)
                .map(|n| if n > three.len() { '=' } else { char::from(DIGITS[bits >> (18 - 6 * n) & 63]) })
                .collect::<String>()
        };
        bytes.chunks(3).map(group).collect()
    }

    #[test]
    fn a_renewed_certificate_is_taken_up_and_a_broken_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let files = write(dir.path(), "one", 100);
        // The key is older than any certificate here.
        let key = |files: &(PathBuf, PathBuf)| touch(&files.1, 1);
        key(&files);
        let mut certificate = Certificate::load(Some(files.clone()), "unused").unwrap();
        let first = certificate.fingerprint().to_owned();
        key(&write(dir.path(), "two", 200));
        certificate.look_again();
        let second = certificate.fingerprint().to_owned();
        assert_ne!(first, second);
        std::fs::write(&files.0, "no certificate").unwrap();
        touch(&files.0, 300);
        certificate.look_again();
        assert_eq!(certificate.fingerprint(), second);
        assert!(Certificate::load(Some(files), "unused").is_err());
    }

    #[test]
    fn each_start_has_another_of_its_own() {
        let made = || Certificate::load(None, "node-1").unwrap().fingerprint().to_owned();
        assert_ne!(made(), made());
    }
}
