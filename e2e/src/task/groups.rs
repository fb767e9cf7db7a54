//! The cgroups of a run's containers under either driver: folders that an engine makes, or units that systemd does.

use std::fs;
use std::path::{Path, PathBuf};

/// Set to `true` where systemd manages the containers' cgroups.
const BY_SYSTEMD: &str = "ZEROCAP_SYSTEMD_CGROUP";

/// The containers of one run, by the number of its folder.
pub struct Groups {
    /// What the names of all its groups begin with.
    prefix: String,
    systemd: bool,
}

impl Groups {
    /// Those of the run in `dir`.
    pub fn of(dir: &Path) -> Self {
        let number = dir.file_name().unwrap_or_default().to_string_lossy();
        Self { prefix: format!("run{number}"), systemd: by_systemd() }
    }

    /// The folder of all groups, below every hierarchy's root.
    pub fn parent(&self) -> &'static str {
        if self.systemd { "/differential.slice" } else { "/differential" }
    }

    /// What the spec of `id` says.
    pub fn in_spec(&self, id: &str) -> String {
        if self.systemd { format!("differential.slice:{}:{id}", self.prefix) } else { self.path(id) }
    }

    /// Where the kernel has the group of `id`, below a hierarchy's root.
    pub fn path(&self, id: &str) -> String {
        let unit = if self.systemd { ".scope" } else { "" };
        format!("{}/{}-{id}{unit}", self.parent(), self.prefix)
    }

    /// All that are there.
    pub fn present(&self) -> Vec<PathBuf> {
        let start = format!("{}-", self.prefix);
        let folders = roots().into_iter().map(|root| root.join(self.parent().trim_start_matches('/')));
        let entries = folders.flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
        let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&start));
        ours.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
    }

    /// Texts that name a group of this run: they differ between runs.
    pub fn names(&self) -> [String; 3] {
        let Self { prefix, .. } = self;
        [format!("{}/{prefix}-", self.parent()), format!("differential.slice:{prefix}:"), format!("{prefix}-")]
    }
}

/// Whether the runtimes are asked to let systemd do it.
pub fn by_systemd() -> bool {
    std::env::var(BY_SYSTEMD).is_ok_and(|value| value == "true")
}

/// The roots of all hierarchies; the one where cgroups are version 2 only.
pub fn roots() -> Vec<PathBuf> {
    let root = PathBuf::from("/sys/fs/cgroup");
    if root.join("cgroup.controllers").exists() {
        return vec![root];
    }
    fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}
