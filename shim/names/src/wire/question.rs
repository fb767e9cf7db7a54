//! The workload's side: reading its question, writing the answer.

use std::net::IpAddr;

use domain::base::iana::{Class, Opcode, OptRcode, Rcode};
use domain::base::message_builder::AdditionalBuilder;
use domain::base::{Message, MessageBuilder, Question as WireQuestion, Rtype, StaticCompressor, ToName};
use domain::rdata::{A, Aaaa};

use super::Kind;
use crate::name::{HostName, WireName};

/// What the workload asked.
#[derive(Clone, Debug)]
pub struct Question {
    id: u16,
    recursion: bool,
    /// As it was spelt: it is repeated to the one who asked, and to nobody else.
    name: WireName,
    rtype: Rtype,
    class: Class,
    edns: Option<u16>,
}

/// A message without a question that could be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Not worth a reply: no header, or a reply itself.
    Silent,
    /// The reply that says so.
    Reply(Vec<u8>),
}

/// What fits into a datagram without EDNS, and what we send at the most with it: no fragments on any path.
const PLAIN: u16 = 512;
const LARGEST: u16 = 1232;

/// Reads a message of the workload.
///
/// # Errors
/// It has no such question.
pub fn question_of(message: &[u8]) -> Result<Question, Malformed> {
    let message = Message::from_slice(message).map_err(|_| Malformed::Silent)?;
    let header = message.header();
    if header.qr() {
        return Err(Malformed::Silent);
    }
    let bare = |rcode| {
        let mut builder = MessageBuilder::new_vec();
        builder.header_mut().set_id(header.id());
        builder.header_mut().set_qr(true);
        builder.header_mut().set_opcode(header.opcode());
        builder.header_mut().set_rcode(rcode);
        Malformed::Reply(builder.finish())
    };
    if header.opcode() != Opcode::QUERY {
        return Err(bare(Rcode::NOTIMP));
    }
    let question = message.sole_question().map_err(|_| bare(Rcode::FORMERR))?;
    let edns = message.opt();
    if edns.as_ref().is_some_and(|opt| opt.version() != 0) {
        let mut builder = MessageBuilder::new_vec().additional();
        builder.header_mut().set_id(header.id());
        builder.header_mut().set_qr(true);
        // Nothing is written that has no room in an empty message.
        let _ = builder.opt(|opt| {
            opt.set_rcode(OptRcode::BADVERS);
            Ok(())
        });
        return Err(Malformed::Reply(builder.finish()));
    }
    Ok(Question {
        id: header.id(),
        recursion: header.rd(),
        name: question.qname().to_name(),
        rtype: question.qtype(),
        class: question.qclass(),
        edns: edns.map(|opt| opt.udp_payload_size()),
    })
}

impl Question {
    /// The name, if it is one that a program could connect to.
    #[must_use]
    pub fn host(&self) -> Option<HostName> {
        (self.class == Class::IN).then(|| HostName::of_message(&self.name)).flatten()
    }

    /// Which addresses are asked for; `None` for other types of records.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        Kind::BOTH.into_iter().find(|kind| kind.rtype() == self.rtype)
    }

    /// How large a datagram with the answer may be.
    #[must_use]
    pub fn room(&self) -> usize {
        usize::from(self.edns.unwrap_or(PLAIN).clamp(PLAIN, LARGEST))
    }

    /// The answer with addresses, as many as fit; if not all do, it says so.
    #[must_use]
    pub fn answer(&self, addresses: &[IpAddr], ttl: u32, room: usize) -> Vec<u8> {
        self.message(Rcode::NOERROR, addresses, ttl, room)
    }

    /// The answer that there is nothing, for a reason.
    #[must_use]
    pub fn refuse(&self, rcode: Rcode) -> Vec<u8> {
        self.message(rcode, &[], 0, usize::from(PLAIN))
    }

    fn message(&self, rcode: Rcode, addresses: &[IpAddr], ttl: u32, room: usize) -> Vec<u8> {
        let mut builder = MessageBuilder::from_target(StaticCompressor::new(Vec::new()))
            .unwrap_or_else(|_| unreachable!("a vector has room for a header"));
        // What the OPT record takes at the end.
        const OPT: usize = 11;
        builder.set_push_limit(room - OPT);
        let header = builder.header_mut();
        header.set_id(self.id);
        header.set_qr(true);
        header.set_rd(self.recursion);
        header.set_ra(true);
        header.set_rcode(rcode);
        let mut builder = builder.question();
        let question = WireQuestion::new(&self.name, self.rtype, self.class);
        let mut fits = builder.push(question).is_ok();
        let mut builder = builder.answer();
        for address in addresses {
            fits = fits
                && match address {
                    IpAddr::V4(v4) => builder.push((&self.name, Class::IN, ttl, A::new(*v4))).is_ok(),
                    IpAddr::V6(v6) => builder.push((&self.name, Class::IN, ttl, Aaaa::new(*v6))).is_ok(),
                };
        }
        builder.header_mut().set_tc(!fits);
        let mut builder: AdditionalBuilder<_> = builder.additional();
        builder.clear_push_limit();
        if self.edns.is_some() {
            let _ = builder.opt(|opt| {
                opt.set_udp_payload_size(LARGEST);
                Ok(())
            });
        }
        builder.finish().into_target()
    }
}
