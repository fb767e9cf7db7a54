//! ZC03xx: the container's OCI spec cannot be confined.

codes! {
    SHAPE = "ZC0301" {
        title: "OCI spec has an unexpected shape",
        cause: "A part of config.json (or of the process of an exec) that must be rewritten is missing or of another type than the OCI runtime specification says.",
        cure: "Correct the program that wrote the spec; the message has the JSON path.",
        example: "/process/args is a string, not an array",
    }
    KEY_CASE = "ZC0302" {
        title: "key in other case",
        cause: "Go's JSON decoder ignores the case of keys: an engine would take `Capabilities` for `capabilities`, after we have written ours. A key that differs only in case from one that we write is therefore refused.",
        cure: "Write the key as the OCI runtime specification has it.",
        example: "/process/Capabilities",
    }
    DUPLICATE = "ZC0303" {
        title: "spec lists one thing twice",
        cause: "Engines disagree on which of two entries counts.",
        cure: "List it once.",
        example: "/linux/namespaces lists ipc twice",
    }
    HOST_NETWORK = "ZC0304" {
        title: "hostNetwork together with platform mode",
        cause: "The container shares the node's network, which platform mode would cut off or could not confine.",
        cure: "Remove hostNetwork from the pod, or network-enforcement: platform.",
        example: "hostNetwork: true with network-enforcement: platform",
    }
    PRIVILEGED = "ZC0305" {
        title: "privileged together with platform mode",
        cause: "The container has all devices or a writable /sys, which no fence of platform mode takes back.",
        cure: "Remove privileged from the container's securityContext, or network-enforcement: platform.",
        example: "securityContext.privileged: true with network-enforcement: platform",
    }
    START_CONTAINER_HOOK = "ZC0306" {
        title: "startContainer hook together with platform mode",
        cause: "A startContainer hook runs inside the container before the launcher, so it would run unconfined.",
        cure: "Remove the hook, or use a createContainer hook, which runs outside.",
        example: "/hooks/startContainer is not empty",
    }
    ENGINE_ANNOTATION = "ZC0307" {
        title: "engine annotation together with platform mode",
        cause: "An annotation `run.oci.*`, `krun.*` or `org.criu.*` changes what the engine does, for example which seccomp profile it loads.",
        cure: "Remove the annotation, or network-enforcement: platform.",
        example: "run.oci.seccomp_bpf_data",
    }
    MOUNT_OVER_LAUNCHER = "ZC0308" {
        title: "mount covers the launcher's directory",
        cause: "A mount of the pod lies at, below or above /.zerocap, where the launcher is mounted, or a symbolic link in the image or in a volume leads one there.",
        cure: "Mount the volume elsewhere, and not through a link.",
        example: "mountPath: /.zerocap",
    }
    UID_ZERO = "ZC0309" {
        title: "uid 0 together with platform mode",
        cause: "Root without a user namespace owns files of the node's kernel that no capability guards.",
        cure: "Set runAsUser to a uid other than 0, or hostUsers: false.",
        example: "/process/user/uid is 0",
    }
    SHARED_PROPAGATION = "ZC0310" {
        title: "shared mount propagation together with platform mode",
        cause: "Mounts would travel between the container and the node.",
        cure: "Remove mountPropagation: Bidirectional from the volume.",
        example: "/mounts/12/options has rshared",
    }
    NO_PROGRAM = "ZC0311" {
        title: "no program to start",
        cause: "The process has no arguments: there is nothing that the launcher could execute.",
        cure: "Give the container a command, or the image an entrypoint.",
        example: "/process/args is empty",
    }
    HOST_PID = "ZC0312" {
        title: "hostPID together with platform mode",
        cause: "The container sees the node's processes.",
        cure: "Remove hostPID from the pod, or network-enforcement: platform.",
        example: "/linux/namespaces has no pid entry",
    }
    RESTORE = "ZC0313" {
        title: "restore from a checkpoint together with a policy",
        cause: "Landlock is not restored from a checkpoint, so the container would run without it.",
        cure: "Start the container afresh.",
        example: "Create with a checkpoint path",
    }
    ROOTFS_OCCUPIED = "ZC0314" {
        title: "image occupies the launcher's directory",
        cause: "The image has a symbolic link or a file at /.zerocap; engines would follow or refuse it.",
        cure: "Remove /.zerocap from the image.",
        example: "rootfs/.zerocap is a symbolic link",
    }
    NO_CONTAINER_NAME = "ZC0315" {
        title: "container has no name",
        cause: "The pod has exceptions per container, and the spec does not say which container this is.",
        cure: "Start the container through the CRI, which sets io.kubernetes.cri.container-name.",
        example: "no annotation io.kubernetes.cri.container-name",
    }
}
