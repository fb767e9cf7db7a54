//! ZC01xx: what a pod author wrote.

codes! {
    UNKNOWN_KNOB = "ZC0101" {
        title: "unknown annotation under zerocap.io",
        cause: "An annotation under our prefix is not one that this version knows. It may be a misspelt restriction, and a restriction that is silently ignored is worse than a pod that does not start.",
        cure: "Correct the name (the message names the nearest one), or remove the annotation. `zerocap explain` lists all knobs.",
        example: "zerocap.io/proxyport: \"3128\"  →  write zerocap.io/proxy-port",
    }
    BAD_VALUE = "ZC0102" {
        title: "annotation value does not parse",
        cause: "The value is not one that the knob accepts.",
        cure: "Write one of the values that the message names. Lists are comma-separated.",
        example: "zerocap.io/proxy-port: \"three\"  →  write a port from 1 to 65535",
    }
    CONFLICTING_SPELLINGS = "ZC0103" {
        title: "two spellings of one knob disagree",
        cause: "`network-enforcement` and `zerocap.io/network-enforcement` are the same knob, and the pod gives them different values.",
        cure: "Keep one of the two.",
        example: "network-enforcement: platform and zerocap.io/network-enforcement: cluster",
    }
    TOO_LARGE = "ZC0104" {
        title: "annotation over its size limit",
        cause: "A value, a list or the number of our annotations is larger than any real use needs. Bounded input keeps a pod author from costing the node memory and time.",
        cure: "Shorten the value: 16 KiB for one value, 256 entries for one list, 256 annotations of ours for one pod.",
        example: "zerocap.io/listen with 5000 ports  →  write listen: \"*\" or fewer ports",
    }
    EXCEPTION_WITHOUT_MODE = "ZC0105" {
        title: "exception in a pod without a pod-wide mode",
        cause: "An exception for one container (`KNOB.zerocap.io/CONTAINER`) is valid only in a pod whose network-enforcement is set pod-wide: with a strict pod-wide value, a misspelt container name leaves the strict value in force.",
        cure: "Set network-enforcement for the whole pod and except the containers that need less.",
        example: "network-enforcement.zerocap.io/app: platform alone  →  write network-enforcement: platform",
    }
    EXCEPTION_STRICTER = "ZC0106" {
        title: "exception is not looser than the pod-wide value",
        cause: "An exception may only loosen: were it stricter, a misspelt container name would silently leave the container without the restriction.",
        cure: "Write the strict value pod-wide, and exceptions for the containers that need less.",
        example: "zerocap.io/filesystem: image and filesystem.zerocap.io/app: read-only",
    }
    NO_EXCEPTIONS = "ZC0107" {
        title: "knob has no exceptions",
        cause: "The values of this knob have no order from loose to strict, so an exception cannot be checked to be looser.",
        cure: "Set the knob pod-wide with zerocap.io/KNOB.",
        example: "proxy-port.zerocap.io/app: \"3129\"  →  write zerocap.io/proxy-port",
    }
    BAD_KEY = "ZC0108" {
        title: "annotation key is malformed",
        cause: "The part of the key that names the knob or the container is empty or has characters that no knob or container name has.",
        cure: "Write zerocap.io/KNOB for the pod, or KNOB.zerocap.io/CONTAINER for one container.",
        example: "listen.zerocap.io/My_App  →  container names are DNS labels",
    }
    NOT_SUPPORTED = "ZC0109" {
        title: "knob or value not supported by this version",
        cause: "The annotation is part of the grammar, but this version of zerocap cannot enforce it yet. It is refused, because an ignored restriction would look like an enforced one.",
        cure: "Remove the annotation, or use a version of zerocap that enforces it.",
        example: "zerocap.io/fd-allow: \"0-2\"",
    }
    CONTRADICTION = "ZC0110" {
        title: "annotations contradict each other",
        cause: "Two knobs of the pod cannot both hold, for example `filesystem` beside a path list that replaces it, or the proxy's port among the ports to listen on.",
        cure: "Keep the one that you mean; the message names both.",
        example: "zerocap.io/filesystem: read-only and zerocap.io/fs-write: /data",
    }
    NEEDS_PLATFORM = "ZC0111" {
        title: "knob needs platform mode",
        cause: "The knob describes how platform mode treats the network, and the container's network is left to the cluster, where nothing would enforce it.",
        cure: "Add network-enforcement: platform, or remove the knob.",
        example: "zerocap.io/listen: \"8080\" in a pod with network-enforcement: cluster",
    }
}
