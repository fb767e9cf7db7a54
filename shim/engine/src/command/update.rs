//! `update`: new resource limits.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, bail};
use libcgroups::common::{CgroupManager, ControllerOpt};
use libcontainer::container::ContainerStatus;
use liboci_cli::Update;
use oci_spec::runtime::LinuxResources;
use serde_json::{Map, Value};

use crate::state;

/// Limits are a few hundred bytes.
const LIMIT: u64 = 1 << 20;

/// Applies the OCI resources that `--resources` names (`-` is stdin).
pub fn update(arguments: &Update, root: &Path) -> anyhow::Result<()> {
    let container = state::load(root, &arguments.container_id)?;
    if container.status() == ContainerStatus::Stopped {
        bail!("container not running");
    }
    // containerd always writes the whole object; single flags would have to be merged with what is set.
    let Some(path) = &arguments.resources else {
        bail!("update needs --resources FILE (or - for stdin)");
    };
    let text = if path.as_os_str() == "-" {
        read(io::stdin())?
    } else {
        read(File::open(path).with_context(|| format!("cannot open {}", path.display()))?)?
    };
    let resources = parse(&text).context("cannot parse the resources")?;
    state::cgroups(&container)?
        .apply(&ControllerOpt {
            resources: &resources,
            disable_oom_killer: false,
            oom_score_adj: None,
            freezer_state: None,
        })
        .context("cannot apply the resources")
}

fn parse(text: &[u8]) -> serde_json::Result<LinuxResources> {
    // An array would do for a struct of optional fields.
    let object: Map<String, Value> = serde_json::from_slice(text)?;
    serde_json::from_value(Value::Object(object))
}

fn read(source: impl Read) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    source.take(LIMIT + 1).read_to_end(&mut text).context("cannot read the resources")?;
    if text.len() as u64 > LIMIT {
        bail!("the resources are larger than {LIMIT} bytes");
    }
    Ok(text)
}
