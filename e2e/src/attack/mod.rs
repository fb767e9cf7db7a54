//! The attack corpus, seen from outside: which attacks there are, how they are run, what an observer sees of them.

pub mod observer;
pub mod run;
pub mod table;

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::thread;

use crate::netns;

/// The compiled attack program.
pub const PROGRAM: &str = env!("ATTACKS");

/// Listens on addresses inside a network namespace and echoes what comes; ends with this process.
pub fn echo_listeners(netns: &Path, addresses: &[&str]) -> io::Result<()> {
    for address in addresses {
        let listener = netns::within(netns, || TcpListener::bind(address))?;
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                thread::spawn(move || echo(stream));
            }
        });
    }
    Ok(())
}

fn echo(mut stream: impl Read + Write) {
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..n]).is_err() {
            return;
        }
    }
}
