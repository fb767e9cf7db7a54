//! What the launcher's file must be, whatever is inside: small, static, and never writable and executable at once.

use zerocap_launcher::{BYTES, MAX_BYTES};

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const PT_GNU_STACK: u32 = 0x6474_e551;
const PF_X: u32 = 1;
const PF_W: u32 = 2;

struct Segment {
    kind: u32,
    flags: u32,
}

fn number<const N: usize>(at: usize) -> [u8; N] {
    *BYTES[at..].first_chunk().unwrap()
}

fn segments() -> Vec<Segment> {
    let start = u64::from_le_bytes(number(32)) as usize;
    let (size, count) = (u16::from_le_bytes(number(54)), u16::from_le_bytes(number(56)));
    (0..usize::from(count))
        .map(|index| start + index * usize::from(size))
        .map(|at| Segment { kind: u32::from_le_bytes(number(at)), flags: u32::from_le_bytes(number(at + 4)) })
        .collect()
}

#[test]
fn it_is_a_64_bit_program_of_this_machine() {
    assert_eq!(&BYTES[..6], b"\x7fELF\x02\x01");
    const ET_EXEC: u16 = 2;
    assert_eq!(u16::from_le_bytes(number(16)), ET_EXEC);
    let machine = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
    assert_eq!(u16::from_le_bytes(number(18)), machine);
}

#[test]
fn it_is_small() {
    assert!(BYTES.len() <= MAX_BYTES, "{} bytes", BYTES.len());
}

#[test]
fn it_needs_nothing_at_run_time() {
    assert!(segments().iter().all(|segment| segment.kind != PT_INTERP && segment.kind != PT_DYNAMIC));
}

#[test]
fn no_memory_is_writable_and_executable() {
    let segments = segments();
    assert!(segments.iter().filter(|segment| segment.kind == PT_LOAD).count() >= 2);
    assert!(segments.iter().all(|segment| segment.flags & (PF_W | PF_X) != PF_W | PF_X));
    let stack = segments.iter().find(|segment| segment.kind == PT_GNU_STACK).unwrap();
    assert_eq!(stack.flags & PF_X, 0);
}

/// A panic would bring its message along.
#[test]
fn no_panic_is_compiled_in() {
    for trace in ["panicked", "index out of bounds", "unwrap", ".rs"] {
        assert!(!BYTES.windows(trace.len()).any(|window| window == trace.as_bytes()), "{trace:?} is in the file");
    }
}
