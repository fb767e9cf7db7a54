//! Loading the seccomp filters.

use zerocap_plan::Filters;
use zerocap_plan::record::{Failure, Step};

use crate::at;
use crate::memory;
use crate::sys;

/// Loads the filters in order, each with the cookie's words as operands at its cookie sites. Returns how many there were.
pub fn load(filters: Filters<'_>, cookie: [u64; 3]) -> Result<u16, Failure> {
    let room = memory::filter_buffer();
    let mut loaded = 0;
    for filter in filters {
        for (slot, insn) in room.iter_mut().zip(filter.insns()) {
            *slot = insn;
        }
        for site in filter.cookie() {
            if let Some(insn) = room.get_mut(usize::from(site.insn)) {
                insn.k = word(cookie, site.word);
            }
        }
        let program = room.get(..filter.len()).unwrap_or_default();
        sys::load_filter(program, filter.spec_allow, cookie).map_err(at(Step::Filter, u32::from(loaded)))?;
        loaded += 1;
    }
    Ok(loaded)
}

/// One half of an argument: even words are the low halves.
fn word(cookie: [u64; 3], index: u8) -> u32 {
    let argument = cookie.get(usize::from(index / 2)).copied().unwrap_or_default();
    (argument >> (32 * u32::from(index % 2))) as u32
}
