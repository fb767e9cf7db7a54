//! How a node's containerd is configured before zerocap comes: by what version of the file, in one file or several, made by a
//! distribution or not. A private node has one file of version 3 with our handlers; this makes the others of it.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// Kills containerd and waits for the next one, as `systemctl restart` does.
pub const RESTART: &str = "old=$(cat /run/node/containerd.pid); rm -f /run/node/booted; kill -KILL $old; \
                           until [ -e /run/node/booted ]; do sleep 0.05; done";

/// The layouts that `zerocap install node` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One file of version 3.
    Version3,
    /// One file of version 2.
    Version2,
    /// A file of version 3 that imports a folder.
    Imports,
    /// A template, of which the restart makes the configuration, as k3s does.
    Template,
}

impl Layout {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Version3, Self::Version2, Self::Imports, Self::Template];

    /// Its name in a test's.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Version3 => "version_3",
            Self::Version2 => "version_2",
            Self::Imports => "imports",
            Self::Template => "template",
        }
    }
}

/// A node in one of the layouts, without our handlers.
#[derive(Debug)]
pub struct Laid {
    /// What `--config` names.
    pub config: PathBuf,
    /// What `--restart` is.
    pub restart: String,
    folder: PathBuf,
    before: Vec<(PathBuf, String)>,
}

impl Laid {
    /// Rewrites the configuration of the node in `dir`, whose containerd has to be restarted then.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub fn out(layout: Layout, dir: &Path) -> io::Result<Self> {
        let main = dir.join("containerd.toml");
        let folder = dir.join("containerd.d");
        fs::create_dir_all(&folder)?;
        let bare = without_handlers(&fs::read_to_string(&main)?);
        let (mut config, mut restart) = (main.clone(), RESTART.to_owned());
        match layout {
            Layout::Version3 => fs::write(&main, bare)?,
            Layout::Version2 => fs::write(&main, version_2(&bare))?,
            Layout::Imports => fs::write(&main, bare.replacen('\n', "\nimports = ['containerd.d/*.toml']\n", 1))?,
            Layout::Template => {
                let base = folder.join("base");
                fs::write(&base, &bare)?;
                fs::write(&main, &bare)?;
                config = folder.join("config-v3.toml.tmpl");
                fs::write(&config, "{{ template \"base\" . }}\n\n# by hand\n")?;
                let (base, config, main) = (base.display(), config.display(), main.display());
                // What k3s fills in; its base is our own file.
                let fill = "/{{ template/d; s/{{ .SystemdCgroup }}/false/";
                restart = format!("{{ cat '{base}'; sed '{fill}' '{config}'; }} > '{main}'; {RESTART}");
            }
        }
        let mut this = Self { config, restart, folder, before: Vec::new() };
        this.before = this.now()?;
        Ok(this)
    }

    /// Whether every file that install may touch is byte for byte what it was, and none was added.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn is_as_before(&self) -> io::Result<bool> {
        Ok(self.now()? == self.before)
    }

    fn now(&self) -> io::Result<Vec<(PathBuf, String)>> {
        let mut paths: Vec<PathBuf> = fs::read_dir(&self.folder)?.flatten().map(|entry| entry.path()).collect();
        paths.push(self.config.clone());
        paths.sort();
        paths.dedup();
        paths.into_iter().map(|path| Ok((path.clone(), fs::read_to_string(&path)?))).collect()
    }
}

/// A configuration without the handlers that a private node is made with, and that `zerocap install` writes.
#[must_use]
pub fn without_handlers(text: &str) -> String {
    let ours = |line: &str| {
        ["zerocap", "zerocap-platform"].iter().any(|name| {
            line.contains(&format!(".runtimes.{name}]")) || line.contains(&format!(".runtimes.{name}.options]"))
        })
    };
    let mut inside = false;
    let lines = text.lines().filter(|line| {
        if line.trim_start().starts_with('[') {
            inside = ours(line);
        }
        !inside
    });
    lines.map(|line| format!("{line}\n")).collect()
}

/// The same configuration in version 2, where one plugin has what two have in version 3.
fn version_2(text: &str) -> String {
    text.replace("version = 3", "version = 2")
        .replace("[plugins.\"io.containerd.grpc.v1.cri\"]\n", "")
        .replace("  stream_server_address = \"127.0.0.1\"\n  stream_server_port = \"0\"\n", "")
        .replace("[plugins.\"io.containerd.cri.v1.images\".pinned_images]\n  sandbox = \"zerocap.test/pause:1\"\n", "")
        .replace(
            "[plugins.\"io.containerd.cri.v1.runtime\"]\n",
            "[plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = \"zerocap.test/pause:1\"\n  \
             stream_server_address = \"127.0.0.1\"\n  stream_server_port = \"0\"\n",
        )
        .replace("io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri")
        .replace("bin_dirs = [", "bin_dir = [")
        .replace("\"]\n  conf_dir", "\"\n  conf_dir")
        .replace("bin_dir = [\"", "bin_dir = \"")
}
