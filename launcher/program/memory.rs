//! The launcher's only memory beside its stack, and the functions that the compiler expects to find somewhere.

use zerocap_plan::{Insn, MAX_INSNS, MAX_PLAN};

/// One byte more than a plan may have, so that a longer one is seen.
static mut PLAN: [u8; MAX_PLAN + 1] = [0; MAX_PLAN + 1];
static mut FILTER: [Insn; MAX_INSNS] = [Insn { code: 0, jt: 0, jf: 0, k: 0 }; MAX_INSNS];
static mut PATH: [u8; PATH_MAX] = [0; PATH_MAX];

/// The kernel takes no longer path, terminator included.
const PATH_MAX: usize = 4096;

/// Where the plan is read to.
pub fn plan_buffer() -> &'static mut [u8] {
    // SAFETY: one thread, and `read_plan` asks once.
    unsafe { &mut *(&raw mut PLAN) }
}

/// Where filters are put together.
pub fn filter_buffer() -> &'static mut [Insn] {
    // SAFETY: one thread, and `filters::load` asks once.
    unsafe { &mut *(&raw mut FILTER) }
}

/// Where paths are put together.
pub fn path_buffer() -> &'static mut [u8] {
    // SAFETY: one thread, and `launch` asks once.
    unsafe { &mut *(&raw mut PATH) }
}

// The compiler turns copies, fills and comparisons into calls of these. The volatile accesses keep it from doing so here.

/// # Safety
/// As memcpy in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    for index in 0..count {
        // SAFETY: the caller promises `count` bytes on both sides.
        unsafe { to.add(index).write_volatile(from.add(index).read_volatile()) };
    }
    to
}

/// # Safety
/// As memmove in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    if to.addr() <= from.addr() {
        // SAFETY: copying upwards reads each byte before it is overwritten.
        return unsafe { memcpy(to, from, count) };
    }
    for index in (0..count).rev() {
        // SAFETY: the caller promises `count` bytes on both sides; downwards for the same reason.
        unsafe { to.add(index).write_volatile(from.add(index).read_volatile()) };
    }
    to
}

/// # Safety
/// As memset in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, count: usize) -> *mut u8 {
    for index in 0..count {
        // SAFETY: the caller promises `count` bytes.
        unsafe { to.add(index).write_volatile(byte as u8) };
    }
    to
}

/// # Safety
/// As memcmp in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, count: usize) -> i32 {
    for index in 0..count {
        // SAFETY: the caller promises `count` bytes on both sides.
        let (one, other) = unsafe { (one.add(index).read_volatile(), other.add(index).read_volatile()) };
        if one != other {
            return i32::from(one) - i32::from(other);
        }
    }
    0
}

/// # Safety
/// As bcmp in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(one: *const u8, other: *const u8, count: usize) -> i32 {
    // SAFETY: as the caller promises.
    unsafe { memcmp(one, other, count) }
}

/// # Safety
/// As strlen in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const u8) -> usize {
    let mut length = 0;
    // SAFETY: the caller promises a terminator.
    while unsafe { text.add(length).read_volatile() } != 0 {
        length += 1;
    }
    length
}
