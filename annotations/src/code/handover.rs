//! ZC06xx: launcher and hand-over.

codes! {
    PLAN_REJECTED = "ZC0601" {
        title: "launcher does not accept the plan",
        cause: "The launch plan has another version than the launcher, or arrived damaged.",
        cure: "Reinstall zerocap: shim and launcher of one version travel in one binary. If it persists, report it.",
        example: "plan version 2, launcher version 1",
    }
    PLAN_TOO_LARGE = "ZC0602" {
        title: "launch plan too large",
        cause: "Path lists, ports and filters of the policy exceed what a plan may hold.",
        cure: "Shorten the lists of fs-read, fs-write, fs-execute or listen.",
        example: "fs-read with several hundred long paths",
    }
    CHANNEL = "ZC0603" {
        title: "hand-over channel cannot be made",
        cause: "The shim could not make the pipes or the sealed memory for the hand-over.",
        cure: "Look at the node's limits on open files and memory.",
        example: "memfd_create: Too many open files",
    }
    BAD_RECORD = "ZC0604" {
        title: "launcher sent something unexpected",
        cause: "What arrived on the hand-over channel is not a record of the launcher, so the process is not trusted.",
        cure: "Retry the start; if it persists, report it.",
        example: "unknown record kind 9",
    }
    NOT_READY_IN_TIME = "ZC0605" {
        title: "launcher did not get ready in time",
        cause: "The launcher was stopped or starved before it reported READY; the start was given up.",
        cure: "Retry; look for a process in the container that stops others, and for a CPU limit that is too small.",
        example: "no READY within 10 s",
    }
    DIED_BEFORE_READY = "ZC0606" {
        title: "launcher ended before it was ready",
        cause: "The process ended without a word: killed, out of memory, or it never became the launcher.",
        cure: "Look at the exit status and the engine's error in the message, and at the memory limit.",
        example: "ended by signal 9 before READY",
    }
    DIED_AFTER_GO = "ZC0607" {
        title: "process killed between GO and execve",
        cause: "The process was killed before it became the workload.",
        cure: "Retry; look for a process in the container that kills others, and at the memory limit.",
        example: "ended by signal 9, still the launcher",
    }
    GO_FAILED = "ZC0608" {
        title: "GO could not be sent",
        cause: "The launcher ended while it was parked.",
        cure: "Retry; look for a process in the container that kills others.",
        example: "Broken pipe",
    }
    DESCRIPTORS = "ZC0609" {
        title: "launcher could not close inherited descriptors",
        cause: "close_range or fcntl failed, so a descriptor might leak into the workload.",
        cure: "The node's kernel must have close_range (Linux 5.9) and the pod's own seccomp profile must allow it.",
        example: "close_range: Function not implemented",
    }
    STDIO_REFUSED = "ZC0610" {
        title: "stdin, stdout or stderr is a directory or a socket",
        cause: "A directory or a socket made outside the container would be outside every fence.",
        cure: "Start the process with pipes, files or a terminal.",
        example: "descriptor 0 is a socket",
    }
    CWD_OUTSIDE = "ZC0611" {
        title: "working directory outside the root",
        cause: "The process would start in a directory that is not part of the container.",
        cure: "Set workingDir to an absolute path in the image.",
        example: "getcwd returns (unreachable)/",
    }
    NO_NEW_PRIVS = "ZC0612" {
        title: "no_new_privs was not set",
        cause: "The engine did not set no_new_privs although the spec says so.",
        cure: "Use a current runc, crun or youki, or the embedded engine.",
        example: "PR_GET_NO_NEW_PRIVS returned 0",
    }
    LANDLOCK = "ZC0613" {
        title: "Landlock could not be applied",
        cause: "A Landlock call failed inside the container.",
        cure: "`zerocap check` shows what the kernel offers; the pod's own seccomp profile must allow the landlock_* calls.",
        example: "landlock_create_ruleset: Operation not supported",
    }
    PATH_MISSING = "ZC0614" {
        title: "a path of the plan does not exist in the container",
        cause: "A path that the policy names cannot be opened inside the container.",
        cure: "Correct the path in the annotation, or make it in the image.",
        example: "/data: No such file or directory",
    }
    CONNECT_NOT_REFUSED = "ZC0615" {
        title: "the forbidden connect was not refused",
        cause: "The launcher tries one connect that Landlock must refuse; the kernel did not, so it does not enforce what it reports.",
        cure: "Report the kernel's version to its vendor; run the pod on another node.",
        example: "connect to port 1 ended with Connection refused, not Permission denied",
    }
    FILTER = "ZC0616" {
        title: "seccomp filter could not be loaded",
        cause: "The kernel refused one of the plan's filters.",
        cure: "The kernel must have CONFIG_SECCOMP_FILTER, and the pod's own profile must allow the seccomp call.",
        example: "seccomp: Invalid argument (filter 2 of 2)",
    }
    COOKIE = "ZC0617" {
        title: "no random bytes for the launcher",
        cause: "getrandom failed, so the launcher's last calls could not be told from the workload's.",
        cure: "The pod's own seccomp profile must allow getrandom.",
        example: "getrandom: Operation not permitted",
    }
    PROGRAM_NOT_FOUND = "ZC0618" {
        title: "program not found",
        cause: "The container's program does not exist in the image, is not in PATH, or its interpreter (first line, dynamic loader) does not exist.",
        cure: "Correct command and args, PATH, or the script's first line.",
        example: "exec: \"app\": executable file not found in $PATH",
    }
    PROGRAM_NOT_EXECUTABLE = "ZC0619" {
        title: "program cannot be executed",
        cause: "It is a directory, lacks the execute permission, or fs-execute does not list it.",
        cure: "Correct command and args, the permissions in the image, or the list.",
        example: "exec: \"/etc\": is a directory",
    }
    PROGRAM_FORMAT = "ZC0620" {
        title: "program has a format that cannot run",
        cause: "It is neither an ELF program of this architecture nor a script with a first line, or it is a 32-bit program, whose system calls the policy refuses.",
        cure: "Use an image of the node's architecture with 64-bit programs.",
        example: "/app is a 32-bit program; platform mode refuses its system calls",
    }
    EXECVE = "ZC0621" {
        title: "execve failed",
        cause: "The kernel refused to start the program for a reason that the message names.",
        cure: "Look at the error: arguments and environment too large, too many open files, out of memory.",
        example: "execve: Argument list too long",
    }
    CANCELLED = "ZC0622" {
        title: "start was cancelled",
        cause: "The container was killed or deleted while its start was under way.",
        cure: "None is needed; start it again if it was not meant.",
        example: "Kill arrived while parked",
    }
    DUMPABLE = "ZC0623" {
        title: "launcher could not make itself undumpable",
        cause: "prctl(PR_SET_DUMPABLE) failed, so other processes could read the hand-over.",
        cure: "The pod's own seccomp profile must allow prctl.",
        example: "prctl: Operation not permitted",
    }
    PATH_THROUGH_LINK = "ZC0624" {
        title: "a path of the plan leads through a symbolic link",
        cause: "A path that the policy names, or the mount point of a writable volume, leads through a symbolic link in the container. The link's owner, not the policy, would choose what the rule grants.",
        cure: "Write the path that the link leads to, for example /usr/bin instead of /bin; mount a volume at its real path.",
        example: "fs-execute: /bin, in an image where /bin is a link to usr/bin",
    }
}
