//! `zerocap self-test`: a program that knows whether it is confined. The installation runs it in a container before it trusts a node.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use zerocap_annotations::{ZcError, code};

use crate::failure::Failure;
use crate::out::outln;

/// A port on which nobody listens, and which no proxy has.
const PORT: u16 = 1;

/// Looks at this process.
pub fn run() -> Result<ExitCode, Failure> {
    let status = Path::new("/proc/self/status");
    let text = fs::read_to_string(status)
        .map_err(|error| Failure::bad_input(ZcError::new(code::node::STATE_READ, error.to_string(), "mount /proc")))?;
    match shortfall(&text).or_else(network) {
        None => {
            outln!("confined: no capability, none to gain, a filter, no network");
            Ok(ExitCode::SUCCESS)
        }
        Some(what) => Err(Failure::refused(ZcError::new(
            code::install::SELF_TEST,
            format!("NOT CONFINED: {what}"),
            "look at `zerocap check` and at containerd's configuration",
        ))),
    }
}

/// What is missing, by the kernel's own words about this process.
fn shortfall(status: &str) -> Option<String> {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    for name in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        if !field(name).is_some_and(|set| !set.is_empty() && set.bytes().all(|digit| digit == b'0')) {
            return Some(format!("{name} is {}", field(name).unwrap_or("not shown")));
        }
    }
    if field("NoNewPrivs") != Some("1") {
        return Some("privileges can be gained".to_owned());
    }
    if field("Seccomp") != Some("2") {
        return Some("there is no system call filter".to_owned());
    }
    None
}

/// A port that is refused before anybody could answer is fenced; one where nobody listens is not.
fn network() -> Option<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
    match TcpStream::connect_timeout(&address, Duration::from_secs(3)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => None,
        Err(error) => Some(format!("a foreign port was tried: {error}")),
        Ok(_) => Some("a foreign port answers".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::shortfall;

    const CONFINED: &str = "Name:\tx\nCapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n\
        CapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t2\n";

    #[test]
    fn every_line_counts() {
        assert_eq!(shortfall(CONFINED), None);
        for name in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            let one = CONFINED.replace(&format!("{name}:\t0000000000000000"), &format!("{name}:\t0000000000000400"));
            assert!(shortfall(&one).is_some_and(|what| what.starts_with(name)), "{name}");
            assert!(shortfall(&CONFINED.replace(name, "Other")).is_some(), "{name} is missing");
        }
        for (from, to) in
            [("NoNewPrivs:\t1", "NoNewPrivs:\t0"), ("Seccomp:\t2", "Seccomp:\t0"), ("Seccomp:\t2", "X:\t2")]
        {
            assert!(shortfall(&CONFINED.replace(from, to)).is_some(), "{to}");
        }
    }
}
