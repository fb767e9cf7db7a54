//! Names of Landlock's rights, as linux/landlock.h writes them in lower case.

/// `LANDLOCK_ACCESS_FS_*`, by bit.
const FS: [&str; 17] = [
    "execute",
    "write_file",
    "read_file",
    "read_dir",
    "remove_dir",
    "remove_file",
    "make_char",
    "make_dir",
    "make_reg",
    "make_sock",
    "make_fifo",
    "make_block",
    "make_sym",
    "refer",
    "truncate",
    "ioctl_dev",
    "resolve_unix",
];
/// `LANDLOCK_ACCESS_NET_*`, by bit.
const NET: [&str; 2] = ["bind_tcp", "connect_tcp"];
/// `LANDLOCK_SCOPE_*`, by bit.
const SCOPE: [&str; 2] = ["abstract_unix_socket", "signal"];

/// Which kind of mask.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// File rights.
    Fs,
    /// TCP rights.
    Net,
    /// Scopes.
    Scope,
}

/// The names in a mask; a bit without a name is shown by its number.
pub fn names(kind: Kind, mask: u64) -> Vec<String> {
    let table: &[&str] = match kind {
        Kind::Fs => &FS,
        Kind::Net => &NET,
        Kind::Scope => &SCOPE,
    };
    (0..64)
        .filter(|bit| mask & (1 << bit) != 0)
        .map(|bit| table.get(bit).map_or_else(|| format!("bit {bit}"), |name| (*name).to_owned()))
        .collect()
}

/// Every name of a kind that a mask lacks.
pub fn missing(kind: Kind, mask: u64) -> Vec<String> {
    let known = match kind {
        Kind::Fs => (1 << FS.len()) - 1,
        Kind::Net | Kind::Scope => 0b11,
    };
    names(kind, known & !mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_have_the_kernels_names() {
        assert_eq!(names(Kind::Fs, 0b101), ["execute", "read_file"]);
        assert_eq!(names(Kind::Fs, 1 << 16 | 1 << 20), ["resolve_unix", "bit 20"]);
        assert_eq!(names(Kind::Net, 0b11), ["bind_tcp", "connect_tcp"]);
        assert_eq!(missing(Kind::Fs, 0xffff), ["resolve_unix"]);
        assert_eq!(missing(Kind::Scope, 0b11), Vec::<String>::new());
    }
}
