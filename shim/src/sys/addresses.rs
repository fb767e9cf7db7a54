//! getifaddrs(3): the addresses of the calling thread's network namespace.
#![allow(unsafe_code)]

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ptr;

/// The list, given back when dropped.
struct List(*mut libc::ifaddrs);

impl Drop for List {
    fn drop(&mut self) {
        // SAFETY: getifaddrs made the list, and nobody else gives it back.
        unsafe { libc::freeifaddrs(self.0) }
    }
}

/// Every address of every interface, with the length of its network.
///
/// # Errors
/// The kernel does not tell.
pub fn addresses() -> io::Result<Vec<(IpAddr, u8)>> {
    let mut first = ptr::null_mut();
    // SAFETY: the call writes one pointer to where it may.
    if unsafe { libc::getifaddrs(&raw mut first) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let list = List(first);
    let mut found = Vec::new();
    let mut next = list.0;
    // SAFETY: `next` is null or an element of the list, which lives until `list` is dropped.
    while let Some(entry) = unsafe { next.as_ref() } {
        // SAFETY: both are null or socket addresses of the list.
        if let (Some(address), Some(mask)) = unsafe { (ip(entry.ifa_addr), ip(entry.ifa_netmask)) } {
            found.push((address, ones(mask)));
        }
        next = entry.ifa_next;
    }
    Ok(found)
}

/// # Safety
/// `address` must be null or point to a socket address as long as its family says.
unsafe fn ip(address: *const libc::sockaddr) -> Option<IpAddr> {
    if address.is_null() {
        return None;
    }
    // SAFETY: every socket address begins with its family; the caller answers for the pointer.
    match i32::from(unsafe { (*address).sa_family }) {
        libc::AF_INET => {
            // SAFETY: the family says that it is a sockaddr_in. It may lie unaligned for all that the type says.
            let v4 = unsafe { address.cast::<libc::sockaddr_in>().read_unaligned() };
            Some(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above, with sockaddr_in6.
            let v6 = unsafe { address.cast::<libc::sockaddr_in6>().read_unaligned() };
            Some(Ipv6Addr::from(v6.sin6_addr.s6_addr).into())
        }
        _ => None,
    }
}

fn ones(mask: IpAddr) -> u8 {
    let ones = match mask {
        IpAddr::V4(mask) => u32::from(mask).leading_ones(),
        IpAddr::V6(mask) => u128::from(mask).leading_ones(),
    };
    ones as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_among_them() {
        assert!(addresses().unwrap().contains(&(Ipv4Addr::LOCALHOST.into(), 8)));
    }
}
