//! The attempts. Whatever an attempt gets is dropped at once.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::process::{Command, Stdio};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto, sendto, socket};
use rustix::process::{Pid, Resource, getrlimit, prlimit, test_kill_process};

use crate::{Probe, SOCKET, World, sys};

/// `MSG_FASTOPEN` of linux/socket.h.
const MSG_FASTOPEN: u32 = 0x2000_0000;
/// What the launcher says without a plan.
const NO_PLAN: i32 = 125;

pub(crate) const ALL: &[Probe] = &[
    Probe { name: "tcp", gain: "any TCP service", attempt: tcp },
    Probe { name: "fast-open", gain: "TCP without connect", attempt: fast_open },
    Probe { name: "udp", gain: "any UDP service, DNS tunnels", attempt: udp },
    Probe { name: "raw", gain: "packets of one's own making", attempt: raw },
    Probe { name: "crypto", gain: "the kernel's crypto sockets", attempt: crypto },
    Probe { name: "listen", gain: "a back door", attempt: listen },
    Probe { name: "abstract", gain: "neighbours' unix sockets", attempt: abstract_socket },
    Probe { name: "pathname", gain: "services that act for others", attempt: pathname_socket },
    Probe { name: "signal", gain: "ending neighbours", attempt: signal },
    Probe { name: "ptrace", gain: "controlling neighbours", attempt: trace },
    Probe { name: "memory", gain: "neighbours' memory", attempt: memory },
    Probe { name: "environ", gain: "neighbours' secrets", attempt: environ },
    Probe { name: "limits", gain: "starving neighbours", attempt: limits },
    Probe { name: "userns", gain: "capabilities in a namespace", attempt: |_| sys::unshare_user() },
    Probe { name: "mountns", gain: "another view of files", attempt: |_| sys::unshare_mount() },
    Probe { name: "keyring", gain: "the user's keyrings", attempt: |_| sys::add_key() },
    Probe { name: "bpf", gain: "programs in the kernel", attempt: |_| sys::bpf_map() },
    Probe { name: "io_uring", gain: "calls that no filter sees", attempt: |_| sys::io_uring() },
    Probe { name: "userfaultfd", gain: "winning kernel races", attempt: |_| sys::userfaultfd() },
    Probe { name: "perf", gain: "observing the kernel", attempt: |_| sys::perf_event() },
    Probe { name: "capability", gain: "root's powers", attempt: capability },
    Probe { name: "descriptor", gain: "what was left open", attempt: descriptor },
    Probe { name: "write", gain: "changing files", attempt: write },
    Probe { name: "memfd", gain: "programs without a file", attempt: memfd },
];

fn loopback(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
}

fn neighbour(world: &World) -> io::Result<Pid> {
    Pid::from_raw(world.neighbour).filter(|_| world.neighbour > 1).ok_or_else(|| Errno::SRCH.into())
}

fn tcp(world: &World) -> io::Result<()> {
    TcpStream::connect(loopback(world.tcp)).map(drop)
}

fn fast_open(world: &World) -> io::Result<()> {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    sendto(&socket, b"x", SendFlags::from_bits_retain(MSG_FASTOPEN), &loopback(world.tcp))?;
    Ok(())
}

fn udp(world: &World) -> io::Result<()> {
    UdpSocket::bind(loopback(0))?.send_to(b"x", loopback(world.udp)).map(drop)
}

fn raw(_: &World) -> io::Result<()> {
    socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP))?;
    Ok(())
}

fn crypto(_: &World) -> io::Result<()> {
    // AF_ALG of linux/socket.h.
    socket(AddressFamily::from_raw(38), SocketType::SEQPACKET, None)?;
    Ok(())
}

fn listen(_: &World) -> io::Result<()> {
    TcpListener::bind(loopback(0)).map(drop)
}

fn abstract_socket(world: &World) -> io::Result<()> {
    UnixStream::connect_addr(&SocketAddr::from_abstract_name(&world.unix)?).map(drop)
}

fn pathname_socket(world: &World) -> io::Result<()> {
    UnixStream::connect(world.folder.join(SOCKET)).map(drop)
}

fn signal(world: &World) -> io::Result<()> {
    Ok(test_kill_process(neighbour(world)?)?)
}

fn trace(world: &World) -> io::Result<()> {
    sys::seize(neighbour(world)?)
}

fn memory(world: &World) -> io::Result<()> {
    File::open(format!("/proc/{}/mem", neighbour(world)?.as_raw_nonzero())).map(drop)
}

fn environ(world: &World) -> io::Result<()> {
    fs::read(format!("/proc/{}/environ", neighbour(world)?.as_raw_nonzero())).map(drop)
}

/// Sets what is set already: the process was started with this one's limits.
fn limits(world: &World) -> io::Result<()> {
    prlimit(Some(neighbour(world)?), Resource::Nofile, getrlimit(Resource::Nofile))?;
    Ok(())
}

fn capability(_: &World) -> io::Result<()> {
    let status = fs::read_to_string("/proc/self/status")?;
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    match effective.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()) {
        Some(0) | None => Err(Errno::PERM.into()),
        Some(_) => Ok(()),
    }
}

fn descriptor(world: &World) -> io::Result<()> {
    match fs::symlink_metadata(format!("/proc/self/fd/{}", world.descriptor)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Errno::BADF.into()),
        found => found.map(drop),
    }
}

fn write(world: &World) -> io::Result<()> {
    let file = world.folder.join(std::process::id().to_string());
    File::create_new(&file)?;
    fs::remove_file(file)
}

/// The launcher, which ends at once for want of a plan.
fn memfd(_: &World) -> io::Result<()> {
    let memory = memfd_create("zerocap-probe", MemfdFlags::CLOEXEC)?;
    let mut file = File::from(memory);
    file.write_all(zerocap_launcher::BYTES)?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let status = Command::new(path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    if status.code() == Some(NO_PLAN) { Ok(()) } else { Err(Errno::PERM.into()) }
}
