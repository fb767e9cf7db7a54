//! Numbers and reports over HTTP, on a loopback address only: the pod's own. `kubectl port-forward` reaches it with the rights
//! that Kubernetes gives, and a sidecar; the network does not, so there is nobody to authenticate.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use zerocap_node::state::{Document, Store};

use crate::evidence::NAMESPACE;

/// Longest request, in bytes.
const HEAD: u64 = 8 << 10;
/// How long a client may take for each read and write.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is served; the daemon's loop writes it.
#[derive(Debug, Default)]
pub struct Board {
    /// The text of `/metrics`.
    pub metrics: String,
    /// What `/pods` lists.
    pub pods: Vec<Row>,
}

/// A pod that concerns zerocap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// The status of the condition.
    pub enforced: String,
    /// The condition's reason.
    pub reason: String,
    /// The condition's message.
    pub message: String,
    /// Its containers by name, and their ids.
    pub containers: BTreeMap<String, String>,
}

/// The board, shared between the loop and the listener.
pub type Shared = Arc<Mutex<Board>>;

/// Binds the address.
///
/// # Errors
/// If it is not loopback, or cannot be bound.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    if !address.ip().is_loopback() {
        return Err(io::Error::other(
            "it is no loopback address, and whoever reached it would not be asked who they are",
        ));
    }
    TcpListener::bind(address)
}

/// Answers one client after the other; a slow one delays the next by seconds, and nobody else.
pub fn serve(listener: &TcpListener, board: &Shared, store: &Store) {
    loop {
        // Whatever goes wrong with one client is that client's.
        match listener.accept() {
            Ok((client, _)) => drop(answer(&client, board, store)),
            Err(_) => std::thread::sleep(PATIENCE),
        }
    }
}

fn answer(client: &TcpStream, board: &Shared, store: &Store) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    let mut head = BufReader::new(client.take(HEAD));
    let mut first = String::new();
    head.read_line(&mut first)?;
    let mut line = String::new();
    // The rest of the head is read, or closing would reset the connection before the answer is seen.
    while head.read_line(&mut line)? > 2 {
        line.clear();
    }
    let (status, kind, body) = page(&first, board, store);
    let mut out = client;
    write!(
        out,
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n",
        body.len()
    )?;
    out.write_all(body.as_bytes())
}

fn page(request: &str, board: &Shared, store: &Store) -> (&'static str, &'static str, String) {
    const TEXT: &str = "text/plain; charset=utf-8";
    const JSON: &str = "application/json";
    let mut words = request.split_ascii_whitespace();
    let board = board.lock().unwrap_or_else(PoisonError::into_inner);
    let (Some("GET"), Some(path)) = (words.next(), words.next()) else {
        return ("405 Method Not Allowed", TEXT, "GET only\n".to_owned());
    };
    let row = path
        .strip_prefix("/pods/")
        .and_then(|path| path.split_once('/'))
        .and_then(|(namespace, name)| board.pods.iter().find(|row| row.namespace == namespace && row.name == name));
    match (path, row) {
        ("/metrics", _) => ("200 OK", "text/plain; version=0.0.4; charset=utf-8", board.metrics.clone()),
        ("/pods", _) => ("200 OK", JSON, json!(board.pods).to_string()),
        (_, Some(row)) => ("200 OK", JSON, with_reports(row, store).to_string()),
        _ => ("404 Not Found", TEXT, "there are /metrics, /pods and /pods/NAMESPACE/NAME\n".to_owned()),
    }
}

/// A pod with the enforcement report of each container; null where there is none.
fn with_reports(row: &Row, store: &Store) -> Value {
    let report = |id: &str| store.container(NAMESPACE, id).ok()?.read_json::<Value>(Document::Report).ok()?;
    let reports: BTreeMap<&String, Option<Value>> =
        row.containers.iter().map(|(name, id)| (name, report(id))).collect();
    let mut pod = json!(row);
    pod["reports"] = json!(reports);
    pod
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(address: SocketAddr, request: &[u8]) -> String {
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(request).unwrap();
        let mut said = String::new();
        client.read_to_string(&mut said).unwrap();
        said
    }

    #[test]
    fn loopback_only() {
        for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
            assert!(bind(address.parse().unwrap()).is_err(), "{address}");
        }
    }

    #[test]
    fn three_pages_and_nothing_else() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let board = Shared::default();
        board.lock().unwrap().metrics = "zerocap_x 1\n".into();
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path());
        let report = json!({ "version": 1 });
        store.container(NAMESPACE, "abc").unwrap().write_json(Document::Report, &report).unwrap();
        let text = String::new;
        board.lock().unwrap().pods = vec![Row {
            namespace: "n".into(),
            name: "p".into(),
            uid: "u".into(),
            enforced: "True".into(),
            reason: text(),
            message: text(),
            containers: [("main", "abc"), ("plain", "def")].map(|(name, id)| (name.into(), id.into())).into(),
        }];
        std::thread::spawn(move || serve(&listener, &board, &store));
        assert!(ask(address, b"GET /pods HTTP/1.1\r\n\r\n").contains("\"namespace\":\"n\""));
        let pod = ask(address, b"GET /pods/n/p HTTP/1.1\r\n\r\n");
        let pod: Value = serde_json::from_str(pod.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!(pod["reports"], json!({ "main": report, "plain": null }));
        assert!(ask(address, b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").ends_with("\r\n\r\nzerocap_x 1\n"));
        assert!(ask(address, b"GET /../etc/passwd HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
        assert!(ask(address, b"POST /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
        // One that says nothing, and one that says rubbish, are no reason to fall silent.
        drop(TcpStream::connect(address).unwrap());
        let mut rubbish = TcpStream::connect(address).unwrap();
        rubbish.write_all(b"\xff\xfe\r\n\r\n").unwrap();
        assert!(ask(address, b"GET /metrics HTTP/1.1\r\n\r\n").contains("zerocap_x"));
    }
}
