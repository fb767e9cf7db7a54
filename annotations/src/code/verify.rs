//! ZC07xx: what the kernel shows of the parked process.

codes! {
    CAPABILITIES = "ZC0701" {
        title: "parked process has capabilities",
        cause: "One of the five capability sets is not empty, although the spec says so.",
        cure: "Use a current engine; report the engine and its version.",
        example: "CapBnd is 00000000a80425fb, expected 0",
    }
    NO_NEW_PRIVS = "ZC0702" {
        title: "parked process lacks no_new_privs",
        cause: "NoNewPrivs is not 1.",
        cure: "Use a current engine; report the engine and its version.",
        example: "NoNewPrivs is 0, expected 1",
    }
    SECCOMP_MODE = "ZC0703" {
        title: "parked process is not under a seccomp filter",
        cause: "Seccomp is not 2.",
        cure: "The kernel must have CONFIG_SECCOMP_FILTER; report the engine and its version.",
        example: "Seccomp is 0, expected 2",
    }
    FILTER_COUNT = "ZC0704" {
        title: "parked process has too few seccomp filters",
        cause: "Fewer filters are loaded than the plan and the OCI layer have together: one of them was skipped.",
        cure: "Report the engine and its version.",
        example: "Seccomp_filters is 1, expected at least 2",
    }
    UID = "ZC0705" {
        title: "parked process has another uid",
        cause: "The uid is not the one of the spec.",
        cure: "Report the engine and its version.",
        example: "Uid is 0, expected 65532",
    }
    DESCRIPTORS = "ZC0706" {
        title: "parked process has foreign descriptors",
        cause: "A descriptor is open that is neither stdio nor part of the hand-over.",
        cure: "Report the engine and its version.",
        example: "descriptor 6 is /var/log",
    }
    EXECUTABLE = "ZC0707" {
        title: "parked process is not our launcher",
        cause: "Device and inode of /proc/PID/exe are not those of the launcher that the shim mounted: something in the image or a volume replaced it.",
        cure: "Look for a volume or a link at /.zerocap in the image.",
        example: "exe is 0:57/1204, expected 0:24/18",
    }
    CGROUP = "ZC0708" {
        title: "parked process is in another cgroup",
        cause: "The process is not in the container's cgroup, so its limits and fences would not hold.",
        cure: "Report the engine, its version and the node's cgroup set-up.",
        example: "0::/ instead of 0::/kubepods/podp1/…",
    }
    NAMESPACE = "ZC0709" {
        title: "parked process is in another namespace",
        cause: "The PID or IPC namespace is not the container's own, although the spec says so.",
        cure: "Report the engine and its version.",
        example: "ipc namespace is the sandbox's",
    }
    UNREADABLE = "ZC0710" {
        title: "parked process cannot be read",
        cause: "The shim could not read the kernel's state of the process, so nothing is proven.",
        cure: "The shim needs the node's PID namespace and /proc; look at the error.",
        example: "/proc/4711/status: No such process",
    }
    LANDLOCK = "ZC0711" {
        title: "launcher's Landlock result differs from the plan",
        cause: "The launcher reported another outcome for Landlock than the plan asks for.",
        cure: "Report the kernel's version.",
        example: "Landlock not applied, expected applied",
    }
    PACKET_FENCE = "ZC0712" {
        title: "parked process is outside of its packet fence",
        cause: "The process is not in the cgroup that the container's packet fence is on, or a program of the fence is not attached.",
        cure: "Report the engine, its version and the node's cgroup set-up.",
        example: "the process is in the cgroup /, its packet fence is on /zerocap-k8s.io-4711",
    }
    CORE_LIMIT = "ZC0713" {
        title: "parked process may leave a core",
        cause: "The engine left the process another RLIMIT_CORE than the one byte, soft and hard, that keeps the kernel from writing a core or feeding a handler on the node.",
        cure: "Report the engine and its version.",
        example: "the core limit of the parked process is unlimited of unlimited bytes, expected 1 of 1",
    }
}
