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
}
