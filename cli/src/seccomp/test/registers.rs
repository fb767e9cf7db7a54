//! A stopped call of a traced thread: which it is, and the answer to it.

pub use imp::Stopped;

#[cfg(target_arch = "x86_64")]
mod imp {
    use nix::errno::Errno;
    use nix::libc::user_regs_struct;
    use nix::sys::ptrace;
    use nix::unistd::Pid;
    use zerocap_seccomp::{Arch, SeccompData};

    /// A thread that stopped before a call.
    pub struct Stopped {
        pid: Pid,
        registers: user_regs_struct,
        /// The call as the filter saw it.
        pub data: SeccompData,
    }

    impl Stopped {
        /// Looks at a thread.
        pub fn read(pid: Pid) -> Result<Self, Errno> {
            let registers = ptrace::getregs(pid)?;
            let arch = ptrace::syscall_info(pid)?.arch;
            let r = &registers;
            let args = if arch == Arch::I386.audit() {
                [r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rbp].map(|register| register & 0xffff_ffff)
            } else {
                [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9]
            };
            // The number is the low half: a filter sees no more of it.
            let nr = (r.orig_rax & 0xffff_ffff) as u32;
            Ok(Self { pid, data: SeccompData { nr, arch, instruction_pointer: r.rip, args }, registers })
        }

        /// Lets the call fail with this error without being made.
        pub fn refuse(mut self, errno: u16) -> Result<(), Errno> {
            // "No call", and what it returns.
            self.registers.orig_rax = u64::MAX;
            self.registers.rax = u64::from(errno).wrapping_neg();
            ptrace::setregs(self.pid, self.registers)
        }
    }
}

/// Elsewhere the number of a call cannot be changed by the crate that is used here; the command says so before it starts.
#[cfg(not(target_arch = "x86_64"))]
mod imp {
    use nix::errno::Errno;
    use nix::unistd::Pid;
    use zerocap_seccomp::SeccompData;

    /// A thread that stopped before a call.
    pub struct Stopped {
        /// The call as the filter saw it.
        pub data: SeccompData,
    }

    impl Stopped {
        /// Looks at a thread.
        pub fn read(_: Pid) -> Result<Self, Errno> {
            Err(Errno::ENOSYS)
        }

        /// Lets the call fail with this error without being made.
        pub fn refuse(self, _: u16) -> Result<(), Errno> {
            Err(Errno::ENOSYS)
        }
    }
}
