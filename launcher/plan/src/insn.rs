//! The plain values that the owned plan and its view share.

/// One classic BPF instruction, laid out as the kernel's `struct sock_filter`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Insn {
    /// Operation.
    pub code: u16,
    /// Instructions to skip when a jump's condition holds.
    pub jt: u8,
    /// Instructions to skip when it does not.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

/// An instruction whose operand the launcher replaces by one word of its random cookie before it loads the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CookieSite {
    /// Index of the instruction.
    pub insn: u16,
    /// Index of the 32-bit word: 0 is the low half of the fourth argument, 1 its high half, … 5 the high half of the sixth.
    pub word: u8,
}

/// Which process of the container the plan is for. They differ in one thing: a path rule that leads through a
/// symbolic link fails the start of the first process, and is left out for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The container's first process.
    Init,
    /// A process that was executed into the running container.
    Exec,
}

/// What happens when the path of a rule does not exist in the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Missing {
    /// The rule is left out, which grants less; the launcher reports it.
    Skip,
    /// The start fails.
    Fail,
}

/// A Landlock network rule (`LANDLOCK_RULE_NET_PORT`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortRule {
    /// TCP port, in host order.
    pub port: u16,
    /// `LANDLOCK_ACCESS_NET_*` bits.
    pub access: u64,
}
