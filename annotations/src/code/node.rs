//! ZC09xx: state directory, files, command line.

codes! {
    STATE_WRITE = "ZC0901" {
        title: "state cannot be written",
        cause: "The state directory cannot be made or written, so a later exec would not know the policy.",
        cure: "Look at /run/zerocap: space, permissions, read-only mounts.",
        example: "/run/zerocap/k8s.io/ID/policy.json: No space left on device",
    }
    STATE_READ = "ZC0902" {
        title: "state cannot be read",
        cause: "A file of the state directory is missing or damaged, so the frozen policy is unknown.",
        cure: "Delete the pod and start it again.",
        example: "policy.json: unexpected end of file",
    }
    STATE_VERSION = "ZC0903" {
        title: "state of another version",
        cause: "The state was written by a version of zerocap whose meaning this one does not know.",
        cure: "Use the newer zerocap, or delete the pod and start it again.",
        example: "policy.json has version 2, this zerocap knows 1",
    }
    NO_SUCH_CONTAINER = "ZC0904" {
        title: "no report for this container",
        cause: "There is no enforcement report under that id: the container is gone, or it was not started by zerocap and is not confined.",
        cure: "Look at the id, and at the pod's runtimeClassName.",
        example: "zerocap status 4711",
    }
    FLOOR_UNREADABLE = "ZC0905" {
        title: "floor file cannot be read",
        cause: "The floor file exists but cannot be read, so the administrator's demands are unknown and no container starts.",
        cure: "Correct its permissions, or remove it.",
        example: "/etc/zerocap/floor.toml: Permission denied",
    }
    PROBE = "ZC0906" {
        title: "kernel could not be probed",
        cause: "The probe of what the kernel can enforce failed.",
        cure: "Look at the error; remove /run/zerocap/host.json to probe again.",
        example: "fork: Resource temporarily unavailable",
    }
    FILE_UNREADABLE = "ZC0907" {
        title: "file cannot be read",
        cause: "A file named on the command line does not exist or cannot be read.",
        cure: "Correct the path.",
        example: "config.json: No such file or directory",
    }
    NOT_JSON = "ZC0908" {
        title: "file is not JSON",
        cause: "The file does not parse.",
        cure: "Correct the line that the message names.",
        example: "config.json line 3, column 1: trailing comma",
    }
    BAD_OPTIONS = "ZC0909" {
        title: "handler options cannot be read",
        cause: "The runtime handler's options are neither runc's Options nor our TOML body, or have an unknown key.",
        cure: "Correct the handler's options in containerd's configuration.",
        example: "unknown option `engin`",
    }
    LAUNCHER_DIR = "ZC0910" {
        title: "launcher cannot be installed",
        cause: "The directory that is mounted into containers cannot be made, or lies on a file system without exec.",
        cure: "Look at /run/zerocap: space, permissions, the noexec flag.",
        example: "/run/zerocap/launcher: No space left on device",
    }
    UNKNOWN_CODE = "ZC0911" {
        title: "no such code",
        cause: "The table of errors has no such code.",
        cure: "Write a code as in ZC0102; `zerocap explain --list` shows all.",
        example: "zerocap explain ZC9999",
    }
    NOT_ROOT = "ZC0912" {
        title: "command needs root",
        cause: "Reports and probes need root on the node.",
        cure: "Run it as root; `zerocap explain` needs none.",
        example: "zerocap status as a user",
    }
    TOO_LARGE = "ZC0913" {
        title: "file or request too large",
        cause: "Everything read from outside has a bound, and this exceeds it.",
        cure: "Use a smaller spec or request.",
        example: "config.json has 70 MiB, at most 16 MiB are read",
    }
    RUN_USER = "ZC0930" {
        title: "another user takes root",
        cause: "--user names a user or a group that is not one's own, and only root may become another.",
        cure: "Leave --user out, or start zerocap as root.",
        example: "zerocap run --user 65534 -- true, as user 1000",
    }
    RUN_NOTHING = "ZC0931" {
        title: "nothing to enforce",
        cause: "The annotations leave the network to the cluster and ask for nothing else, so the program would not be confined at all.",
        cure: "Leave network-enforcement=cluster out, add a knob, or start the program without zerocap.",
        example: "zerocap run --annotation network-enforcement=cluster -- true",
    }
    RUN_START = "ZC0932" {
        title: "the program of this machine cannot be started",
        cause: "A process, memory or a descriptor for the launcher could not be had, or privileges could not be given up.",
        cure: "Look at the error: limits on processes, memory and open files; /proc must be mounted.",
        example: "Resource temporarily unavailable",
    }
}
