//! Statistics of a cgroup v2 group.

use std::io;
use std::path::Path;

use containerd_shim::protos::cgroups_v2::metrics::{
    CPUStat, HugeTlbStat, IOEntry, IOStat, MemoryEvents, MemoryStat, Metrics, PSIData, PSIStats, PidsStat, RdmaEntry,
    RdmaStat,
};
use containerd_shim::protos::protobuf::well_known_types::any::Any;
use containerd_shim::protos::protobuf::{Message, MessageField};

use super::files::{Keyed, device, huge_page_sizes, number, parse, table};

/// The type that containerd expects.
const TYPE_URL: &str = "io.containerd.cgroups.v2.Metrics";

pub(super) fn read(group: &Path) -> io::Result<Any> {
    let metrics = Metrics {
        pids: MessageField::some(PidsStat {
            current: number(&group.join("pids.current")),
            limit: number(&group.join("pids.max")),
            ..PidsStat::default()
        }),
        cpu: MessageField::some(cpu(group)),
        memory: MessageField::some(memory(group)),
        memory_events: memory_events(group).into(),
        io: MessageField::some(IOStat {
            usage: io_usage(group),
            psi: pressure(group, "io.pressure"),
            ..IOStat::default()
        }),
        rdma: MessageField::some(RdmaStat {
            current: rdma(group, "rdma.current"),
            limit: rdma(group, "rdma.max"),
            ..RdmaStat::default()
        }),
        hugetlb: hugetlb(group),
        ..Metrics::default()
    };
    Ok(Any {
        type_url: TYPE_URL.to_owned(),
        value: metrics.write_to_bytes().map_err(io::Error::other)?,
        ..Any::default()
    })
}

fn cpu(group: &Path) -> CPUStat {
    let stat = Keyed::read(&group.join("cpu.stat"));
    CPUStat {
        usage_usec: stat.get("usage_usec"),
        user_usec: stat.get("user_usec"),
        system_usec: stat.get("system_usec"),
        nr_periods: stat.get("nr_periods"),
        nr_throttled: stat.get("nr_throttled"),
        throttled_usec: stat.get("throttled_usec"),
        nr_bursts: stat.get("nr_bursts"),
        burst_usec: stat.get("burst_usec"),
        psi: pressure(group, "cpu.pressure"),
        ..CPUStat::default()
    }
}

fn memory(group: &Path) -> MemoryStat {
    let stat = Keyed::read(&group.join("memory.stat"));
    // No controller. The kernel counts pressure all the same, the Go shim does not.
    if stat.is_empty() {
        return MemoryStat::default();
    }
    MemoryStat {
        anon: stat.get("anon"),
        file: stat.get("file"),
        kernel_stack: stat.get("kernel_stack"),
        slab: stat.get("slab"),
        sock: stat.get("sock"),
        shmem: stat.get("shmem"),
        file_mapped: stat.get("file_mapped"),
        file_dirty: stat.get("file_dirty"),
        file_writeback: stat.get("file_writeback"),
        anon_thp: stat.get("anon_thp"),
        inactive_anon: stat.get("inactive_anon"),
        active_anon: stat.get("active_anon"),
        inactive_file: stat.get("inactive_file"),
        active_file: stat.get("active_file"),
        unevictable: stat.get("unevictable"),
        slab_reclaimable: stat.get("slab_reclaimable"),
        slab_unreclaimable: stat.get("slab_unreclaimable"),
        pgfault: stat.get("pgfault"),
        pgmajfault: stat.get("pgmajfault"),
        workingset_refault: stat.get("workingset_refault"),
        workingset_activate: stat.get("workingset_activate"),
        workingset_nodereclaim: stat.get("workingset_nodereclaim"),
        pgrefill: stat.get("pgrefill"),
        pgscan: stat.get("pgscan"),
        pgsteal: stat.get("pgsteal"),
        pgactivate: stat.get("pgactivate"),
        pgdeactivate: stat.get("pgdeactivate"),
        pglazyfree: stat.get("pglazyfree"),
        pglazyfreed: stat.get("pglazyfreed"),
        thp_fault_alloc: stat.get("thp_fault_alloc"),
        thp_collapse_alloc: stat.get("thp_collapse_alloc"),
        usage: number(&group.join("memory.current")),
        usage_limit: number(&group.join("memory.max")),
        max_usage: number(&group.join("memory.peak")),
        swap_usage: number(&group.join("memory.swap.current")),
        swap_limit: number(&group.join("memory.swap.max")),
        swap_max_usage: number(&group.join("memory.swap.peak")),
        psi: pressure(group, "memory.pressure"),
        ..MemoryStat::default()
    }
}

fn memory_events(group: &Path) -> Option<MemoryEvents> {
    let events = Keyed::read(&group.join("memory.events"));
    (!events.is_empty()).then(|| MemoryEvents {
        low: events.get("low"),
        high: events.get("high"),
        max: events.get("max"),
        oom: events.get("oom"),
        oom_kill: events.get("oom_kill"),
        oom_group_kill: events.get("oom_group_kill"),
        ..MemoryEvents::default()
    })
}

fn pressure(group: &Path, file: &str) -> MessageField<PSIStats> {
    let rows = table(&group.join(file));
    let line = |kind: &str| {
        let row = rows.iter().find(|row| row.first().is_some_and(|name| name == kind))?;
        let field =
            |key: &str| row.iter().find_map(|field| field.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default();
        Some(PSIData {
            avg10: field("avg10").parse().unwrap_or(0.0),
            avg60: field("avg60").parse().unwrap_or(0.0),
            avg300: field("avg300").parse().unwrap_or(0.0),
            total: parse(field("total")),
            ..PSIData::default()
        })
    };
    let stats = PSIStats { some: line("some").into(), full: line("full").into(), ..PSIStats::default() };
    if rows.is_empty() { MessageField::none() } else { MessageField::some(stats) }
}

fn io_usage(group: &Path) -> Vec<IOEntry> {
    let entry = |row: Vec<String>| {
        let (major, minor) = device(row.first()?)?;
        let mut entry = IOEntry { major, minor, ..IOEntry::default() };
        for (key, value) in row.iter().skip(1).filter_map(|field| field.split_once('=')) {
            match key {
                "rbytes" => entry.rbytes = parse(value),
                "wbytes" => entry.wbytes = parse(value),
                "rios" => entry.rios = parse(value),
                "wios" => entry.wios = parse(value),
                _ => {}
            }
        }
        Some(entry)
    };
    table(&group.join("io.stat")).into_iter().filter_map(entry).collect()
}

fn rdma(group: &Path, file: &str) -> Vec<RdmaEntry> {
    let small = |value: &str| u32::try_from(parse(value)).unwrap_or(u32::MAX);
    let entry = |row: Vec<String>| {
        let mut entry = RdmaEntry { device: row.first()?.clone(), ..RdmaEntry::default() };
        for (key, value) in row.iter().skip(1).filter_map(|field| field.split_once('=')) {
            match key {
                "hca_handle" => entry.hca_handles = small(value),
                "hca_object" => entry.hca_objects = small(value),
                _ => {}
            }
        }
        Some(entry)
    };
    table(&group.join(file)).into_iter().filter_map(entry).collect()
}

fn hugetlb(group: &Path) -> Vec<HugeTlbStat> {
    huge_page_sizes()
        .into_iter()
        .map(|pagesize| HugeTlbStat {
            current: number(&group.join(format!("hugetlb.{pagesize}.current"))),
            max: number(&group.join(format!("hugetlb.{pagesize}.max"))),
            failcnt: Keyed::read(&group.join(format!("hugetlb.{pagesize}.events"))).get("max"),
            pagesize,
            ..HugeTlbStat::default()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn files_become_the_native_type() {
        let group = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(group.path().join(name), text).unwrap();
        write("cpu.stat", "usage_usec 10\nuser_usec 4\nsystem_usec 6\n");
        write("memory.stat", "anon 1\nanon_thp 2\nworkingset_refault 3\n");
        write("memory.current", "4096\n");
        write("memory.max", "max\n");
        write("memory.events", "oom 1\noom_kill 2\n");
        write("pids.current", "3\n");
        write("pids.max", "100\n");
        write("io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5\n");
        write("cpu.pressure", "some avg10=1.50 avg60=0.00 avg300=0.00 total=77\n");
        write("memory.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=78\n");
        write("hugetlb.2MB.current", "4096\n");
        let any = read(group.path()).unwrap();
        assert_eq!(any.type_url, TYPE_URL);
        let metrics = Metrics::parse_from_bytes(&any.value).unwrap();
        assert_eq!(metrics.cpu.usage_usec, 10);
        assert_eq!(metrics.cpu.psi.some.total, 77);
        assert_eq!((metrics.memory.anon, metrics.memory.workingset_refault), (1, 3));
        assert_eq!((metrics.memory.usage, metrics.memory.usage_limit), (4096, u64::MAX));
        assert_eq!(metrics.memory_events.oom_kill, 2);
        assert_eq!((metrics.pids.current, metrics.pids.limit), (3, 100));
        let io = &metrics.io.usage[0];
        assert_eq!((io.major, io.rbytes, io.wios), (8, 1, 4));
        // Where this kernel has pages of that size.
        let huge = metrics.hugetlb.iter().find(|entry| entry.pagesize == "2MB");
        assert!(huge.is_none_or(|entry| entry.current == 4096), "{:?}", metrics.hugetlb);
    }

    #[test]
    fn without_the_memory_controller_there_is_nothing_of_memory() {
        let group = tempfile::tempdir().unwrap();
        fs::write(group.path().join("memory.pressure"), "some avg10=0.00 avg60=0.00 avg300=0.00 total=78\n").unwrap();
        let metrics = Metrics::parse_from_bytes(&read(group.path()).unwrap().value).unwrap();
        assert_eq!(metrics.memory, MessageField::some(MemoryStat::default()));
        assert!(metrics.memory_events.is_none());
    }
}
