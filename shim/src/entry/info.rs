//! `-info`: what this runtime can do, so that containerd knows before the first container.

use anyhow::{Context, Result};
use containerd_shim::protos::protobuf::MessageField;
use containerd_shim::protos::protobuf::{Message, well_known_types::any::Any};
use containerd_shim::protos::types::introspection::{RuntimeInfo, RuntimeVersion};

use super::{RUNTIME, params};
use crate::engine::Engine;
use crate::options::Options;
use crate::reaper::Reaper;

/// The type that containerd looks for.
const FEATURES: &str = "types.containerd.io/opencontainers/runtime-spec/1/features/Features";

pub(super) fn run() -> Result<Vec<u8>> {
    let input = params::stdin()?;
    let any = if input.is_empty() {
        None
    } else {
        Some(Any::parse_from_bytes(&input).context("stdin holds no runtime options")?)
    };
    let options = Options::from_any(any.as_ref())?;
    let features = Engine::new(&options, "", Reaper::new())
        .and_then(|engine| engine.features())
        .ok()
        .filter(|bytes| serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok());
    let info = RuntimeInfo {
        name: RUNTIME.to_owned(),
        version: MessageField::some(RuntimeVersion {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..RuntimeVersion::default()
        }),
        options: any.into(),
        // An engine that knows no features command (or is missing) leaves containerd without the
        // document: it then offers what every engine has.
        features: features.map(|value| Any { type_url: FEATURES.to_owned(), value, ..Any::default() }).into(),
        ..RuntimeInfo::default()
    };
    info.write_to_bytes().context("cannot encode the answer")
}
