//! The launcher: `process.args[0]` of a confined container and of everything executed into it.
//!
//! It applies the plan that it finds at descriptor 3 to itself, tells the shim on descriptor 4, waits on descriptor 5 for GO
//! and becomes the workload. It is a static program without libc, allocator and threads: nothing runs that is not in this folder.

#![no_std]
#![no_main]
#![deny(unsafe_op_in_unsafe_fn, missing_docs, warnings)]

mod arch;
mod arguments;
mod channel;
mod descriptors;
mod filters;
mod landlock;
mod memory;
mod program;
mod sys;

use core::convert::Infallible;

use zerocap_plan::PlanView;
use zerocap_plan::record::{Comm, Connect, Failure, Ready, Step};

use arguments::Arguments;
use channel::Channel;
use sys::Errno;

/// The exit status of a launcher that did not become the workload.
const NOTHING_RAN: i32 = 125;

/// Called by `_start` with the initial stack pointer.
extern "C" fn start(stack: *const usize) -> ! {
    let mut channel = Channel::new();
    // SAFETY: `_start` passes the stack as the kernel laid it out for a new program, once.
    let arguments = unsafe { Arguments::from_stack(stack) };
    let failure = match launch(&arguments, &mut channel) {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    channel.tell_failure(failure);
    channel.exit(NOTHING_RAN)
}

fn launch(arguments: &Arguments, channel: &mut Channel) -> Result<Infallible, Failure> {
    // 1. Before anything secret is in memory: no other process of the container may look into this one.
    sys::set_undumpable().map_err(at(Step::Undumpable, 0))?;

    // 2. The plan.
    let plan = read_plan()?;
    let plan = PlanView::decode(plan).map_err(|error| Failure { step: Step::Plan, errno: 0, detail: error as u32 })?;
    let workload = arguments.workload().ok_or(Failure { step: Step::Arguments, errno: 0, detail: 0 })?;

    // 3. What this process came with.
    descriptors::close_all_but_ours()?;
    descriptors::refuse_inherited_places()?;
    let room = memory::path_buffer();
    sys::in_root(room).map_err(at(Step::WorkingDirectory, 0))?;
    if sys::no_new_privs() != Ok(1) {
        return Err(Failure { step: Step::NoNewPrivs, errno: 0, detail: 0 });
    }

    // 4. The program, while files can still be looked at.
    let program = program::find(workload.name, arguments.search_path(), room, plan.native_abi_only())?;

    // 5. Landlock, and the proof that it is more than a version number.
    let rules = match plan.landlock() {
        Some(landlock) => landlock::enter(&landlock, plan.role())?,
        None => landlock::Rules::default(),
    };
    let connect = match plan.forbidden_connect() {
        Some(port) => landlock::forbidden_connect(port)?,
        None => Connect::NotTried,
    };

    // 6. A name and a cookie that nobody can guess.
    let random = sys::random().map_err(at(Step::Random, 0))?;
    let [name, cookie @ ..] = random;
    let comm = Comm::random(name);
    sys::set_name(comm.as_bytes_with_nul()).map_err(at(Step::Name, 0))?;
    channel.carry(cookie);

    // 7. The filters. From here on only calls that carry the cookie are certain to pass.
    let filters = filters::load(plan.filters(), cookie)?;

    // 8. Parked, until the shim has seen in the kernel what was done.
    let landlock = plan.landlock().is_some();
    channel.tell_ready(Ready { comm, landlock, connect, filters, paths: rules.paths, skipped: rules.skipped });
    channel.wait_for_go()?;

    // 9. The workload.
    let errno = channel.execute(program, workload.arguments, workload.environment);
    Err(Failure { step: Step::Execute, errno: errno.0, detail: program::why_refused(errno) as u32 })
}

/// The bytes at descriptor 3, wherever its offset stands.
fn read_plan() -> Result<&'static [u8], Failure> {
    let buffer = memory::plan_buffer();
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match sys::pread(zerocap_plan::PLAN_FD, rest, filled).map_err(at(Step::Plan, 0))? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(buffer.get(..filled).unwrap_or_default())
}

/// The failure of `step`, for `map_err`.
fn at(step: Step, detail: u32) -> impl Fn(Errno) -> Failure {
    move |errno| Failure { step, errno: errno.0, detail }
}

/// Nothing here panics; if something does, the process ends at once.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    arch::trap()
}
