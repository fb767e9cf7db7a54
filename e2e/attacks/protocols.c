// Kernel surface behind socket(), io_uring, and listening.
#include "net.h"
#include <linux/io_uring.h>
#include <linux/netlink.h>
#include <sys/un.h>

static void opened(int family, int type, int protocol) {
    must(socket(family, type, protocol));
    succeeded("a socket");
}

#define SOCKET(function, family, type, protocol)        \
    static void function(const struct world *w) {       \
        (void)w;                                        \
        opened(family, type, protocol);                 \
    }

SOCKET(packet, AF_PACKET, SOCK_RAW, htons(3))
SOCKET(packet_datagram, AF_PACKET, SOCK_DGRAM, htons(3))
SOCKET(packet_old, AF_INET, SOCK_PACKET, htons(3))
SOCKET(vsock_stream, AF_VSOCK, SOCK_STREAM, 0)
SOCKET(vsock_datagram, AF_VSOCK, SOCK_DGRAM, 0)
SOCKET(alg, AF_ALG, SOCK_SEQPACKET, 0)
SOCKET(xdp, AF_XDP, SOCK_RAW, 0)
SOCKET(smc, AF_SMC, SOCK_STREAM, 0)
SOCKET(smc_inet, AF_INET, SOCK_STREAM, 256)
SOCKET(sctp_stream, AF_INET, SOCK_STREAM, IPPROTO_SCTP)
SOCKET(sctp_packets, AF_INET6, SOCK_SEQPACKET, IPPROTO_SCTP)
SOCKET(dccp, AF_INET, SOCK_DCCP, IPPROTO_DCCP)
SOCKET(tipc, AF_TIPC, SOCK_RDM, 0)
SOCKET(can, AF_CAN, SOCK_RAW, 1)
SOCKET(bluetooth, AF_BLUETOOTH, SOCK_RAW, 1)
SOCKET(rds, AF_RDS, SOCK_SEQPACKET, 0)
SOCKET(key, AF_KEY, SOCK_RAW, 2)
SOCKET(unix_raw, AF_UNIX, SOCK_RAW, 0)
SOCKET(netlink_generic, AF_NETLINK, SOCK_RAW, NETLINK_GENERIC)
SOCKET(netlink_diag, AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG)
SOCKET(netlink_audit, AF_NETLINK, SOCK_RAW, NETLINK_AUDIT)
SOCKET(netlink_uevent, AF_NETLINK, SOCK_DGRAM, NETLINK_KOBJECT_UEVENT)
SOCKET(netlink_netfilter, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER)
SOCKET(netlink_xfrm, AF_NETLINK, SOCK_RAW, NETLINK_XFRM)
SOCKET(netlink_connector, AF_NETLINK, SOCK_DGRAM, NETLINK_CONNECTOR)

// Landlock's TCP rights do not cover this one, yet it speaks TCP to any listener.
static void mptcp(const struct world *w) {
    struct sockaddr_in a = in4(w->host4, w->port);
    int fd = must(socket(AF_INET, SOCK_STREAM, 262));
    must(connect(fd, (void *)&a, sizeof a));
    succeeded("connected");
}

static void mptcp6(const struct world *w) {
    struct sockaddr_in6 a = in6(w->host6, w->port);
    int fd = must(socket(AF_INET6, SOCK_STREAM, 262));
    must(connect(fd, (void *)&a, sizeof a));
    succeeded("connected");
}

// Every family and type with the protocols that kernels have, but for what a program may use. A family that this kernel
// lacks is left after its first answer: each further one would make it look for a module.
static void families(const struct world *w) {
    (void)w;
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_RDM, SOCK_SEQPACKET, SOCK_DCCP, SOCK_PACKET};
    static const int protocols[] = {0, 1, 2, 3, 4, 6, 10, 12, 15, 16, 17, 33, 47, 50, 58, 132, 136, 255, 256, 262};
    char found[256] = "";
    int count = 0;
    for (int family = 0; family < 64; family++) {
        int inet = family == AF_INET || family == AF_INET6;
        if (!inet && family != AF_UNIX && family != AF_NETLINK && socket(family, SOCK_RAW, 0) < 0 && errno == EAFNOSUPPORT &&
            socket(family, SOCK_STREAM, 0) < 0 && errno == EAFNOSUPPORT)
            continue;
        for (unsigned t = 0; t < sizeof types / sizeof *types; t++)
            for (unsigned p = 0; p < sizeof protocols / sizeof *protocols; p++) {
                int type = types[t], protocol = protocols[p];
                if (family == AF_UNIX && protocol <= 1 && type != SOCK_RAW) continue;
                if (inet && type == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP)) continue;
                if (family == AF_NETLINK && protocol == 0) continue;
                int fd = socket(family, type, protocol);
                if (fd < 0) continue;
                close(fd);
                snprintf(found + strlen(found), sizeof found - strlen(found), " %d/%d/%d", family, type, protocol);
                if (++count == ENOUGH) succeeded("%d combinations:%s", count, found);
            }
    }
    errno = EACCES;
    if (!count) refused("socket");
    succeeded("%d combinations:%s", count, found);
}

static void socketpair_inet(const struct world *w) {
    (void)w;
    // No kernel makes such a pair, but a filter should not let it ask: the errno tells who answered.
    int pair[2];
    if (socketpair(AF_INET, SOCK_STREAM, 0, pair) == 0 || errno == EOPNOTSUPP) succeeded("the kernel was asked");
    refused("socketpair");
}

// --- io_uring: its operations pass no seccomp filter
static void ring(const struct world *w, int operation) {
    struct io_uring_params p = {0};
    int ring = must(syscall(SYS_io_uring_setup, 4, &p));
    size_t size = p.sq_off.array + p.sq_entries * sizeof(unsigned);
    char *sq = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    struct io_uring_sqe *e = mmap(NULL, p.sq_entries * sizeof *e, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
    char *cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
    if (sq == MAP_FAILED || (void *)e == MAP_FAILED || cq == MAP_FAILED) refused("mmap");
    struct sockaddr_in a = in4(w->host4, w->port);
    memset(e, 0, sizeof *e);
    if (operation == IORING_OP_SOCKET) {
        *e = (struct io_uring_sqe){.opcode = IORING_OP_SOCKET, .fd = AF_INET, .off = SOCK_DGRAM};
    } else {
        int fd = must(socket(AF_INET, SOCK_STREAM, 0));
        *e = (struct io_uring_sqe){.opcode = IORING_OP_CONNECT, .fd = fd, .addr = (uint64_t)&a, .off = sizeof a};
    }
    *(unsigned *)(sq + p.sq_off.array) = 0;
    __atomic_store_n((unsigned *)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
    must(syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0));
    int result = ((struct io_uring_cqe *)(cq + p.cq_off.cqes))->res;
    if (result < 0) {
        errno = -result;
        refused("io_uring");
    }
    if (operation == IORING_OP_SOCKET) must(sendto(result, w->token, strlen(w->token), 0, (void *)&a, sizeof a));
    succeeded("done by the ring");
}

static void io_uring_setup(const struct world *w) {
    (void)w;
    struct io_uring_params p = {0};
    must(syscall(SYS_io_uring_setup, 1, &p));
    succeeded("a ring");
}
static void io_uring_udp(const struct world *w) { ring(w, IORING_OP_SOCKET); }
static void io_uring_connect(const struct world *w) { ring(w, IORING_OP_CONNECT); }

// --- being reached
static void bind_tcp(const struct world *w) {
    struct sockaddr_in a = in4("0.0.0.0", w->port + 10000);
    int fd = must(socket(AF_INET, SOCK_STREAM, 0));
    must(bind(fd, (void *)&a, sizeof a));
    must(listen(fd, 1));
    succeeded("listening");
}

static void bind_tcp6(const struct world *w) {
    struct sockaddr_in6 a = in6("::", w->port + 10000);
    int fd = must(socket(AF_INET6, SOCK_STREAM, 0));
    must(bind(fd, (void *)&a, sizeof a));
    must(listen(fd, 1));
    succeeded("listening");
}

// The kernel picks a port by itself and asks nobody.
static void listen_without_bind(const struct world *w) {
    (void)w;
    int fd = must(socket(AF_INET, SOCK_STREAM, 0));
    must(listen(fd, 1));
    succeeded("listening");
}

static void listen_without_bind6(const struct world *w) {
    (void)w;
    int fd = must(socket(AF_INET6, SOCK_STREAM, 0));
    must(listen(fd, 1));
    succeeded("listening");
}

static void listen_high_bits(const struct world *w) {
    (void)w;
    int fd = must(socket(AF_INET, SOCK_STREAM, 0));
    must(syscall(SYS_listen, 0x100000000L | fd, 0x100000000L | 1));
    succeeded("listening");
}

// Other containers of the pod would talk to it instead of the proxy.
static void bind_proxy_port(const struct world *w) {
    (void)w;
    struct sockaddr_in a = in4("127.7.7.7", 3128);
    int fd = must(socket(AF_INET, SOCK_STREAM, 0));
    must(bind(fd, (void *)&a, sizeof a));
    succeeded("bound");
}

// Without a family an address is taken for one of IPv4, as old programs wrote it.
static void bind_without_family(const struct world *w) {
    (void)w;
    struct sockaddr_in a = {.sin_family = AF_UNSPEC, .sin_port = htons(20128)};
    int fd = must(socket(AF_INET, SOCK_STREAM, 0));
    must(bind(fd, (void *)&a, sizeof a));
    succeeded("bound");
}

#define NAMED(x) {#x, x}
const struct attack protocol_attacks[] = {
    NAMED(packet), NAMED(packet_datagram), NAMED(packet_old), NAMED(vsock_stream), NAMED(vsock_datagram), NAMED(alg), NAMED(xdp),
    NAMED(smc), NAMED(smc_inet), NAMED(sctp_stream), NAMED(sctp_packets), NAMED(dccp), NAMED(tipc), NAMED(can), NAMED(bluetooth),
    NAMED(rds), NAMED(key), NAMED(unix_raw), NAMED(netlink_generic), NAMED(netlink_diag), NAMED(netlink_audit), NAMED(netlink_uevent),
    NAMED(netlink_netfilter), NAMED(netlink_xfrm), NAMED(netlink_connector), NAMED(mptcp), NAMED(mptcp6), NAMED(families),
    NAMED(socketpair_inet), NAMED(io_uring_setup), NAMED(io_uring_udp), NAMED(io_uring_connect), NAMED(bind_tcp), NAMED(bind_tcp6),
    NAMED(listen_without_bind), NAMED(listen_without_bind6), NAMED(listen_high_bits), NAMED(bind_proxy_port), NAMED(bind_without_family), {0}};
