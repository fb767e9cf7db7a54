// The hostile init of the hand-over test: whatever starts in this PID namespace is looked at, and stopped, as fast as
// possible. An exec's launcher passes through here with the same uid, and with the plan and the channels open.
#include "attacks.h"
#include <dirent.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

enum { MEM, MAPS, SYSCALL, ENVIRON, LINK, OPEN, GETFD, VMREAD, PTRACE, STOP, KINDS };
static const char *const names[KINDS] = {"mem", "maps", "syscall", "environ", "fd-link", "fd-open", "pidfd_getfd", "process_vm_readv", "ptrace", "stop"};
static long tries[KINDS], hits[KINDS];

static int openable(pid_t pid, const char *name, int flags) {
    char path[64], byte;
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    int fd = open(path, flags);
    if (fd < 0) return 0;
    int ok = flags == O_RDWR || read(fd, &byte, 1) > 0;
    close(fd);
    return ok;
}

static void count(int kind, int hit) {
    tries[kind]++;
    hits[kind] += hit;
}

static void look_at(pid_t pid) {
    char path[64], target[128];
    count(MEM, openable(pid, "mem", O_RDWR));
    count(MAPS, openable(pid, "maps", O_RDONLY));
    count(SYSCALL, openable(pid, "syscall", O_RDONLY));
    count(ENVIRON, openable(pid, "environ", O_RDONLY));
    for (int fd = 3; fd <= 5; fd++) {
        snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
        count(LINK, readlink(path, target, sizeof target) > 0);
        int copy = open(path, O_RDWR | O_NONBLOCK);
        count(OPEN, copy >= 0);
        if (copy >= 0) close(copy);
    }
    int pidfd = syscall(SYS_pidfd_open, pid, 0);
    for (int fd = 3; pidfd >= 0 && fd <= 5; fd++) {
        int copy = syscall(SYS_pidfd_getfd, pidfd, fd, 0);
        count(GETFD, copy >= 0);
        if (copy >= 0) close(copy);
    }
    if (pidfd >= 0) close(pidfd);
    char there[8];
    struct iovec mine = {there, 8}, theirs = {(void *)0x1000, 8};
    count(VMREAD, process_vm_readv(pid, &mine, 1, &theirs, 1, 0) >= 0 || errno == EFAULT);
    int traced = ptrace(PTRACE_SEIZE, pid, 0, 0) == 0;
    count(PTRACE, traced);
    if (traced) {
        ptrace(PTRACE_INTERRUPT, pid, 0, 0);
        waitpid(pid, NULL, __WALL);
        ptrace(PTRACE_DETACH, pid, 0, 0);
    }
    if (getenv("FORGE_STOP")) {
        int stopped = kill(pid, SIGSTOP) == 0;
        count(STOP, stopped);
    }
}

int forge(int seconds) {
    signal(SIGCHLD, SIG_IGN);
    printf("forging\n");
    fflush(stdout);
    time_t end = time(NULL) + seconds;
    while (time(NULL) < end) {
        DIR *proc = opendir("/proc");
        if (!proc) return 1;
        for (struct dirent *e; (e = readdir(proc));) {
            pid_t pid = atoi(e->d_name);
            if (pid > 1 && pid != getpid()) look_at(pid);
        }
        closedir(proc);
    }
    for (int k = 0; k < KINDS; k++) printf("%s tries %ld hits %ld\n", names[k], tries[k], hits[k]);
    printf("forged\n");
    fflush(stdout);
    for (;;) pause();
}
