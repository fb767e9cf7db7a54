//! What the launcher's file must be, whatever is inside and whichever machine it is for.

use zerocap_launcher::MAX_BYTES;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const PT_GNU_STACK: u32 = 0x6474_e551;
const PF_X: u32 = 1;
const PF_W: u32 = 2;

/// Small, static, for that machine (`EM_*`).
pub fn is_a_small_program_for(machine: u16, bytes: &[u8]) {
    assert_eq!(&bytes[..6], b"\x7fELF\x02\x01");
    const ET_EXEC: u16 = 2;
    assert_eq!(u16::from_le_bytes(number(bytes, 16)), ET_EXEC);
    assert_eq!(u16::from_le_bytes(number(bytes, 18)), machine);
    assert!(bytes.len() <= MAX_BYTES, "{} bytes", bytes.len());
}

/// No interpreter, no libraries.
pub fn needs_nothing_at_run_time(bytes: &[u8]) {
    assert!(segments(bytes).iter().all(|&(kind, _)| kind != PT_INTERP && kind != PT_DYNAMIC));
}

/// Not even the stack.
pub fn has_no_memory_that_is_writable_and_executable(bytes: &[u8]) {
    let segments = segments(bytes);
    assert!(segments.iter().filter(|&&(kind, _)| kind == PT_LOAD).count() >= 2);
    assert!(segments.iter().all(|&(_, flags)| flags & (PF_W | PF_X) != PF_W | PF_X));
    let (_, stack) = segments.iter().find(|&&(kind, _)| kind == PT_GNU_STACK).unwrap();
    assert_eq!(stack & PF_X, 0);
}

/// A panic would bring its message along.
pub fn has_no_panic_compiled_in(bytes: &[u8]) {
    for trace in ["panicked", "index out of bounds", "unwrap", ".rs"] {
        assert!(!bytes.windows(trace.len()).any(|window| window == trace.as_bytes()), "{trace:?} is in the file");
    }
}

/// Type and flags of each.
fn segments(bytes: &[u8]) -> Vec<(u32, u32)> {
    let start = u64::from_le_bytes(number(bytes, 32)) as usize;
    let (size, count) = (u16::from_le_bytes(number(bytes, 54)), u16::from_le_bytes(number(bytes, 56)));
    (0..usize::from(count))
        .map(|index| start + index * usize::from(size))
        .map(|at| (u32::from_le_bytes(number(bytes, at)), u32::from_le_bytes(number(bytes, at + 4))))
        .collect()
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    *bytes[at..].first_chunk().unwrap()
}
