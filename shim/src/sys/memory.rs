//! Memory that was needed for a moment: the allocator's, and the program's own code.
#![allow(unsafe_code)]

/// Gives memory that is free inside the allocator back to the kernel.
///
/// Creating a container takes a megabyte for a moment (spec, filters, plan); a shim lives for weeks, and a node has
/// hundreds.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim only works on the allocator's own free lists, under its own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Lets all threads share one heap. A thread that lives for a moment would otherwise leave a heap of its own behind.
pub fn one_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt only changes a setting of the allocator, under its own lock.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Unmaps the code that ran so far; what is needed again comes back from the page cache, a page at a time.
///
/// Most of a shim's code runs once, when its containers are made, and then lies mapped for weeks.
pub fn forget_code() {
    let (Ok(maps), Ok(program)) = (std::fs::read_to_string("/proc/self/maps"), std::fs::read_link("/proc/self/exe"))
    else {
        return;
    };
    for (start, length) in code_of(&maps, &program.to_string_lossy()) {
        // SAFETY: the range is one mapping of the program's file that can be executed and not be written: no page of it
        // differs from the file, so that the kernel brings back the very same bytes.
        unsafe {
            libc::madvise(start as *mut libc::c_void, length, libc::MADV_DONTNEED);
        }
    }
}

/// The mappings of a file's code: address and length.
fn code_of<'m>(maps: &'m str, program: &'m str) -> impl Iterator<Item = (usize, usize)> + 'm {
    maps.lines().filter_map(move |line| {
        let (range, rest) = line.split_once(' ')?;
        let code = rest.starts_with("r-xp ") && rest.split_whitespace().nth(4) == Some(program);
        let (start, end) = range.split_once('-').filter(|_| code)?;
        let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
        Some((start, end.checked_sub(start)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
55d000-55e000 r--p 00000000 fe:00 1 /opt/shim
55e000-560000 r-xp 00001000 fe:00 1 /opt/shim
560000-561000 rwxp 00003000 fe:00 1 /opt/shim
561000-562000 r--p 00004000 fe:00 1 /opt/shim
7f0000-7f1000 r-xp 00000000 fe:00 2 /lib/libc.so.6
7ff000-7ff001 r-xp 00000000 00:00 0 [vdso]
";

    #[test]
    fn only_the_programs_code_that_nobody_writes() {
        assert_eq!(code_of(MAPS, "/opt/shim").collect::<Vec<_>>(), [(0x55e000, 0x2000)]);
        assert_eq!(code_of(MAPS, "/opt/other").count(), 0);
    }

    #[test]
    fn forgotten_code_runs_on() {
        forget_code();
        assert_eq!("a,b".split(',').map(str::len).sum::<usize>(), 2);
    }
}
