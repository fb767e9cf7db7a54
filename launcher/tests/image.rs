//! The launcher's file for this machine.

#[path = "common/elf.rs"]
mod elf;

use zerocap_launcher::BYTES;

#[test]
fn it_is_a_small_program_for_this_machine() {
    const EM_X86_64: u16 = 62;
    const EM_AARCH64: u16 = 183;
    let machine = if cfg!(target_arch = "aarch64") { EM_AARCH64 } else { EM_X86_64 };
    elf::is_a_small_program_for(machine, BYTES);
}

#[test]
fn it_needs_nothing_at_run_time() {
    elf::needs_nothing_at_run_time(BYTES);
}

#[test]
fn no_memory_is_writable_and_executable() {
    elf::has_no_memory_that_is_writable_and_executable(BYTES);
}

#[test]
fn no_panic_is_compiled_in() {
    elf::has_no_panic_compiled_in(BYTES);
}
