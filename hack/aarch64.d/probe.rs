//! The first program of a tiny 64-bit ARM machine: loads each filter of /bundle in a child, makes the calls that go with it, and
//! compares what the kernel answers with what was meant. Built and started by `hack/aarch64`; the bundle is written by
//! `seccomp/tests/aarch64_bundle.rs`, which has its format.

#![no_std]
#![no_main]

use core::arch::{asm, global_asm};
use core::ptr;

global_asm!(".globl _start", "_start:", "bl {start}", "brk #1", start = sym start);

const OPENAT: usize = 56;
const READ: usize = 63;
const WRITE: usize = 64;
const EXIT_GROUP: usize = 94;
const REBOOT: usize = 142;
const PRCTL: usize = 167;
const CLONE: usize = 220;
const MMAP: usize = 222;
const WAIT4: usize = 260;
const SECCOMP: usize = 277;

const MAX_BUNDLE: usize = 24 << 20;
const MAX_CASES: usize = 4096;
/// Not an answer of any call: the child did not come to it.
const NOT_REACHED: i64 = i64::MIN;

static mut BUNDLE: [u64; MAX_BUNDLE / 8] = [0; MAX_BUNDLE / 8];

/// # Safety
/// As the call demands. What the bundle asks for may be anything: the machine is there for nothing else.
unsafe fn call(number: usize, args: [u64; 6]) -> i64 {
    let [a, b, c, d, e, f] = args;
    let result;
    // SAFETY: the kernel preserves all registers but x0; memory as the caller promised.
    unsafe {
        asm!("svc #0", in("x8") number, inlateout("x0") a => result, in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f);
    }
    result
}

fn say(text: &str) {
    // SAFETY: the kernel reads the slice.
    unsafe { call(WRITE, [1, text.as_ptr() as u64, text.len() as u64, 0, 0, 0]) };
}

fn say_number(mut number: i64) {
    if number < 0 {
        say("-");
    }
    let (mut digits, mut at) = ([0u8; 20], 20);
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10).unsigned_abs() as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    say(core::str::from_utf8(&digits[at..]).unwrap_or("?"));
}

/// 64-bit words, one after the other.
struct Words(&'static [u64]);

impl Words {
    fn next(&mut self) -> u64 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn take(&mut self, count: u64) -> &'static [u64] {
        let (these, rest) = self.0.split_at_checked(count as usize).unwrap_or((&[], &[]));
        self.0 = rest;
        these
    }
}

/// Makes the calls in a child, under the filter or without one. Without one it makes only those that are meant to pass, so that both
/// children come to each of them with the same descriptors open.
fn in_child(filter: &[u64], cases: &[[u64; 8]], results: *mut i64) {
    for at in 0..cases.len() {
        // SAFETY: the mapping has MAX_CASES words, and no child lives.
        unsafe { ptr::write_volatile(results.add(at), NOT_REACHED) };
    }
    const SIGCHLD: u64 = 17;
    // SAFETY: a child with a copy of this memory.
    let pid = unsafe { call(CLONE, [SIGCHLD, 0, 0, 0, 0, 0]) };
    if pid == 0 {
        let program = [filter.len() as u64, filter.as_ptr() as u64];
        // SAFETY: `struct sock_fprog` has the count in its first two bytes, and the pointer after padding.
        let loaded = unsafe {
            filter.is_empty()
                || call(PRCTL, [38, 1, 0, 0, 0, 0]) == 0 && call(SECCOMP, [1, 0, program.as_ptr() as u64, 0, 0, 0]) == 0
        };
        for (at, [number, errno, args @ ..]) in cases.iter().enumerate().filter(|_| loaded) {
            if filter.is_empty() && *errno != 0 {
                continue;
            }
            // SAFETY: whatever the bundle asks for ends with this child.
            let result = unsafe { call(*number as usize, *args) };
            // SAFETY: as above; shared with the parent, which waits.
            unsafe { ptr::write_volatile(results.add(at), result) };
        }
        // SAFETY: the end of the child, by a trap where the filter refuses it.
        unsafe {
            call(EXIT_GROUP, [0; 6]);
            asm!("brk #1", options(noreturn))
        }
    }
    // SAFETY: the child is ours.
    unsafe { call(WAIT4, [pid as u64, 0, 0, 0, 0, 0]) };
}

extern "C" fn start() -> ! {
    // SAFETY: a path that ends with zero; the static is used here only.
    let words = unsafe {
        let fd = call(OPENAT, [u64::MAX - 99, c"/bundle".as_ptr() as u64, 0, 0, 0, 0]);
        let bundle = &raw mut BUNDLE;
        let mut length = 0u64;
        loop {
            let got = call(READ, [fd as u64, bundle as u64 + length, MAX_BUNDLE as u64 - length, 0, 0, 0]);
            if got <= 0 {
                break;
            }
            length += got as u64;
        }
        &(&*bundle)[..length as usize / 8]
    };
    const SHARED_ANONYMOUS: u64 = 0x21;
    // SAFETY: a new mapping.
    let results = unsafe { call(MMAP, [0, 2 * 8 * MAX_CASES as u64, 3, SHARED_ANONYMOUS, u64::MAX, 0]) } as *mut i64;
    // SAFETY: half of the mapping.
    let bare = unsafe { results.add(MAX_CASES) };
    let mut words = Words(words);
    let (filters, mut made, mut wrong) = (words.next(), 0, 0);
    for filter in 0..filters {
        let (insns, count) = (words.next(), words.next());
        let insns = words.take(insns);
        let (cases, _) = words.take(8 * count).as_chunks::<8>();
        in_child(&[], cases, bare);
        in_child(insns, cases, results);
        for (at, [number, expected, ..]) in cases.iter().enumerate() {
            // SAFETY: the mapping has MAX_CASES words twice, and no child lives.
            let (bare, filtered) = unsafe { (ptr::read_volatile(bare.add(at)), ptr::read_volatile(results.add(at))) };
            let errno = *expected as i64;
            made += 1;
            let right = if errno == 0 { filtered.min(0) == bare.min(0) } else { filtered == -errno };
            if !right || filtered == NOT_REACHED {
                wrong += 1;
                for (text, number) in [
                    ("WRONG filter ", filter as i64),
                    (" case ", at as i64),
                    (" call ", *number as i64),
                    (" meant ", -errno),
                    (" bare ", bare),
                    (" filtered ", filtered),
                ] {
                    say(text);
                    say_number(number);
                }
                say("\n");
            }
        }
    }
    for (text, number) in [("RESULT filters ", filters as i64), (" calls ", made), (" wrong ", wrong)] {
        say(text);
        say_number(number);
    }
    say("\n");
    const POWER_OFF: u64 = 0x4321_fedc;
    // SAFETY: the end of the machine.
    unsafe {
        call(REBOOT, [0xfee1_dead, 672_274_793, POWER_OFF, 0, 0, 0]);
        asm!("brk #1", options(noreturn))
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    say("PANIC\n");
    // SAFETY: the end of the program, and with it of the machine.
    unsafe { asm!("brk #1", options(noreturn)) }
}

/// The core library was built to unwind, and asks for this; nothing unwinds here.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
