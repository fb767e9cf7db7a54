//! A blocking CRI client.
//!
//! Tests read top to bottom; each connection therefore carries a small runtime of its own and waits for every answer.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use k8s_cri::v1::image_service_client::ImageServiceClient;
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use k8s_cri::v1::{ImageSpec, ImageStatusRequest, StatusRequest};
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Response, Status};

/// No CRI call of these tests takes longer; one that does is a hang.
const CALL_LIMIT: Duration = Duration::from_secs(60);

/// One connection to containerd's CRI.
#[derive(Debug)]
pub struct Cri {
    runtime: Runtime,
    channel: Channel,
}

impl Cri {
    /// Connects to the socket at `path`.
    pub fn connect(path: PathBuf) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let connector = tower::service_fn(move |_: Uri| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        // The address is a formality of gRPC: the connector knows the way.
        let endpoint = Endpoint::from_static("http://localhost");
        let channel = runtime.block_on(endpoint.connect_with_connector(connector)).map_err(io::Error::other)?;
        Ok(Self { runtime, channel })
    }

    /// The runtime service; its calls go through [`Cri::wait`].
    pub fn runtime(&self) -> RuntimeServiceClient<Channel> {
        RuntimeServiceClient::new(self.channel.clone())
    }

    /// The image service.
    pub fn images(&self) -> ImageServiceClient<Channel> {
        ImageServiceClient::new(self.channel.clone())
    }

    /// Waits for a call's answer; a call that hangs is an error of its own.
    pub fn wait<T>(&self, call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Status> {
        self.runtime.block_on(async {
            tokio::time::timeout(CALL_LIMIT, call)
                .await
                .map_err(|_| Status::deadline_exceeded(format!("no answer within {CALL_LIMIT:?}")))?
                .map(Response::into_inner)
        })
    }

    /// Waits until runtime and network are ready.
    pub fn wait_until_ready(&self, limit: Duration) -> io::Result<()> {
        self.poll(limit, "containerd's CRI is not ready", || {
            let mut client = self.runtime();
            let Ok(answer) = self.wait(client.status(StatusRequest::default())) else { return false };
            answer.status.is_some_and(|s| s.conditions.iter().all(|c| c.status || c.r#type.starts_with("Container")))
        })
    }

    /// Waits until the CRI knows an image that was imported below it.
    pub fn wait_for_image(&self, name: &str, limit: Duration) -> io::Result<()> {
        self.poll(limit, &format!("the image {name} does not appear"), || {
            let image = Some(ImageSpec { image: name.to_owned(), ..ImageSpec::default() });
            let mut client = self.images();
            self.wait(client.image_status(ImageStatusRequest { image, verbose: false }))
                .is_ok_and(|a| a.image.is_some())
        })
    }

    fn poll(&self, limit: Duration, what: &str, mut done: impl FnMut() -> bool) -> io::Result<()> {
        let deadline = Instant::now() + limit;
        while !done() {
            if Instant::now() > deadline {
                return Err(io::Error::other(format!("{what} after {limit:?}")));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}
