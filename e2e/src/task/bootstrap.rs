//! What containerd pipes into `start` and reads of it, in the dialect of the containerd whose shim is the reference.

use std::path::Path;

use containerd_shim_protos::bootstrap_api::{BootstrapParams, BootstrapResult, Extension};
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{Message, MessageField};
use serde_json::Value;

/// The node's version of containerd, where it is not the usual one.
const VERSION: &str = "ZEROCAP_CONTAINERD";
/// From 2.3 on the shims are told everything on stdin.
const FIRST: (u32, u32) = (2, 3);

fn told_on_stdin() -> bool {
    let version = std::env::var(VERSION).unwrap_or_default();
    let mut numbers = version.split('.').map(str::parse::<u32>);
    matches!((numbers.next(), numbers.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= FIRST)
}

/// The input of `start` for the container `id`, whose node's sockets are in `dir`.
pub(super) fn input(namespace: &str, id: &str, dir: &Path, options: &Any) -> Result<Vec<u8>, String> {
    let socket = |name: &str| dir.join(name).display().to_string();
    let params = BootstrapParams {
        instance_id: id.into(),
        namespace: namespace.into(),
        containerd_ttrpc_address: socket("events"),
        containerd_grpc_address: socket("containerd.sock"),
        containerd_binary: "/bin/true".into(),
        extensions: vec![Extension { value: MessageField::some(options.clone()), ..Extension::default() }],
        ..BootstrapParams::default()
    };
    let bytes = if told_on_stdin() { params.write_to_bytes() } else { options.write_to_bytes() };
    bytes.map_err(|error| error.to_string())
}

/// Where the shim serves, by what `start` has answered.
///
/// # Errors
/// An answer in another dialect.
pub fn address(answer: &[u8]) -> Result<String, String> {
    if told_on_stdin() {
        return BootstrapResult::parse_from_bytes(answer).map(|result| result.address).map_err(|e| e.to_string());
    }
    let answer: Value = serde_json::from_slice(answer).map_err(|error| error.to_string())?;
    Ok(answer["address"].as_str().unwrap_or_default().to_owned())
}
