// Gaining privileges: user namespaces, setuid programs, and what only root may do.
#include "attacks.h"
#include <linux/capability.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>

// --- namespaces
#define UNSHARE(function, flags)                     \
    static void function(const struct world *w) {    \
        (void)w;                                     \
        must(unshare(flags));                        \
        succeeded("unshared");                       \
    }
UNSHARE(unshare_user, CLONE_NEWUSER)
UNSHARE(unshare_mount, CLONE_NEWNS)
UNSHARE(unshare_net, CLONE_NEWNET)
UNSHARE(unshare_user_high_bits, (int)CLONE_NEWUSER | CLONE_NEWNET)

static void clone_with(long flags) {
    long child = must(syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0));
    if (child == 0) _exit(0);
    succeeded("a child in new namespaces");
}
static void clone_user(const struct world *w) { (void)w, clone_with(CLONE_NEWUSER); }
static void clone_user_net(const struct world *w) { (void)w, clone_with(CLONE_NEWUSER | CLONE_NEWNET); }
static void clone_high_bits(const struct world *w) { (void)w, clone_with(CLONE_NEWUSER | 0x100000000L); }

static void clone3_user(const struct world *w) {
    (void)w;
    struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
    long child = must(syscall(SYS_clone3, &args, sizeof args));
    if (child == 0) _exit(0);
    succeeded("a child in a new user namespace");
}

static void setns_own(const struct world *w) {
    (void)w;
    int fd = must(open("/proc/self/ns/net", O_RDONLY));
    must(setns(fd, CLONE_NEWNET));
    succeeded("entered");
}

static void setns_pidfd(const struct world *w) {
    (void)w;
    int fd = must(syscall(SYS_pidfd_open, getpid(), 0));
    must(setns(fd, CLONE_NEWUTS));
    succeeded("entered");
}

// --- programs that raise privileges
static void run_raised(const char *program) {
    int out[2];
    char text[64] = "";
    prepare(pipe(out));
    if (vfork() == 0) {
        dup2(out[1], 1);
        execl(program, program, "ids", NULL);
        _exit(errno);
    }
    close(out[1]);
    if (read(out[0], text, sizeof text - 1) <= 0) refused("execve");
    if (!strncmp(text, "euid 0", 6)) succeeded("%.6s", text);
    errno = EPERM;
    refused("execve");
}
static void setuid_program(const struct world *w) { (void)w, run_raised("/attacks-setuid"); }

static void setcap_program(const struct world *w) {
    (void)w;
    if (getenv("RAISED")) return;
    int out[2];
    char text[4096] = "";
    prepare(pipe(out));
    pid_t child = vfork();
    if (child == 0) {
        dup2(out[1], 1);
        setenv("RAISED", "1", 1);
        execl("/attacks-setcap", "/attacks-setcap", "capability_held", NULL);
        _exit(errno);
    }
    close(out[1]);
    read(out[0], text, sizeof text - 1);
    int status;
    waitpid(child, &status, 0);
    if (strstr(text, "capability_held SUCCEEDED")) succeeded("capabilities from a file");
    errno = WEXITSTATUS(status) ?: EPERM;
    refused("execve");
}

static uint64_t effective(void) {
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[2] = {0};
    prepare(syscall(SYS_capget, &h, d));
    return d[0].effective | (uint64_t)d[1].effective << 32;
}

static void capability_held(const struct world *w) {
    (void)w;
    uint64_t held = effective();
    if (held) succeeded("%llx", (unsigned long long)held);
    errno = EPERM;
    refused("capget");
}

static void become_root(const struct world *w) {
    (void)w;
    must(setresuid(0, 0, 0));
    succeeded("uid %d", getuid());
}

// --- mounts and roots
#define CALL(function, expression)                   \
    static void function(const struct world *w) {    \
        (void)w;                                     \
        must(expression);                            \
        succeeded("done");                           \
    }
CALL(mount_tmpfs, mount("none", "/tmp", "tmpfs", 0, NULL))
CALL(mount_bind, mount("/etc", "/tmp", NULL, MS_BIND, NULL))
CALL(mount_proc, mount("proc", "/tmp", "proc", 0, NULL))
CALL(unmount, umount2("/dev/shm", MNT_DETACH))
CALL(tree_open, syscall(SYS_open_tree, AT_FDCWD, "/etc", 1 | O_CLOEXEC))
CALL(fs_open, syscall(SYS_fsopen, "tmpfs", 0))
CALL(fs_pick, syscall(SYS_fspick, AT_FDCWD, "/tmp", 0))
CALL(mount_attributes, syscall(442, AT_FDCWD, "/tmp", 0, (uint64_t[4]){1}, 32))
CALL(change_root, chroot("/tmp"))
CALL(host_name, sethostname("attacked", 8))
CALL(kernel_log, syscall(SYS_syslog, 3, (char[64]){0}, 64))
CALL(accounting, syscall(SYS_acct, NULL))
CALL(quota, syscall(SYS_quotactl, 0x800001 << 8, NULL, 0, NULL))
CALL(swap_off, syscall(SYS_swapoff, "/nonexistent") == -1 && errno != ENOENT ? -1 : 0)
CALL(hang_up, vhangup())
CALL(make_device, mknod("/home/null", S_IFCHR | 0600, makedev(1, 3)))

static void pivot(const struct world *w) {
    (void)w;
    // EINVAL and EBUSY come after the permission check.
    if (syscall(SYS_pivot_root, "/tmp", "/tmp") == 0 || errno == EINVAL || errno == EBUSY) succeeded("permitted");
    refused("pivot_root");
}

// A file handle reaches any file of the file system, mounted or not.
static void file_handle(const struct world *w) {
    (void)w;
    struct { struct file_handle h; unsigned char data[128]; } handle = {.h.handle_bytes = 128};
    int mount_id;
    // On a tmpfs: not every file system has handles.
    int there = prepare(open("/dev/shm", O_RDONLY | O_DIRECTORY));
    prepare(openat(there, "handled", O_CREAT | O_WRONLY, 0600));
    prepare(name_to_handle_at(there, "handled", &handle.h, &mount_id, 0));
    must(open_by_handle_at(there, &handle.h, O_RDONLY));
    succeeded("opened");
}

// --- limits and terminals
static void core_limit(const struct world *w) {
    (void)w;
    struct rlimit limit;
    prepare(getrlimit(RLIMIT_CORE, &limit));
    // A pipe handler on the host ignores every limit but exactly one byte, so nothing has to be raised for it.
    if (limit.rlim_cur != 1) succeeded("the limit is %llu bytes", (unsigned long long)limit.rlim_cur);
    limit.rlim_cur = limit.rlim_max;
    must(setrlimit(RLIMIT_CORE, &limit));
    errno = EPERM;
    if (limit.rlim_max <= 1) refused("setrlimit");
    succeeded("core dumps up to %llu bytes", (unsigned long long)limit.rlim_max);
}

// Of all low limits only one byte keeps the handler away: to it, none is as good as any.
static void core_limit_zero(const struct world *w) {
    (void)w;
    struct rlimit limit;
    prepare(getrlimit(RLIMIT_CORE, &limit));
    limit.rlim_cur = 0;
    must(prlimit(0, RLIMIT_CORE, &limit, NULL));
    succeeded("none");
}

static void core_limit_zero_old(const struct world *w) {
    (void)w;
    struct rlimit limit;
    prepare(getrlimit(RLIMIT_CORE, &limit));
    limit.rlim_cur = 0;
    must(syscall(SYS_setrlimit, 0x100000000L | RLIMIT_CORE, &limit));
    succeeded("none");
}

static void core_limit_hard(const struct world *w) {
    (void)w;
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY}, before;
    prepare(getrlimit(RLIMIT_CORE, &before));
    must(prlimit(0, RLIMIT_CORE, &limit, NULL));
    errno = EPERM;
    succeeded("raised from %llu", (unsigned long long)before.rlim_max);
}

// Typing into one's own terminal: whoever reads it next, after the container, executes it.
static void type_into(unsigned long request) {
    int master = prepare(posix_openpt(O_RDWR | O_NOCTTY));
    prepare(grantpt(master));
    prepare(unlockpt(master));
    setsid();
    int slave = prepare(open(ptsname(master), O_RDWR));
    ioctl(slave, TIOCSCTTY, 0);
    must(syscall(SYS_ioctl, slave, request, "x"));
    succeeded("typed");
}
// A protocol of the kernel's own between a terminal and its program.
static void line_discipline(const struct world *w) {
    (void)w;
    int master = prepare(posix_openpt(O_RDWR | O_NOCTTY)), plain = 0 /* N_TTY: what it has */;
    must(ioctl(master, TIOCSETD, &plain));
    succeeded("set");
}
static void tiocsti(const struct world *w) { (void)w, type_into(TIOCSTI); }
static void tiocsti_high_bits(const struct world *w) { (void)w, type_into(0x5a00000000UL | TIOCSTI); }

#define NAMED(x) {#x, x}
const struct attack privilege_attacks[] = {
    NAMED(unshare_user), NAMED(unshare_mount), NAMED(unshare_net), NAMED(unshare_user_high_bits), NAMED(clone_user), NAMED(clone_user_net),
    NAMED(clone_high_bits), NAMED(clone3_user), NAMED(setns_own), NAMED(setns_pidfd), NAMED(setuid_program), NAMED(setcap_program),
    NAMED(capability_held), NAMED(become_root), NAMED(mount_tmpfs), NAMED(mount_bind), NAMED(mount_proc), NAMED(unmount),
    NAMED(tree_open), NAMED(fs_open), NAMED(fs_pick), NAMED(mount_attributes), NAMED(change_root), NAMED(host_name),
    NAMED(kernel_log), NAMED(accounting), NAMED(quota), NAMED(swap_off),
    NAMED(hang_up), NAMED(pivot), NAMED(file_handle), NAMED(core_limit), NAMED(core_limit_hard), NAMED(core_limit_zero), NAMED(core_limit_zero_old), NAMED(tiocsti),
    NAMED(tiocsti_high_bits), NAMED(line_discipline), NAMED(make_device), {0}};
