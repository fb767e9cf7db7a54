// Kernel interfaces with a long history of holes that no ordinary program needs.
#include "attacks.h"
#include <linux/bpf.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <sys/fanotify.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/wait.h>

#define CALL(function, expression)                   \
    static void function(const struct world *w) {    \
        (void)w;                                     \
        must(expression);                            \
        succeeded("done");                           \
    }
CALL(add_key, syscall(SYS_add_key, "user", "attack", "x", 1, KEY_SPEC_PROCESS_KEYRING))
CALL(key_control, syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 1))
CALL(user_fault, syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* USER_MODE_ONLY */))
CALL(fan_notify, syscall(SYS_fanotify_init, FAN_CLASS_NOTIF | FAN_REPORT_FID, O_RDONLY))
CALL(memory_policy, syscall(SYS_set_mempolicy, 0, NULL, 0))
CALL(compare_self, syscall(SYS_kcmp, getpid(), getpid(), 0, 0, 0))
CALL(no_randomization, personality(ADDR_NO_RANDOMIZE))
CALL(read_implies_exec, personality(READ_IMPLIES_EXEC))
// x86 has one.
#ifndef SYS_modify_ldt
#define SYS_modify_ldt -1
#endif
CALL(local_table, syscall(SYS_modify_ldt, 0, (char[64]){0}, 64))
CALL(page_out_others, syscall(SYS_process_madvise, prepare(syscall(SYS_pidfd_open, getpid(), 0)), (struct { void *a; size_t b; }[]){{0}}, 0, 21, 0))

static void request_key(const struct world *w) {
    (void)w;
    // No such key: the kernel looked for it.
    if (syscall(SYS_request_key, "user", "no-such-key", NULL, 0) >= 0 || errno == ENOKEY) succeeded("the kernel looked");
    refused("request_key");
}

static void load_program(const struct world *w) {
    (void)w;
    struct bpf_insn code[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K}, {.code = BPF_JMP | BPF_EXIT}};
    union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER, .insns = (uint64_t)code, .insn_cnt = 2, .license = (uint64_t)"GPL"};
    must(syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof attr));
    succeeded("loaded");
}

static void make_map(const struct world *w) {
    (void)w;
    union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
    must(syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof attr));
    succeeded("made");
}

static void perf_events(const struct world *w) {
    (void)w;
    struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE, .size = sizeof attr, .config = PERF_COUNT_SW_TASK_CLOCK, .exclude_kernel = 1};
    must(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0));
    succeeded("opened");
}

// A program from memory: no file, so no rule about files is asked.
static int own_copy(unsigned flags) {
    int from = prepare(open("/proc/self/exe", O_RDONLY)), to = must(memfd_create("attack", flags));
    char block[65536];
    for (ssize_t n; (n = read(from, block, sizeof block)) > 0;) prepare(write(to, block, n));
    return to;
}

static void run_copy(int folder, int fd, const char *path, int flags) {
    int out[2];
    char text[16] = "";
    prepare(pipe(out));
    pid_t child = fork();
    if (child == 0) {
        dup2(out[1], 1);
        char name[64];
        snprintf(name, sizeof name, path, fd);
        syscall(SYS_execveat, folder, name, (char *[]){"copy", "ids", NULL}, (char *[]){NULL}, flags);
        _exit(errno);
    }
    close(out[1]);
    read(out[0], text, sizeof text - 1);
    int status;
    waitpid(child, &status, 0);
    if (!strncmp(text, "euid", 4)) succeeded("ran");
    errno = WEXITSTATUS(status);
    refused("execveat");
}
static void memfd_execveat(const struct world *w) {
    (void)w;
    int fd = own_copy(0);
    run_copy(fd, fd, "", AT_EMPTY_PATH);
}
static void memfd_path(const struct world *w) {
    (void)w;
    run_copy(AT_FDCWD, own_copy(0), "/proc/self/fd/%d", 0);
}
static void memfd_folder(const struct world *w) {
    (void)w;
    run_copy(prepare(open("/proc/self/fd", O_RDONLY | O_DIRECTORY)), own_copy(0), "%d", 0);
}

#define NAMED(x) {#x, x}
const struct attack kernel_attacks[] = {
    NAMED(add_key), NAMED(key_control), NAMED(request_key), NAMED(user_fault), NAMED(fan_notify), NAMED(memory_policy), NAMED(compare_self),
    NAMED(no_randomization), NAMED(read_implies_exec), NAMED(local_table), NAMED(page_out_others), NAMED(load_program),
    NAMED(make_map), NAMED(perf_events), NAMED(memfd_execveat), NAMED(memfd_path), NAMED(memfd_folder), {0}};
