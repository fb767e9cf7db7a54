//! `zerocap`: shows what zerocap would do, what it did, and what this kernel can do.
//!
//! No command but `install` and `uninstall` changes anything. `explain` needs neither root nor a node; `status`, `egress` and `check` look at this one.

mod args;
mod attempt;
mod check;
mod completion;
mod egress;
mod explain;
mod failure;
mod input;
mod install;
mod kubectl;
mod node;
mod out;
mod rights;
mod run;
mod seccomp;
mod self_test;
mod server;
mod status;
mod table;
mod this_host;
mod words;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Arguments, Command};

fn main() -> ExitCode {
    if kubectl::is_plugin() {
        return kubectl::main();
    }
    let result = match Arguments::parse().command {
        Command::Explain(a) => explain::run(&a),
        Command::Status(a) => status::run(&a),
        Command::Egress(a) => egress::run(&a),
        Command::Check(a) => check::run(&a),
        Command::Seccomp(a) => seccomp::run(&a),
        Command::Install(a) => install::install(&a),
        Command::Uninstall(a) => install::uninstall(&a),
        Command::Node(a) => node::run(&a),
        Command::Kubectl(a) => kubectl::run(&a),
        Command::Run(a) => run::run(&a),
        Command::Try(a) => attempt::run(&a),
        Command::SelfTest => self_test::run(),
        Command::Probe(a) => attempt::probe(&a),
        Command::Completion(a) => completion::run(&a),
    };
    match result {
        Ok(code) => code,
        Err(failure) => failure.tell(),
    }
}
