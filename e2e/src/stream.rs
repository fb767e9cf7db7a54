//! Streaming exec, as `kubectl exec -i` and `kubectl exec -it` use it: a WebSocket to containerd's streaming server.
//!
//! The server listens on the node's own loopback, so the connection is made inside its network namespace.

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use k8s_cri::v1::ExecRequest;
use serde_json::Value;
use tonic::Status;
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

use crate::Output;
use crate::cri::Cri;
use crate::netns;
use crate::node::Node;

/// `remotecommand` of Kubernetes, version 4: one leading byte names the channel.
const PROTOCOL: &str = "v4.channel.k8s.io";
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
/// A command that says nothing for so long hangs.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);

/// An open exec session.
pub struct Stream(WebSocket<TcpStream>);

impl Stream {
    pub(crate) fn open(node: &Node, cri: &Cri, container: &str, command: &[&str], tty: bool) -> Result<Self, Status> {
        let request = ExecRequest {
            container_id: container.to_owned(),
            cmd: command.iter().map(|&w| w.to_owned()).collect(),
            tty,
            stdin: true,
            stdout: true,
            // A terminal has one output.
            stderr: !tty,
        };
        let url = cri.wait(cri.runtime().exec(request))?.url;
        Self::connect(node, &url).map_err(|e| Status::unavailable(format!("streaming exec: {e}")))
    }

    fn connect(node: &Node, url: &str) -> io::Result<Self> {
        let url = url.replacen("http://", "ws://", 1);
        let mut request = url.as_str().into_client_request().map_err(io::Error::other)?;
        request.headers_mut().insert("Sec-WebSocket-Protocol", PROTOCOL.parse().map_err(io::Error::other)?);
        let address = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        let tcp = netns::within(&node.netns(), move || TcpStream::connect(address))?;
        tcp.set_read_timeout(Some(SILENCE_LIMIT))?;
        let (socket, _) = tungstenite::client(request, tcp).map_err(|e| io::Error::other(e.to_string()))?;
        Ok(Self(socket))
    }

    /// Types something.
    pub fn input(&mut self, text: &str) -> io::Result<()> {
        self.send(STDIN, text.as_bytes())
    }

    /// Changes the terminal's size.
    pub fn resize(&mut self, columns: u16, rows: u16) -> io::Result<()> {
        self.send(RESIZE, format!("{{\"Width\":{columns},\"Height\":{rows}}}").as_bytes())
    }

    fn send(&mut self, channel: u8, data: &[u8]) -> io::Result<()> {
        let frame: Vec<u8> = std::iter::once(channel).chain(data.iter().copied()).collect();
        self.0.send(Message::binary(frame)).map_err(io::Error::other)
    }

    /// Reads to the end of the session.
    pub fn finish(mut self) -> io::Result<Output> {
        let mut output = Output { stdout: String::new(), stderr: String::new(), code: 0 };
        loop {
            let message = match self.0.read() {
                Ok(message) => message,
                Err(tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed) => return Ok(output),
                // The server may simply hang up after the closing frame.
                Err(tungstenite::Error::Protocol(_)) => return Ok(output),
                Err(error) => return Err(io::Error::other(error)),
            };
            let Message::Binary(frame) = message else { continue };
            let Some((&channel, data)) = frame.split_first() else { continue };
            let text = String::from_utf8_lossy(data);
            match channel {
                STDOUT => output.stdout.push_str(&text),
                STDERR => output.stderr.push_str(&text),
                ERROR => output.code = exit_code(&text)?,
                _ => {}
            }
        }
    }
}

/// The error channel carries a Kubernetes `Status`: success, or a failure with the exit code among its causes.
fn exit_code(text: &str) -> io::Result<i32> {
    let status: Value = serde_json::from_str(text).map_err(io::Error::other)?;
    if status["status"] == "Success" {
        return Ok(0);
    }
    let causes = status["details"]["causes"].as_array().cloned().unwrap_or_default();
    let code = causes
        .iter()
        .find(|c| c["reason"] == "ExitCode")
        .and_then(|c| c["message"].as_str())
        .and_then(|m| m.parse().ok());
    code.ok_or_else(|| io::Error::other(status["message"].as_str().unwrap_or(text).to_owned()))
}
