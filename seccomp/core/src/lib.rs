//! The part of zerocap's seccomp crate that both its build script and its users need: the profile model, the syscall
//! tables, the compiler to classic BPF and the interpreter that checks it.
//!
//! Nothing here does I/O, and nothing here panics on a profile or program that came from outside.

#![forbid(unsafe_code)]

mod action;
pub mod algebra;
mod arch;
pub mod arguments;
mod asm;
mod check;
mod combine;
mod compile;
mod condition;
mod disassemble;
mod gate;
mod graph;
mod insn;
#[cfg(feature = "intent")]
pub mod intent;
mod interpret;
mod near;
mod profile;
mod region;
mod syscalls;
pub mod walk;

pub use action::{Action, MAX_ERRNO, stack};
pub use arch::Arch;
pub use check::{CheckError, check};
pub use compile::{CompileError, MAX_INSNS, Program, compile};
pub use condition::{ARGS, Condition, Test, Width};
pub use disassemble::{Line, disassemble};
pub use gate::{COOKIE_WORDS, CookieSite, GATED_CALLS, Gate, UNPATCHED};
pub use insn::{Insn, opcode};
pub use interpret::{InterpretError, SeccompData, interpret};
pub use near::closest;
pub use profile::{Clause, Decision, Flags, Profile, Table};
pub use syscalls::{KernelVersion, Syscall, X32_BIT, count, lookup, name_of, names, since, suggest};
