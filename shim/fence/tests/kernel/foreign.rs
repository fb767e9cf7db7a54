//! Programs of somebody else: a cluster's, or what a node's administrator attached.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// `BPF_CGROUP_INET4_CONNECT` and `BPF_CGROUP_UDP4_SENDMSG`, both of type `BPF_PROG_TYPE_CGROUP_SOCK_ADDR`.
pub const CONNECT4: u32 = 10;
pub const SENDMSG4: u32 = 14;

const fn insn(code: u8, registers: u8, offset: i16, imm: u32) -> u64 {
    code as u64 | (registers as u64) << 8 | (offset as u16 as u64) << 16 | (imm as u64) << 32
}

/// Allows everything; what goes to `from` goes to `to` instead, with the port.
pub fn rewriter(from: ([u8; 4], u16), to: ([u8; 4], u16)) -> Vec<u64> {
    let word = u32::from_ne_bytes;
    vec![
        insn(0x61, 0x12, 4, 0),            // r2 = ctx->user_ip4
        insn(0x56, 0x02, 6, word(from.0)), // if w2 != from goto end
        insn(0x61, 0x12, 24, 0),
        insn(0x56, 0x02, 4, u32::from(from.1.to_be())),
        insn(0xb4, 0x03, 0, word(to.0)), // w3 = to
        insn(0x63, 0x31, 4, 0),          // ctx->user_ip4 = w3
        insn(0xb4, 0x03, 0, u32::from(to.1.to_be())),
        insn(0x63, 0x31, 24, 0), // ctx->user_port = w3
        insn(0xb7, 0x00, 0, 1),  // r0 = 1
        insn(0x95, 0, 0, 0),
    ]
}

/// Allows everything.
pub fn allow() -> Vec<u64> {
    vec![insn(0xb7, 0x00, 0, 1), insn(0x95, 0, 0, 0)]
}

fn bpf(command: u32, attr: &mut [u8; 128]) -> io::Result<i32> {
    // SAFETY: the buffer is the union with its size, and what it points to lives in the caller.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_mut_ptr(), attr.len()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}

fn put(attr: &mut [u8; 128], offset: usize, bytes: &[u8]) {
    attr[offset..offset + bytes.len()].copy_from_slice(bytes);
}

/// Attaches a program with these flags: 0 exclusive, 1 may be overridden, 2 beside others.
pub fn attach(group: impl AsFd, hook: u32, insns: &[u64], flags: u32) -> io::Result<()> {
    let mut attr = [0; 128];
    put(&mut attr, 0, &18u32.to_ne_bytes());
    put(&mut attr, 4, &(insns.len() as u32).to_ne_bytes());
    put(&mut attr, 8, &(insns.as_ptr() as u64).to_ne_bytes());
    put(&mut attr, 16, &(c"Apache-2.0".as_ptr() as u64).to_ne_bytes());
    put(&mut attr, 68, &hook.to_ne_bytes());
    let program = bpf(5, &mut attr)?;
    // SAFETY: a new descriptor that nobody else owns.
    let program = unsafe { OwnedFd::from_raw_fd(program) };
    let mut attr = [0; 128];
    put(&mut attr, 0, &group.as_fd().as_raw_fd().to_ne_bytes());
    put(&mut attr, 4, &program.as_raw_fd().to_ne_bytes());
    put(&mut attr, 8, &hook.to_ne_bytes());
    put(&mut attr, 12, &flags.to_ne_bytes());
    bpf(8, &mut attr).map(drop)
}

/// The ids of all programs of this kernel.
pub fn programs() -> Vec<u32> {
    let mut ids = Vec::new();
    let mut id = 0u32;
    loop {
        let mut attr = [0; 128];
        put(&mut attr, 0, &id.to_ne_bytes());
        if bpf(11, &mut attr).is_err() {
            return ids;
        }
        id = u32::from_ne_bytes([attr[4], attr[5], attr[6], attr[7]]);
        ids.push(id);
    }
}

/// Takes a program off.
pub fn detach(group: impl AsFd, hook: u32, id: u32) -> io::Result<()> {
    let mut attr = [0; 128];
    put(&mut attr, 0, &id.to_ne_bytes());
    let program = bpf(13, &mut attr)?;
    // SAFETY: a new descriptor that nobody else owns.
    let program = unsafe { OwnedFd::from_raw_fd(program) };
    let mut attr = [0; 128];
    put(&mut attr, 0, &group.as_fd().as_raw_fd().to_ne_bytes());
    put(&mut attr, 4, &program.as_raw_fd().to_ne_bytes());
    put(&mut attr, 8, &hook.to_ne_bytes());
    bpf(9, &mut attr).map(drop)
}

/// How many programs are on the group itself.
pub fn programs_on(group: impl AsFd, hook: u32) -> u32 {
    let mut attr = [0; 128];
    put(&mut attr, 0, &group.as_fd().as_raw_fd().to_ne_bytes());
    put(&mut attr, 4, &hook.to_ne_bytes());
    bpf(16, &mut attr).expect("root may ask");
    u32::from_ne_bytes([attr[24], attr[25], attr[26], attr[27]])
}
