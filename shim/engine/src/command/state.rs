//! `state`: the container as runc prints it.

use std::fs;
use std::path::{Path, PathBuf};

use libcontainer::container::ContainerStatus;
use liboci_cli::State;
use serde::Serialize;

use crate::state::{self, Record};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Printed<'a> {
    oci_version: &'a str,
    id: &'a str,
    /// 0 once the container has stopped.
    pid: i32,
    status: &'static str,
    bundle: &'a Path,
    rootfs: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<&'a std::collections::HashMap<String, String>>,
    owner: &'static str,
}

/// Prints the state as JSON.
pub fn state(arguments: &State, root: &Path) -> anyhow::Result<()> {
    let container = state::load(root, &arguments.container_id)?;
    let stopped = container.status() == ContainerStatus::Stopped;
    let bundle = Record::load(&container.root).map_or_else(|| container.bundle().clone(), |record| record.bundle);
    let printed = Printed {
        oci_version: &container.state.oci_version,
        id: container.id(),
        pid: if stopped { 0 } else { container.state.pid.unwrap_or(0) },
        status: state::word(container.status()),
        bundle: &bundle,
        rootfs: fs::canonicalize(bundle.join("rootfs")).ok(),
        created: container.created().map(|t| t.to_rfc3339()),
        annotations: container.state.annotations.as_ref(),
        owner: "",
    };
    println!("{}", serde_json::to_string_pretty(&printed)?);
    Ok(())
}
