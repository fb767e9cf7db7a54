//! TCP Fast Open connects without `connect`: `general` refuses its flag in platform mode, whatever else refuses it too.

use zerocap_seccomp::preset::{LastLayer, Preset, last_layer};
use zerocap_seccomp::{Action, Arch, SeccompData, interpret, lookup};

/// `MSG_FASTOPEN` and `MSG_NOSIGNAL` of linux/socket.h, and the argument that holds the flags of each call.
const FAST_OPEN: u64 = 0x2000_0000;
const NO_SIGNAL: u64 = 0x4000;
const CALLS: [(&str, usize); 3] = [("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3)];

fn answer(layer: &LastLayer, arch: Arch, call: &str, args: [u64; 6]) -> Action {
    let nr = lookup(call).and_then(|call| call.number(arch)).expect("the call exists");
    let program = last_layer(arch, layer).expect("a native architecture");
    let data = SeccompData { nr, arch: arch.audit(), instruction_pointer: 0, args };
    Action::from_ret(interpret(program.insns, &data).expect("our own filters are valid"))
}

#[test]
fn is_refused_by_its_flag_and_nothing_else_is() {
    for arch in [Arch::X86_64, Arch::Aarch64] {
        for layer in LastLayer::all().filter(|layer| layer.platform && layer.preset == Preset::General) {
            for (call, at) in CALLS {
                for high in [0, 1 << 32, u64::MAX << 32] {
                    let with = |flags: u64| {
                        let mut args = [0; 6];
                        args[at] = flags | high;
                        answer(&layer, arch, call, args)
                    };
                    assert!(with(FAST_OPEN).refuses() && with(FAST_OPEN | NO_SIGNAL).refuses(), "{call} {layer:?}");
                    assert_eq!(with(NO_SIGNAL), Action::Allow, "{call} {layer:?}");
                }
            }
        }
    }
}
