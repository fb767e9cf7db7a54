//! `ps`: the container's processes.

use std::path::Path;

use anyhow::bail;
use libcgroups::common::CgroupManager;
use liboci_cli::Ps;

use crate::state;

/// Prints the pids, as the runtime's namespace numbers them: a JSON array, or one per line.
pub fn ps(arguments: &Ps, root: &Path) -> anyhow::Result<()> {
    let container = state::load(root, &arguments.container_id)?;
    let mut pids: Vec<i32> = state::cgroups(&container)?.get_all_pids()?.iter().map(|pid| pid.as_raw()).collect();
    pids.sort_unstable();
    match arguments.format.as_str() {
        "json" => println!("{}", serde_json::to_string(&pids)?),
        "table" => {
            println!("PID");
            pids.iter().for_each(|pid| println!("{pid}"));
        }
        other => bail!("invalid format {other:?}: table or json"),
    }
    Ok(())
}
