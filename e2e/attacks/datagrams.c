// Where a socket of datagrams may be had: from the one destination that is listed to another one.
#include "net.h"
#include <netinet/udp.h>
#include <sys/uio.h>

enum { LISTED = 9 };

struct places {
    struct sockaddr_in near, far;
    struct sockaddr_in6 near_mapped, far6;
};

static struct places of(const struct world *w) {
    char mapped[64];
    snprintf(mapped, sizeof mapped, "::ffff:%s", w->host4);
    return (struct places){in4(w->host4, LISTED), in4(w->host4, w->port), in6(mapped, LISTED), in6(w->host6, w->port)};
}

// A socket that has sent where it may.
static int approved(const struct places *p) {
    int fd = prepare(socket(AF_INET, SOCK_DGRAM, 0));
    prepare(sendto(fd, "near", 4, 0, (void *)&p->near, sizeof p->near));
    return fd;
}

static void send_with(int fd, const void *to, socklen_t size, const struct world *w, int level, int type, const void *value, size_t length) {
    struct iovec data = {(void *)w->token, strlen(w->token)};
    char control[64] __attribute__((aligned(8))) = {0};
    struct msghdr m = {.msg_name = (void *)to, .msg_namelen = size, .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(length)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(length), .cmsg_level = level, .cmsg_type = type};
    memcpy(CMSG_DATA(c), value, length);
    must(sendmsg(fd, &m, 0));
    succeeded("sent");
}

static void plain(int fd, const void *to, socklen_t size, const struct world *w, int flags) {
    must(sendto(fd, w->token, strlen(w->token), flags, to, size));
    succeeded("sent");
}

static void after_listed(const struct world *w) {
    struct places p = of(w);
    plain(approved(&p), &p.far, sizeof p.far, w, 0);
}

static void without_routes(const struct world *w) {
    struct places p = of(w);
    plain(approved(&p), &p.far, sizeof p.far, w, MSG_DONTROUTE);
}

static void second_of_two(const struct world *w) {
    struct places p = of(w);
    struct iovec data = {(void *)w->token, strlen(w->token)}, word = {"near", 4};
    struct mmsghdr both[2] = {{.msg_hdr = {.msg_name = &p.near, .msg_namelen = sizeof p.near, .msg_iov = &word, .msg_iovlen = 1}},
                              {.msg_hdr = {.msg_name = &p.far, .msg_namelen = sizeof p.far, .msg_iov = &data, .msg_iovlen = 1}}};
    int fd = prepare(socket(AF_INET, SOCK_DGRAM, 0)), sent = must(sendmmsg(fd, both, 2, 0));
    // The second one's errno is kept for the next call.
    if (sent < 2) plain(fd, &p.far, sizeof p.far, w, 0);
    succeeded("sent both");
}

static void name_on_connected(const struct world *w) {
    struct places p = of(w);
    int fd = prepare(socket(AF_INET, SOCK_DGRAM, 0));
    prepare(connect(fd, (void *)&p.near, sizeof p.near));
    plain(fd, &p.far, sizeof p.far, w, 0);
}

static void other_family_after_mapped(const struct world *w) {
    struct places p = of(w);
    int fd = prepare(socket(AF_INET6, SOCK_DGRAM, 0));
    prepare(sendto(fd, "near", 4, 0, (void *)&p.near_mapped, sizeof p.near_mapped));
    plain(fd, &p.far6, sizeof p.far6, w, 0);
}

static void after_disconnect(const struct world *w) {
    struct places p = of(w);
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    int fd = approved(&p);
    prepare(connect(fd, (void *)&p.near, sizeof p.near));
    prepare(connect(fd, &nobody, sizeof nobody));
    plain(fd, &p.far, sizeof p.far, w, 0);
}

// Without a name the data goes where the last connect that was not refused led.
static void connect_again(const struct world *w) {
    struct places p = of(w);
    int fd = approved(&p);
    must(connect(fd, (void *)&p.far, sizeof p.far));
    must(write(fd, w->token, strlen(w->token)));
    succeeded("sent");
}

static void no_family(const struct world *w) {
    struct places p = of(w);
    p.far.sin_family = AF_UNSPEC;
    plain(approved(&p), &p.far, sizeof p.far, w, 0);
}

// More than a packet holds: only the first fragment has ports.
static void fragments(const struct world *w) {
    struct places p = of(w);
    static char large[40000];
    for (size_t at = 0; at + strlen(w->token) < sizeof large; at += strlen(w->token)) memcpy(large + at, w->token, strlen(w->token));
    must(sendto(approved(&p), large, sizeof large, 0, (void *)&p.far, sizeof p.far));
    succeeded("sent");
}

static void segments(const struct world *w) {
    struct places p = of(w);
    uint16_t size = 4;
    send_with(approved(&p), &p.far, sizeof p.far, w, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size);
}

// To where it may, by way of somebody else: options that come with the data, not with the socket.
static void source_route(const struct world *w) {
    struct places p = of(w);
    unsigned char route[8] = {0x83, 7, 4, 10, 88, 0, 1, 0};
    send_with(approved(&p), &p.near, sizeof p.near, w, IPPROTO_IP, IP_RETOPTS, route, sizeof route);
}

static void record_route(const struct world *w) {
    struct places p = of(w);
    unsigned char route[8] = {7, 7, 4};
    send_with(approved(&p), &p.near, sizeof p.near, w, IPPROTO_IP, IP_RETOPTS, route, sizeof route);
}

#define NAMED(x) {"datagram_" #x, x}
const struct attack datagram_attacks[] = {
    NAMED(after_listed), NAMED(without_routes), NAMED(second_of_two), NAMED(name_on_connected), NAMED(other_family_after_mapped),
    NAMED(after_disconnect), NAMED(connect_again), NAMED(no_family), NAMED(fragments), NAMED(segments), NAMED(source_route),
    NAMED(record_route), {0}};
