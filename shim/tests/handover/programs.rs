//! Programs that cannot be executed: the engines' sentences, with a code.

use std::os::unix::fs::symlink;

use zerocap_annotations::ZcError;
use zerocap_annotations::code::handover as code;
use zerocap_plan::LaunchPlan;

use crate::rig::{Container, Engine, bare, block_on, expect, write};

pub const TESTS: &[(&str, crate::Body)] = &[
    ("sentences_for_programs_that_cannot_run", sentences_for_programs_that_cannot_run),
    ("scripts_run_by_their_interpreter", scripts_run_by_their_interpreter),
    ("a_place_that_the_image_occupies", a_place_that_the_image_occupies),
];

async fn refusal(container: &Container<'_>, plan: &LaunchPlan, program: &str) -> ZcError {
    container.exec(plan, &[program]).await.run(&expect()).await.map(|_| ()).unwrap_err()
}

fn sentences_for_programs_that_cannot_run(engine: &Engine) {
    block_on(async {
        let container = crate::rig::waiting(engine).await;
        let root = container.rootfs();
        write(&root.join("plain"), "#!/bin/sh\n", 0o644).unwrap();
        write(&root.join("orphan"), "#!/no/such/interpreter\n", 0o755).unwrap();
        write(&root.join("noise"), "neither\n", 0o755).unwrap();
        write(&root.join("old"), [b"\x7fELF\x01\x01\x01".as_slice(), &[0; 60]].concat(), 0o755).unwrap();
        let native = LaunchPlan { native_abi_only: true, ..bare() };
        for (plan, program, code, words) in [
            (&bare(), "missing", code::PROGRAM_NOT_FOUND, "exec: \"missing\": executable file not found in $PATH"),
            (&bare(), "/missing", code::PROGRAM_NOT_FOUND, "exec: \"/missing\": no such file or directory"),
            (&bare(), "/etc", code::PROGRAM_NOT_EXECUTABLE, "exec: \"/etc\": is a directory"),
            (&bare(), "/plain", code::PROGRAM_NOT_EXECUTABLE, "exec: \"/plain\": permission denied"),
            (&bare(), "/orphan", code::PROGRAM_NOT_FOUND, "its interpreter or loader is not"),
            (&bare(), "/noise", code::PROGRAM_FORMAT, "exec: \"/noise\": exec format error"),
            (&native, "/old", code::PROGRAM_FORMAT, "a 32-bit program, whose system calls the policy refuses"),
        ] {
            let error = refusal(&container, plan, program).await;
            assert_eq!(error.code, code, "{error}");
            assert!(error.message.contains(words) && !error.to_string().contains('\n'), "{error}");
        }
        let init = Container::new(engine, &["missing"]);
        let error = init.start(&bare()).await.run(&expect()).await.map(|_| ()).unwrap_err();
        assert_eq!(error.code, code::PROGRAM_NOT_FOUND, "{error}");
    });
}

fn scripts_run_by_their_interpreter(engine: &Engine) {
    block_on(async {
        let container = Container::new(engine, &["hello", "you", "two words"]);
        write(&container.rootfs().join("usr/local/bin/hello"), "#!/bin/sh -e\necho \"$0|$1|$2\"\n", 0o755).unwrap();
        let (_, _, init) = container.start(&bare()).await.run(&expect()).await.unwrap();
        assert_eq!(init.end().await, (0, "/usr/local/bin/hello|you|two words".to_owned()));
    });
}

fn a_place_that_the_image_occupies(engine: &Engine) {
    use zerocap_annotations::code::spec::ROOTFS_OCCUPIED;
    use zerocap_shim::handover::free_mount_point;
    let container = Container::new(engine, &["true"]);
    let (root, place) = (container.rootfs(), container.rootfs().join(".zerocap"));
    free_mount_point(&root).unwrap();
    std::fs::create_dir(&place).unwrap();
    free_mount_point(&root).unwrap();
    write(&place.join("launcher"), "fake", 0o755).unwrap();
    assert_eq!(free_mount_point(&root).unwrap_err().code, ROOTFS_OCCUPIED);
    std::fs::remove_dir_all(&place).unwrap();
    for target in ["etc", "/etc", "nowhere"] {
        symlink(target, &place).unwrap();
        let error = free_mount_point(&root).unwrap_err();
        assert_eq!(error.code, ROOTFS_OCCUPIED);
        assert!(error.message.contains("symbolic link"), "{error}");
        std::fs::remove_file(&place).unwrap();
    }
    write(&place, "file", 0o644).unwrap();
    assert_eq!(free_mount_point(&root).unwrap_err().code, ROOTFS_OCCUPIED);
}
