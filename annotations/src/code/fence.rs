//! ZC12xx: the packet fence.

codes! {
    NOT_LOADED = "ZC1201" {
        title: "packet fence cannot be loaded",
        cause: "The kernel refused a program or a map of the container's packet fence, so egress and inbound would not be kept.",
        cure: "Look at the error: memory, lockdown, limits of bpf(2). `zerocap check` tries the same.",
        example: "the kernel refuses the program cgroup/connect4 of the packet fence: Operation not permitted",
    }
    PARENT = "ZC1202" {
        title: "programs on a cgroup above exclude the packet fence",
        cause: "A cgroup above the container's has a program that was attached exclusively, or so that another below it switches it off. Neither goes together with a packet fence.",
        cure: "Let its owner attach it with BPF_F_ALLOW_MULTI, or run the pod on another node.",
        example: "the cgroup /kubepods.slice has a cgroup/connect4 program that was attached exclusively",
    }
    GROUP = "ZC1203" {
        title: "packet fence cannot be put on the container's cgroup",
        cause: "The container's cgroup v2 group cannot be found, made, entered or given its programs.",
        cure: "Look at the error and at the node's cgroup set-up.",
        example: "cannot move a process into the cgroup /zerocap-k8s.io-4711: Operation not supported",
    }
    TOO_LARGE = "ZC1204" {
        title: "policy is too large for the packet fence",
        cause: "Networks that lie within each other, with many ranges of ports, need more entries than a fence has room for.",
        cure: "Write fewer networks or wider ranges.",
        example: "the policy needs 101337 entries in the packet fence, at most 65536 fit",
    }
    NONE = "ZC1210" {
        title: "container has no packet fence",
        cause: "Only a container in platform mode has one; the network of others is left to the cluster.",
        cure: "Look at `zerocap status` for the container's network-enforcement and where it comes from.",
        example: "zerocap egress 4711, of a pod without network-enforcement: platform",
    }
    UNREADABLE = "ZC1211" {
        title: "packet fence cannot be read",
        cause: "The kernel does not show the fence's programs or maps, or they are not those that this zerocap knows.",
        cure: "Run it as root on the container's node, with the zerocap that started the container.",
        example: "cannot open the cgroup /kubepods/4711: Operation not permitted",
    }
    NOT_ONE_DESTINATION = "ZC1212" {
        title: "not one destination",
        cause: "`zerocap explain --dest` asks about one address or name and one port.",
        cure: "Write HOST:PORT or ADDRESS:PORT, IPv6 in brackets, with tcp:// (the default) or udp:// before it.",
        example: "zerocap explain --dest 10.0.0.0/8:443  →  write --dest 10.0.0.1:443",
    }
}
