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

/// The sizes of huge pages that this kernel has, in order, as the files of the hugetlb controller name them: `2MB`. A group without that
/// controller is counted in zeros.
pub(super) fn huge_page_sizes() -> Vec<String> {
    let entries = fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten();
    let mut sizes: Vec<u64> = entries.filter_map(|entry| huge_page_kib(entry.file_name().to_str()?)).collect();
    sizes.sort_unstable();
    sizes.into_iter().map(named_size).collect()
}

/// Of `hugepages-2048kB` the number.
fn huge_page_kib(folder: &str) -> Option<u64> {
    folder.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()
}

/// As mm/hugetlb_cgroup.c writes it: in the largest unit that it reaches.
fn named_size(kib: u64) -> String {
    match kib {
        0x10_0000.. => format!("{}GB", kib >> 20),
        0x400.. => format!("{}MB", kib >> 10),
        _ => format!("{kib}KB"),
    }
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
    fn sizes_are_named_as_the_controller_names_them() {
        assert_eq!([64, 2048, 32_768, 1_048_576].map(named_size), ["64KB", "2MB", "32MB", "1GB"]);
        assert_eq!(["hugepages-2048kB", "hugepages-kB", "x"].map(huge_page_kib), [Some(2048), None, None]);
    }

    #[test]
    fn devices_are_two_numbers() {
        assert_eq!(device("8:16"), Some((8, 16)));
        assert_eq!((device("8"), device("a:b")), (None, None));
    }
}
