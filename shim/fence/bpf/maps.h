/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and values. The maps themselves are made by src/maps.rs, which has the same layouts; a program only names them. */
#pragma once
#include "kernel.h"

extern char settings, exact, networks, ports, sockets, peers, counters, destinations, refusals;

/* An IPv6 address, or an IPv4 one as IPv4-mapped; network byte order. */
struct addr {
	u32 w[4];
};

/* exact -> time of expiry, 0 for never. Port in host byte order. */
struct exact_key {
	struct addr to;
	u16 port;
	u8 proto, zero;
};

/* networks, longest prefix first -> number of a set of ports. A longer prefix has what all shorter ones around it permit. */
struct network_key {
	u32 bits;
	struct addr to;
};

/* ports, longest prefix first -> time of expiry, 0 for never. A range is a few prefixes, so no program loops. */
struct port_key {
	u32 bits; /* 48: all of the following but `zero` */
	u8 kind, proto;
	u16 set, port; /* network byte order */
	u16 zero;
};
#define PORTS_LISTEN 1 /* set 0: what may be listened on */
#define PORTS_OF_SET 2

/* sockets: what is known of one socket. Not inherited by accepted ones. */
struct verdict {
	u8 connected;          /* the last connect was approved */
	u8 connected_loopback; /* it was to a loopback address */
	u8 sent;               /* approved datagrams: SENT_… */
	u8 untold;             /* the last connect is only watched, and was not told yet */
};
#define SENT_LOOPBACK 1
#define SENT_ELSEWHERE 2

/* peers: who sent a datagram to a port of `listen`, and whom this container sent one -> when last. */
struct peer_key {
	struct addr peer;
	u16 port, local;
	u8 kind, zero[3];
};
#define PEER_ASKED_US 1
#define PEER_WAS_ASKED 2

/* destinations -> how often. */
struct destination_key {
	struct addr to;
	u16 port;
	u8 proto, refused;
};

/* settings, one. */
struct settings {
	u32 proxy_port; /* never bound by the workload */
	u32 audit;      /* what connect and sendmsg would refuse is counted, reported and let through */
};

/* What was refused where (under audit: what would have been, by connect and sendmsg); also the index into counters. 0 counts what connect and sendmsg approved. */
enum hook { APPROVED, CONNECT, SENDMSG, BIND, SOCKET, EGRESS, INGRESS, OPTION, LOST };

/* One refusal, in the ring. */
struct refusal {
	u64 at;   /* ns since boot */
	u64 task; /* process id in the upper half; 0 where the hook does not know it */
	char comm[16];
	struct addr to;
	u16 port; /* of a packet that came in: the port that it was for */
	u8 proto, hook;
	u32 device;
};
