/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packet fence of one container: programs on its cgroup.
 *
 * connect and sendmsg judge what the program asked for, before anybody rewrites it (a Service's address, a mesh), refuse
 * with an errno, and leave the verdict at the socket. The packet programs trust the verdict, not addresses: they see
 * what NAT made of them. They are the net for everything that sends without asking.
 */
#include "judge.h"

/* --- what a program asks for ------------------------------------------------------------------------------------ */

/* Whether a socket of datagrams is connected to just that. */
INLINE u32 is_peer(struct bpf_sock *sk, const struct addr *to, u32 port) {
	volatile struct bpf_sock *at = sk;
	u32 differ = (at->state ^ TCP_STATE_ESTABLISHED) | (be16(at->dst_port) ^ port);
	if (at->family == AF_INET)
		differ |= at->dst_ip4 ^ to->w[3];
	else
		differ |= (at->dst_ip6[0] ^ to->w[0]) | (at->dst_ip6[1] ^ to->w[1]) | (at->dst_ip6[2] ^ to->w[2]) | (at->dst_ip6[3] ^ to->w[3]);
	return is_zero(differ);
}

INLINE int destination(struct bpf_sock_addr *ctx, const struct addr *to, enum hook hook) {
	struct bpf_sock *sk = ctx->sk;
	if (!sk)
		return refuse(EACCES);
	u32 port = be16(ctx->user_port), proto = ctx->protocol, loopback = is_loopback(to), ok, untold = 0;
	struct verdict *known = storage(&sockets, sk, 0, SK_STORAGE_CREATE);
	if (!known)
		return refuse(EACCES);
	/* What is connected was judged, and outlives its permit. The kernel asks all the same where ancillary data comes with a send, without an
	 * address then, and where an IPv6 socket is connected to an IPv4 address. */
	if (hook == SENDMSG && known->connected && (port == 0 || is_peer(sk, to, port)))
		return 1;
	if (hook == SENDMSG && port == 0) {
		ok = 0;
	} else {
		ok = named(to, port, proto);
		if (!ok && proto == UDP) {
			/* A server's answer goes to whoever asked it. */
			u32 local = ((volatile struct bpf_sock *)sk)->src_port;
			ok = listens(local, UDP) && peer_known(to, port, local, PEER_ASKED_US);
		}
		/* What is watched is told when something is sent, what is refused is counted. */
		if (!ok && hook == CONNECT && proto == UDP)
			untold = audits() || looks_around(to, port);
		if (!untold)
			count_destination(to, port, proto, !ok);
	}
	if (ok) {
		count(APPROVED);
	} else {
		if (!untold)
			report(to, port, proto, hook, 1, 0);
		ok = audits();
		if (untold && !ok)
			count(hook);
	}
	if (hook == CONNECT) {
		known->connected = ok;
		known->connected_loopback = loopback;
		known->untold = untold & ok;
	} else if (ok && port) {
		known->sent |= loopback * SENT_LOOPBACK | (loopback ^ 1) * SENT_ELSEWHERE;
	}
	return ok ? 1 : refuse(EACCES);
}

/* The unspecified address means loopback to the kernel, but for some sockets the address they are bound to: ours is
 * always loopback. */
INLINE int destination4(struct bpf_sock_addr *ctx, enum hook hook) {
	u32 ip = ctx->user_ip4;
	if (ip == 0 && ctx->user_port) {
		ip = be32(0x7f000001);
		ctx->user_ip4 = ip;
	}
	struct addr to = mapped(ip);
	return destination(ctx, &to, hook);
}

INLINE int destination6(struct bpf_sock_addr *ctx, enum hook hook) {
	struct addr to = { { ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3] } };
	if (ctx->user_port && (to.w[0] | to.w[1] | to.w[3]) == 0) {
		if (to.w[2] == 0) {
			to.w[3] = be32(1);
			ctx->user_ip6[3] = to.w[3];
		} else if (to.w[2] == be32(0xffff)) {
			to.w[3] = be32(0x7f000001);
			ctx->user_ip6[3] = to.w[3];
		}
	}
	return destination(ctx, &to, hook);
}

SECTION("cgroup/connect4") int connect4(struct bpf_sock_addr *ctx) { return destination4(ctx, CONNECT); }
SECTION("cgroup/connect6") int connect6(struct bpf_sock_addr *ctx) { return destination6(ctx, CONNECT); }
SECTION("cgroup/sendmsg4") int sendmsg4(struct bpf_sock_addr *ctx) { return destination4(ctx, SENDMSG); }
SECTION("cgroup/sendmsg6") int sendmsg6(struct bpf_sock_addr *ctx) { return destination6(ctx, SENDMSG); }

/* Any free port, or one of `listen`; never the proxy's, whose place the workload could take. */
INLINE int bind(struct bpf_sock_addr *ctx, const struct addr *at) {
	u32 port = be16(ctx->user_port), proto = ctx->protocol, zero = 0;
	if (port == 0)
		return 1;
	struct settings *set = map_lookup(&settings, &zero);
	if (set && set->proxy_port != port && listens(port, proto))
		return 1;
	report(at, port, proto, BIND, 1, 0);
	return refuse(EACCES);
}

SECTION("cgroup/bind4") int bind4(struct bpf_sock_addr *ctx) {
	struct addr at = mapped(ctx->user_ip4);
	return bind(ctx, &at);
}

SECTION("cgroup/bind6") int bind6(struct bpf_sock_addr *ctx) {
	struct addr at = { { ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3] } };
	return bind(ctx, &at);
}

/* TCP and UDP, and nothing whose packets the others could not judge. */
SECTION("cgroup/sock_create") int sock_create(struct bpf_sock *sk) {
	u32 type = sk->type, proto = sk->protocol;
	u32 tcp = (type ^ SOCK_STREAM) | (proto ^ TCP), udp = (type ^ SOCK_DGRAM) | (proto ^ UDP);
	if (tcp == 0 || udp == 0)
		return 1;
	struct addr what = { { be32(type), 0, 0, 0 } };
	report(&what, 0, proto, SOCKET, 1, 0);
	/* Libraries that try MPTCP first go on with TCP. */
	return refuse(type == SOCK_STREAM ? EPROTONOSUPPORT : EACCES);
}

/* --- packets ---------------------------------------------------------------------------------------------------- */

struct packet {
	struct addr from, to;
	u16 from_port, to_port;
	u8 proto;
};

/* One test for both, after which the verifier knows neither. */
INLINE u32 tcp_or_udp(u32 proto) {
	return proto < 32 && (1u << proto & (1u << TCP | 1u << UDP));
}

/* BIG TCP: what is larger than 64 KiB has its length in a header of its own, which the kernel makes on its way out, and takes off before
 * the wire or the receiver. No program can have it made: a datagram is smaller. */
INLINE u32 is_jumbo(struct __sk_buff *skb, const u8 *header) {
	return skb->len > 0xffff + 40 && header[0] == TCP && header[1] == 0 && header[2] == IPV6_TLV_JUMBO && header[3] == 4;
}

/* 0 where the header is plain: no IP options, no extension headers, no later fragment. What has them is not parsed. IPv6 first: of what
 * the verifier has seen with any address, one that begins with known zeros is a case, and it does not look again. */
INLINE int parse(struct __sk_buff *skb, struct packet *p) {
	u32 ports_at;
	if (skb->protocol == be16(ETH_IPV6)) {
		u32 h[10];
		if (skb_load(skb, 0, h, sizeof h))
			return -1;
		p->proto = ((const u8 *)h)[6];
		__builtin_memcpy(&p->from, h + 2, 16);
		__builtin_memcpy(&p->to, h + 6, 16);
		ports_at = 40;
		u8 next[4];
		if (p->proto == 0 && skb_load(skb, 40, next, sizeof next) == 0 && is_jumbo(skb, next)) {
			p->proto = TCP;
			ports_at = 48;
		}
	} else if (skb->protocol == be16(ETH_IPV4)) {
		u32 h[5];
		if (skb_load(skb, 0, h, sizeof h))
			return -1;
		const u8 *bytes = (const u8 *)h;
		if (bytes[0] != 0x45 || (bytes[6] & 0x1f) || bytes[7])
			return -1;
		p->proto = bytes[9];
		p->from = mapped(h[3]);
		p->to = mapped(h[4]);
		ports_at = 20;
	} else {
		return -1;
	}
	if (!tcp_or_udp(p->proto))
		return -1;
	u16 both[2];
	if (skb_load(skb, ports_at, both, sizeof both))
		return -1;
	p->from_port = be16(both[0]);
	p->to_port = be16(both[1]);
	return 0;
}

/* A flow whose connect was approved: one look at the packet in place, no copy, no map. Loopback is a device as well as
 * an address: a packet for 127.0.0.1 leaves by a veth if its socket is told so. */
INLINE int approved_flow(struct __sk_buff *skb, const struct verdict *known) {
	const u8 *h = (const u8 *)(long)skb->data, *end = (const u8 *)(long)skb->data_end;
	if (skb->ifindex != LOOPBACK_IFINDEX && known->connected_loopback)
		return 0;
	if (skb->protocol == be16(ETH_IPV4)) {
		if (h + 20 > end || h[0] != 0x45 || (h[9] != TCP && h[9] != UDP))
			return 0;
		return skb->ifindex == LOOPBACK_IFINDEX || h[16] != 127;
	}
	if (skb->protocol != be16(ETH_IPV6) || h + 40 > end)
		return 0;
	if (h[6] != TCP && h[6] != UDP && (h[6] != 0 || h + 44 > end || !is_jumbo(skb, h + 40)))
		return 0;
	const u32 *to = (const u32 *)(h + 24);
	/* ::/64 holds ::1 and mapped addresses: the slow way looks closer. */
	return skb->ifindex == LOOPBACK_IFINDEX || (to[0] | to[1]) != 0;
}

/* The first datagram of a connect that is only watched. */
INLINE void tell(struct __sk_buff *skb, struct verdict *known) {
	struct packet p = {};
	if (parse(skb, &p))
		return;
	known->untold = 0;
	count_destination(&p.to, p.to_port, UDP, 1);
	report(&p.to, p.to_port, UDP, CONNECT, 0, 0);
}

SECTION("cgroup_skb/egress") int egress(struct __sk_buff *skb) {
	struct bpf_sock *sk = skb->sk;
	if (sk)
		sk = full_socket(sk);
	struct verdict *known = sk ? storage(&sockets, sk, 0, 0) : 0;
	volatile struct bpf_sock *at = sk; /* volatile: merged loads would be arithmetic on a socket, which the verifier refuses */
	/* A socket that was approved, disconnected and listens now is a server: what it asked for does not count. */
	if (known && at->state == TCP_STATE_LISTEN)
		known = 0;
	if (known && known->connected && approved_flow(skb, known)) {
		if (known->untold)
			tell(skb, known);
		return 1;
	}
	struct packet p = {};
	u32 ok = 0;
	if (parse(skb, &p) == 0 && sk) {
		u32 inside = skb->ifindex == LOOPBACK_IFINDEX;
		if (known) {
			u32 outward = (known->connected && !known->connected_loopback) | !!(known->sent & SENT_ELSEWHERE);
			ok = inside ? known->connected | known->sent : outward;
			if (ok && p.proto == UDP)
				peer_note(&p.to, p.to_port, at->src_port, PEER_WAS_ASKED);
		} else {
			/* Nothing was asked for: the socket was accepted, or listens. */
			ok = listens(at->src_port, p.proto);
		}
		if (!inside && is_loopback(&p.to))
			ok = 0;
	}
	if (ok)
		return 1;
	report(&p.to, p.to_port, p.proto, EGRESS, 0, skb->ifindex);
	return 0;
}

SECTION("cgroup_skb/ingress") int ingress(struct __sk_buff *skb) {
	struct bpf_sock *sk = skb->sk;
	if (sk)
		sk = full_socket(sk);
	struct verdict *known = sk ? storage(&sockets, sk, 0, 0) : 0;
	volatile struct bpf_sock *at = sk;
	/* It connected out and is connected: the kernel has compared the peer. An approved socket can be disconnected (AF_UNSPEC)
	 * and listen then, or receive from anybody: the state tells. */
	if (known && known->connected && at->state != TCP_STATE_LISTEN && at->state != TCP_STATE_CLOSE)
		return 1;
	struct packet p = {};
	u32 ok = 0;
	if (parse(skb, &p) == 0 && sk) {
		ok = listens(p.to_port, p.proto);
		if (p.proto == UDP) {
			if (ok)
				peer_note(&p.from, p.from_port, p.to_port, PEER_ASKED_US);
			else if (known && known->sent)
				/* An answer: from whom the packet went to, or, where NAT lies between, from whom it was meant for. */
				ok = peer_known(&p.from, p.from_port, p.to_port, PEER_WAS_ASKED) || named(&p.from, p.from_port, UDP);
		}
	}
	if (ok)
		return 1;
	report(&p.from, p.to_port, p.proto, INGRESS, 0, skb->ifindex);
	return 0;
}

/* --- options ---------------------------------------------------------------------------------------------------- */

#define IN(n, low, high) ((u32)((n) - (low)) <= (high) - (low))
#define SOL_IP 0
#define SOL_SOCKET 1
#define SOL_IPV6 41

/* Second layer beside seccomp's list of permitted options, on the kernel's own copy: options that change where packets
 * go, whose address they carry, or make the kernel send on its own account. Numbers: asm-generic/socket.h, linux/in.h,
 * linux/in6.h, linux/tcp.h. */
SECTION("cgroup/setsockopt") int setsockopt(struct bpf_sockopt *ctx) {
	u32 level = ctx->level, name = ctx->optname, bad = 0;
	if (level == SOL_IP) /* HDRINCL OPTIONS ROUTER_ALERT FREEBIND policies TRANSPARENT MULTICAST_IF memberships UNICAST_IF LOCAL_PORT_RANGE */
		bad = IN(name, 3, 5) || IN(name, 15, 17) || name == 19 || name == 32 || IN(name, 35, 48) || IN(name, 50, 51);
	else if (level == SOL_IPV6) /* PKTOPTIONS NEXTHOP MULTICAST_IF memberships policies HDRINCL PKTINFO headers TRANSPARENT UNICAST_IF FREEBIND */
		bad = name == 6 || name == 9 || name == 17 || IN(name, 20, 22) || IN(name, 27, 28) || IN(name, 34, 36) || IN(name, 42, 48)
			|| name == 50 || IN(name, 54, 55) || name == 57 || name == 59 || IN(name, 75, 76) || name == 78;
	else if (level == SOL_SOCKET) /* BINDTODEVICE, MARK, BINDTOIFINDEX */
		bad = name == 25 || name == 36 || name == 62;
	else if (level == TCP) /* MD5SIG, REPAIR, FASTOPEN, FASTOPEN_CONNECT, ULP, AO */
		bad = name == 14 || name == 19 || name == 23 || name == 30 || name == 31 || IN(name, 38, 40);
	if (!bad)
		return 1;
	struct addr what = { { be32(level), be32(name), 0, 0 } };
	report(&what, 0, 0, OPTION, 0, 0);
	return refuse(EACCES);
}
