//! ZC04xx: the pod's own seccomp profile.

codes! {
    UNREADABLE = "ZC0401" {
        title: "seccomp profile cannot be read",
        cause: "`linux.seccomp` is not what the OCI runtime specification describes, so its meaning is unknown and it cannot be narrowed.",
        cure: "Correct the profile; the message has the JSON path.",
        example: "/linux/seccomp/defaultAction: unknown action SCMP_ACT_NOTHING",
    }
    NOT_COMPILABLE = "ZC0402" {
        title: "seccomp profile cannot be compiled",
        cause: "The profile is larger than the kernel accepts, or needs what a stacked filter cannot express.",
        cure: "Use a smaller profile, for example RuntimeDefault.",
        example: "the filter would have 5200 instructions, the kernel accepts 4096",
    }
    ARCHITECTURE = "ZC0403" {
        title: "architecture not supported",
        cause: "There are no built-in filters for the node's architecture.",
        cure: "Run the pod on an x86-64 or aarch64 node.",
        example: "riscv64",
    }
    NO_BUILTIN = "ZC0404" {
        title: "no built-in filter for these knobs",
        cause: "The combination of knobs selects a variant of the built-in filter that this version does not have.",
        cure: "Change the knob that the message names.",
        example: "unix: none with a preset that needs AF_UNIX",
    }
    READMITS = "ZC0405" {
        title: "seccomp-allow names a call that a promise rests on",
        cause: "The call is one by which a workload would come around what the mode promises: another network, a namespace, the kernel. Re-admitting it would leave the promise on paper.",
        cure: "Remove the name; for servers write zerocap.io/listen; or leave the network to the cluster.",
        example: "zerocap.io/seccomp-allow: io_uring_setup, with network-enforcement: platform",
    }
}
