/* Makes each call of `calls` in a child of its own and says on standard output what came of it: three 64-bit words, the
 * call's place, 0 and the result, or 1 and the signal that ended the child. Static, without a C library: it makes no call
 * that is not written here. */
typedef unsigned long u64;

struct call {
    u64 abi; /* 0: syscall instruction, 1: int 0x80 */
    u64 number;
    u64 args[6];
};

static struct call calls[] = {
#include "calls.h"
};

static long native(u64 number, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
    long result;
    register u64 r10 __asm__("r10") = d;
    register u64 r8 __asm__("r8") = e;
    register u64 r9 __asm__("r9") = f;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return result;
}

/* The sixth argument would be ebp; no call here has one. */
static long i386(u64 number, const u64 *args)
{
    int result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(args[0]), "c"(args[1]), "d"(args[2]), "S"(args[3]), "D"(args[4])
                     : "r8", "r9", "r10", "r11", "memory");
    return result;
}

void probe(void)
{
    for (u64 place = 0; place < sizeof(calls) / sizeof(calls[0]); place++) {
        const struct call *call = &calls[place];
        long words[3] = { (long)place, 0, 0 };
        int status = 0;
        long pid = native(57, 0, 0, 0, 0, 0, 0);
        if (pid == 0) {
            const u64 *a = call->args;
            words[2] = call->abi ? i386(call->number, a) : native(call->number, a[0], a[1], a[2], a[3], a[4], a[5]);
            native(1, 1, (u64)words, sizeof(words), 0, 0, 0);
            native(231, 0, 0, 0, 0, 0, 0);
        }
        native(61, (u64)pid, (u64)&status, 0, 0, 0, 0);
        if (status & 0x7f) {
            words[1] = 1;
            words[2] = status & 0x7f;
            native(1, 1, (u64)words, sizeof(words), 0, 0, 0);
        }
    }
    native(231, 0, 0, 0, 0, 0, 0);
}

__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tand $-16, %rsp\n\tcall probe\n");
