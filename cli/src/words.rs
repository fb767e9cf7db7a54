//! The words for what the report's types say.

use zerocap_annotations::knob::Level;
use zerocap_annotations::policy::{Effect, Source};
use zerocap_annotations::report::{Fence, State, TargetKind};

/// How far a promise is kept.
pub const fn state(state: State) -> &'static str {
    match state {
        State::NotAsked => "not asked",
        State::NotKept => "NOT KEPT",
        State::Partly => "partly",
        State::Kept => "kept",
    }
}

/// How far it has to be kept.
pub const fn level(level: Level) -> &'static str {
    match level {
        Level::Nothing => "-",
        Level::Partly => "partly",
        Level::Fully => "fully",
    }
}

/// Which process.
pub const fn target(target: TargetKind) -> &'static str {
    match target {
        TargetKind::Sandbox => "sandbox",
        TargetKind::Init => "container",
        TargetKind::Exec => "exec",
        TargetKind::Machine => "program on this machine",
    }
}

/// Who gave a value.
pub fn source(source: &Source) -> String {
    match source {
        Source::Default => "default".into(),
        Source::Mode => "the mode".into(),
        Source::FloorDefault => "floor's default".into(),
        Source::FloorCeiling => "floor's ceiling".into(),
        Source::Policy(name) => format!("floor's policy {name}"),
        Source::Annotation(key) => format!("annotation {key}"),
        Source::Exception(key) => format!("exception {key}"),
    }
}

/// What came of a later difference.
pub const fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Tightened => "stricter: holds",
        Effect::Ignored => "looser: ignored",
    }
}

/// The mechanism's name.
pub const fn fence(fence: Fence) -> &'static str {
    match fence {
        Fence::Capabilities => "empty capability sets",
        Fence::NoNewPrivs => "no_new_privs",
        Fence::Uid => "uid",
        Fence::Seccomp => "seccomp",
        Fence::LandlockTcp => "Landlock TCP",
        Fence::LandlockScope => "Landlock scopes",
        Fence::LandlockFiles => "Landlock files",
        Fence::LandlockUnix => "Landlock unix",
        Fence::PacketFence => "packet fence",
        Fence::NameResolver => "name resolver",
        Fence::PrivateIpc => "private IPC",
        Fence::PrivatePid => "private PID namespace",
        Fence::ReadOnlyMounts => "read-only mounts",
        Fence::Launcher => "launcher",
    }
}
