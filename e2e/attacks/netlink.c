// Netlink and the ioctls that are as old as it: kernel surface, ways to neighbours, and the pod's own network.
#include "net.h"
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/ioctl.h>

// Two programs with nothing else in common can talk by this one, across containers of a pod.
static void netlink_user(const struct world *w) {
    (void)w;
    must(socket(AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK));
    succeeded("a socket");
}

// Every protocol but routing, with both types and with the type's and the protocol's upper halves set.
static void netlink_others(const struct world *w) {
    (void)w;
    int count = 0, last = 0;
    for (int protocol = 1; protocol < 64; protocol++)
        for (int type = SOCK_DGRAM; type <= SOCK_RAW; type++)
            for (long upper = 0; upper <= 1L << 32; upper += 1L << 32) {
                int fd = syscall(SYS_socket, AF_NETLINK, upper | type, upper | protocol);
                if (fd < 0) continue;
                close(fd);
                last = protocol;
                if (++count == ENOUGH) succeeded("%d combinations, the last of protocol %d", count, last);
            }
    errno = EACCES;
    if (!count) refused("socket");
    succeeded("%d combinations, the last of protocol %d", count, last);
}

// An address of its own choice: the pod's neighbours would answer to it.
static void route_address(const struct world *w) {
    (void)w;
    struct {
        struct nlmsghdr h;
        struct ifaddrmsg a;
        struct rtattr r;
        uint32_t address;
    } ask = {
        .h = {sizeof ask, RTM_NEWADDR, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, 1, 0},
        .a = {.ifa_family = AF_INET, .ifa_prefixlen = 32, .ifa_index = 1},
        .r = {8, IFA_LOCAL},
        .address = htonl(0x0a634301),
    };
    struct {
        struct nlmsghdr h;
        struct nlmsgerr e;
        char rest[256];
    } answer = {0};
    int fd = must(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
    must(send(fd, &ask, sizeof ask, 0));
    must(recv(fd, &answer, sizeof answer, 0));
    errno = answer.h.nlmsg_type == NLMSG_ERROR ? -answer.e.error : EIO;
    if (errno) refused("RTM_NEWADDR");
    succeeded("10.99.67.1 on lo");
}

static void interface_flags(const struct world *w) {
    (void)w;
    struct ifreq r = {.ifr_name = "lo"};
    int fd = must(socket(AF_INET, SOCK_STREAM, 0));
    prepare(ioctl(fd, SIOCGIFFLAGS, &r));
    // What it has already: nothing changes.
    must(ioctl(fd, SIOCSIFFLAGS, &r));
    succeeded("set");
}

#define NAMED(x) {#x, x}
const struct attack netlink_attacks[] = {NAMED(netlink_user), NAMED(netlink_others), NAMED(route_address), NAMED(interface_flags), {0}};
