//! ZC11xx: the installation on a node.

codes! {
    CONFIG_UNUSABLE = "ZC1101" {
        title: "containerd's configuration cannot be changed safely",
        cause: "The file does not parse, has a version that this zerocap does not know, or has a place for our handlers that is not a table; it is a link that leads nowhere; or one of the two lines around our block is missing. It was not touched.",
        cure: "Correct the file (`containerd config dump` names the line), or name another one with --config.",
        example: "/etc/containerd/config.toml line 12: invalid table header",
    }
    HANDLER_TAKEN = "ZC1102" {
        title: "handler of another runtime under our name",
        cause: "containerd's configuration, or a file that it imports, already has a runtime of that name which zerocap did not write. Replacing it would change pods that use it.",
        cure: "Remove or rename that runtime, then install again.",
        example: "runtimes.zerocap has the runtime_type io.containerd.runc.v2",
    }
    PROGRAMS_MISSING = "ZC1103" {
        title: "programs to install are missing",
        cause: "The folder does not hold all three programs: containerd-shim-zerocap-v2, zerocap-engine and zerocap.",
        cure: "Name the folder with --from; `make build` puts them into dist/.",
        example: "/opt/download has no zerocap-engine",
    }
    REJECTED = "ZC1104" {
        title: "containerd does not accept the new configuration",
        cause: "`containerd config dump` refused the changed file, or does not show our handlers in it. Nothing was changed.",
        cure: "Look at containerd's words in the message.",
        example: "containerd: invalid disabled plugin URI",
    }
    ROLLED_BACK = "ZC1105" {
        title: "containerd did not come back, and the change was undone",
        cause: "After the restart containerd did not answer in time. The configuration that was there before is in place again, and containerd was restarted with it.",
        cure: "Look at containerd's log; then install again.",
        example: "no answer from /run/containerd/containerd.sock within 60 s",
    }
    ROLLBACK_FAILED = "ZC1106" {
        title: "containerd does not answer with the former configuration either",
        cause: "The change was undone, byte for byte, and containerd still does not answer: its trouble is another one.",
        cure: "Look at containerd's log.",
        example: "systemctl restart containerd: exit status 1",
    }
    NODE_WRITE = "ZC1107" {
        title: "file of the node cannot be written",
        cause: "A file could not be written or renamed. What was begun is undone at the next run.",
        cure: "Look at permissions, space and read-only mounts; --prefix names a writable folder.",
        example: "/opt/zerocap: Read-only file system",
    }
    NOT_INSTALLED = "ZC1108" {
        title: "nothing is installed there",
        cause: "The folder has no record of an installation.",
        cure: "Name the folder with --prefix.",
        example: "/opt/zerocap/installed.json: No such file or directory",
    }
    INSTALLING = "ZC1109" {
        title: "another installation is at work",
        cause: "Another zerocap holds the lock of this folder of programs, or of this configuration of containerd.",
        cure: "Wait until it has ended.",
        example: "/opt/zerocap/lock",
    }
    PODS_RUN = "ZC1110" {
        title: "pods still run on it",
        cause: "containerd refuses every exec, and so every exec probe, in a pod whose handler is no longer in its configuration. Uninstalling now would strand the pods that run. Nothing was changed, but the node's note, and with it its label: it gets no new pods of ours.",
        cure: "Delete or drain the pods with our RuntimeClasses, then uninstall again.",
        example: "2 shims run from /opt/zerocap",
    }
    SELF_TEST = "ZC1111" {
        title: "a confined container does not start on this node",
        cause: "After containerd had answered, a container in platform mode was started through it by our shim, and did not start or was not confined. If the run had changed containerd's configuration, that was undone.",
        cure: "Look at the words in the message; `zerocap check` shows what the kernel lacks.",
        example: "exit status: 1: ctr: failed to create shim task: ZC0504",
    }
    NOT_THE_HOST = "ZC1112" {
        title: "the machine cannot be entered from this container",
        cause: "`--enter 1` means the machine's first process. The container has process numbers of its own, or lacks a capability that entering takes.",
        cure: "Give the pod hostPID: true and the capabilities SYS_ADMIN, SYS_CHROOT and SYS_PTRACE, as the chart does.",
        example: "process 1 has no other files than this container",
    }
    FLOOR_TAKEN = "ZC1113" {
        title: "floor file of somebody else",
        cause: "/etc/zerocap/floor.toml is there and `zerocap install` did not write it. Replacing it could loosen what an administrator demands.",
        cure: "Move its demands to the floor that is installed (the chart's value floor) and remove it, or install without a floor.",
        example: "/etc/zerocap/floor.toml",
    }
    TURN = "ZC1114" {
        title: "the other nodes' installations did not end in time",
        cause: "No more nodes than `--lease` names Leases may restart containerd at once, and others held them for as long as this one was to wait. Nothing was changed here. A node that dies loses its Lease after a minute.",
        cure: "Look at the installer's pod of the node that is named; this one's tries again.",
        example: "after 3600 s worker-7 still held it",
    }
    LEASE = "ZC1115" {
        title: "the Lease cannot be asked for",
        cause: "`--lease` names no Lease of the cluster, or the API server cannot be reached or does not permit to read and change it. Nothing was changed on the node.",
        cure: "Look at the words in the message. The chart makes the Leases and the rights for them; with its value installer.lease: false no node waits for another.",
        example: "the Lease zerocap-installer-0: 404: leases.coordination.k8s.io \"zerocap-installer-0\" not found",
    }
}
