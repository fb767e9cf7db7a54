//! bpf(2), raw, and what the probe and the ring need of the kernel. No crate wraps these few commands without bringing a loader.
//!
//! Offsets are those of `union bpf_attr` in linux/bpf.h, whose fields never move.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

const MAP_CREATE: u32 = 0;
const MAP_LOOKUP_ELEM: u32 = 1;
const MAP_UPDATE_ELEM: u32 = 2;
const MAP_DELETE_ELEM: u32 = 3;
const MAP_GET_NEXT_KEY: u32 = 4;
const PROG_LOAD: u32 = 5;
const PROG_ATTACH: u32 = 8;
const PROG_GET_FD_BY_ID: u32 = 13;
const MAP_GET_FD_BY_ID: u32 = 14;
const OBJ_GET_INFO_BY_FD: u32 = 15;
const PROG_QUERY: u32 = 16;
const BTF_LOAD: u32 = 18;

/// `BPF_F_ALLOW_MULTI`.
pub(crate) const ALLOW_MULTI: u32 = 2;

/// The union, larger than any command that is used here needs. What is not set is zero, as the kernel demands.
struct Attr([u64; 18]);

impl Attr {
    fn new() -> Self {
        Self([0; 18])
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: every byte of an array of integers is initialised, and u8 has no alignment.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), size_of_val(&self.0)) }
    }

    fn u32(mut self, offset: usize, value: u32) -> Self {
        self.bytes()[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
        self
    }

    fn u64(mut self, offset: usize, value: u64) -> Self {
        self.bytes()[offset..offset + 8].copy_from_slice(&value.to_ne_bytes());
        self
    }

    fn fd(self, offset: usize, fd: impl AsFd) -> Self {
        self.u32(offset, fd.as_fd().as_raw_fd().cast_unsigned())
    }

    /// `BPF_OBJ_NAME_LEN` is 16 with the zero.
    fn name(mut self, offset: usize, name: &str) -> Self {
        let name = &name.as_bytes()[..name.len().min(15)];
        self.bytes()[offset..offset + name.len()].copy_from_slice(name);
        self
    }

    fn read_u32(&mut self, offset: usize) -> u32 {
        let bytes = self.bytes();
        u32::from_ne_bytes([bytes[offset], bytes[offset + 1], bytes[offset + 2], bytes[offset + 3]])
    }

    /// # Safety
    /// Every pointer in the attributes must be valid for what the command reads and writes there.
    unsafe fn call(&mut self, command: u32) -> io::Result<i32> {
        // SAFETY: the union is initialised and passed with its size; the caller answers for the pointers in it.
        let result = unsafe { libc::syscall(libc::SYS_bpf, command, self.0.as_mut_ptr(), size_of_val(&self.0)) };
        if result < 0 { Err(io::Error::last_os_error()) } else { i32::try_from(result).map_err(io::Error::other) }
    }

    /// # Safety
    /// As [`Attr::call`], and the command returns a new descriptor.
    unsafe fn call_for_fd(&mut self, command: u32) -> io::Result<OwnedFd> {
        // SAFETY: the caller answers for the pointers.
        let fd = unsafe { self.call(command)? };
        // SAFETY: the command succeeded, so this is a new descriptor that nobody else owns; the kernel made it close-on-exec.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

fn address<T>(slice: &[T]) -> u64 {
    slice.as_ptr() as u64
}

/// What a map is made of.
pub(crate) struct MapSpec {
    pub(crate) name: &'static str,
    pub(crate) kind: u32,
    pub(crate) key: u32,
    pub(crate) value: u32,
    pub(crate) entries: u32,
    pub(crate) flags: u32,
}

/// Makes a map. `btf`: the types of key and value, which socket storage must have.
pub(crate) fn map_create(spec: &MapSpec, btf: Option<(&OwnedFd, u32, u32)>) -> io::Result<OwnedFd> {
    let mut attr = Attr::new().u32(0, spec.kind).u32(4, spec.key).u32(8, spec.value).u32(12, spec.entries);
    attr = attr.u32(16, spec.flags).name(28, spec.name);
    if let Some((types, key, value)) = btf {
        attr = attr.fd(48, types).u32(52, key).u32(56, value);
    }
    // SAFETY: there is no pointer in the attributes.
    unsafe { attr.call_for_fd(MAP_CREATE) }
}

/// BTF of two types: 1 is a 32-bit number, 2 a structure of `size` bytes.
pub(crate) fn btf_load(size: u32) -> io::Result<OwnedFd> {
    const INT: u32 = 1 << 24;
    const ARRAY: u32 = 3 << 24;
    const STRINGS: &[u8] = b"\0u32\0u8\0";
    // struct btf_type: name, info, size; then encoding and bits, or element, index and count.
    let types = [1, INT, 4, 32, 5, INT, 1, 8, 0, ARRAY, 0, 2, 1, size];
    let length = size_of_val(&types) as u32;
    let mut blob = vec![0x9f, 0xeb, 1, 0];
    for word in [24, 0, length, length, STRINGS.len() as u32].iter().chain(&types) {
        blob.extend(u32::to_ne_bytes(*word));
    }
    blob.extend(STRINGS);
    let mut attr = Attr::new().u64(0, address(&blob)).u32(16, blob.len() as u32);
    // SAFETY: the kernel reads the blob, which lives until the call returns, and has no log buffer to write to.
    unsafe { attr.call_for_fd(BTF_LOAD) }
}

/// The id of [`btf_load`]'s structure.
pub(crate) const BTF_BYTES: u32 = 3;

/// Sets an entry. Key and value have the map's sizes.
pub(crate) fn map_update(map: impl AsFd, key: &[u8], value: &[u8]) -> io::Result<()> {
    let mut attr = Attr::new().fd(0, map).u64(8, address(key)).u64(16, address(value));
    // SAFETY: the kernel reads a key and a value of the map's sizes, which the callers in maps.rs and attached.rs pass; both
    // live until the call returns.
    unsafe { attr.call(MAP_UPDATE_ELEM).map(drop) }
}

/// Takes an entry out. The key has the map's size.
pub(crate) fn map_delete(map: impl AsFd, key: &[u8]) -> io::Result<()> {
    let mut attr = Attr::new().fd(0, map).u64(8, address(key));
    // SAFETY: the kernel reads a key of the map's size, which the caller in permits.rs passes and which lives until the call returns.
    unsafe { attr.call(MAP_DELETE_ELEM).map(drop) }
}

/// Reads an entry into `value`, which has the map's size; false where there is none.
pub(crate) fn map_lookup(map: impl AsFd, key: &[u8], value: &mut [u8]) -> io::Result<bool> {
    let mut attr = Attr::new().fd(0, map).u64(8, address(key)).u64(16, value.as_mut_ptr() as u64);
    // SAFETY: the kernel reads a key and writes a value of the map's sizes; both buffers have them and outlive the call.
    match unsafe { attr.call(MAP_LOOKUP_ELEM) } {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The key after `key`, or the first one; false at the end.
pub(crate) fn map_next_key(map: impl AsFd, key: Option<&[u8]>, next: &mut [u8]) -> io::Result<bool> {
    let mut attr = Attr::new().fd(0, map).u64(8, key.map_or(0, address)).u64(16, next.as_mut_ptr() as u64);
    // SAFETY: the kernel reads and writes one key of the map's size each; both buffers have it and outlive the call.
    match unsafe { attr.call(MAP_GET_NEXT_KEY) } {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Loads a program. With `log` the verifier writes what it thinks.
pub(crate) fn prog_load(
    kind: u32,
    attach: u32,
    name: &str,
    license: &CStr,
    insns: &[u64],
    log: Option<&mut [u8]>,
) -> io::Result<OwnedFd> {
    let count = u32::try_from(insns.len()).map_err(io::Error::other)?;
    let mut attr = Attr::new().u32(0, kind).u32(4, count).u64(8, address(insns)).u64(16, license.as_ptr() as u64);
    attr = attr.name(48, name).u32(68, attach);
    if let Some(log) = log {
        attr = attr.u32(24, 1).u32(28, log.len() as u32).u64(32, log.as_mut_ptr() as u64);
    }
    // SAFETY: the kernel reads instructions and licence and writes at most the log's length; all outlive the call.
    unsafe { attr.call_for_fd(PROG_LOAD) }
}

/// Attaches a program to a cgroup, beside others.
pub(crate) fn prog_attach(group: impl AsFd, program: impl AsFd, attach: u32) -> io::Result<()> {
    let mut attr = Attr::new().fd(0, group).fd(4, program).u32(8, attach).u32(12, ALLOW_MULTI);
    // SAFETY: there is no pointer in the attributes.
    unsafe { attr.call(PROG_ATTACH).map(drop) }
}

/// The ids of the programs that are attached to a cgroup itself, and the flags that they were attached with.
pub(crate) fn prog_query(group: impl AsFd, attach: u32) -> io::Result<(Vec<u32>, u32)> {
    // BPF_CGROUP_MAX_PROGS
    let mut ids = vec![0u32; 64];
    let mut attr = Attr::new().fd(0, group).u32(4, attach).u64(16, ids.as_mut_ptr() as u64).u32(24, 64);
    // SAFETY: the kernel writes at most the 64 ids that the buffer has room for.
    unsafe { attr.call(PROG_QUERY)? };
    ids.truncate(attr.read_u32(24) as usize);
    Ok((ids, attr.read_u32(12)))
}

/// A descriptor of the program with that id.
pub(crate) fn prog_by_id(id: u32) -> io::Result<OwnedFd> {
    // SAFETY: there is no pointer in the attributes.
    unsafe { Attr::new().u32(0, id).call_for_fd(PROG_GET_FD_BY_ID) }
}

/// A descriptor of the map with that id.
pub(crate) fn map_by_id(id: u32) -> io::Result<OwnedFd> {
    // SAFETY: there is no pointer in the attributes.
    unsafe { Attr::new().u32(0, id).call_for_fd(MAP_GET_FD_BY_ID) }
}

/// `struct bpf_prog_info`: id at 4, number of maps at 52, address of their ids at 56; `struct bpf_map_info`: name at 24.
fn info(object: impl AsFd, info: &mut [u8; 128]) -> io::Result<()> {
    let mut attr = Attr::new().fd(0, object).u32(4, 128).u64(8, info.as_mut_ptr() as u64);
    // SAFETY: the kernel reads and writes at most 128 bytes of the buffer, and what the addresses in it point to, which
    // callers have set to zero or to a buffer that outlives the call.
    unsafe { attr.call(OBJ_GET_INFO_BY_FD).map(drop) }
}

/// The id of a program.
pub(crate) fn prog_id(program: impl AsFd) -> io::Result<u32> {
    let mut bytes = [0; 128];
    info(program, &mut bytes)?;
    Ok(word(&bytes, 4))
}

/// The ids of the maps that a program uses.
pub(crate) fn prog_maps(program: impl AsFd) -> io::Result<Vec<u32>> {
    let mut ids = vec![0u32; 64];
    let mut bytes = [0; 128];
    bytes[52..56].copy_from_slice(&64u32.to_ne_bytes());
    bytes[56..64].copy_from_slice(&(ids.as_mut_ptr() as u64).to_ne_bytes());
    info(program, &mut bytes)?;
    ids.truncate(word(&bytes, 52) as usize);
    Ok(ids)
}

/// The name of a map.
pub(crate) fn map_name(map: impl AsFd) -> io::Result<String> {
    let mut bytes = [0; 128];
    info(map, &mut bytes)?;
    let name = &bytes[24..40];
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    Ok(String::from_utf8_lossy(&name[..end]).into_owned())
}

fn word(bytes: &[u8; 128], offset: usize) -> u32 {
    u32::from_ne_bytes([bytes[offset], bytes[offset + 1], bytes[offset + 2], bytes[offset + 3]])
}

/// A ring buffer map, in our memory: the consumer's page, the producer's, and the data twice in a row.
pub(crate) struct Ring {
    base: *mut u8,
    page: usize,
    size: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and the value is its only owner. It is read by `&mut self` alone.
unsafe impl Send for Ring {}

const BUSY: u32 = 1 << 31;
const DISCARD: u32 = 1 << 30;

impl Ring {
    /// Maps the ring, which has `size` bytes.
    pub(crate) fn map(ring: impl AsFd, size: usize) -> io::Result<Self> {
        let page = rustix::param::page_size();
        let fd = ring.as_fd().as_raw_fd();
        let length = 2 * page + 2 * size;
        // SAFETY: a new mapping at a place that the kernel chooses; it is ours until it is unmapped on drop.
        let base = unsafe {
            libc::mmap(ptr::null_mut(), length, libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let ring = Self { base: base.cast(), page, size };
        // The consumer's page may be written, the rest only read.
        for (at, length, access, offset) in
            [(0, page, libc::PROT_READ | libc::PROT_WRITE, 0), (page, page + 2 * size, libc::PROT_READ, page)]
        {
            // SAFETY: the place lies within the mapping made above, which nothing else uses yet.
            let mapped = unsafe {
                libc::mmap(
                    base.cast::<u8>().add(at).cast(),
                    length,
                    access,
                    libc::MAP_SHARED | libc::MAP_FIXED,
                    fd,
                    offset as libc::off_t,
                )
            };
            if mapped == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(ring)
    }

    /// Takes the records that are there, oldest first. Records of other readers of the same ring are theirs.
    pub(crate) fn take(&mut self, mut record: impl FnMut(&[u8])) {
        // SAFETY: both pages begin with the position as an aligned 64-bit number that the kernel reads or writes atomically.
        let (consumer, producer) =
            unsafe { (&*self.base.cast::<AtomicU64>(), &*self.base.add(self.page).cast::<AtomicU64>()) };
        let mut at = consumer.load(Ordering::Acquire);
        while at < producer.load(Ordering::Acquire) {
            let offset = at as usize & (self.size - 1);
            // SAFETY: records begin at multiples of eight within the data, which follows the two pages.
            let header = unsafe { &*self.base.add(2 * self.page + offset).cast::<AtomicU32>() }.load(Ordering::Acquire);
            if header & BUSY != 0 {
                break;
            }
            let length = (header & !(BUSY | DISCARD)) as usize;
            if length + 8 > self.size {
                break;
            }
            if header & DISCARD == 0 {
                // SAFETY: the record is complete and is not written again before the consumer's position passes it. A record that
                // goes over the end goes on in the second mapping of the data.
                record(unsafe { std::slice::from_raw_parts(self.base.add(2 * self.page + offset + 8), length) });
            }
            at += (length as u64 + 8).next_multiple_of(8);
            consumer.store(at, Ordering::Release);
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: this is the whole of our own mapping, and nothing refers to it any more.
        unsafe { libc::munmap(self.base.cast(), 2 * self.page + 2 * self.size) };
    }
}

/// How long a child may take to connect once.
const ANSWER: std::time::Duration = std::time::Duration::from_secs(10);

/// What two connects of a child got: before and after `between` was called with its pid. 0 is success.
pub(crate) fn connect_in_child<E: From<io::Error>>(
    between: impl FnOnce(i32) -> Result<(), E>,
) -> Result<(i32, i32), E> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_read_timeout(Some(ANSWER))?;
    let end = theirs.as_raw_fd();
    // SAFETY: the child calls nothing but system calls that are safe after a fork of a program with threads, and ends without
    // running anything of ours.
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Err(io::Error::last_os_error().into());
    }
    if pid == 0 {
        // SAFETY: as above; all buffers live in this frame.
        unsafe {
            libc::close(ours.as_raw_fd());
            let mut turn = 0u8;
            for _ in 0..2 {
                let errno = try_connect();
                if libc::write(end, (&raw const errno).cast(), 4) != 4
                    || libc::read(end, (&raw mut turn).cast(), 1) != 1
                {
                    break;
                }
            }
            libc::_exit(0)
        }
    }
    drop(theirs);
    let result = talk(&ours, pid, between);
    // Dropping our end would not end the child: one that another thread forks meanwhile holds a copy of it.
    let ended = ours.shutdown(std::net::Shutdown::Both);
    drop(ours);
    let mut status = 0;
    // SAFETY: waits for our own child; somebody who reaps all children may have done so before, which is as good.
    unsafe { libc::waitpid(pid, &raw mut status, 0) };
    ended?;
    result
}

fn talk<E: From<io::Error>>(
    mut child: &std::os::unix::net::UnixStream,
    pid: i32,
    between: impl FnOnce(i32) -> Result<(), E>,
) -> Result<(i32, i32), E> {
    use std::io::{Read, Write};
    let mut errno = [0; 4];
    child.read_exact(&mut errno)?;
    let before = i32::from_ne_bytes(errno);
    between(pid)?;
    child.write_all(&[1])?;
    child.read_exact(&mut errno)?;
    Ok((before, i32::from_ne_bytes(errno)))
}

/// Connects to a loopback port where hardly anybody listens; the errno, or 0.
///
/// # Safety
/// None beyond what system calls need: everything that is passed lives in this frame.
unsafe fn try_connect() -> i32 {
    // SAFETY: sockaddr_in is plain data; the calls get its address and size, and errno is this thread's.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0);
        if socket < 0 {
            return *libc::__errno_location();
        }
        let mut to: libc::sockaddr_in = std::mem::zeroed();
        to.sin_family = libc::AF_INET as libc::sa_family_t;
        to.sin_port = 1u16.to_be();
        to.sin_addr.s_addr = u32::from(std::net::Ipv4Addr::LOCALHOST).to_be();
        let result = libc::connect(socket, (&raw const to).cast(), size_of::<libc::sockaddr_in>() as libc::socklen_t);
        let errno = if result == 0 { 0 } else { *libc::__errno_location() };
        libc::close(socket);
        errno
    }
}
