//! The programs on this kernel: each test has its own group, network namespaces and veth, and sees what leaves on the wire.

#![allow(unsafe_code)]

mod audit;
mod foreign;
mod inbound;
mod life;
mod outbound;
mod races;
mod rewriting;
mod room;
