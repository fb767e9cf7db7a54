//! The whole of it, over real sockets and TLS; who may read is decided by the test.

use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use super::callers::Decision;
use super::*;

/// Takes every certificate, as a scraper does that is told to skip the verification.
#[derive(Debug)]
struct Anybody(CryptoProvider);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A server whose callers are "good", "poor", who may not, and strangers.
fn server(slow: &'static AtomicBool) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let callers = Callers::new(Box::new(|token| {
        if slow.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_secs(2));
        }
        Ok(match token {
            "good" => Decision::Permitted,
            "poor" => Decision::Forbidden,
            _ => Decision::Stranger,
        })
    }));
    let certificate = Certificate::load(None, "node-1").unwrap();
    let text = || format!("zerocap_x 1\n{}", "# filler\n".repeat(20_000));
    serve(listener, certificate, Arc::new(callers), Arc::new(text), 1 << 20).unwrap();
    address
}

fn connect(address: SocketAddr) -> StreamOwned<ClientConnection, TcpStream> {
    let provider = ring::default_provider();
    let config = ClientConfig::builder_with_provider(Arc::new(provider.clone()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    let tls = ClientConnection::new(Arc::new(config), "node-1".try_into().unwrap()).unwrap();
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    StreamOwned::new(tls, socket)
}

fn ask(address: SocketAddr, request: &str) -> String {
    let mut client = connect(address);
    let mut said = String::new();
    // A connection that was put out ends without a word.
    let _ = client.write_all(request.as_bytes()).and_then(|()| client.read_to_string(&mut said));
    said
}

fn with(token: &str) -> String {
    format!("GET /metrics HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n")
}

#[test]
fn only_who_may_read_and_everybody_else_the_same_words() {
    static SLOW: AtomicBool = AtomicBool::new(false);
    let address = server(&SLOW);
    let good = ask(address, &with("good"));
    assert!(good.starts_with("HTTP/1.1 200 OK\r\n") && good.contains("\r\n\r\nzerocap_x 1\n"), "{:.200}", good);
    assert!(good.len() > 180_000, "{} bytes of the answer", good.len());
    for (request, status) in [
        ("GET /metrics HTTP/1.1\r\n\r\n".to_owned(), "401"),
        ("GET /pods HTTP/1.1\r\n\r\n".to_owned(), "401"),
        (with("nobody"), "401"),
        (with("poor"), "403"),
        (with("good").replace("/metrics", "/pods"), "404"),
    ] {
        let said = ask(address, &request);
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{request:.60}: {said}");
        assert!(said.ends_with("\r\n\r\nrefused\n"), "{said}");
    }
    // One that is too long is not read to its end.
    let long = ask(address, &with("good").replace("host: x", &format!("x: {}", "y".repeat(40_000))));
    assert!(!long.contains(" 200 "), "{long}");
    // Plain HTTP gets no answer but TLS's alert.
    let mut plain = TcpStream::connect(address).unwrap();
    plain.write_all(with("good").as_bytes()).unwrap();
    let mut said = Vec::new();
    let _ = plain.read_to_end(&mut said);
    assert!(said.len() < 20 && !said.starts_with(b"HTTP"), "{said:?}");
}

#[test]
fn clients_that_hang_do_not_stop_a_scrape() {
    static SLOW: AtomicBool = AtomicBool::new(false);
    let address = server(&SLOW);
    let mute: Vec<_> = (0..200).map(|_| TcpStream::connect(address).unwrap()).collect();
    assert!(ask(address, &with("good")).starts_with("HTTP/1.1 200 "));
    // Nor do such as have shaken hands and speak a byte a second.
    let mut slow: Vec<_> = (0..2 * CONNECTIONS).map(|_| connect(address)).collect();
    for client in &mut slow {
        let _ = client.write_all(b"G");
    }
    assert!(ask(address, &with("good")).starts_with("HTTP/1.1 200 "));
    drop((mute, slow));
}

#[test]
fn a_slow_api_server_does_not_keep_everybody_waiting() {
    static SLOW: AtomicBool = AtomicBool::new(false);
    let address = server(&SLOW);
    assert!(ask(address, &with("good")).starts_with("HTTP/1.1 200 "));
    SLOW.store(true, Ordering::SeqCst);
    let strangers: Vec<_> =
        (0..20).map(|n| thread::spawn(move || ask(address, &with(&format!("stranger-{n}"))))).collect();
    thread::sleep(Duration::from_millis(200));
    let start = std::time::Instant::now();
    assert!(ask(address, &with("good")).starts_with("HTTP/1.1 200 "));
    assert!(start.elapsed() < Duration::from_secs(2), "it took {:?}", start.elapsed());
    for stranger in strangers {
        assert!(!stranger.join().unwrap().contains(" 200 "));
    }
}
