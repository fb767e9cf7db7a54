//! One connection, one request, one answer. All of it has to be done by a moment that is set when it begins, whatever the client
//! does in between.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, Stream};

use super::callers::{Decision, PATH, Verdict};
use super::slots::Ticket;

/// How long a client may take, from its connection to the last byte of its request.
const TO_ASK: Duration = Duration::from_secs(5);
/// How long it may take to read the answer.
const TO_READ: Duration = Duration::from_secs(10);
/// Longest request, in bytes. A token of a service account has one or two KiB.
const HEAD: usize = 16 << 10;
/// Most fields of a request.
const FIELDS: usize = 64;
/// What is not yet encrypted of an answer, in bytes.
const BUFFER: usize = 16 << 10;
/// What everybody reads who gets nothing else.
const REFUSED: &str = "refused\n";

/// A socket that fails when its time is over.
struct Timed<'s> {
    socket: &'s TcpStream,
    until: Instant,
}

impl Timed<'_> {
    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(Some(self.left()?))?;
        (&mut &*self.socket).read(into)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(Some(self.left()?))?;
        (&mut &*self.socket).write(from)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Answers the one request of a connection.
pub(super) fn answer(
    socket: &TcpStream,
    config: Arc<ServerConfig>,
    verdict: &dyn Fn(&str) -> Verdict,
    text: &dyn Fn() -> String,
    ticket: &Ticket,
) -> io::Result<()> {
    let mut tls = ServerConnection::new(config).map_err(io::Error::other)?;
    tls.set_buffer_limit(Some(BUFFER));
    let mut timed = Timed { socket, until: Instant::now() + TO_ASK };
    let mut head = Vec::new();
    let asked = loop {
        match request(&head) {
            Asked::More if head.len() < HEAD => {}
            Asked::More => break Asked::Nothing,
            asked => break asked,
        }
        let mut chunk = [0; 2048];
        match Stream::new(&mut tls, &mut timed).read(&mut chunk)? {
            0 => return Ok(()),
            read => head.extend_from_slice(&chunk[..read]),
        }
    };
    let (status, more, body) = match asked {
        Asked::With(token) => match verdict(&token) {
            Verdict::Decided(Decision::Permitted) => {
                ticket.keep();
                ("200 OK", "content-type: text/plain; version=0.0.4; charset=utf-8\r\n", text())
            }
            Verdict::Decided(Decision::Forbidden) => ("403 Forbidden", "", REFUSED.to_owned()),
            Verdict::Decided(Decision::Stranger) => UNKNOWN.owned(),
            Verdict::NotNow => ("503 Service Unavailable", "", REFUSED.to_owned()),
        },
        Asked::Elsewhere => ("404 Not Found", "", REFUSED.to_owned()),
        Asked::More | Asked::Nothing => ("400 Bad Request", "", REFUSED.to_owned()),
        Asked::WithoutToken => UNKNOWN.owned(),
    };
    timed.until = Instant::now() + TO_READ;
    let mut out = Stream::new(&mut tls, &mut timed);
    let length = body.len();
    write!(
        out,
        "HTTP/1.1 {status}\r\n{more}content-length: {length}\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n"
    )?;
    out.write_all(body.as_bytes())?;
    tls.send_close_notify();
    tls.complete_io(&mut timed).map(drop)
}

/// The answer to a caller whom nobody knows.
const UNKNOWN: Refusal = Refusal("401 Unauthorized", "www-authenticate: Bearer\r\n");

struct Refusal(&'static str, &'static str);

impl Refusal {
    fn owned(&self) -> (&'static str, &'static str, String) {
        (self.0, self.1, REFUSED.to_owned())
    }
}

/// What a request is.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// Not there as a whole yet.
    More,
    /// No request.
    Nothing,
    /// For something that is not served.
    Elsewhere,
    /// For the numbers, by somebody who does not say who they are.
    WithoutToken,
    /// For the numbers, with this token.
    With(String),
}

fn request(head: &[u8]) -> Asked {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut parsed = httparse::Request::new(&mut fields);
    match parsed.parse(head) {
        Ok(httparse::Status::Partial) => return Asked::More,
        Ok(httparse::Status::Complete(_)) => {}
        Err(_) => return Asked::Nothing,
    }
    // Whoever shows no token learns nothing, not even what there is.
    let mut shown = parsed.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("authorization"));
    let (Some(field), None) = (shown.next(), shown.next()) else { return Asked::WithoutToken };
    let Some(token) = token(field.value) else { return Asked::WithoutToken };
    let path = parsed.path.map(|path| path.split_once('?').map_or(path, |(path, _)| path));
    if parsed.method == Some("GET") && path == Some(PATH) { Asked::With(token) } else { Asked::Elsewhere }
}

/// `Bearer TOKEN`, of characters that tokens have (RFC 6750).
fn token(value: &[u8]) -> Option<String> {
    let (scheme, token) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    let token = token.trim_matches(' ');
    let of_tokens = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    let plain = !token.is_empty() && token.bytes().all(of_tokens);
    (scheme.eq_ignore_ascii_case("bearer") && plain).then(|| token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        let with = |token: &str| Asked::With(token.to_owned());
        for (head, asked) in [
            ("", Asked::More),
            ("GET /metrics HTTP/1.1\r\nHost: x\r\n", Asked::More),
            ("GET /metrics HTTP/1.1\r\nAuthorization: Bearer a.b-c_\r\n\r\n", with("a.b-c_")),
            ("GET /metrics?a=b HTTP/1.0\r\nauthorization: bearer  t \r\n\r\n", with("t")),
            ("GET /metrics HTTP/1.1\r\n\r\n", Asked::WithoutToken),
            ("GET /pods HTTP/1.1\r\n\r\n", Asked::WithoutToken),
            ("GET /metrics HTTP/1.1\r\nAuthorization: Basic dDp0\r\n\r\n", Asked::WithoutToken),
            ("GET /metrics HTTP/1.1\r\nAuthorization: Bearer \r\n\r\n", Asked::WithoutToken),
            ("GET /metrics HTTP/1.1\r\nAuthorization: Bearer a\"b\r\n\r\n", Asked::WithoutToken),
            (
                "GET /metrics HTTP/1.1\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
                Asked::WithoutToken,
            ),
            ("GET /pods HTTP/1.1\r\nAuthorization: Bearer a\r\n\r\n", Asked::Elsewhere),
            ("POST /metrics HTTP/1.1\r\nAuthorization: Bearer a\r\n\r\n", Asked::Elsewhere),
            ("GET /metrics/../pods HTTP/1.1\r\nAuthorization: Bearer a\r\n\r\n", Asked::Elsewhere),
            ("\u{16}\u{3}\u{1}", Asked::Nothing),
            ("GET  /metrics\r\n\r\n", Asked::Nothing),
        ] {
            assert_eq!(request(head.as_bytes()), asked, "{head:?}");
        }
        let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(FIELDS + 1));
        assert_eq!(request(many.as_bytes()), Asked::Nothing);
    }
}
