//! ZC05xx: the kernel cannot keep a promise.

codes! {
    NOT_KEPT = "ZC0501" {
        title: "a promise has no fence on this node",
        cause: "The mode promises something that no mechanism of this node's kernel can keep.",
        cure: "Run the pod on a node whose kernel has the feature that the message names, or name with zerocap.io/require only the promises that you need. `zerocap check` shows what a node can keep.",
        example: "egress is not kept: Landlock TCP (ABI 4, Linux 6.7) is missing",
    }
    ONLY_PARTLY = "ZC0502" {
        title: "a promise that must be fully kept is only partly",
        cause: "The promise must be fully kept: zerocap.io/require names it, or it is egress or inbound, of which platform mode accepts no half.",
        cure: "Run the pod where the missing feature exists, or name with zerocap.io/require the promises that you need, without this one.",
        example: "egress on a node without the packet fence",
    }
    NOT_ASKED = "ZC0503" {
        title: "a required promise is not part of the policy",
        cause: "zerocap.io/require names a promise that nothing in the container's policy asks for, so it would never be kept.",
        cure: "Add the knob that asks for it, for example network-enforcement: platform or filesystem: read-only, or remove the promise from require.",
        example: "require: files without filesystem or a path list",
    }
    NO_LANDLOCK = "ZC0504" {
        title: "path lists need Landlock",
        cause: "fs-read, fs-write and fs-execute are kept by Landlock alone, and this kernel has none.",
        cure: "Boot the node with Landlock (CONFIG_SECURITY_LANDLOCK, lsm=landlock,…).",
        example: "files is not kept: Landlock (Linux 5.13) is missing",
    }
}
