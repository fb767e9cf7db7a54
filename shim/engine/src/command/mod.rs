//! The commands, one file each.

pub mod create;
pub mod delete;
pub mod exec;
pub mod features;
pub mod freeze;
pub mod kill;
pub mod ps;
pub mod start;
pub mod state;
pub mod update;
