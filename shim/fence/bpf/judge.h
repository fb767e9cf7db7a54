/* SPDX-License-Identifier: Apache-2.0 */
/* Decisions. The verifier follows every path, so data is compared with xor and or, not with && chains. */
#pragma once
#include "maps.h"

/* 1 for 0, without a branch: a verdict that the verifier knows is one that it follows on its own from there on. */
INLINE u32 is_zero(u32 value) {
	u64 wide = value;
	asm volatile("" : "+r"(wide)); /* clang would make it a branch again */
	return (wide - 1) >> 63;
}

INLINE u32 is_loopback(const struct addr *a) {
	u32 high = a->w[0] | a->w[1];
	u32 v4 = high | (a->w[2] ^ be32(0xffff)) | ((a->w[3] & be32(0xff000000)) ^ be32(0x7f000000));
	u32 v6 = high | a->w[2] | (a->w[3] ^ be32(1));
	return is_zero(v4) | is_zero(v6);
}

INLINE struct addr mapped(u32 v4) {
	struct addr a = { { 0, 0, be32(0xffff), v4 } };
	return a;
}

INLINE int live(const u64 *expiry) {
	return expiry && (*expiry == 0 || *expiry > boot_ns());
}

/* Whether the policy names the destination. */
INLINE int named(const struct addr *to, u32 port, u32 proto) {
	struct exact_key key = { *to, port, proto, 0 };
	if (live(map_lookup(&exact, &key)))
		return 1;
	struct network_key network = { 128, *to };
	u32 *set = map_lookup(&networks, &network);
	if (!set)
		return 0;
	struct port_key in_set = { 48, PORTS_OF_SET, proto, be16(*set), be16(port), 0 };
	return live(map_lookup(&ports, &in_set));
}

INLINE int listens(u32 port, u32 proto) {
	struct port_key key = { 48, PORTS_LISTEN, proto, 0, be16(port), 0 };
	return map_lookup(&ports, &key) != 0;
}

/* How long after a datagram its answer is taken for one. */
#define PEER_NS (180ull * 1000 * 1000 * 1000)

INLINE int peer_known(const struct addr *peer, u32 port, u32 local, u32 kind) {
	struct peer_key key = { *peer, port, local, kind, {} };
	u64 *last = map_lookup(&peers, &key);
	return last && boot_ns() - *last < PEER_NS;
}

INLINE void peer_note(const struct addr *peer, u32 port, u32 local, u32 kind) {
	struct peer_key key = { *peer, port, local, kind, {} };
	u64 now = boot_ns(), *last = map_lookup(&peers, &key);
	if (last)
		*last = now;
	else
		map_update(&peers, &key, &now, BPF_ANY);
}

INLINE void count(u32 index) {
	u64 *counter = map_lookup(&counters, &index);
	if (counter)
		__sync_fetch_and_add(counter, 1);
}

INLINE void count_destination(const struct addr *to, u32 port, u32 proto, u32 refused) {
	struct destination_key key = { *to, port, proto, refused };
	u64 one = 1, *times = map_lookup(&destinations, &key);
	if (times)
		__sync_fetch_and_add(times, 1);
	else
		map_update(&destinations, &key, &one, BPF_NOEXIST);
}

/* Counts and reports a refusal. `by_task`: the current task is the one that asked. */
INLINE void report(const struct addr *to, u32 port, u32 proto, enum hook hook, int by_task, u32 device) {
	count(hook);
	struct refusal r = { .at = boot_ns(), .to = *to, .port = port, .proto = proto, .hook = hook, .device = device };
	if (by_task) {
		r.task = pid_tgid();
		task_comm(r.comm, sizeof r.comm);
	}
	if (ring_output(&refusals, &r, sizeof r, 0))
		count(LOST);
}

/* Whether a refused connect may be no more than a question to the kernel. Resolvers connect sockets of datagrams to what they have found, to
 * put it in order by the addresses that they would have themselves (RFC 6724), and send nothing: glibc to the port that was asked for,
 * musl to 65535, Go to 9. */
INLINE u32 looks_around(const struct addr *to, u32 port) {
	return port == 0 || port == 9 || port == 65535 || named(to, port, TCP);
}

/* Whether what is asked for is only watched. What came in, and what nobody asked for, is refused all the same. */
INLINE u32 audits(void) {
	u32 zero = 0;
	struct settings *set = map_lookup(&settings, &zero);
	return set && set->audit;
}

INLINE int refuse(int errno) {
	set_retval(-errno);
	return 0;
}
