//! The formats of cgroup files. A file that is missing, or of which this kernel lacks a key, counts as zero:
//! that is how the statistics of a container look everywhere.

use std::fs;
use std::path::Path;

/// A number; `max` and negative values are the largest number.
pub(super) fn number(path: &Path) -> u64 {
    parse(fs::read_to_string(path).unwrap_or_default().trim())
}

pub(super) fn parse(text: &str) -> u64 {
    match text {
        "max" | "-1" => u64::MAX,
        text => text.parse().unwrap_or(0),
    }
}

/// A file of `key value` lines.
pub(super) struct Keyed(String);

impl Keyed {
    pub(super) fn read(path: &Path) -> Self {
        Self(fs::read_to_string(path).unwrap_or_default())
    }

    pub(super) fn get(&self, key: &str) -> u64 {
        self.0
            .lines()
            .filter_map(|line| line.split_once(' '))
            .find(|(name, _)| *name == key)
            .map_or(0, |(_, value)| parse(value.trim()))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The lines of a file, each split at blanks.
pub(super) fn table(path: &Path) -> Vec<Vec<String>> {
    fs::read_to_string(path)
        .unwrap_or_default()
        .lines()
        .map(|line| line.split_whitespace().map(str::to_owned).collect())
        .collect()
}

/// `MAJOR:MINOR`.
pub(super) fn device(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The sizes of huge pages for which the group has a file `hugetlb.SIZE.{file}`, in order.
pub(super) fn huge_page_sizes(group: &Path, file: &str) -> Vec<String> {
    let size = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let size = name.strip_prefix("hugetlb.")?.strip_suffix(file)?.strip_suffix('.')?;
        (!size.contains('.')).then(|| size.to_owned())
    };
    let mut sizes: Vec<String> = fs::read_dir(group).into_iter().flatten().flatten().filter_map(size).collect();
    sizes.sort_unstable();
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unlimited_is_the_largest_number_and_garbage_is_zero() {
        assert_eq!(["7", "max", "-1", "", "x"].map(parse), [7, u64::MAX, u64::MAX, 0, 0]);
    }

    #[test]
    fn keys_are_whole_words() {
        let keyed = Keyed("anon_thp 2\nanon 1\n".into());
        assert_eq!((keyed.get("anon"), keyed.get("anon_thp"), keyed.get("x")), (1, 2, 0));
    }

    #[test]
    fn devices_are_two_numbers() {
        assert_eq!(device("8:16"), Some((8, 16)));
        assert_eq!((device("8"), device("a:b")), (None, None));
    }
}
