//! ZC13xx: names in `egress`.

codes! {
    NO_RESOLV_CONF = "ZC1301" {
        title: "pod has no resolv.conf to resolve names with",
        cause: "Names in egress are resolved with the pod's own resolv.conf, which is read when the sandbox is created. The pod has none.",
        cure: "Give the pod a dnsPolicy with a nameserver. A container outside Kubernetes needs a bind mount at /etc/resolv.conf.",
        example: "egress names api.example.com, and the pod has no /etc/resolv.conf",
    }
    UNRESOLVED = "ZC1302" {
        title: "name in egress cannot be resolved",
        cause: "A name that egress lists has no address, or the pod's nameservers did not answer. Its addresses must be known before the workload starts.",
        cure: "Correct the name, or look at the pod's nameservers. `kubectl exec` into another pod of the namespace shows whether they answer.",
        example: "api.example.com does not exist, or has no address, as api.example.com",
    }
    FORBIDDEN = "ZC1303" {
        title: "name in egress resolves to what no name may resolve to",
        cause: "Whoever answers for a name could otherwise lead the workload to loopback, link-local and metadata addresses, to nodes, and to networks of pods and services.",
        cure: "Write the address instead of the name, if it is meant. The node's administrator can permit networks with `names.may` in the floor file.",
        example: "api.example.com resolves to 169.254.169.254, which a name may not resolve to (it is in 169.254.0.0/16)",
    }
    RESPONDER = "ZC1304" {
        title: "container cannot have its DNS responder",
        cause: "The responder takes port 53 of a loopback address of the pod. The pod's network namespace cannot be entered, or another process of the pod has that port on every address.",
        cure: "Let the other container bind port 53 of one address instead of all of them.",
        example: "no loopback address has port 53 free for the DNS responder: Address already in use",
    }
    FILES = "ZC1305" {
        title: "private resolv.conf or hosts cannot be made",
        cause: "The files that tell the container whom to ask lie on the node below /run/zerocap and cannot be written, or the kubelet's hosts file cannot be read.",
        cure: "Look at the error and at the file system: space, permissions.",
        example: "/run/zerocap/.files/k8s.io/4711/resolv.conf: No space left on device",
    }
    TABLE = "ZC1306" {
        title: "packet fence does not take a name's addresses",
        cause: "The table of the container's packet fence refuses the addresses that a name resolves to.",
        cure: "Look at the error: memory, or more addresses than there is room for. Fewer ports per name need less room.",
        example: "api.example.com: the packet fence does not permit its addresses: Argument list too long",
    }
}
