//! System calls without the C library's wrappers.
#![allow(unsafe_code)]
#![allow(dead_code)]

use zerocap_seccomp::Insn;

/// One call to make.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    pub number: u32,
    pub args: [u64; 6],
}

/// Make it; a negative result is an errno.
pub fn raw(call: &Call) -> i64 {
    let [a, b, c, d, e, f] = call.args;
    let result: i64;
    // SAFETY: the callers pass calls that touch no memory of this process but what they point to themselves; the child
    // is thrown away afterwards.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") u64::from(call.number) => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    result
}

/// Make a call that makes a process, which ends at once: before it uses the stack, which it may share.
pub fn spawn(call: &Call) -> i64 {
    let [a, b, c, d, e, f] = call.args;
    let result: i64;
    // SAFETY: the new process runs two instructions that touch no memory, and exit_group(0).
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor edi, edi",
            "mov eax, {exit}",
            "syscall",
            "ud2",
            "2:",
            exit = const libc::SYS_exit_group,
            inlateout("rax") u64::from(call.number) => result,
            inlateout("rdi") a => _,
            in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    result
}

/// Load a filter into the calling thread.
pub fn load(insns: &[Insn]) -> Result<(), i64> {
    load_with(insns, 0)
}

/// Load a filter into the calling thread, with flags (`SECCOMP_FILTER_FLAG_*`).
pub fn load_with(insns: &[Insn], flags: u64) -> Result<(), i64> {
    let program = libc::sock_fprog { len: insns.len() as u16, filter: insns.as_ptr().cast_mut().cast() };
    let prctl = Call { number: libc::SYS_prctl as u32, args: [libc::PR_SET_NO_NEW_PRIVS as u64, 1, 0, 0, 0, 0] };
    let seccomp = Call {
        number: libc::SYS_seccomp as u32,
        args: [libc::SECCOMP_SET_MODE_FILTER.into(), flags, (&raw const program).addr() as u64, 0, 0, 0],
    };
    match (raw(&prctl), raw(&seccomp)) {
        (0, 0) => Ok(()),
        (0, error) | (error, _) => Err(error),
    }
}
