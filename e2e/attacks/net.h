// Addresses and foreign-ABI calls for the network attacks.
#pragma once
#include "attacks.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>

static inline struct sockaddr_in in4(const char *host, int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, host, &a.sin_addr);
    return a;
}

static inline struct sockaddr_in6 in6(const char *host, int port) {
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    inet_pton(AF_INET6, host, &a.sin6_addr);
    return a;
}

#ifdef __x86_64__
#define LOW MAP_32BIT
#else
#define LOW 0
#endif

// An i386 system call from a 64-bit program: another table, another meaning of the numbers. Pointers must be below 4 GiB.
static inline long int80(long number, long a, long b, long c, long d, long e) {
#ifdef __x86_64__
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e) : "memory", "r8", "r9", "r10", "r11");
    if ((int)result < 0 && (int)result > -4096) {
        errno = -(int)result;
        return -1;
    }
    return (int)result;
#else
    (void)number, (void)a, (void)b, (void)c, (void)d, (void)e;
    errno = ENOSYS;
    return -1;
#endif
}

// Memory that a 32-bit pointer reaches.
static inline void *low_memory(void) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | LOW, -1, 0);
    if (page == MAP_FAILED) unprepared("mmap");
    return page;
}
