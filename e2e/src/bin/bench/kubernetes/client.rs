//! The API server without a program to start for each question: over the socket of a `kubectl proxy`, which costs the same for all.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use zerocap_e2e::cluster::Cluster;
use zerocap_e2e::node;

/// How long the proxy may take to be there, and an answer to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client. The proxy ends with the cluster.
pub struct Client {
    socket: PathBuf,
    proxy: Child,
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.proxy.kill());
        drop(self.proxy.wait());
    }
}

/// Objects as they change.
pub struct Watch(BufReader<UnixStream>);

impl Client {
    pub fn start(cluster: &Cluster) -> io::Result<Self> {
        let socket = cluster.dir().join("proxy.sock");
        let proxy = Command::new(node::repository().join("hack/cluster"))
            .args(["exec", "--dir"])
            .arg(cluster.dir())
            .args(["kubectl", "proxy", "--unix-socket"])
            .arg(&socket)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let this = Self { socket, proxy };
        let deadline = Instant::now() + PATIENCE;
        while this.connect().is_err() {
            if Instant::now() > deadline {
                return Err(io::Error::other("kubectl proxy does not listen"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(this)
    }

    fn connect(&self) -> io::Result<UnixStream> {
        let stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// Sends a request; what follows the answer's head can be read.
    fn ask(&self, method: &str, path: &str, body: &str) -> Result<(u16, BufReader<UnixStream>), Box<dyn Error>> {
        let mut stream = self.connect()?;
        // Version 1.0: no chunks, and the end of the answer is the end of the connection.
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = BufReader::new(stream);
        let mut line = String::new();
        answer.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or("no answer")?;
        while line.trim_end() != "" {
            line.clear();
            answer.read_line(&mut line)?;
        }
        Ok((status, answer))
    }

    pub fn text(&self, path: &str) -> Result<String, Box<dyn Error>> {
        self.whole("GET", path, "")
    }

    fn whole(&self, method: &str, path: &str, body: &str) -> Result<String, Box<dyn Error>> {
        let (status, mut answer) = self.ask(method, path, body)?;
        let mut text = String::new();
        answer.read_to_string(&mut text)?;
        if (200..300).contains(&status) { Ok(text) } else { Err(format!("{method} {path}: {status} {text}").into()) }
    }

    pub fn post(&self, path: &str, object: &Value) -> Result<(), Box<dyn Error>> {
        self.whole("POST", path, &object.to_string()).map(drop)
    }

    /// Deletes an object, and waits until it is gone.
    pub fn delete(&self, path: &str) -> Result<(), Box<dyn Error>> {
        self.whole("DELETE", path, "")?;
        let deadline = Instant::now() + PATIENCE;
        while self.ask("GET", path, "")?.0 != 404 {
            if Instant::now() > deadline {
                return Err(format!("{path} does not go").into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    pub fn watch(&self, path: &str) -> Result<Watch, Box<dyn Error>> {
        let (status, answer) = self.ask("GET", path, "")?;
        if status == 200 { Ok(Watch(answer)) } else { Err(format!("GET {path}: {status}").into()) }
    }
}

impl Watch {
    pub fn next(&mut self) -> Result<Value, Box<dyn Error>> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err("the watch ended".into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}
