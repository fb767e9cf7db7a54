// Socket options that change where packets go, or make the kernel send some: they act after every address check.
#include "net.h"

static void set(int family, int level, int name, const void *value, socklen_t size) {
    int fd = must(socket(family, SOCK_STREAM, 0));
    must(setsockopt(fd, level, name, value, size));
    succeeded("set");
}

#define OPTION(function, family, level, name, ...)              \
    static void function(const struct world *w) {               \
        (void)w;                                                \
        __VA_ARGS__;                                            \
        set(family, level, name, &value, sizeof value);         \
    }

OPTION(bind_to_device, AF_INET, SOL_SOCKET, 25, char value[5] = "eth0")
OPTION(bind_to_interface, AF_INET, SOL_SOCKET, 62, int value = 2)
OPTION(unicast_interface, AF_INET, IPPROTO_IP, 50, uint32_t value = htonl(2))
OPTION(unicast_interface6, AF_INET6, IPPROTO_IPV6, 76, uint32_t value = htonl(2))
// Loose source routing by way of the node.
OPTION(source_route, AF_INET, IPPROTO_IP, 4, unsigned char value[8] = {0x83, 7, 4, 10, 88, 0, 1, 0})
OPTION(record_route, AF_INET, IPPROTO_IP, 4, unsigned char value[8] = {7, 7, 4})
OPTION(dont_route, AF_INET, SOL_SOCKET, 5, int value = 1)
OPTION(mark, AF_INET, SOL_SOCKET, 36, int value = 7)
OPTION(transparent, AF_INET, IPPROTO_IP, 19, int value = 1)
OPTION(free_bind, AF_INET, IPPROTO_IP, 15, int value = 1)
OPTION(tcp_fastopen, AF_INET, IPPROTO_TCP, 23, int value = 5)
OPTION(tcp_fastopen_connect, AF_INET, IPPROTO_TCP, 30, int value = 1)
OPTION(tcp_fastopen_no_cookie, AF_INET, IPPROTO_TCP, 34, int value = 1)
OPTION(tcp_repair, AF_INET, IPPROTO_TCP, 19, int value = 1)
OPTION(tcp_upper_layer, AF_INET, IPPROTO_TCP, 31, char value[4] = "tls")
OPTION(tcp_md5, AF_INET, IPPROTO_TCP, 14, struct { struct sockaddr_storage a; unsigned char b[128]; } value = {.a = {.ss_family = AF_INET}, .b = {[2] = 3, [8] = 'k', 'e', 'y'}})
OPTION(attach_filter, AF_INET, SOL_SOCKET, 26, struct { unsigned short n; void *p; } value = {1, (uint64_t[]){0x7fffffff00000006}})
OPTION(ipv6_hop_options, AF_INET6, IPPROTO_IPV6, 54, unsigned char value[8] = {0, 0, 1, 4})
OPTION(ipv6_transparent, AF_INET6, IPPROTO_IPV6, 75, int value = 1)
// Headers that say by way of whom a packet goes, and for whom it has a word on the way.
OPTION(ipv6_routing_header, AF_INET6, IPPROTO_IPV6, 57, unsigned char value[24] = {0, 2, 4, 0, [8] = 0xfd, [23] = 1})
OPTION(ipv6_destination_options, AF_INET6, IPPROTO_IPV6, 59, unsigned char value[8] = {0, 0, 1, 4})
// Twenty bits of each packet that nobody looks at.
OPTION(ipv6_flow_label, AF_INET6, IPPROTO_IPV6, 32, struct { unsigned char to[16]; uint32_t label; unsigned char action, share; unsigned short flags, expires, linger; uint32_t pad; } value = {.to = {[15] = 1}, .label = htonl(0x54321), .share = 1, .flags = 1})
// Which port connect and listen take where nothing was bound: that of the proxy, on another container's behalf.
OPTION(port_range, AF_INET, IPPROTO_IP, 51, uint32_t value = 20100u << 16 | 20100u)
// The level's and the name's upper halves are not looked at by the kernel.
static void option_high_bits(const struct world *w) {
    (void)w;
    int fd = must(socket(AF_INET, SOCK_STREAM, 0)), on = 1;
    must(syscall(SYS_setsockopt, fd, 0x100000000L | IPPROTO_TCP, 0x100000000L | 30, &on, sizeof on));
    succeeded("set");
}

#define NAMED(x) {"option_" #x, x}
const struct attack option_attacks[] = {
    NAMED(bind_to_device), NAMED(bind_to_interface), NAMED(unicast_interface), NAMED(unicast_interface6), NAMED(source_route),
    NAMED(record_route), NAMED(dont_route), NAMED(mark), NAMED(transparent), NAMED(free_bind),
    NAMED(tcp_fastopen), NAMED(tcp_fastopen_connect), NAMED(tcp_fastopen_no_cookie), NAMED(tcp_repair),
    NAMED(tcp_upper_layer), NAMED(tcp_md5), NAMED(attach_filter), NAMED(ipv6_hop_options), NAMED(ipv6_transparent), NAMED(port_range),
    {"option_high_bits", option_high_bits},
    NAMED(ipv6_routing_header), NAMED(ipv6_destination_options), NAMED(ipv6_flow_label), {0}};
