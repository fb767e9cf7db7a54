//! Names of kernel constants that profiles may use. The tests compare them with the C library's.

use super::errnos::ERRNOS;

/// The value of a constant of the kernel's headers.
#[must_use]
pub fn constant(name: &str) -> Option<u64> {
    find(CONSTANTS, name)
}

/// The number of an error.
#[must_use]
pub fn errno(name: &str) -> Option<u16> {
    find(ERRNOS, name).and_then(|number| u16::try_from(number).ok())
}

/// The name of an error number.
#[must_use]
pub fn errno_name(number: u16) -> Option<&'static str> {
    ERRNOS.iter().find(|(_, value)| *value == u64::from(number)).map(|(name, _)| *name)
}

/// Every constant, for tests and documentation.
pub fn all() -> impl Iterator<Item = (&'static str, u64)> {
    CONSTANTS.iter().chain(ERRNOS).copied()
}

fn find(list: &[(&str, u64)], name: &str) -> Option<u64> {
    list.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

const CONSTANTS: &[(&str, u64)] = &[
    // linux/socket.h, linux/net.h
    ("AF_UNIX", 1),
    ("AF_INET", 2),
    ("AF_INET6", 10),
    ("AF_NETLINK", 16),
    ("SOCK_STREAM", 1),
    ("SOCK_DGRAM", 2),
    ("SOCK_RAW", 3),
    ("SOCK_SEQPACKET", 5),
    ("SOCK_NONBLOCK", 0x800),
    ("SOCK_CLOEXEC", 0x8_0000),
    ("NETLINK_ROUTE", 0),
    ("MSG_FASTOPEN", 0x2000_0000),
    // linux/in.h
    ("IPPROTO_IP", 0),
    ("IPPROTO_ICMP", 1),
    ("IPPROTO_TCP", 6),
    ("IPPROTO_UDP", 17),
    ("IPPROTO_IPV6", 41),
    ("SOL_SOCKET", 1),
    ("SOL_NETLINK", 270),
    // asm-generic/socket.h
    ("SO_REUSEADDR", 2),
    ("SO_BROADCAST", 6),
    ("SO_SNDBUF", 7),
    ("SO_RCVBUF", 8),
    ("SO_KEEPALIVE", 9),
    ("SO_OOBINLINE", 10),
    ("SO_LINGER", 13),
    ("SO_REUSEPORT", 15),
    ("SO_PASSCRED", 16),
    ("SO_RCVLOWAT", 18),
    ("SO_SNDLOWAT", 19),
    ("SO_RCVTIMEO", 20),
    ("SO_SNDTIMEO", 21),
    ("SO_TIMESTAMP", 29),
    ("SO_PASSSEC", 34),
    ("SO_TIMESTAMPNS", 35),
    ("SO_RXQ_OVFL", 40),
    ("SO_PEEK_OFF", 42),
    ("SO_INCOMING_CPU", 49),
    ("SO_ZEROCOPY", 60),
    ("SO_TIMESTAMP_NEW", 63),
    ("SO_TIMESTAMPNS_NEW", 64),
    ("SO_RCVTIMEO_NEW", 66),
    ("SO_SNDTIMEO_NEW", 67),
    ("SO_PASSPIDFD", 76),
    // linux/tcp.h
    ("TCP_NODELAY", 1),
    ("TCP_MAXSEG", 2),
    ("TCP_CORK", 3),
    ("TCP_KEEPIDLE", 4),
    ("TCP_KEEPINTVL", 5),
    ("TCP_KEEPCNT", 6),
    ("TCP_SYNCNT", 7),
    ("TCP_LINGER2", 8),
    ("TCP_DEFER_ACCEPT", 9),
    ("TCP_WINDOW_CLAMP", 10),
    ("TCP_QUICKACK", 12),
    ("TCP_CONGESTION", 13),
    ("TCP_USER_TIMEOUT", 18),
    ("TCP_NOTSENT_LOWAT", 25),
    ("TCP_INQ", 36),
    // linux/in.h, linux/in6.h
    ("IP_TOS", 1),
    ("IP_TTL", 2),
    ("IP_PKTINFO", 8),
    ("IP_MTU_DISCOVER", 10),
    ("IP_RECVERR", 11),
    ("IP_RECVTTL", 12),
    ("IP_RECVTOS", 13),
    ("IP_BIND_ADDRESS_NO_PORT", 24),
    ("IP_MULTICAST_ALL", 49),
    ("IP_LOCAL_PORT_RANGE", 51),
    ("IPV6_UNICAST_HOPS", 16),
    ("IPV6_MULTICAST_HOPS", 18),
    ("IPV6_MTU_DISCOVER", 23),
    ("IPV6_RECVERR", 25),
    ("IPV6_V6ONLY", 26),
    ("IPV6_MULTICAST_ALL", 29),
    ("IPV6_RECVPKTINFO", 49),
    ("IPV6_RECVTCLASS", 66),
    ("IPV6_TCLASS", 67),
    // linux/netlink.h
    ("NETLINK_ADD_MEMBERSHIP", 1),
    ("NETLINK_DROP_MEMBERSHIP", 2),
    ("NETLINK_PKTINFO", 3),
    ("NETLINK_BROADCAST_ERROR", 4),
    ("NETLINK_NO_ENOBUFS", 5),
    ("NETLINK_CAP_ACK", 10),
    ("NETLINK_EXT_ACK", 11),
    ("NETLINK_GET_STRICT_CHK", 12),
    // linux/sched.h
    ("CLONE_VM", 0x100),
    ("CLONE_FS", 0x200),
    ("CLONE_FILES", 0x400),
    ("CLONE_SIGHAND", 0x800),
    ("CLONE_PTRACE", 0x2000),
    ("CLONE_VFORK", 0x4000),
    ("CLONE_PARENT", 0x8000),
    ("CLONE_THREAD", 0x0001_0000),
    ("CLONE_NEWNS", 0x0002_0000),
    ("CLONE_NEWCGROUP", 0x0200_0000),
    ("CLONE_NEWUTS", 0x0400_0000),
    ("CLONE_NEWIPC", 0x0800_0000),
    ("CLONE_NEWUSER", 0x1000_0000),
    ("CLONE_NEWPID", 0x2000_0000),
    ("CLONE_NEWNET", 0x4000_0000),
    // asm-generic/fcntl.h, those that no architecture has otherwise
    ("O_RDONLY", 0),
    ("O_WRONLY", 1),
    ("O_RDWR", 2),
    ("O_CREAT", 0o100),
    ("O_EXCL", 0o200),
    ("O_TRUNC", 0o1000),
    ("O_APPEND", 0o2000),
    ("O_NONBLOCK", 0o4000),
    ("O_CLOEXEC", 0o200_0000),
    // linux/fcntl.h, linux/memfd.h
    ("AT_EMPTY_PATH", 0x1000),
    ("MFD_HUGETLB", 4),
    ("MFD_NOEXEC_SEAL", 8),
    // asm-generic/mman-common.h
    ("PROT_NONE", 0),
    ("PROT_READ", 1),
    ("PROT_WRITE", 2),
    ("PROT_EXEC", 4),
    ("MAP_SHARED", 1),
    ("MAP_PRIVATE", 2),
    ("MAP_FIXED", 0x10),
    ("MAP_ANONYMOUS", 0x20),
    // asm-generic/ioctls.h
    ("TCGETS", 0x5401),
    ("TIOCGWINSZ", 0x5413),
    ("FIONREAD", 0x541b),
    ("TIOCSTI", 0x5412),
    ("TIOCLINUX", 0x541c),
    ("TIOCCONS", 0x541d),
    ("TIOCSETD", 0x5423),
    // linux/personality.h
    ("PER_LINUX", 0),
    ("PER_LINUX32", 8),
    ("UNAME26", 0x0002_0000),
    // linux/prctl.h
    ("PR_SCHED_CORE", 62),
    // asm-generic/resource.h
    ("RLIMIT_CORE", 4),
    // linux/resource.h, linux/ioprio.h
    ("PRIO_PROCESS", 0),
    ("PRIO_PGRP", 1),
    ("IOPRIO_WHO_PROCESS", 1),
    ("IOPRIO_WHO_PGRP", 2),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_there_once() {
        let names: Vec<_> = all().map(|(name, _)| name).collect();
        for (index, name) in names.iter().enumerate() {
            assert!(!names[..index].contains(name), "{name}");
        }
    }
}
