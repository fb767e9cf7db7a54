//! The container's private resolv.conf and hosts, and the pod's own that they begin with.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use serde_json::Value;
use zerocap_annotations::{Names as Wanted, ZcError, code};

use super::super::launcher;

/// More is not read of files that others wrote.
const LIMIT: u64 = 256 << 10;
/// What is written between the kubelet's lines and ours.
const TITLE: &str = "# Names in egress, kept by zerocap.\n";

/// The files of one container, mounted into it when it is created. They are written in place: another file in their stead would not be seen.
pub(crate) struct Files {
    resolv_conf: File,
    /// With what the kubelet's begins.
    hosts: Option<(File, Vec<u8>)>,
}

impl Files {
    /// Makes them, still empty.
    pub(crate) fn make(wanted: &Wanted) -> Result<Self, ZcError> {
        let make = || {
            // Each of them: an engine in a user namespace has to pass.
            let above: Vec<_> = wanted.directory.ancestors().take(3).collect();
            above.into_iter().rev().try_for_each(launcher::make_directory)?;
            let resolv_conf = make_file(&wanted.directory.join("resolv.conf"))?;
            let hosts = match &wanted.hosts {
                Some(source) => Some((make_file(&wanted.directory.join("hosts"))?, read(source)?)),
                None => None,
            };
            Ok(Self { resolv_conf, hosts })
        };
        make().map_err(|error: io::Error| failed(&format!("{}: {error}", wanted.directory.display())))
    }

    /// Says whom to ask.
    pub(crate) fn write_resolv_conf(&self, text: &str) -> Result<(), ZcError> {
        replace(&self.resolv_conf, text.as_bytes()).map_err(|error| failed(&format!("resolv.conf: {error}")))
    }

    /// Says which addresses names have, below the kubelet's lines.
    pub(crate) fn write_hosts(&self, lines: &str) -> Result<(), ZcError> {
        let Some((file, kubelets)) = &self.hosts else { return Ok(()) };
        let mut text = kubelets.clone();
        if !text.is_empty() && !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        text.extend(TITLE.bytes().chain(lines.bytes()));
        replace(file, &text).map_err(|error| failed(&format!("hosts: {error}")))
    }
}

/// What a spec has mounted as the pod's resolv.conf. `None` where there is none.
pub(crate) fn pods_resolv_conf(spec: &Value) -> Result<Option<Vec<u8>>, ZcError> {
    let mounts = spec.get("mounts").and_then(Value::as_array);
    let at = |mount: &&Value| mount.get("destination").and_then(Value::as_str) == Some("/etc/resolv.conf");
    let mount = mounts.into_iter().flatten().rev().find(at);
    let Some(source) = mount.and_then(|mount| mount.get("source")).and_then(Value::as_str) else { return Ok(None) };
    match read(Path::new(source)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(&format!("{source}: {error}"))),
    }
}

/// Reads a file that anybody may read: our copy is one.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.mode() & 0o004 == 0 {
        return Err(io::Error::other("not a file that everybody may read"));
    }
    let mut bytes = Vec::new();
    file.take(LIMIT).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn make_file(path: &Path) -> io::Result<File> {
    // Of an attempt that was given up.
    let _ = fs::remove_file(path);
    let file = File::create_new(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o644))?;
    launcher::label(path)?;
    Ok(file)
}

/// Everything at once, then what is left of a longer text.
fn replace(file: &File, text: &[u8]) -> io::Result<()> {
    file.write_all_at(text, 0)?;
    file.set_len(text.len() as u64)
}

fn failed(what: &str) -> ZcError {
    ZcError::new(code::names::FILES, what, "look at its file system: space, permissions")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn wanted(directory: &Path, hosts: Option<&Path>) -> Wanted {
        Wanted {
            destinations: Vec::new(),
            never: Vec::new(),
            may: Vec::new(),
            directory: directory.to_owned(),
            hosts: hosts.map(Path::to_owned),
        }
    }

    #[test]
    fn hosts_begin_with_the_kubelets_and_are_written_in_place() {
        let root = tempfile::tempdir().unwrap();
        let kubelets = root.path().join("etc-hosts");
        fs::write(&kubelets, "127.0.0.1 localhost").unwrap();
        let directory = root.path().join("files");
        let files = Files::make(&wanted(&directory, Some(&kubelets))).unwrap();
        let place = directory.join("hosts");
        let inode = fs::metadata(&place).unwrap().ino();
        files.write_hosts("192.0.2.1\ta.example\n192.0.2.2\ta.example\n").unwrap();
        files.write_hosts("192.0.2.3\ta.example\n").unwrap();
        let expected = format!("127.0.0.1 localhost\n{TITLE}192.0.2.3\ta.example\n");
        assert_eq!(fs::read_to_string(&place).unwrap(), expected);
        let after = fs::metadata(&place).unwrap();
        assert_eq!((after.ino(), after.mode() & 0o777), (inode, 0o644));
        assert_eq!(fs::read_to_string(&kubelets).unwrap(), "127.0.0.1 localhost", "the kubelet's is never written");
        files.write_resolv_conf("nameserver 127.53.0.1\n").unwrap();
        assert_eq!(fs::read_to_string(directory.join("resolv.conf")).unwrap(), "nameserver 127.53.0.1\n");
    }

    #[test]
    fn what_not_everybody_may_read_is_not_copied() {
        let root = tempfile::tempdir().unwrap();
        let secret = root.path().join("secret");
        fs::write(&secret, "s").unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        let link = root.path().join("link");
        std::os::unix::fs::symlink("/etc/hostname", &link).unwrap();
        for source in [&secret, &link, root.path(), Path::new("/dev/zero")] {
            let error = Files::make(&wanted(&root.path().join("files"), Some(source))).err().unwrap();
            assert_eq!(error.code, code::names::FILES, "{}", source.display());
        }
    }

    #[test]
    fn the_last_mount_counts_and_none_is_none() {
        let root = tempfile::tempdir().unwrap();
        let source = root.path().join("resolv.conf");
        fs::write(&source, "nameserver 192.0.2.1\n").unwrap();
        let mount = |source: &Path| json!({ "destination": "/etc/resolv.conf", "source": source });
        let of = |mounts: Vec<Value>| pods_resolv_conf(&json!({ "mounts": mounts })).unwrap();
        assert_eq!(of(vec![mount(Path::new("/nowhere")), mount(&source)]), Some(b"nameserver 192.0.2.1\n".to_vec()));
        assert_eq!(of(vec![mount(&source), mount(Path::new("/nowhere"))]), None);
        assert_eq!(of(Vec::new()), None);
    }
}
