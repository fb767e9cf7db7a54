//! ZC02xx: what the node's administrator demands.

codes! {
    SYNTAX = "ZC0201" {
        title: "floor file is not TOML",
        cause: "The floor file does not parse. Without it nobody knows what the administrator demands, so no container starts.",
        cure: "Correct the line that the message names; `zerocap check --floor FILE` checks a file.",
        example: "floor line 3, column 9: expected `=`",
    }
    SHAPE = "ZC0202" {
        title: "floor file has an unknown key or a value of the wrong type",
        cause: "The file is TOML, but a key is not one that the floor knows, or its value has another type.",
        cure: "Correct the line that the message names.",
        example: "floor line 5, column 1: unknown field `default`, expected `defaults`",
    }
    BAD_VALUE = "ZC0203" {
        title: "knob value in the floor file does not parse",
        cause: "A default, ceiling or policy has a value that the knob does not accept.",
        cure: "Write the value as in an annotation; the message names what is accepted.",
        example: "floor line 7, column 16: defaults.unix: \"some\" is none of any, container, none",
    }
    BAD_PATTERN = "ZC0204" {
        title: "namespace pattern is malformed",
        cause: "A section matches no namespace, or a pattern has characters that no namespace name has.",
        cure: "Write namespace names, with * for any run of characters and ? for one.",
        example: "namespaces = [\"prod/*\"]  →  write \"prod-*\"",
    }
    VERSION = "ZC0205" {
        title: "floor file or frozen policy has an unknown version",
        cause: "It was written for another version of zerocap, whose demands this one may not understand.",
        cure: "Write `version = 1`, or use the version of zerocap that the file was written for.",
        example: "version = 2",
    }
    FORBIDDEN = "ZC0206" {
        title: "knob forbidden by the floor",
        cause: "The node's administrator forbids this annotation in the pod's namespace.",
        cure: "Remove the annotation, or ask the administrator.",
        example: "zerocap.io/listen in a namespace whose floor has forbidden = [\"listen\"]",
    }
    BEYOND_CEILING = "ZC0207" {
        title: "value looser than the floor permits",
        cause: "An annotation may only tighten below the floor. The value is looser than the ceiling of the pod's namespace or handler, or cannot be compared with it.",
        cure: "Write a value that is at least as strict as the one the message names, or remove the annotation.",
        example: "network-enforcement: cluster under the handler zerocap-platform",
    }
    MODE_NOT_PERMITTED = "ZC0208" {
        title: "mode not permitted by the floor",
        cause: "`audit` and `record` loosen what is enforced, so only the floor can permit them.",
        cure: "Write mode: enforce, or remove the annotation.",
        example: "zerocap.io/mode: audit",
    }
    NO_SUCH_POLICY = "ZC0209" {
        title: "no policy of that name in the floor file",
        cause: "`zerocap.io/policy` names a policy that the floor file of this node does not define.",
        cure: "Write the name of a defined policy; the message lists them.",
        example: "zerocap.io/policy: web on a node without [policies.web]",
    }
    CONTRADICTION = "ZC0210" {
        title: "floor file contradicts itself",
        cause: "A default is looser than the ceiling beside it, a policy is defined by another policy, or knobs exclude each other.",
        cure: "Correct the section that the message names.",
        example: "defaults.unix = \"any\" beside ceilings.unix = \"container\"",
    }
    UNKNOWN_BUILTIN = "ZC0211" {
        title: "handler names an unknown floor",
        cause: "The runtime handler's option `floor` is not one that is built in.",
        cure: "Write floor = \"platform\", or remove the option.",
        example: "floor = \"plattform\"",
    }
}
