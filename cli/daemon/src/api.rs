//! The few calls of the Kubernetes API that the daemon makes, without an asynchronous runtime: two threads wait, one works.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::tls::{PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};
use ureq::{Agent, Body};

/// Where a pod finds its service account.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// A token or a bundle of certificates is far smaller.
const CREDENTIAL_LIMIT: u64 = 1 << 20;
/// All pods of one node. The kubelet takes 110 by default, of at most 1.5 MiB each; nobody has near that.
const LIST_LIMIT: u64 = 256 << 20;
/// One object: etcd's own limit is 1.5 MiB.
const OBJECT_LIMIT: u64 = 4 << 20;
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a review may take.
const REVIEW: Duration = Duration::from_secs(3);
/// How long a watch lasts, in seconds, until it is asked for anew.
const WATCH_SECONDS: u64 = 300;

/// Why the API server gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// It cannot be asked: no address, no credentials.
    #[error("{0}")]
    Place(String),
    /// It was not reached, or the connection broke.
    #[error("{0}")]
    Transport(String),
    /// It said no.
    #[error("{message} (HTTP status {status})")]
    Refused {
        /// HTTP's status.
        status: u16,
        /// What it says.
        message: String,
    },
    /// What it said makes no sense.
    #[error("the answer does not parse: {0}")]
    Answer(String),
}

impl ApiError {
    /// Whether the object is there already.
    pub const fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { status: 409, .. })
    }

    /// Whether the object is gone.
    pub const fn is_gone(&self) -> bool {
        matches!(self, Self::Refused { status: 404 | 410, .. })
    }
}

/// Where the API server is, and who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// `https://HOST:PORT`.
    pub server: String,
    /// File with the certificates that may have signed the server's.
    pub authority: PathBuf,
    /// File with the bearer token. It is read for each request: the kubelet renews it.
    pub token: PathBuf,
}

impl Place {
    /// The service account of the pod that this runs in.
    ///
    /// # Errors
    /// [`ApiError::Place`] outside of a pod.
    pub fn in_cluster() -> Result<Self, ApiError> {
        let variable = |name: &str| {
            std::env::var(name).map_err(|_| {
                ApiError::Place(format!("{name} is not set: this is no pod; name the API server with --server"))
            })
        };
        let (host, port) = (variable("KUBERNETES_SERVICE_HOST")?, variable("KUBERNETES_SERVICE_PORT")?);
        // The client takes no certificate for an IPv6 address; the API server's has this name as well.
        let host = if host.contains(':') { "kubernetes.default.svc".to_owned() } else { host };
        Ok(Self {
            server: format!("https://{host}:{port}"),
            authority: format!("{ACCOUNT}/ca.crt").into(),
            token: format!("{ACCOUNT}/token").into(),
        })
    }
}

/// A client. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    agent: Agent,
    server: String,
    token: PathBuf,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("server", &self.server).finish_non_exhaustive()
    }
}

/// How a PATCH is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patch {
    /// Lists are merged by their keys: conditions by their type.
    Strategic,
    /// RFC 7386.
    Merge,
}

impl Api {
    /// A client for that place.
    ///
    /// # Errors
    /// [`ApiError::Place`] if the certificates cannot be read.
    pub fn new(place: &Place) -> Result<Self, ApiError> {
        let pem = read(&place.authority)?;
        let certificates: Vec<_> = parse_pem(pem.as_bytes())
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        if certificates.is_empty() {
            return Err(ApiError::Place(format!("{} has no certificate", place.authority.display())));
        }
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(RootCerts::new_with_certs(&certificates))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .https_only(true)
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .user_agent(concat!("zerocap-node/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .build()
            .new_agent();
        Ok(Self { agent, server: place.server.trim_end_matches('/').to_owned(), token: place.token.clone() })
    }

    /// GET.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        let request = self
            .agent
            .get(self.url(path))
            .header("authorization", self.bearer()?)
            .config()
            .timeout_global(Some(PATIENCE))
            .build();
        json(accepted(request.call().map_err(transport)?)?, LIST_LIMIT)
    }

    /// POST of a new object.
    ///
    /// # Errors
    /// [`ApiError`]; [`ApiError::is_conflict`] if it exists.
    pub fn create(&self, path: &str, object: &Value) -> Result<(), ApiError> {
        self.post(path, object, PATIENCE).map(drop)
    }

    /// POST of a question that nobody keeps: a review. Somebody waits for the answer, so it is given less time.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn review<T: DeserializeOwned>(&self, path: &str, question: &Value) -> Result<T, ApiError> {
        json(self.post(path, question, REVIEW)?, OBJECT_LIMIT)
    }

    fn post(&self, path: &str, object: &Value, patience: Duration) -> Result<Response, ApiError> {
        let request = self
            .agent
            .post(self.url(path))
            .header("authorization", self.bearer()?)
            .content_type("application/json")
            .config()
            .timeout_global(Some(patience))
            .build();
        accepted(request.send(object.to_string()).map_err(transport)?)
    }

    /// PATCH.
    ///
    /// # Errors
    /// [`ApiError`]; [`ApiError::is_conflict`] if the object is not the one that the patch names, by its uid or its version.
    pub fn patch(&self, path: &str, patch: Patch, body: &Value) -> Result<(), ApiError> {
        self.send_patch(path, patch, body).map(drop)
    }

    /// PATCH; the object as it is then. So no right to read it is needed.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn patched<T: DeserializeOwned>(&self, path: &str, patch: Patch, body: &Value) -> Result<T, ApiError> {
        json(self.send_patch(path, patch, body)?, OBJECT_LIMIT)
    }

    fn send_patch(&self, path: &str, patch: Patch, body: &Value) -> Result<Response, ApiError> {
        let kind = match patch {
            Patch::Strategic => "application/strategic-merge-patch+json",
            Patch::Merge => "application/merge-patch+json",
        };
        let request = self
            .agent
            .patch(self.url(path))
            .header("authorization", self.bearer()?)
            .content_type(kind)
            .config()
            .timeout_global(Some(PATIENCE))
            .build();
        accepted(request.send(body.to_string()).map_err(transport)?)
    }

    /// Watches from a version on, until the server ends it: each object goes to `take`.
    ///
    /// # Errors
    /// [`ApiError`]; [`ApiError::is_gone`] if the version is too old, so that all has to be listed again.
    pub fn watch<T: DeserializeOwned>(
        &self,
        path: &str,
        version: &str,
        mut take: impl FnMut(Change<T>),
    ) -> Result<(), ApiError> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let url = self.url(&format!(
            "{path}{separator}watch=1&allowWatchBookmarks=true&resourceVersion={version}&timeoutSeconds={WATCH_SECONDS}"
        ));
        let request = self
            .agent
            .get(url)
            .header("authorization", self.bearer()?)
            .config()
            .timeout_recv_response(Some(PATIENCE))
            // A server that has vanished without a word is noticed a little after it should have ended the watch.
            .timeout_recv_body(Some(Duration::from_secs(WATCH_SECONDS + 60)))
            .build();
        let response = accepted(request.call().map_err(transport)?)?;
        let mut lines = BufReader::new(response.into_body().into_reader());
        loop {
            let mut line = Vec::new();
            let read = (&mut lines).take(OBJECT_LIMIT).read_until(b'\n', &mut line);
            if read.map_err(|error| ApiError::Transport(error.to_string()))? == 0 {
                return Ok(());
            }
            if line.last() != Some(&b'\n') && line.len() as u64 == OBJECT_LIMIT {
                return Err(ApiError::Answer(format!("an object of more than {OBJECT_LIMIT} bytes")));
            }
            let answer = |error: serde_json::Error| ApiError::Answer(error.to_string());
            match serde_json::from_slice::<Kind>(&line).map_err(answer)?.kind.as_str() {
                "ERROR" => {
                    let status: Frame<Status> = serde_json::from_slice(&line).map_err(answer)?;
                    return Err(ApiError::Refused { status: status.object.code, message: status.object.message });
                }
                "BOOKMARK" => {
                    let mark: Frame<Marked> = serde_json::from_slice(&line).map_err(answer)?;
                    take(Change::Version(mark.object.metadata.resource_version));
                }
                kind => {
                    let gone = kind == "DELETED";
                    let frame: Frame<T> = serde_json::from_slice(&line).map_err(answer)?;
                    take(if gone { Change::Gone(frame.object) } else { Change::Is(frame.object) });
                }
            }
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server)
    }

    fn bearer(&self) -> Result<String, ApiError> {
        let token = read(&self.token)?;
        match token.trim() {
            // Without one the server would take us for anybody.
            "" => Err(ApiError::Place(format!("{} is empty", self.token.display()))),
            token => Ok(format!("Bearer {token}")),
        }
    }
}

/// What a watch tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<T> {
    /// The object is new, or another than before.
    Is(T),
    /// The object is gone.
    Gone(T),
    /// Nothing but the version up to which all has been told.
    Version(String),
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Frame<T> {
    object: T,
}

#[derive(Deserialize)]
struct Marked {
    metadata: Mark,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mark {
    resource_version: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    code: u16,
    message: String,
}

fn read(path: &Path) -> Result<String, ApiError> {
    let unreadable = |error| ApiError::Place(format!("{}: {error}", path.display()));
    let mut text = String::new();
    std::fs::File::open(path)
        .map_err(unreadable)?
        .take(CREDENTIAL_LIMIT)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    Ok(text)
}

fn transport(error: ureq::Error) -> ApiError {
    ApiError::Transport(error.to_string())
}

type Response = ureq::http::Response<Body>;

fn accepted(response: Response) -> Result<Response, ApiError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let said: Status = json(response, OBJECT_LIMIT).unwrap_or_default();
    let message = if said.message.is_empty() { "no reason given".to_owned() } else { said.message };
    Err(ApiError::Refused { status: status.as_u16(), message })
}

fn json<T: DeserializeOwned>(response: Response, limit: u64) -> Result<T, ApiError> {
    let reader = response.into_body().into_with_config().limit(limit).reader();
    serde_json::from_reader(BufReader::new(reader)).map_err(|error| ApiError::Answer(error.to_string()))
}
