// Other containers of the pod, and init as seen from an exec: their memory, signals, limits, sockets, IPC.
#include "attacks.h"
#include "victim.h"
#include <mqueue.h>
#include <sched.h>
#include <stddef.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

// --- by pid
static void trace(pid_t pid) {
    must(ptrace(PTRACE_SEIZE, pid, 0, 0));
    succeeded("attached");
}
static void read_memory(pid_t pid) {
    // The address does not matter: a fault means that the access itself was granted.
    char there[8];
    struct iovec mine = {there, 8}, theirs = {(void *)0x1000, 8};
    if (process_vm_readv(pid, &mine, 1, &theirs, 1, 0) >= 0 || errno == EFAULT) succeeded("permitted");
    refused("process_vm_readv");
}
static void write_memory(pid_t pid) {
    char here[8] = "attack";
    struct iovec mine = {here, 8}, theirs = {(void *)0x1000, 8};
    if (process_vm_writev(pid, &mine, 1, &theirs, 1, 0) >= 0 || errno == EFAULT) succeeded("permitted");
    refused("process_vm_writev");
}
static void take_descriptor(pid_t pid) {
    int fd = must(syscall(SYS_pidfd_open, pid, 0));
    must(syscall(SYS_pidfd_getfd, fd, 0, 0));
    succeeded("a copy of its standard input");
}
static void pidfd_namespace(pid_t pid) {
    int fd = must(syscall(SYS_pidfd_open, pid, 0));
    must(ioctl(fd, _IO(0xff, 3) /* PIDFD_GET_MNT_NAMESPACE */, 0));
    succeeded("its mount namespace");
}
static void compare(pid_t pid) {
    must(syscall(SYS_kcmp, getpid(), pid, 0 /* KCMP_FILE */, 0, 0));
    succeeded("compared");
}
static void robust_list(pid_t pid) {
    void *head;
    size_t size;
    must(syscall(SYS_get_robust_list, pid, &head, &size));
    succeeded("at %p", head);
}

static void proc_file(pid_t pid, const char *name, int flags) {
    char path[64], byte;
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    int fd = must(open(path, flags));
    // Some files are judged when they are read.
    if (!(flags & O_PATH) && !(flags & O_DIRECTORY) && flags == O_RDONLY) must(read(fd, &byte, 1));
    succeeded("opened %s", path);
}
static void proc_link(pid_t pid, const char *name) {
    char path[64], target[256] = "";
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    must(readlink(path, target, sizeof target - 1));
    succeeded("%s", target);
}

#define BY_PID(name, expression_neighbour, expression_init)                                    \
    static void name##_neighbour(const struct world *w) { (void)w; expression_neighbour; }     \
    static void name##_init(const struct world *w) { (void)w; expression_init; }
#define BOTH(name, call) BY_PID(name, call(w->neighbour), call(1))
BOTH(ptrace, trace)
BOTH(read_memory, read_memory)
BOTH(write_memory, write_memory)
BOTH(take_descriptor, take_descriptor)
BOTH(compare, compare)
BOTH(pidfd_namespace, pidfd_namespace)
BOTH(robust_list, robust_list)
BY_PID(proc_mem, proc_file(w->neighbour, "mem", O_RDWR), proc_file(1, "mem", O_RDWR))
BY_PID(proc_environ, proc_file(w->neighbour, "environ", O_RDONLY), proc_file(1, "environ", O_RDONLY))
BY_PID(proc_maps, proc_file(w->neighbour, "maps", O_RDONLY), proc_file(1, "maps", O_RDONLY))
BY_PID(proc_syscall, proc_file(w->neighbour, "syscall", O_RDONLY), proc_file(1, "syscall", O_RDONLY))
BY_PID(proc_root, proc_file(w->neighbour, "root/etc/passwd", O_RDONLY), proc_link(1, "root"))
BY_PID(proc_fd, proc_link(w->neighbour, "fd/0"), proc_link(1, "fd/0"))
BY_PID(proc_cwd, proc_link(w->neighbour, "cwd"), proc_link(1, "cwd"))
BY_PID(proc_exe, proc_link(w->neighbour, "exe"), proc_link(1, "exe"))

// A file of the victim's whose mode is the whole check: neither ptrace access nor a Landlock right is asked for.
static void proc_oom_neighbour(const struct world *w) {
    char path[64], text[16] = "";
    snprintf(path, sizeof path, "/proc/%d/oom_score_adj", w->neighbour);
    int fd = must(open(path, O_RDWR));
    // What it has already: nothing changes for the attacks after this one.
    ssize_t size = must(read(fd, text, sizeof text));
    must(pwrite(fd, text, size, 0));
    succeeded("wrote %s", path);
}

// --- signals: the neighbour ignores them all but KILL, and 0 asks only
#define SIGNAL(function, expression)                 \
    static void function(const struct world *w) {    \
        (void)w;                                     \
        must(expression);                            \
        succeeded("sent");                           \
    }
SIGNAL(signal_ask, kill(w->neighbour, 0))
SIGNAL(signal_stop, ({ int r = kill(w->neighbour, SIGSTOP); kill(w->neighbour, SIGCONT); r; }))
SIGNAL(signal_thread, syscall(SYS_tgkill, w->neighbour, w->neighbour, SIGUSR1))
SIGNAL(signal_queue, sigqueue(w->neighbour, SIGUSR1, (union sigval){0}))
SIGNAL(signal_pidfd, syscall(SYS_pidfd_send_signal, must(syscall(SYS_pidfd_open, w->neighbour, 0)), SIGUSR1, NULL, 0))

// --- limits and scheduling, which no signal scope covers
#define CALL(function, expression)                   \
    static void function(const struct world *w) {    \
        (void)w;                                     \
        must(expression);                            \
        succeeded("done");                           \
    }
static int lower_limit(pid_t pid) {
    struct rlimit limit;
    if (prlimit(pid, RLIMIT_CORE, NULL, &limit)) return -1;
    return prlimit(pid, RLIMIT_CORE, &limit, NULL);
}
static int pin(pid_t pid) {
    cpu_set_t set;
    if (sched_getaffinity(pid, sizeof set, &set)) return -1;
    return sched_setaffinity(pid, sizeof set, &set);
}
CALL(neighbour_limits, lower_limit(w->neighbour))
CALL(neighbour_affinity, pin(w->neighbour))
CALL(neighbour_policy, sched_setscheduler(w->neighbour, SCHED_BATCH, &(struct sched_param){0}))
CALL(neighbour_nice, setpriority(PRIO_PROCESS, w->neighbour, 10))
CALL(neighbour_nice_user, setpriority(PRIO_USER, 0, 10))
CALL(neighbour_io, syscall(SYS_ioprio_set, 1, w->neighbour, 3 << 13 | 7))
CALL(neighbour_pages, syscall(SYS_migrate_pages, w->neighbour, 64, (long[]){1}, (long[]){1}))

// --- sockets and IPC of the pod
static void abstract(int type) {
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "\0" VICTIM_SOCKET};
    if (type == SOCK_DGRAM) a.sun_path[sizeof VICTIM_SOCKET] = 'd';
    socklen_t size = offsetof(struct sockaddr_un, sun_path) + sizeof VICTIM_SOCKET + (type == SOCK_DGRAM);
    int fd = must(socket(AF_UNIX, type, 0));
    if (type == SOCK_STREAM) must(connect(fd, (void *)&a, size));
    else must(sendto(fd, "x", 1, 0, (void *)&a, size));
    succeeded("reached");
}
static void abstract_stream(const struct world *w) { (void)w, abstract(SOCK_STREAM); }
static void abstract_datagram(const struct world *w) { (void)w, abstract(SOCK_DGRAM); }

static void shared_volume(const struct world *w) {
    (void)w;
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = VICTIM_PATH};
    int fd = must(socket(AF_UNIX, SOCK_STREAM, 0));
    must(connect(fd, (void *)&a, sizeof a));
    succeeded("reached");
}

static void shared_volume_datagram(const struct world *w) {
    (void)w;
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = VICTIM_DATAGRAMS};
    int fd = must(socket(AF_UNIX, SOCK_DGRAM, 0));
    must(sendto(fd, "x", 1, MSG_DONTWAIT, (void *)&a, sizeof a));
    succeeded("reached");
}

CALL(shared_memory, shmget(VICTIM_KEY, 4096, 0))
CALL(message_queue, (msgget(VICTIM_KEY, 0)))
CALL(semaphores, (semget(VICTIM_KEY, 1, 0)))
CALL(posix_queue, (mq_open("/" VICTIM_SOCKET, O_RDWR)))
CALL(posix_memory, (open("/dev/shm/" VICTIM_SOCKET, O_RDWR)))

#define NAMED(x) {#x, x}
#define PAIR(x) {#x "_neighbour", x##_neighbour}, {#x "_init", x##_init}
const struct attack neighbour_attacks[] = {
    PAIR(ptrace), PAIR(read_memory), PAIR(write_memory), PAIR(take_descriptor), PAIR(compare), PAIR(pidfd_namespace), PAIR(robust_list), PAIR(proc_mem),
    PAIR(proc_environ), PAIR(proc_maps), PAIR(proc_syscall), PAIR(proc_root), PAIR(proc_fd), PAIR(proc_cwd), PAIR(proc_exe), NAMED(proc_oom_neighbour), NAMED(signal_ask), NAMED(signal_stop), NAMED(signal_thread),
    NAMED(signal_queue), NAMED(signal_pidfd), NAMED(neighbour_limits), NAMED(neighbour_affinity), NAMED(neighbour_policy),
    NAMED(neighbour_nice), NAMED(neighbour_nice_user), NAMED(neighbour_io), NAMED(neighbour_pages), NAMED(abstract_stream), NAMED(abstract_datagram), NAMED(shared_volume), NAMED(shared_volume_datagram),
    NAMED(shared_memory), NAMED(message_queue), NAMED(semaphores), NAMED(posix_queue), NAMED(posix_memory), {0}};
