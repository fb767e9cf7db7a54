//! clone3 is answered ENOSYS, and threads work all the same: glibc and musl fall back to clone. A refusal with EPERM would leave
//! programs without threads.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use zerocap_seccomp::preset::{LastLayer, Preset, last_layer};
use zerocap_seccomp::{Action, Arch, Gate, Insn, Profile, compile, lookup};

/// Loads the filter in the file that it is given, so that no execve is needed under it; then makes threads and a clone3.
const PROGRAM: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static int sum;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static void *work(void *number) {
    pthread_mutex_lock(&mutex); sum += (int)(long)number; pthread_mutex_unlock(&mutex);
    return number;
}

int main(int argc, char **argv) {
    static char code[4096 * 8];
    FILE *file = fopen(argv[1], "r");
    struct { unsigned short len; void *filter; } program = { fread(code, 8, 4096, file), code };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_seccomp, 1, 0, &program)) return 3;
    errno = 0;
    long result = syscall(435, 0, 0);
    printf("clone3 %ld %d\n", result, errno);
    pthread_t threads[8];
    int failed = 0;
    for (long n = 0; n < 8; n++) failed += pthread_create(&threads[n], 0, work, (void *)(n + 1)) != 0;
    if (failed) { printf("%d threads cannot be made\n", failed); return 4; }
    for (int n = 0; n < 8; n++) pthread_join(threads[n], 0);
    printf("sum %d\n", sum);
    return 0;
}
"#;

/// The program, linked statically with the library of this compiler; says so where there is none.
fn built(compiler: &str, folder: &Path) -> Option<String> {
    let (source, program) = (folder.join("threads.c"), folder.join(compiler));
    fs::write(&source, PROGRAM).expect("a temporary file");
    let command =
        Command::new(compiler).args(["-O1", "-w", "-static", "-pthread", "-o"]).arg(&program).arg(&source).output();
    match command {
        Ok(output) if output.status.success() => Some(program.to_str()?.to_owned()),
        Ok(output) => panic!("{compiler}: {output:?}"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let _ = writeln!(io::stderr(), "SKIPPED: {compiler} is not installed");
            None
        }
        Err(error) => panic!("{compiler}: {error}"),
    }
}

fn bytes(insns: &[Insn]) -> Vec<u8> {
    insns
        .iter()
        .flat_map(|insn| {
            let ([a, b], [c, d, e, f]) = (insn.code.to_ne_bytes(), insn.k.to_ne_bytes());
            [a, b, insn.jt, insn.jf, c, d, e, f]
        })
        .collect()
}

fn run(program: &str, folder: &Path, insns: &[Insn]) -> (String, Option<i32>) {
    let filter = folder.join("filter");
    fs::write(&filter, bytes(insns)).expect("a temporary file");
    let output = Command::new(program).arg(&filter).output().expect("a program");
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
}

#[test]
fn threads_of_glibc_and_musl() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    for compiler in ["cc", "musl-gcc"] {
        let Some(program) = built(compiler, folder.path()) else { continue };
        for preset in [Preset::General, Preset::Strict, Preset::ModelBackend, Preset::SandboxBlocklist] {
            for platform in [true, false] {
                let layer = LastLayer { preset, platform, ..LastLayer::default() };
                let filter = last_layer(Arch::X86_64, &layer).expect("a native architecture");
                let expected = ("clone3 -1 38\nsum 36\n".to_owned(), Some(0));
                assert_eq!(run(&program, folder.path(), filter.insns), expected, "{compiler} {layer:?}");
            }
        }
        // The control: with EPERM for clone3 glibc does not fall back (musl does not ask for it).
        let mut profile = Profile::unconfined();
        let mut table = profile.table(Arch::X86_64).expect("it has all").clone();
        let clone3 = lookup("clone3").and_then(|call| call.number(Arch::X86_64)).expect("known");
        table.set(clone3, zerocap_seccomp::Decision::always(Action::Errno(1)));
        profile.set_table(Arch::X86_64, table);
        let filter = compile(&profile, Arch::X86_64, Gate::None).expect("small");
        let (said, code) = run(&program, folder.path(), &filter.insns);
        let works = code == Some(0);
        assert_eq!(works, compiler == "musl-gcc", "{compiler}: {said}");
    }
}
