//! The scenarios: what a client does, in order. Each is run under containerd's shim and under ours.

pub mod checkpoints;
mod errors;
mod execs;
mod life;
mod options;
mod resources;
mod signals;
mod streams;
mod terminal;

use std::future::Future;
use std::pin::Pin;

use zerocap_e2e::task::Run;

/// What a scenario comes to: it may only fail where the shim makes it impossible to go on.
pub type Outcome = Result<(), String>;
type Body = for<'a> fn(&'a Run) -> Pin<Box<dyn Future<Output = Outcome> + 'a>>;

/// One scenario.
pub struct Scenario {
    /// `group::name`.
    pub name: &'static str,
    /// What it does, for people.
    pub about: &'static str,
    /// Whether a confined container behaves the same.
    pub confined: bool,
    /// Whether it takes criu, and so an engine with which the reference can use it.
    pub criu: bool,
    pub body: Body,
}

/// Lists functions as scenarios. `plain` ones and those with criu are not run confined: what they do is refused or changed there by
/// design.
macro_rules! scenarios {
    ($group:literal: $($kind:ident $name:ident $about:literal;)*) => {
        pub fn all() -> Vec<super::Scenario> {
            vec![$(super::Scenario {
                name: concat!($group, "::", stringify!($name)),
                about: $about,
                confined: stringify!($kind) == "both",
                criu: stringify!($kind) == "criu",
                body: |run| Box::pin($name(run)),
            }),*]
        }
    };
}
use scenarios;

/// All of them.
pub fn all() -> Vec<Scenario> {
    [
        life::all(),
        execs::all(),
        signals::all(),
        errors::all(),
        streams::all(),
        terminal::all(),
        resources::all(),
        options::all(),
        checkpoints::all(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
