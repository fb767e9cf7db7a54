// attacks KEY=VALUE… NAME…: runs attacks one after the other, each in a process of its own, one line of verdict each:
//   NAME SUCCEEDED what    NAME REFUSED errno call    NAME UNPREPARED errno call    NAME ENDED how
// `attacks list` prints all names. `attacks forge SECONDS` is the hostile init of the hand-over test (forge.c);
// `attacks neighbour` the victim of the neighbour tests (victim.c); `attacks stack SECONDS` confines itself further.
#include "attacks.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/wait.h>

int forge(int seconds);
int victim(void);
static const struct world *current;

static const struct attack *const tables[] = {egress_attacks, detour_attacks, protocol_attacks, option_attacks, privilege_attacks,
                                              kernel_attacks, neighbour_attacks, file_attacks, netlink_attacks,
                                              signal_attacks, foreign_attacks, datagram_attacks};
enum { TABLES = sizeof tables / sizeof *tables, SECONDS = 6 };

_Noreturn void succeeded(const char *format, ...) {
    char text[512];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    printf("%s SUCCEEDED %s\n", current->name, text);
    fflush(stdout);
    _exit(0);
}

static _Noreturn void failed(const char *verdict, const char *call) {
    int error = errno;
    printf("%s %s %s %.*s\n", current->name, verdict, strerrorname_np(error) ?: "0", (int)strcspn(call, "("), call);
    fflush(stdout);
    _exit(0);
}

_Noreturn void refused(const char *call) { failed("REFUSED", call); }
_Noreturn void unprepared(const char *call) { failed("UNPREPARED", call); }

static const struct attack *find(const char *name) {
    for (int t = 0; t < TABLES; t++)
        for (const struct attack *a = tables[t]; a->name; a++)
            if (!strcmp(a->name, name)) return a;
    return NULL;
}

static void run(const struct attack *attack, const struct world *world) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        current = world;
        alarm(SECONDS);
        attack->run(world);
        errno = 0;
        refused("nothing happened");
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) printf("%s ENDED signal %d\n", world->name, WTERMSIG(status));
    else if (WEXITSTATUS(status)) printf("%s ENDED status %d\n", world->name, WEXITSTATUS(status));
    fflush(stdout);
}

// Confines itself once more: filters that allow everything, after a pause.
static int stack_filters(int seconds) {
    static struct sock_filter allow[] = {{.code = BPF_RET | BPF_K, .k = SECCOMP_RET_ALLOW}};
    struct sock_fprog program = {1, allow};
    for (int i = 0; i < 3; i++)
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return perror("seccomp"), 1;
    sleep(seconds);
    return 0;
}

int main(int argc, char **argv) {
    static struct world world = {.host4 = "127.0.0.1", .host6 = "::1", .token = "token", .port = 20000};
    const char *token = world.token;
    if (argc == 2 && !strcmp(argv[1], "list")) {
        for (int t = 0; t < TABLES; t++)
            for (const struct attack *a = tables[t]; a->name; a++) puts(a->name);
        return 0;
    }
    if (argc == 3 && !strcmp(argv[1], "forge")) return forge(atoi(argv[2]));
    if (argc == 2 && !strcmp(argv[1], "neighbour")) return victim();
    if (argc == 3 && !strcmp(argv[1], "stack")) return stack_filters(atoi(argv[2]));
    if (argc == 2 && !strcmp(argv[1], "ids")) return printf("euid %d\n", geteuid()), 0;
    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (value) {
            *value++ = 0;
            if (!strcmp(argv[i], "host4")) world.host4 = value;
            else if (!strcmp(argv[i], "host6")) world.host6 = value;
            else if (!strcmp(argv[i], "token")) token = value;
            else if (!strcmp(argv[i], "port")) world.port = atoi(value);
            else if (!strcmp(argv[i], "neighbour")) world.neighbour = atoi(value);
            else if (!strcmp(argv[i], "file")) world.file = value;
            else if (!strcmp(argv[i], "dir")) world.dir = value;
            else if (!strcmp(argv[i], "other")) world.other = value;
            else return fprintf(stderr, "unknown key %s\n", argv[i]), 2;
            continue;
        }
        const struct attack *attack = find(argv[i]);
        if (!attack) return fprintf(stderr, "unknown attack %s\n", argv[i]), 2;
        static char own_token[128];
        snprintf(own_token, sizeof own_token, "%s-%s.", token, attack->name);
        world.name = attack->name;
        world.token = own_token;
        run(attack, &world);
        world.port++;
    }
    return 0;
}
