// Signals that nobody sends: the kernel does, on behalf of whoever said who "owns" a descriptor. The signal that is asked for
// is SIGSTOP, which the neighbour cannot ignore and which shows in its state.
#include "attacks.h"
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#ifndef F_SETOWN_EX
#define F_SETOWN_EX 15
#endif
struct owner { int type, pid; };
enum { OWNER_THREAD, OWNER_PROCESS, OWNER_GROUP };

static char state(pid_t pid) {
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = prepare(open(path, O_RDONLY));
    prepare(read(fd, text, sizeof text - 1));
    close(fd);
    char *after = strrchr(text, ')');
    return after ? after[2] : '?';
}

static void trigger(int pair[2], int signal) {
    char byte;
    prepare(fcntl(pair[0], F_SETSIG, signal));
    prepare(write(pair[1], "x", 1));
    prepare(read(pair[0], &byte, 1));
}

// `pair[0]` is owned by the neighbour already: what becomes readable there is told to it.
static void stop(int pair[2], const struct world *w) {
    prepare(fcntl(pair[0], F_SETFL, O_ASYNC | O_NONBLOCK));
    trigger(pair, SIGSTOP);
    char now = '?';
    for (int i = 0; i < 750 && now != 'T'; i++) {
        usleep(2000);
        now = state(w->neighbour);
    }
    trigger(pair, SIGCONT);
    errno = EPERM;
    if (now != 'T') refused("SIGSTOP to the owner");
    succeeded("the neighbour was stopped");
}

static void made(int pair[2]) { prepare(socketpair(AF_UNIX, SOCK_STREAM, 0, pair)); }

static void signal_owner(const struct world *w) {
    int pair[2];
    made(pair);
    must(fcntl(pair[0], F_SETOWN, w->neighbour));
    stop(pair, w);
}

static void signal_owner_thread(const struct world *w) {
    int pair[2];
    made(pair);
    must(fcntl(pair[0], F_SETOWN_EX, &(struct owner){OWNER_THREAD, w->neighbour}));
    stop(pair, w);
}

static void signal_owner_group(const struct world *w) {
    int pair[2], group = prepare(getpgid(w->neighbour));
    made(pair);
    if (group == getpgrp()) return;
    must(fcntl(pair[0], F_SETOWN_EX, &(struct owner){OWNER_GROUP, group}));
    stop(pair, w);
}

static void signal_owner_socket(const struct world *w) {
    int pair[2], pid = w->neighbour;
    made(pair);
    must(ioctl(pair[0], FIOSETOWN, &pid));
    stop(pair, w);
}

static void signal_owner_pipe(const struct world *w) {
    int pair[2];
    prepare(pipe(pair));
    must(fcntl(pair[0], F_SETOWN, w->neighbour));
    stop(pair, w);
}

#define NAMED(x) {#x, x}
const struct attack signal_attacks[] = {NAMED(signal_owner), NAMED(signal_owner_thread), NAMED(signal_owner_group),
                                        NAMED(signal_owner_socket), NAMED(signal_owner_pipe), {0}};
