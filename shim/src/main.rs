//! `containerd-shim-zerocap-v2`: see the library for everything.

use std::process::ExitCode;

fn main() -> ExitCode {
    zerocap_shim::entry::run()
}
