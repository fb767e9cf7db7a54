//! ZC08xx: runc, crun, youki, zerocap-engine.

codes! {
    NOT_FOUND = "ZC0801" {
        title: "engine not found",
        cause: "The engine that the handler names is not installed under that path or in PATH.",
        cure: "Install it, or correct BinaryName or the option `engine` of the handler.",
        example: "engine \"/usr/bin/crun\" does not exist",
    }
    NOT_EXECUTABLE = "ZC0802" {
        title: "engine not executable",
        cause: "The file exists but cannot be executed.",
        cure: "Correct its permissions or architecture.",
        example: "engine \"/usr/bin/runc\": Permission denied",
    }
    FAILED = "ZC0803" {
        title: "engine failed",
        cause: "The engine refused or could not do what was asked; its own words are in the message.",
        cure: "Look at the engine's words.",
        example: "runc create: unable to start container process",
    }
    HUNG = "ZC0804" {
        title: "engine did not answer in time",
        cause: "The engine was stopped, starved or waits for something; it was killed.",
        cure: "Retry; look at the node's load and at processes in the container that stop others.",
        example: "crun exec: no answer within 30 s",
    }
    BAD_OUTPUT = "ZC0805" {
        title: "engine printed something unexpected",
        cause: "The engine's output is not what its command line promises.",
        cure: "Use a released runc, crun or youki; look at the option BinaryName.",
        example: "state: expected JSON",
    }
    NO_ENGINE = "ZC0806" {
        title: "no engine at all",
        cause: "Option `engine = \"auto\"` found neither runc nor crun nor youki nor zerocap-engine.",
        cure: "Install one of them, zerocap-engine beside the shim.",
        example: "looked for runc, crun, youki in PATH and zerocap-engine beside the shim",
    }
    LACKS_FEATURE = "ZC0807" {
        title: "engine lacks a needed feature",
        cause: "The engine has no --preserve-fds for create and exec, so the launcher cannot get its plan.",
        cure: "Use runc 1.0, crun 1.0, youki 0.3 or newer.",
        example: "unknown flag: --preserve-fds",
    }
    CONTAINER_MISSING = "ZC0808" {
        title: "engine does not know the container",
        cause: "The engine's state of the container is gone, deleted behind our back.",
        cure: "Delete the container and start it again.",
        example: "container does not exist",
    }
}
