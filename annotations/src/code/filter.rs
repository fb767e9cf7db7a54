//! ZC10xx: profiles and filters of `zerocap seccomp`.

codes! {
    PROFILE = "ZC1001" {
        title: "profile cannot be understood",
        cause: "The file is not a profile: neither a list in TOML, nor an OCI seccomp profile in JSON, nor a filter as the kernel takes it; or something in it has no meaning.",
        cure: "Correct the line that the message names; docs/seccomp.md describes the three forms.",
        example: "list.toml line 4, column 1: deny.ptrcae: no system call has this name",
    }
    NO_SUCH_PROFILE = "ZC1002" {
        title: "no such preset or file",
        cause: "The word on the command line is neither the name of a preset nor a file.",
        cure: "Write one of the names that `zerocap seccomp presets` prints, or a path.",
        example: "zerocap seccomp compile generl",
    }
    TERMINAL = "ZC1003" {
        title: "a filter is not written to a terminal",
        cause: "The compiled filter is binary, and standard output is a terminal.",
        cure: "Name a file with -o, or pipe the output.",
        example: "zerocap seccomp compile general",
    }
    OUTPUT = "ZC1004" {
        title: "output cannot be written",
        cause: "The output file cannot be made, written or renamed into place. A file that was there is untouched.",
        cure: "Look at the folder: space, permissions, read-only mounts.",
        example: "out/general.bpf: Permission denied",
    }
    NOT_COMPILABLE = "ZC1005" {
        title: "profile cannot become this output",
        cause: "The profile has no meaning for the architecture or form that was asked for, or its filter would be larger than the kernel takes.",
        cure: "Ask for another --arch or --to, or use a smaller profile.",
        example: "the filter would have 5200 instructions, the kernel accepts 4096",
    }
    KNOB = "ZC1006" {
        title: "the profile has no such knob",
        cause: "A knob was switched on that the profile does not declare.",
        cure: "Write one of the knobs that the message lists, or `none`.",
        example: "zerocap seccomp compile general --knob lsiten",
    }
    NO_SUCH_CALL = "ZC1007" {
        title: "no such system call",
        cause: "The name is not that of a system call, or the architecture has no such call.",
        cure: "Write the name as the manual pages do, or ask for another --arch.",
        example: "zerocap seccomp explain opne",
    }
    TRACE = "ZC1008" {
        title: "command cannot be traced",
        cause: "The kernel does not let this process trace its own child, or the machine is of an architecture whose registers are not known here.",
        cure: "Look at kernel.yama.ptrace_scope and at the limits on processes; run it outside of other sandboxes.",
        example: "zerocap seccomp test strict -- make check",
    }
    BWRAP = "ZC1009" {
        title: "bubblewrap cannot be given this filter",
        cause: "bwrap is not installed, or the sandbox leaves no place for the launcher that a profile without execve needs.",
        cure: "Do what the message says.",
        example: "zerocap seccomp bwrap minimal -- --ro-bind / / true",
    }
}
