//! IPv4 addresses inside IPv6 addresses.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Every IPv4 address that somebody may take an IPv6 address for: the kernel (mapped), translators (NAT64, SIIT) and tunnels (compatible,
/// 6to4, Teredo, ISATAP).
pub(crate) fn embedded(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let o = address.octets();
    let at = |places: [usize; 4]| Ipv4Addr::from(places.map(|place| o[place]));
    let last = at([12, 13, 14, 15]);
    let mut found = Vec::new();
    match address.segments() {
        // Compatible, mapped (RFC 4291) and translated (RFC 2765) addresses. `::` and `::1` are none, though they look like it.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => {}
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => found.push(last),
        // The well-known prefix of NAT64 (RFC 6052).
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => found.push(last),
        // Its prefix for local use (RFC 8215): the length is the network's own choice, octet 8 is skipped.
        [0x64, 0xff9b, 1, ..] => found.extend([at([6, 7, 9, 10]), at([7, 9, 10, 11]), at([9, 10, 11, 12]), last]),
        // 6to4 (RFC 3056).
        [0x2002, ..] => found.push(at([2, 3, 4, 5])),
        // Teredo (RFC 4380): the server, and the client's address inverted.
        [0x2001, 0, ..] => found.extend([at([4, 5, 6, 7]), Ipv4Addr::from(!u32::from(last))]),
        _ => {}
    }
    // ISATAP (RFC 5214) is an interface identifier below any prefix.
    if matches!(address.segments(), [.., 0 | 0x200, 0x5efe, _, _]) {
        found.push(last);
    }
    found
}
