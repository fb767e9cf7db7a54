//! Which attacks there are: what each would break, and where it must succeed for its refusal to mean anything.

use crate::Node;
use crate::pod::{ContainerBuilder, Pod, PodBuilder, Profile};

/// The name of the container that attackers reach for.
pub const NEIGHBOUR: &str = "neighbour";
/// The volume that both mount.
pub const SHARED: &str = "shared";

/// What surrounds an attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum World {
    /// A pod with a network and a second container; processes are private to each container.
    Network,
    /// The same, where one destination is listed for datagrams.
    Datagrams,
    /// A pod whose containers see each other's processes.
    Neighbour,
    /// `filesystem: read-only`.
    ReadOnly,
    /// Path lists: what is not listed cannot be read, written, executed.
    Lists,
}

impl World {
    /// The annotations that this world adds to platform mode.
    fn annotations(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Network | Self::Neighbour => &[],
            Self::Datagrams => &[("zerocap.io/egress", "udp://10.88.0.1:9")],
            Self::ReadOnly => &[("zerocap.io/filesystem", "read-only")],
            Self::Lists => &[
                ("zerocap.io/fs-read", "/bin,/attacks,/proc,/dev,/etc,/home/folder,/data"),
                ("zerocap.io/fs-write", "/data,/dev/null"),
                ("zerocap.io/fs-execute", "/bin,/attacks"),
            ],
        }
    }

    /// A pod of this world: platform mode, which only our handlers understand.
    pub fn pod<'n>(self, node: &'n Node, handler: &str) -> PodBuilder<'n> {
        // The neighbour serves a socket. seccomp cannot tell families in listen(), so it needs the knob; the attacker has no part in it.
        let mut builder = node.pod(handler).platform().annotate(&format!("listen.zerocap.io/{NEIGHBOUR}"), "9999");
        for (key, value) in self.annotations() {
            builder = builder.annotate(key, value);
        }
        if self == Self::Neighbour { builder.shared_pid() } else { builder }
    }

    /// Whether a second container offers what [`crate::attack`]'s victim does.
    pub fn has_neighbour(self) -> bool {
        matches!(self, Self::Network | Self::Datagrams | Self::Neighbour)
    }

    /// The attacker's container.
    pub fn container<'p, 'n>(self, pod: &'p Pod<'n>) -> std::io::Result<ContainerBuilder<'p, 'n>> {
        let builder = pod.container("attacker").image("attacks").env("SECRET", "of init");
        Ok(match self {
            Self::Network | Self::Datagrams | Self::Neighbour => builder.mount(&pod.volume(SHARED)?, "/shared", false),
            Self::ReadOnly | Self::Lists => builder.mount(&pod.volume("data")?, "/data", false),
        })
    }
}

/// A row: attacks of one kind.
#[derive(Debug)]
pub struct Group {
    /// The promise that each of them would break (DESIGN: promises and fences).
    pub promise: &'static str,
    /// Where they are run.
    pub world: World,
    /// The control: a pod of this profile, under plain runc, in which each must succeed.
    pub control: Profile,
    /// Their names.
    pub names: &'static [&'static str],
}

const fn group(promise: &'static str, world: World, control: Profile, names: &'static [&'static str]) -> Group {
    Group { promise, world, control, names }
}

/// A way that is open today, and said to be so in the enforcement report.
#[derive(Debug)]
pub struct Open {
    /// The attack.
    pub name: &'static str,
    /// Why it gets through.
    pub reason: &'static str,
    /// Whether a newer kernel closes it. Otherwise a test notices when it is closed.
    pub newer_kernel: bool,
}

/// All open ways.
pub const OPEN: &[Open] = &[
    Open {
        name: "shared_volume",
        reason: "Landlock's right to resolve unix sockets is missing (ABI 9)",
        newer_kernel: true,
    },
    Open {
        name: "shared_volume_datagram",
        reason: "Landlock's right to resolve unix sockets is missing (ABI 9)",
        newer_kernel: true,
    },
    Open {
        name: "proc_oom_neighbour",
        reason: "the pod shares its process namespace; the report says so",
        newer_kernel: false,
    },
];

/// All attacks.
pub const GROUPS: &[Group] = &[
    group(
        "egress",
        World::Network,
        Profile::Restricted,
        &[
            "tcp4",
            "tcp6",
            "mapped",
            "loopback4",
            "loopback6",
            "loopback_other",
            "unspecified4",
            "unspecified6",
            "nonblocking",
            "high_bits_connect",
            "proxy_port_elsewhere4",
            "proxy_port_elsewhere6",
            "proxy_port_mapped",
            "fastopen_sendto4",
            "fastopen_sendto6",
            "fastopen_sendmsg4",
            "fastopen_sendmsg6",
            "fastopen_sendmmsg4",
            "fastopen_sendmmsg6",
            "fastopen_high_bits",
            "fastopen_more_flags",
            "fastopen_option",
            "int80_socketcall",
            "int80_connect",
            "mptcp",
            "mptcp6",
        ],
    ),
    group("egress", World::Network, Profile::Unconfined, &["io_uring_connect", "x32_socket"]),
    group(
        "protocols",
        World::Network,
        Profile::Restricted,
        &[
            "high_bits_udp",
            "udp4",
            "udp6",
            "udp4_connected",
            "udp6_connected",
            "udplite4",
            "udplite6",
            "ping4",
            "ping6",
            "int80_udp",
            "int80_any",
            "foreign_program",
            "unix_raw",
            "netlink_generic",
            "netlink_diag",
            "netlink_audit",
            "netlink_uevent",
            "netlink_netfilter",
            "netlink_xfrm",
            "netlink_connector",
            "netlink_user",
            "netlink_others",
            "families",
            "socketpair_inet",
            "alg",
            "smc",
            "smc_inet",
            "sctp_stream",
            "sctp_packets",
            "dccp",
            "tipc",
            "can",
            "bluetooth",
            "rds",
            "key",
            "every_protocol4",
            "every_protocol6",
            "multicast_join4",
            "multicast_join6",
            "sendmmsg_mixed",
            "splice_into_datagram",
        ],
    ),
    group(
        "protocols",
        World::Network,
        Profile::Unconfined,
        &["io_uring_setup", "io_uring_udp", "vsock_stream", "vsock_datagram"],
    ),
    group(
        "protocols",
        World::Network,
        Profile::Root,
        &["raw4", "raw6", "raw_any", "packet", "packet_datagram", "packet_old", "xdp", "multicast_join_by_stream"],
    ),
    group(
        "egress",
        World::Network,
        Profile::Restricted,
        &[
            "option_bind_to_device",
            "option_bind_to_interface",
            "option_unicast_interface",
            "option_unicast_interface6",
            "option_record_route",
            "option_dont_route",
            "option_free_bind",
            "option_tcp_fastopen",
            "option_tcp_fastopen_connect",
            "option_tcp_fastopen_no_cookie",
            "option_tcp_upper_layer",
            "option_tcp_md5",
            "option_high_bits",
            "option_port_range",
            "option_ipv6_flow_label",
            "self_connect4",
            "self_connect6",
            "splice_into_stream",
        ],
    ),
    group(
        "egress",
        World::Network,
        Profile::Root,
        &[
            "option_source_route",
            "option_ipv6_routing_header",
            "option_ipv6_destination_options",
            "option_mark",
            "option_transparent",
            "option_tcp_repair",
            "option_attach_filter",
            "option_ipv6_hop_options",
            "option_ipv6_transparent",
        ],
    ),
    group(
        "egress",
        World::Datagrams,
        Profile::Restricted,
        &[
            "datagram_after_listed",
            "datagram_without_routes",
            "datagram_second_of_two",
            "datagram_name_on_connected",
            "datagram_other_family_after_mapped",
            "datagram_after_disconnect",
            "datagram_connect_again",
            "datagram_no_family",
            "datagram_fragments",
            "datagram_segments",
            "datagram_record_route",
        ],
    ),
    group("egress", World::Datagrams, Profile::Root, &["datagram_source_route"]),
    group(
        "inbound",
        World::Network,
        Profile::Restricted,
        &[
            "bind_tcp",
            "bind_tcp6",
            "listen_without_bind",
            "listen_without_bind6",
            "listen_high_bits",
            "bind_proxy_port",
            "bind_without_family",
            "disconnect_and_listen",
        ],
    ),
    group(
        "privileges",
        World::Network,
        Profile::Unconfined,
        &["unshare_user", "unshare_user_high_bits", "clone_user", "clone_user_net", "clone_high_bits", "clone3_user"],
    ),
    group("privileges", World::Network, Profile::Escalating, &["setuid_program"]),
    group(
        "privileges",
        World::Network,
        Profile::Root,
        &[
            "unshare_mount",
            "arp_entry",
            "unshare_net",
            "setns_own",
            "setns_pidfd",
            "setcap_program",
            "capability_held",
            "become_root",
            "mount_tmpfs",
            "mount_bind",
            "mount_proc",
            "tree_open",
            "fs_open",
            "fs_pick",
            "mount_attributes",
            "change_root",
            "host_name",
            "kernel_log",
            "accounting",
            "swap_off",
            "hang_up",
            "file_handle",
            "make_device",
            "route_address",
            "interface_flags",
            // The last to look for files: where it succeeds the others have another root.
            "pivot",
        ],
    ),
    group(
        "privileges",
        World::Network,
        Profile::Restricted,
        &["tiocsti", "tiocsti_high_bits", "line_discipline", "memfd_execveat", "local_table"],
    ),
    group(
        "privileges",
        World::Network,
        Profile::Unconfined,
        &[
            "quota",
            "add_key",
            "key_control",
            "request_key",
            "user_fault",
            "fan_notify",
            "memory_policy",
            "compare_self",
            "no_randomization",
            "read_implies_exec",
            "page_out_others",
            "perf_events",
        ],
    ),
    group("privileges", World::Network, Profile::Root, &["load_program", "make_map"]),
    group(
        "neighbours",
        World::Network,
        Profile::Restricted,
        &[
            "ptrace_init",
            "read_memory_init",
            "write_memory_init",
            "robust_list_init",
            "proc_mem_init",
            "proc_environ_init",
            "proc_maps_init",
            "proc_syscall_init",
            "proc_root_init",
            "proc_fd_init",
            "proc_cwd_init",
            "proc_exe_init",
            "abstract_stream",
            "abstract_datagram",
            "shared_volume",
            "shared_memory",
            "message_queue",
            "semaphores",
            "posix_queue",
            "posix_memory",
            "core_limit",
            "core_limit_hard",
            "core_limit_zero",
            "core_limit_zero_old",
            "pidfd_namespace_init",
            "shared_volume_datagram",
        ],
    ),
    group("neighbours", World::Network, Profile::Unconfined, &["take_descriptor_init", "compare_init"]),
    group(
        "neighbours",
        World::Neighbour,
        Profile::Restricted,
        &[
            "ptrace_neighbour",
            "read_memory_neighbour",
            "write_memory_neighbour",
            "robust_list_neighbour",
            "proc_mem_neighbour",
            "proc_environ_neighbour",
            "proc_maps_neighbour",
            "proc_syscall_neighbour",
            "proc_root_neighbour",
            "proc_fd_neighbour",
            "proc_cwd_neighbour",
            "proc_exe_neighbour",
            "proc_oom_neighbour",
            "signal_ask",
            "signal_stop",
            "signal_thread",
            "signal_queue",
            "signal_pidfd",
            "signal_owner",
            "signal_owner_thread",
            "signal_owner_group",
            "signal_owner_socket",
            "signal_owner_pipe",
            "pidfd_namespace_neighbour",
            "neighbour_limits",
            "neighbour_affinity",
            "neighbour_policy",
            "neighbour_nice",
            "neighbour_nice_user",
            "neighbour_io",
        ],
    ),
    group(
        "neighbours",
        World::Neighbour,
        Profile::Unconfined,
        &["take_descriptor_neighbour", "compare_neighbour", "neighbour_pages"],
    ),
    group("files", World::ReadOnly, Profile::Restricted, WRITES),
    group("files", World::Lists, Profile::Restricted, WRITES),
    group(
        "files",
        World::Lists,
        Profile::Restricted,
        &["execute_file", "memfd_path", "memfd_folder", "read_file", "list_folder"],
    ),
];

/// Everything that changes a file or its name.
const WRITES: &[&str] = &[
    "create",
    "create_creat",
    "create_temporary",
    "create_openat2",
    "write_open",
    "write_append",
    "write_read_write",
    "write_openat2",
    "truncate_path",
    "truncate_open",
    "make_folder",
    "make_fifo",
    "make_symlink",
    "make_hard_link",
    "rename_file",
    "rename_across",
    "link_across",
    "exchange",
    "remove_file",
    "remove_folder",
    "through_self_root",
    "through_thread_root",
    "through_descriptor",
    "through_path_descriptor",
    "through_folder",
    "through_working_directory",
    "through_link",
    "map_shared",
    "bind_socket",
    "device_ioctl",
];

/// What no promise covers: Landlock has no right for it, so an owner may do it wherever the mount is writable. Tried, and
/// shown with the others; nothing is claimed.
pub const NOT_COVERED: &[&str] =
    &["metadata_mode", "metadata_owner", "metadata_times", "metadata_attribute", "metadata_flags"];
