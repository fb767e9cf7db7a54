//! TCP Fast Open connects without `connect`: every preset that keeps platform mode refuses its flag there, whatever else refuses it
//! too; `model-backend`, which has no network, in every mode, since a TCP socket can be handed over a unix socket.
#![cfg_attr(all(target_os = "linux", target_arch = "x86_64"), allow(unsafe_code))]

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod kernel_child;

use zerocap_seccomp::preset::{LastLayer, Preset, last_layer};
use zerocap_seccomp::{Action, Arch, SeccompData, interpret, lookup};

/// `MSG_FASTOPEN` and `MSG_NOSIGNAL` of linux/socket.h, and the argument that holds the flags of each call.
const FAST_OPEN: u64 = 0x2000_0000;
const NO_SIGNAL: u64 = 0x4000;
const CALLS: [(&str, usize); 3] = [("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3)];

fn answer(layer: &LastLayer, arch: Arch, call: &str, args: [u64; 6]) -> Action {
    let nr = lookup(call).and_then(|call| call.number(arch)).expect("the call exists");
    let program = last_layer(arch, layer).expect("a native architecture");
    let data = SeccompData { nr, arch: arch.audit(), instruction_pointer: 0, args };
    Action::from_ret(interpret(program.insns, &data).expect("our own filters are valid"))
}

#[test]
fn is_refused_by_its_flag_and_nothing_else_is() {
    for arch in [Arch::X86_64, Arch::Aarch64] {
        let refusing = |layer: &LastLayer| {
            (layer.platform && layer.preset.keeps_platform()) || layer.preset == Preset::ModelBackend
        };
        for layer in LastLayer::all().filter(refusing) {
            for (call, at) in CALLS {
                for high in [0, 1 << 32, u64::MAX << 32] {
                    let with = |flags: u64| {
                        let mut args = [0; 6];
                        args[at] = flags | high;
                        answer(&layer, arch, call, args)
                    };
                    assert!(with(FAST_OPEN).refuses() && with(FAST_OPEN | NO_SIGNAL).refuses(), "{call} {layer:?}");
                    let sends = layer.preset != Preset::Minimal;
                    assert_eq!(with(NO_SIGNAL) == Action::Allow, sends, "{call} {layer:?}");
                }
            }
        }
    }
}

/// A socket that the program was given, as by a unix socket: without the filter each call connects it and sends.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod on_the_kernel {
    use std::io::Read;
    use std::net::TcpListener;
    use std::os::fd::AsRawFd;
    use std::ptr;

    use super::kernel_child::{Call, Outcome, raw, under};
    use super::*;

    const EACCES: i64 = 13;

    /// A new TCP socket sends three bytes to `port` by this call.
    fn sent(filters: &[&[zerocap_seccomp::Insn]], call: &str, port: u16) -> Outcome {
        let socket = tcp_socket();
        let address = libc::sockaddr_in {
            sin_family: libc::AF_INET as u16,
            sin_port: port.to_be(),
            sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes([127, 0, 0, 1]) },
            sin_zero: [0; 8],
        };
        let (text, size) = (b"out", size_of::<libc::sockaddr_in>());
        let piece = libc::iovec { iov_base: text.as_ptr().cast_mut().cast(), iov_len: text.len() };
        let message = libc::msghdr {
            msg_name: (&raw const address).cast_mut().cast(),
            msg_namelen: size as u32,
            msg_iov: (&raw const piece).cast_mut(),
            msg_iovlen: 1,
            msg_control: ptr::null_mut(),
            msg_controllen: 0,
            msg_flags: 0,
        };
        let messages = libc::mmsghdr { msg_hdr: message, msg_len: 0 };
        let fd = socket.as_raw_fd() as u64;
        let args = match call {
            "sendto" => {
                [fd, text.as_ptr().addr() as u64, 3, FAST_OPEN, (&raw const address).addr() as u64, size as u64]
            }
            "sendmsg" => [fd, (&raw const messages.msg_hdr).addr() as u64, FAST_OPEN, 0, 0, 0],
            _ => [fd, (&raw const messages).addr() as u64, 1, FAST_OPEN, 0, 0],
        };
        let number = lookup(call).and_then(|call| call.number(Arch::X86_64)).expect("the call exists");
        under(filters, &[Call { number, args }])[0]
    }

    fn tcp_socket() -> std::os::fd::OwnedFd {
        let number = lookup("socket").and_then(|call| call.number(Arch::X86_64)).expect("the call exists");
        let fd = raw(&Call {
            number,
            args: [libc::AF_INET as u64, (libc::SOCK_STREAM | libc::SOCK_CLOEXEC) as u64, 0, 0, 0, 0],
        });
        // SAFETY: the kernel has just made it, and nobody else has it.
        unsafe { std::os::fd::FromRawFd::from_raw_fd(i32::try_from(fd).expect("a socket")) }
    }

    #[test]
    fn a_socket_that_was_handed_over_is_not_connected() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let port = listener.local_addr().expect("bound").port();
        for (call, _) in CALLS {
            let outcome = sent(&[], call, port);
            assert!(
                matches!(outcome, Outcome::Returned(1..)),
                "{call}: {outcome:?}; is net.ipv4.tcp_fastopen changed?"
            );
            let mut got = [0; 3];
            listener.accept().expect("the connection").0.read_exact(&mut got).expect("the data");
            assert_eq!(&got, b"out", "{call}");
        }
        listener.set_nonblocking(true).expect("the listener is ours");
        let strict = LastLayer { preset: Preset::Strict, ..LastLayer::default() };
        let inference = LastLayer { preset: Preset::ModelBackend, platform: false, ..LastLayer::default() };
        for layer in [LastLayer::default(), strict, inference, LastLayer { platform: true, ..inference }] {
            let filter = last_layer(Arch::X86_64, &layer).expect("a native architecture").insns;
            for (call, _) in CALLS {
                assert_eq!(sent(&[filter], call, port), Outcome::Returned(-EACCES), "{call} {layer:?}");
                assert!(listener.accept().is_err(), "{call} {layer:?}");
            }
        }
    }
}
