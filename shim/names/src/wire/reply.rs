//! The servers' side: writing a question, reading what comes back.

use std::net::IpAddr;

use domain::base::iana::{Class, Opcode, Rcode};
use domain::base::{Message, MessageBuilder, ToName};
use domain::rdata::{A, Aaaa, Cname};

use super::Kind;
use crate::name::WireName;

/// Most records of an answer that are looked at: a server of good will needs a dozen.
const MAX_RECORDS: usize = 256;
/// Most aliases in a row, over all messages of one look-up.
pub(crate) const MAX_ALIASES: usize = 8;

/// What a message from a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Not the answer to this question, or no message at all: to be ignored.
    Foreign,
    /// The answer did not fit; to be asked for by TCP.
    Truncated,
    /// The server cannot or will not answer.
    Failed(Rcode),
    /// The answer.
    Found(Found),
}

/// What an answer says about one type of address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Addresses in the order of the answer, each once.
    pub addresses: Vec<IpAddr>,
    /// Seconds: the least of all records on the way.
    pub ttl: u32,
    /// Where the aliases end, if not at the name itself and without an address: to be asked for next.
    pub alias: Option<WireName>,
    /// How many aliases there were.
    pub aliases: usize,
    /// Whether the name exists, with or without addresses.
    pub exists: bool,
}

/// The question for a server: the name and nothing else. No EDNS: whatever does not fit into 512 bytes comes by TCP, and there is
/// nothing to be fragmented or told apart.
#[must_use]
pub fn ask(id: u16, name: &WireName, kind: Kind) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(id);
    builder.header_mut().set_rd(true);
    let mut builder = builder.question();
    // A vector has room for one name.
    let _ = builder.push((name, kind.rtype(), Class::IN));
    builder.finish()
}

/// Reads what came back to a question.
#[must_use]
pub fn read(message: &[u8], id: u16, name: &WireName, kind: Kind) -> Reply {
    let Ok(message) = Message::from_slice(message) else { return Reply::Foreign };
    let header = message.header();
    if !header.qr() || header.id() != id || header.opcode() != Opcode::QUERY {
        return Reply::Foreign;
    }
    let Ok(question) = message.sole_question() else { return Reply::Foreign };
    if question.qname() != name || question.qtype() != kind.rtype() || question.qclass() != Class::IN {
        return Reply::Foreign;
    }
    if header.tc() {
        return Reply::Truncated;
    }
    match header.rcode() {
        Rcode::NOERROR | Rcode::NXDOMAIN => {}
        rcode => return Reply::Failed(rcode),
    }
    match walk(message, name, kind) {
        Some(found) => Reply::Found(Found { exists: header.rcode() == Rcode::NOERROR, ..found }),
        None => Reply::Failed(Rcode::FORMERR),
    }
}

/// Follows the aliases of an answer to its addresses. `None` where a record is broken or aliases do not end.
fn walk(message: &Message<[u8]>, name: &WireName, kind: Kind) -> Option<Found> {
    let mut at = name.clone();
    let mut found = Found { addresses: Vec::new(), ttl: u32::MAX, alias: None, aliases: 0, exists: true };
    loop {
        let mut next = None;
        for record in message.answer().ok()?.take(MAX_RECORDS) {
            let record = record.ok()?;
            if record.class() != Class::IN || record.owner() != at {
                continue;
            }
            let address = match kind {
                Kind::A => record.to_record::<A>().ok()?.map(|record| IpAddr::V4(record.data().addr())),
                Kind::Aaaa => record.to_record::<Aaaa>().ok()?.map(|record| IpAddr::V6(record.data().addr())),
            };
            if let Some(address) = address {
                found.ttl = found.ttl.min(record.ttl().as_secs());
                if !found.addresses.contains(&address) {
                    found.addresses.push(address);
                }
            } else if let Some(alias) = record.to_record::<Cname<_>>().ok()?
                && next.is_none()
            {
                found.ttl = found.ttl.min(record.ttl().as_secs());
                next = Some(alias.data().cname().to_name::<Vec<u8>>());
            }
        }
        match next {
            _ if !found.addresses.is_empty() => return Some(Found { alias: None, ..found }),
            None => return Some(found),
            Some(_) if found.aliases == MAX_ALIASES => return None,
            Some(alias) => {
                found.aliases += 1;
                found.alias = Some(alias.clone());
                at = alias;
            }
        }
    }
}
