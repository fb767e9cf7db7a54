//! Statistics of cgroup v1 groups. Controllers may be mounted together or apart.

use std::io;
use std::path::Path;

use containerd_shim::protos::cgroups::metrics::{
    BlkIOEntry, BlkIOStat, CPUStat, CPUUsage, HugetlbStat, MemoryEntry, MemoryOomControl, MemoryStat, Metrics,
    PidsStat, RdmaEntry, RdmaStat, Throttle,
};
use containerd_shim::protos::protobuf::well_known_types::any::Any;
use containerd_shim::protos::protobuf::{Message, MessageField};

use super::files::{Keyed, device, huge_page_sizes, number, parse, table};

/// The type that containerd expects.
const TYPE_URL: &str = "io.containerd.cgroups.v1.Metrics";
/// What `cpuacct.stat` counts in, as on every architecture that containers run on.
const NANOSECONDS_PER_TICK: u64 = 1_000_000_000 / 100;

/// Reads the groups that `directory` finds by controller name.
pub(super) fn read<'a>(directory: impl Fn(&str) -> Option<&'a Path>) -> io::Result<Any> {
    let metrics = Metrics {
        hugetlb: directory("hugetlb").map(hugetlb).unwrap_or_default(),
        pids: directory("pids").map(pids).into(),
        cpu: MessageField::some(cpu(directory("cpu"), directory("cpuacct"))),
        memory: directory("memory").map(memory).into(),
        memory_oom_control: directory("memory").map(oom_control).into(),
        blkio: directory("blkio").map(blkio).into(),
        rdma: directory("rdma").map(rdma).into(),
        ..Metrics::default()
    };
    Ok(Any {
        type_url: TYPE_URL.to_owned(),
        value: metrics.write_to_bytes().map_err(io::Error::other)?,
        ..Any::default()
    })
}

fn pids(group: &Path) -> PidsStat {
    let limit = number(&group.join("pids.max"));
    PidsStat {
        current: number(&group.join("pids.current")),
        // Zero is what the other shims say for "no limit" here.
        limit: if limit == u64::MAX { 0 } else { limit },
        ..PidsStat::default()
    }
}

fn cpu(cpu: Option<&Path>, cpuacct: Option<&Path>) -> CPUStat {
    let usage = cpuacct.map(|group| {
        let stat = Keyed::read(&group.join("cpuacct.stat"));
        let per_cpu = table(&group.join("cpuacct.usage_percpu"));
        CPUUsage {
            total: number(&group.join("cpuacct.usage")),
            user: stat.get("user").saturating_mul(NANOSECONDS_PER_TICK),
            kernel: stat.get("system").saturating_mul(NANOSECONDS_PER_TICK),
            per_cpu: per_cpu.first().into_iter().flatten().map(|one| parse(one)).collect(),
            ..CPUUsage::default()
        }
    });
    let throttling = cpu.map(|group| {
        let stat = Keyed::read(&group.join("cpu.stat"));
        Throttle {
            periods: stat.get("nr_periods"),
            throttled_periods: stat.get("nr_throttled"),
            throttled_time: stat.get("throttled_time"),
            ..Throttle::default()
        }
    });
    CPUStat { usage: usage.into(), throttling: throttling.into(), ..CPUStat::default() }
}

fn memory(group: &Path) -> MemoryStat {
    let stat = Keyed::read(&group.join("memory.stat"));
    MemoryStat {
        cache: stat.get("cache"),
        rss: stat.get("rss"),
        rss_huge: stat.get("rss_huge"),
        mapped_file: stat.get("mapped_file"),
        dirty: stat.get("dirty"),
        writeback: stat.get("writeback"),
        pg_pg_in: stat.get("pgpgin"),
        pg_pg_out: stat.get("pgpgout"),
        pg_fault: stat.get("pgfault"),
        pg_maj_fault: stat.get("pgmajfault"),
        inactive_anon: stat.get("inactive_anon"),
        active_anon: stat.get("active_anon"),
        inactive_file: stat.get("inactive_file"),
        active_file: stat.get("active_file"),
        unevictable: stat.get("unevictable"),
        hierarchical_memory_limit: stat.get("hierarchical_memory_limit"),
        hierarchical_swap_limit: stat.get("hierarchical_memsw_limit"),
        total_cache: stat.get("total_cache"),
        total_rss: stat.get("total_rss"),
        total_rss_huge: stat.get("total_rss_huge"),
        total_mapped_file: stat.get("total_mapped_file"),
        total_dirty: stat.get("total_dirty"),
        total_writeback: stat.get("total_writeback"),
        total_pg_pg_in: stat.get("total_pgpgin"),
        total_pg_pg_out: stat.get("total_pgpgout"),
        total_pg_fault: stat.get("total_pgfault"),
        total_pg_maj_fault: stat.get("total_pgmajfault"),
        total_inactive_anon: stat.get("total_inactive_anon"),
        total_active_anon: stat.get("total_active_anon"),
        total_inactive_file: stat.get("total_inactive_file"),
        total_active_file: stat.get("total_active_file"),
        total_unevictable: stat.get("total_unevictable"),
        usage: entry(group, "memory"),
        swap: entry(group, "memory.memsw"),
        kernel: entry(group, "memory.kmem"),
        kernel_tcp: entry(group, "memory.kmem.tcp"),
        ..MemoryStat::default()
    }
}

/// All zeros where the kernel does not account for it.
fn entry(group: &Path, prefix: &str) -> MessageField<MemoryEntry> {
    let file = |name: &str| number(&group.join(format!("{prefix}.{name}")));
    MessageField::some(MemoryEntry {
        limit: file("limit_in_bytes"),
        usage: file("usage_in_bytes"),
        max: file("max_usage_in_bytes"),
        failcnt: file("failcnt"),
        ..MemoryEntry::default()
    })
}

fn oom_control(group: &Path) -> MemoryOomControl {
    let control = Keyed::read(&group.join("memory.oom_control"));
    MemoryOomControl {
        oom_kill_disable: control.get("oom_kill_disable"),
        under_oom: control.get("under_oom"),
        oom_kill: control.get("oom_kill"),
        ..MemoryOomControl::default()
    }
}

fn blkio(group: &Path) -> BlkIOStat {
    // The CFQ files where that scheduler is used, else the throttle files, which always exist.
    let cfq = group.join("blkio.io_serviced_recursive");
    let first = |name: &str| entries(&group.join(name));
    if Keyed::read(&cfq).is_empty() || entries(&cfq).is_empty() {
        return BlkIOStat {
            io_service_bytes_recursive: first("blkio.throttle.io_service_bytes"),
            io_serviced_recursive: first("blkio.throttle.io_serviced"),
            ..BlkIOStat::default()
        };
    }
    BlkIOStat {
        io_service_bytes_recursive: first("blkio.io_service_bytes_recursive"),
        io_serviced_recursive: first("blkio.io_serviced_recursive"),
        io_queued_recursive: first("blkio.io_queued_recursive"),
        io_service_time_recursive: first("blkio.io_service_time_recursive"),
        io_wait_time_recursive: first("blkio.io_wait_time_recursive"),
        io_merged_recursive: first("blkio.io_merged_recursive"),
        io_time_recursive: first("blkio.time_recursive"),
        sectors_recursive: first("blkio.sectors_recursive"),
        ..BlkIOStat::default()
    }
}

/// Lines of `MAJOR:MINOR [OPERATION] VALUE`; a total has no device and is left out.
fn entries(path: &Path) -> Vec<BlkIOEntry> {
    let entry = |row: Vec<String>| {
        let (major, minor) = device(row.first()?)?;
        let (op, value) = match row.as_slice() {
            [_, value] => (String::new(), value),
            [_, op, value] => (op.clone(), value),
            _ => return None,
        };
        let device = block_device(major, minor);
        Some(BlkIOEntry { op, device, major, minor, value: parse(value), ..BlkIOEntry::default() })
    };
    table(path).into_iter().filter_map(entry).collect()
}

/// Where a block device is in /dev; empty if there is none.
fn block_device(major: u64, minor: u64) -> String {
    let link = std::fs::read_link(format!("/sys/dev/block/{major}:{minor}")).unwrap_or_default();
    // Folders of /dev are written so in sysfs.
    let name = link.file_name().map(|name| name.to_string_lossy().replace('!', "/"));
    name.map_or_else(String::new, |name| format!("/dev/{name}"))
}

fn rdma(group: &Path) -> RdmaStat {
    let small = |value: &str| u32::try_from(parse(value)).unwrap_or(u32::MAX);
    let read = |file: &str| {
        table(&group.join(file))
            .into_iter()
            .filter_map(|row| {
                let find = |key: &str| {
                    row.iter().find_map(|field| field.strip_prefix(key)?.strip_prefix('=')).map_or(0, small)
                };
                Some(RdmaEntry {
                    device: row.first()?.clone(),
                    hca_handles: find("hca_handle"),
                    hca_objects: find("hca_object"),
                    ..RdmaEntry::default()
                })
            })
            .collect()
    };
    RdmaStat { current: read("rdma.current"), limit: read("rdma.max"), ..RdmaStat::default() }
}

fn hugetlb(group: &Path) -> Vec<HugetlbStat> {
    huge_page_sizes()
        .into_iter()
        .map(|pagesize| {
            let file = |name: &str| number(&group.join(format!("hugetlb.{pagesize}.{name}")));
            HugetlbStat {
                usage: file("usage_in_bytes"),
                max: file("max_usage_in_bytes"),
                failcnt: file("failcnt"),
                pagesize: pagesize.clone(),
                ..HugetlbStat::default()
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn cpu_time_is_there_with_cpu_and_cpuacct_apart() {
        let (cpu, cpuacct) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(cpu.path().join("cpu.stat"), "nr_periods 5\nthrottled_time 9\n").unwrap();
        fs::write(cpuacct.path().join("cpuacct.usage"), "123\n").unwrap();
        fs::write(cpuacct.path().join("cpuacct.stat"), "user 2\nsystem 1\n").unwrap();
        fs::write(cpuacct.path().join("cpuacct.usage_percpu"), "100 23\n").unwrap();
        let any = read(|controller| match controller {
            "cpu" => Some(cpu.path()),
            "cpuacct" => Some(cpuacct.path()),
            _ => None,
        })
        .unwrap();
        assert_eq!(any.type_url, TYPE_URL);
        let metrics = Metrics::parse_from_bytes(&any.value).unwrap();
        let usage = &metrics.cpu.usage;
        assert_eq!((usage.total, usage.user, usage.kernel), (123, 20_000_000, 10_000_000));
        assert_eq!(usage.per_cpu, [100, 23]);
        assert_eq!(metrics.cpu.throttling.throttled_time, 9);
        assert!(metrics.memory.is_none());
    }

    #[test]
    fn memory_and_block_io_are_read() {
        let group = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(group.path().join(name), text).unwrap();
        write("memory.stat", "rss 1\ntotal_inactive_file 2\nhierarchical_memsw_limit 3\n");
        write("memory.usage_in_bytes", "4\n");
        write("memory.limit_in_bytes", "5\n");
        write("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 6\n");
        write("blkio.throttle.io_serviced", "8:0 Read 7\nTotal 7\n");
        let any = read(|_| Some(group.path())).unwrap();
        let metrics = Metrics::parse_from_bytes(&any.value).unwrap();
        assert_eq!(metrics.memory.total_inactive_file, 2);
        assert_eq!((metrics.memory.usage.usage, metrics.memory.usage.limit), (4, 5));
        assert_eq!(metrics.memory.swap, MessageField::some(MemoryEntry::default()), "no swap accounting");
        assert_eq!(metrics.memory_oom_control.oom_kill, 6);
        let io = &metrics.blkio.io_serviced_recursive;
        assert_eq!((io.len(), io[0].op.as_str(), io[0].value), (1, "Read", 7));
        let known = fs::read_dir("/sys/dev/block").unwrap().flatten().next();
        if let Some((major, minor)) = known.and_then(|entry| super::device(entry.file_name().to_str()?)) {
            assert!(Path::new(&block_device(major, minor)).exists(), "{major}:{minor}");
        }
        assert_eq!(block_device(u64::MAX, 0), "");
    }
}
