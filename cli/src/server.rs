//! Where the API server is: for commands that speak to it themselves.

use std::path::PathBuf;

use clap::Args;
use zerocap_daemon::api::{ApiError, Place};

/// The flags that name it.
#[derive(Debug, Args)]
pub struct Server {
    /// The API server; without it, the one of the pod that this runs in
    #[arg(long, value_name = "URL", requires_all = ["certificate_authority", "token_file"])]
    server: Option<String>,

    /// The certificates that sign the API server's
    #[arg(long, value_name = "FILE", requires = "server")]
    certificate_authority: Option<PathBuf>,

    /// The token to show to the API server; read anew for each request
    #[arg(long, value_name = "FILE", requires = "server")]
    token_file: Option<PathBuf>,
}

impl Server {
    /// The one that is named, or that of the pod.
    ///
    /// # Errors
    /// [`ApiError::Place`] outside of a pod.
    pub fn place(&self) -> Result<Place, ApiError> {
        match (&self.server, &self.certificate_authority, &self.token_file) {
            (Some(server), Some(authority), Some(token)) => {
                Ok(Place { server: server.clone(), authority: authority.clone(), token: token.clone() })
            }
            _ => Place::in_cluster(),
        }
    }
}
