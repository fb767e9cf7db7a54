//! systemd's notation of a container's cgroup: `SLICE:PREFIX:NAME`, as engines read it.

/// The slice of units that name none.
const DEFAULT_SLICE: &str = "system.slice";
const SLICE: &str = ".slice";

/// The path below a hierarchy's root of the unit that `notation` means. None if it is not systemd's.
pub(super) fn path(notation: &str) -> Option<String> {
    let mut parts = notation.split(':');
    let (slice, prefix, name) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || name.is_empty() || notation.contains(['/', '\0']) {
        return None;
    }
    let slice = slice_path(if slice.is_empty() { DEFAULT_SLICE } else { slice })?;
    // A name that is a slice is the unit itself; everything else is a scope, which systemd makes for the processes.
    let unit = if name.ends_with(SLICE) { name.to_owned() } else { format!("{prefix}-{name}.scope") };
    Some(format!("{slice}/{unit}"))
}

/// `a-b.slice` lies in `a.slice`: every dash is one level.
fn slice_path(slice: &str) -> Option<String> {
    let name = slice.strip_suffix(SLICE)?;
    if name == "-" {
        return Some(String::new());
    }
    let mut path = String::new();
    let mut level = String::new();
    for part in name.split('-') {
        if part.is_empty() {
            return None;
        }
        if !level.is_empty() {
            level.push('-');
        }
        level.push_str(part);
        path = format!("{path}/{level}{SLICE}");
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dash_of_a_slice_is_a_level() {
        let pod = "kubepods-burstable-pod1f3c_22.slice:cri-containerd:4d0e";
        let wanted =
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1f3c_22.slice/cri-containerd-4d0e.scope";
        assert_eq!(path(pod).as_deref(), Some(wanted));
        for (notation, wanted) in [
            ("kubepods.slice:cri-containerd:a", "/kubepods.slice/cri-containerd-a.scope"),
            (":runc:a", "/system.slice/runc-a.scope"),
            ("-.slice:runc:a", "/runc-a.scope"),
            ("machine.slice:libpod:a-b.c", "/machine.slice/libpod-a-b.c.scope"),
            ("user.slice::a.slice", "/user.slice/a.slice"),
        ] {
            assert_eq!(path(notation).as_deref(), Some(wanted), "{notation}");
        }
    }

    #[test]
    fn what_is_not_systemds_is_no_unit() {
        for other in [
            "",
            "/kubepods/a",
            "a",
            "a.slice:b",
            "a.slice:b:c:d",
            "a.slice:b:",
            "a:b:c",
            "a--b.slice:b:c",
            "-a.slice:b:c",
            "a.slice:b:../c",
            "../a.slice:b:c",
        ] {
            assert_eq!(path(other), None, "{other:?}");
        }
    }
}
