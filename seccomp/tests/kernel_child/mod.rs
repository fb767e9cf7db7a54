//! A child process that loads a filter and makes system calls under it: the kernel's own answer.
#![allow(unsafe_code, dead_code)]

mod raw;

use std::ptr;
use std::sync::Mutex;

use raw::load;
#[allow(unused_imports)]
pub use raw::{Call, raw, spawn};
use zerocap_seccomp::Insn;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It returned this (negative: an errno).
    Returned(i64),
    /// The child was killed by this signal during this call.
    Killed(i32),
    /// An earlier call ended the child.
    NotReached,
}

const MAX_CALLS: usize = 512;

/// Shared with the child.
#[repr(C)]
struct Shared {
    /// 0: not started, 1: filter loaded, 2: the filter could not be loaded (errno in results[0]).
    state: i64,
    /// How many calls returned.
    done: usize,
    results: [i64; MAX_CALLS],
}

/// One child at a time: it inherits descriptors, and some calls look at the whole process group.
static ONE: Mutex<()> = Mutex::new(());

/// Make these calls in a child under these filters, loaded in this order.
pub fn under(filters: &[&[Insn]], calls: &[Call]) -> Vec<Outcome> {
    run(filters, calls.len(), &|index| raw(&calls[index]))
        .unwrap_or_else(|errno| panic!("a filter could not be loaded: {errno}"))
}

/// Do something in a child under these filters. It makes raw system calls only: no lock, no allocation.
#[allow(dead_code)]
pub fn doing(filters: &[&[Insn]], work: &dyn Fn() -> i64) -> Outcome {
    run(filters, 1, &|_| work()).unwrap_or_else(|errno| panic!("a filter could not be loaded: {errno}"))[0]
}

/// Does the kernel load this filter? If not, its errno.
pub fn accepted(filter: &[Insn]) -> Result<(), i64> {
    run(&[filter], 0, &|_| 0).map(|_| ())
}

fn run(filters: &[&[Insn]], count: usize, work: &dyn Fn(usize) -> i64) -> Result<Vec<Outcome>, i64> {
    assert!(count <= MAX_CALLS);
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // SAFETY: an anonymous mapping of the size of Shared, page-aligned and zeroed, which is a valid Shared.
    let shared: *mut Shared = unsafe {
        libc::mmap(
            ptr::null_mut(),
            size_of::<Shared>(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
        .cast()
    };
    assert_ne!(shared.cast(), libc::MAP_FAILED);
    // SAFETY: the child makes system calls only, on memory prepared before the fork; it takes no lock and does not
    // allocate.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork");
    if pid == 0 {
        // SAFETY: `shared` is mapped in the child as well, and nobody else writes to it now.
        unsafe { child(&mut *shared, filters, count, work) }
    }
    let mut status = 0;
    // SAFETY: the child is ours and not waited for elsewhere.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    // SAFETY: the child is dead: nobody writes any more.
    let (state, done, results) = unsafe { ((*shared).state, (*shared).done, (*shared).results) };
    // SAFETY: the mapping made above, not used any more.
    unsafe { libc::munmap(shared.cast(), size_of::<Shared>()) };
    if state == 2 {
        return Err(-results[0]);
    }
    assert_eq!(state, 1, "the child came to nothing: status {status:#x}");
    let outcomes = (0..count)
        .map(|index| match index.cmp(&done) {
            std::cmp::Ordering::Less => Outcome::Returned(results[index]),
            std::cmp::Ordering::Equal if libc::WIFSIGNALED(status) => Outcome::Killed(libc::WTERMSIG(status)),
            _ => Outcome::NotReached,
        })
        .collect();
    Ok(outcomes)
}

/// Everything the child does. It ends by an exit, or where the filter refuses that, by an illegal instruction.
unsafe fn child(shared: &mut Shared, filters: &[&[Insn]], count: usize, work: &dyn Fn(usize) -> i64) -> ! {
    if let Some(errno) = filters.iter().find_map(|insns| load(insns).err()) {
        shared.results[0] = errno;
        shared.state = 2;
    } else {
        shared.state = 1;
        for (index, slot) in shared.results.iter_mut().enumerate().take(count) {
            *slot = work(index);
            // Written after the result, so that a call that kills is not counted.
            // SAFETY: an aligned field of the shared mapping.
            unsafe { ptr::write_volatile(&raw mut shared.done, shared.done + 1) };
        }
    }
    raw(&Call { number: libc::SYS_exit_group as u32, args: [0; 6] });
    // SAFETY: the end.
    unsafe { std::arch::asm!("ud2", options(noreturn)) }
}
