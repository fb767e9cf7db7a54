/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's side: helpers by number (linux/bpf.h, enum bpf_func_id) and constants that UAPI headers for BPF lack. */
#pragma once
#include <linux/bpf.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;

#define SECTION(name) __attribute__((section(name), used))
#define INLINE static __attribute__((always_inline))
#define be16 __builtin_bswap16
#define be32 __builtin_bswap32

static void *(*const map_lookup)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;
static long (*const map_update)(void *map, const void *key, const void *value, u64 flags) = (void *)BPF_FUNC_map_update_elem;
static u64 (*const boot_ns)(void) = (void *)125; /* ktime_get_boot_ns, 5.8 */
static u64 (*const pid_tgid)(void) = (void *)BPF_FUNC_get_current_pid_tgid;
static long (*const task_comm)(void *buffer, u32 size) = (void *)BPF_FUNC_get_current_comm;
static long (*const skb_load)(const void *skb, u32 offset, void *to, u32 size) = (void *)BPF_FUNC_skb_load_bytes;
static struct bpf_sock *(*const full_socket)(struct bpf_sock *) = (void *)BPF_FUNC_sk_fullsock;
static void *(*const storage)(void *map, void *sk, void *value, u64 flags) = (void *)107; /* sk_storage_get, 5.2 */
static long (*const ring_output)(void *ring, void *data, u64 size, u64 flags) = (void *)130; /* ringbuf_output, 5.8 */
static int (*const set_retval)(int) = (void *)187; /* 5.18 */

#define SK_STORAGE_CREATE 1 /* BPF_SK_STORAGE_GET_F_CREATE */

#define EACCES 13
#define EPROTONOSUPPORT 93

#define AF_INET 2
#define AF_INET6 10
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define TCP 6
#define UDP 17
#define TCP_STATE_ESTABLISHED 1 /* BPF_TCP_ESTABLISHED; a connected datagram socket is in it as well */
#define TCP_STATE_CLOSE 7   /* BPF_TCP_CLOSE; an unconnected datagram socket is in it as well */
#define TCP_STATE_LISTEN 10 /* BPF_TCP_LISTEN */
#define LOOPBACK_IFINDEX 1  /* of every network namespace (net/core: LOOPBACK_IFINDEX) */
#define IPV6_TLV_JUMBO 0xc2 /* linux/in6.h */
#define ETH_IPV4 0x0800
#define ETH_IPV6 0x86dd
