//! Who manages the cgroups of a node's containers. The kubelet names them in one way or the other, so our handlers must say what
//! the others say: under the wrong driver a pod's limits do not bind its containers.

use std::path::Path;
use std::process::{Command, Stdio};

use clap::ValueEnum;
use toml::Table;

use super::args::Place;
use super::block::{self, HANDLERS};

/// `--cgroup-driver`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Wish {
    /// What containerd's default runtime has
    Auto,
    /// systemd, by scopes in slices
    Systemd,
    /// The engine itself, by folders
    Cgroupfs,
}

/// What our handlers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    Systemd,
    Cgroupfs,
    /// What the distribution's template will say when it is filled in.
    OfTemplate,
}

impl Driver {
    /// What the handlers of this node need.
    pub fn of(wish: Wish, place: &Place) -> Self {
        match wish {
            Wish::Systemd => Self::Systemd,
            Wish::Cgroupfs => Self::Cgroupfs,
            Wish::Auto => {
                let text = std::fs::read_to_string(&place.config).unwrap_or_default();
                if block::is_template(&text) || block::is_of_template(&place.config) {
                    return Self::OfTemplate;
                }
                // containerd's own reading has what it imports; where it cannot be asked, the file speaks for itself.
                Self::in_configuration(&dump(place, &place.config).unwrap_or(text))
            }
        }
    }

    /// The value of `SystemdCgroup`; nothing where it is containerd's default.
    pub fn value(self) -> Option<&'static str> {
        match self {
            Self::Systemd => Some("true"),
            Self::Cgroupfs => None,
            Self::OfTemplate => Some("{{ .SystemdCgroup }}"),
        }
    }

    /// The first runtime that says it decides, as in containerd's answer to the kubelet: the default one, then the others by name.
    fn in_configuration(text: &str) -> Self {
        let table: Table = text.parse().unwrap_or_default();
        let Some(containerd) = block::PLUGINS.iter().find_map(|plugin| {
            ["plugins", plugin, "containerd"].iter().try_fold(&table, |table, key| table.get(*key)?.as_table())
        }) else {
            return Self::Cgroupfs;
        };
        let runtimes = containerd.get("runtimes").and_then(toml::Value::as_table);
        let says = |name: &str| runtimes?.get(name)?.as_table()?.get("options")?.get("SystemdCgroup")?.as_bool();
        let default = containerd.get("default_runtime_name").and_then(toml::Value::as_str).unwrap_or("runc");
        let mut names: Vec<&str> = runtimes.into_iter().flat_map(Table::keys).map(String::as_str).collect();
        names.sort_unstable_by_key(|name| (*name != default, *name));
        // Ours say what they were told before.
        let mut others = names.into_iter().filter(|name| !HANDLERS.contains(name));
        match others.find_map(says) {
            Some(true) => Self::Systemd,
            Some(false) | None => Self::Cgroupfs,
        }
    }
}

/// The configuration as containerd reads it.
fn dump(place: &Place, config: &Path) -> Option<String> {
    let output = Command::new(&place.containerd)
        .arg("--config")
        .arg(config)
        .args(["config", "dump"])
        .stdin(Stdio::null())
        .output()
        .ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNTIME: &str = "plugins.'io.containerd.cri.v1.runtime'.containerd";

    fn read(lines: &str) -> Driver {
        Driver::in_configuration(&lines.replace("RUNTIME", RUNTIME))
    }

    #[test]
    fn the_default_runtime_decides() {
        for (lines, wanted) in [
            ("", Driver::Cgroupfs),
            ("not toml", Driver::Cgroupfs),
            ("version = 3\n", Driver::Cgroupfs),
            ("[RUNTIME.runtimes.runc.options]\nBinaryName = 'runc'\n", Driver::Cgroupfs),
            ("[RUNTIME.runtimes.runc.options]\nSystemdCgroup = true\n", Driver::Systemd),
            (
                "[RUNTIME.runtimes.runc.options]\nSystemdCgroup = false\n[RUNTIME.runtimes.a.options]\nSystemdCgroup = true\n",
                Driver::Cgroupfs,
            ),
            (
                "[RUNTIME]\ndefault_runtime_name = 'crun'\n[RUNTIME.runtimes.crun.options]\nSystemdCgroup = true\n\
                 [RUNTIME.runtimes.runc.options]\nSystemdCgroup = false\n",
                Driver::Systemd,
            ),
            // A default that has no such option, or is ours, leaves it to the others.
            (
                "[RUNTIME]\ndefault_runtime_name = 'zerocap'\n[RUNTIME.runtimes.zerocap.options]\nSystemdCgroup = false\n\
                 [RUNTIME.runtimes.runc.options]\nSystemdCgroup = true\n",
                Driver::Systemd,
            ),
            (
                "[RUNTIME.runtimes.runc.options]\nBinaryName = 'x'\n[RUNTIME.runtimes.kata.options]\nSystemdCgroup = true\n",
                Driver::Systemd,
            ),
        ] {
            assert_eq!(read(lines), wanted, "{lines}");
        }
        let second = "[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.runc.options]\nSystemdCgroup = true\n";
        assert_eq!(read(second), Driver::Systemd);
    }
}
