//! Names against a server that does everything that a server may do, and what it may not.

mod answers;
mod faults;
mod leaks;
mod pod;
mod policy;
mod rebinding;
mod server;
