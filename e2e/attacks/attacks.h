// The attack corpus: one function per attack. Each tries one thing as an unprivileged program inside a container would,
// and says whether it got through. What the answer should be is not decided here: src/attack/table.rs has the promise
// and the control of each.
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <unistd.h>

// What the harness tells an attack about its surroundings.
struct world {
    const char *name;   // of this attack
    const char *host4;  // the node, beyond the pod: listens on every port that is handed out
    const char *host6;
    const char *token;  // unique to this attack and run: an observer looks for it in packets
    int port;           // unique to this attack
    pid_t neighbour;    // a process of another container, same uid, in a shared PID namespace
    const char *file;   // for file attacks: an existing file that belongs to this uid,
    const char *dir;    //   its folder,
    const char *other;  //   and a second folder on the same file system
};

struct attack {
    const char *name;
    void (*run)(const struct world *);
};

// So many ways through are enough for a sweep: the kernel looks for a module for each that it lacks, which takes its time.
enum { ENOUGH = 4 };

// An attack ends with one of these. A death by signal counts as refused.
_Noreturn void succeeded(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void refused(const char *call);  // by errno
// The common case: a negative result is a refusal.
#define must(call) ({ __auto_type r_ = (call); if ((long)r_ < 0) refused(#call); r_; })
// For steps that only prepare: their failure is not the refusal that is looked for.
_Noreturn void unprepared(const char *call);
#define prepare(call) ({ __auto_type r_ = (call); if ((long)r_ < 0) unprepared(#call); r_; })

// Every table ends with an empty entry.
extern const struct attack egress_attacks[], protocol_attacks[], option_attacks[], privilege_attacks[], kernel_attacks[],
    neighbour_attacks[], file_attacks[], detour_attacks[], netlink_attacks[], signal_attacks[], foreign_attacks[], datagram_attacks[];
