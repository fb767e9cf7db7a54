//! The rules, one file each.

mod cannot_exit;
mod cannot_start;
mod capability_gate;
mod clone3;
mod engine_stack;
mod equivalents;
mod exec_path;
mod foreign_abi;
mod hot_call;
mod kill_thread;
mod masked_compare;
mod names;
mod ne_pair;
mod nobody_decides;
mod own_sandbox;
mod pointer;
mod raw_arch;
mod same_as_default;
mod same_index;
mod size;
mod socketcall;
mod swallowed;
mod unlisted;
mod wide_compare;
mod wrong_index;

use super::rule::Rule;

/// Every rule, in the order of the ids.
pub static RULES: &[&Rule] = &[
    &wide_compare::RULE,
    &swallowed::RULE,
    &ne_pair::RULE,
    &same_index::RULE,
    &masked_compare::RULE,
    &same_as_default::RULE,
    &raw_arch::RULE,
    &foreign_abi::RULE,
    &equivalents::RULE,
    &clone3::RULE,
    &socketcall::RULE,
    &wrong_index::RULE,
    &cannot_start::RULE,
    &cannot_exit::RULE,
    &unlisted::RULE,
    &names::RULE,
    &nobody_decides::RULE,
    &pointer::RULE,
    &capability_gate::RULE,
    &kill_thread::RULE,
    &size::RULE,
    &hot_call::RULE,
    &engine_stack::RULE,
    &own_sandbox::RULE,
    &exec_path::RULE,
];
