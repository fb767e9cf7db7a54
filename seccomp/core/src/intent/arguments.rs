//! The arguments that profiles put conditions on, by name.

pub use crate::arguments::Argument;
use crate::{Arch, arguments};

/// The arguments of a call, in order, as far as x86-64 and aarch64 agree on them (the last two of `clone` are swapped):
/// the ABIs that profiles are written for. Empty for calls that have none.
#[must_use]
pub fn arguments(call: &str) -> &'static [Argument] {
    let (here, there) = (arguments::of(Arch::X86_64, call), arguments::of(Arch::Aarch64, call));
    if here.is_empty() || there.is_empty() {
        return if here.is_empty() { there } else { here };
    }
    let agreed = here.iter().zip(there).take_while(|(here, there)| here == there).count();
    &here[..agreed]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_abis_agree_on_nearly_everything() {
        let shorter: Vec<&str> = crate::names()
            .map(crate::Syscall::name)
            .filter(|name| arguments(name).len() < arguments::of(Arch::X86_64, name).len())
            .collect();
        assert_eq!(shorter, ["clone"]);
        assert_eq!(
            arguments("clone").iter().map(|argument| argument.name).collect::<Vec<_>>(),
            ["flags", "stack", "parent_tid"]
        );
        // A call that one of them has not.
        assert_eq!(arguments("open").len(), 3);
    }
}
