//! Output files: whole or not at all.

use std::fs::{self, Permissions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use zerocap_annotations::{ZcError, code};

use crate::failure::Failure;

/// Writes to a file under a temporary name that becomes its name, or to standard output. Binary is not written to a
/// terminal.
pub fn output(path: Option<&Path>, bytes: &[u8], binary: bool) -> Result<(), Failure> {
    let Some(path) = path else {
        if binary && io::stdout().is_terminal() {
            let message = "a filter is binary, and standard output is a terminal";
            let hint = "name a file with -o, or pipe the output; `zerocap seccomp disasm` prints it for people";
            return Err(Failure::bad_input(ZcError::new(code::filter::TERMINAL, message, hint)));
        }
        let mut stdout = io::stdout().lock();
        return stdout.write_all(bytes).and_then(|()| stdout.flush()).or_else(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Ok(()),
            _ => Err(failed(Path::new("standard output"), &error)),
        });
    };
    file(path, bytes).map_err(|error| failed(path, &error))
}

/// Writes a whole file, or none; a pipe or a device is written to.
pub fn file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A pipe or device is written to, not replaced.
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return fs::OpenOptions::new().write(true).open(path)?.write_all(bytes);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The umask applies to these permissions, as to every new file.
    let mut new =
        tempfile::Builder::new().prefix(".zerocap-").permissions(Permissions::from_mode(0o666)).tempfile_in(folder)?;
    new.write_all(bytes)?;
    new.as_file().sync_all()?;
    new.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    let message = format!("{}: {error}", path.display());
    Failure::bad_input(ZcError::new(code::filter::OUTPUT, message, "look at the folder: space, permissions"))
}
