// The neighbour: a process that holds one of each thing which another container of the pod could reach for.
#include "attacks.h"
#include "victim.h"
#include <mqueue.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/un.h>

static int listening(int type) {
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "\0" VICTIM_SOCKET};
    if (type == SOCK_DGRAM) a.sun_path[sizeof VICTIM_SOCKET] = 'd';
    int fd = socket(AF_UNIX, type, 0);
    int rc = bind(fd, (void *)&a, offsetof(struct sockaddr_un, sun_path) + sizeof VICTIM_SOCKET + (type == SOCK_DGRAM));
    return rc ?: type == SOCK_STREAM ? listen(fd, 100) : 0;
}

// A socket file on a volume that both containers mount.
static int listening_at(const char *path, int type) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    strcpy(a.sun_path, path);
    int fd = socket(AF_UNIX, type, 0);
    return bind(fd, (void *)&a, sizeof a) ?: type == SOCK_STREAM ? listen(fd, 100) : 0;
}

int victim(void) {
    for (int s = 1; s < 32; s++)
        if (s != SIGCHLD && s != SIGSEGV && s != SIGTERM) signal(s, SIG_IGN);
    int problems = 0;
    problems += listening(SOCK_STREAM) != 0;
    problems += listening(SOCK_DGRAM) != 0;
    problems += listening_at(VICTIM_PATH, SOCK_STREAM) != 0;
    problems += listening_at(VICTIM_DATAGRAMS, SOCK_DGRAM) != 0;
    problems += shmget(VICTIM_KEY, 4096, IPC_CREAT | 0600) < 0;
    problems += msgget(VICTIM_KEY, IPC_CREAT | 0600) < 0;
    problems += semget(VICTIM_KEY, 1, IPC_CREAT | 0600) < 0;
    problems += mq_open("/" VICTIM_SOCKET, O_CREAT | O_RDWR, 0600, NULL) < 0;
    problems += open("/dev/shm/" VICTIM_SOCKET, O_CREAT | O_RDWR, 0600) < 0;
    // Under a strict policy some of these are refused: then there is nothing to reach.
    printf("neighbour ready, lacks %d\n", problems);
    fflush(stdout);
    for (;;) pause();
}
