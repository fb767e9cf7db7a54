//! Ordinary programs run under `general` as they run without: shells, Python, Node, Go, the JVM. What is not installed is
//! skipped, by name. So does an inference server under `model-backend`, and a static program under `minimal`.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(unsafe_code)]

#[path = "kernel_child/raw.rs"]
mod raw;

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

use zerocap_seccomp::preset::{LastLayer, Preset, last_layer};
use zerocap_seccomp::{Arch, Insn};

/// Says that a test did not run. Not by println, which libtest keeps back: whoever counts must see it.
fn skipped(reason: &str) {
    let _ = writeln!(io::stderr(), "SKIPPED: {reason}");
}

/// Run a program, under a filter or not; `None` if it is not installed.
fn run(filter: Option<&'static [Insn]>, program: &str, args: &[&str]) -> Option<Output> {
    let mut command = Command::new(program);
    command.args(args).env("GOTOOLCHAIN", "local");
    if let Some(insns) = filter {
        // SAFETY: two system calls on memory that lives as long as the program; no lock, no allocation.
        unsafe { command.pre_exec(|| raw::load(insns).map_err(|errno| io::Error::from_raw_os_error(-errno as i32))) };
    }
    match command.output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            skipped(&format!("{program} is not installed"));
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

/// The same output, and success, with and without the filter.
fn runs_alike(layer: LastLayer, program: &str, args: &[&str]) {
    let filter = last_layer(Arch::X86_64, &layer).expect("a native architecture").insns;
    let Some(bare) = run(None, program, args) else { return };
    assert!(bare.status.success(), "without a filter: {bare:?}");
    let filtered = run(Some(filter), program, args).expect("it ran before");
    assert_eq!(filtered, bare, "{program} {args:?}");
}

const DEFAULT: LastLayer = LastLayer {
    preset: Preset::General,
    platform: true,
    listen: false,
    unix: true,
    exec_listed: false,
    datagrams: false,
};

#[test]
fn shells() {
    let script = "set -e; t=$(mktemp -d); cd $t; echo a b c | tr ' ' '\\n' | sort -r | head -2; mkfifo f; (echo x > f) & cat f; \
                  ulimit -n; nice -n 1 true; (sleep 0.01; exit 3) || echo $?; ln -s f g; ls; cp -a f h; find . | sort; cd /; rm -r $t";
    runs_alike(DEFAULT, "sh", &["-c", script]);
    runs_alike(
        DEFAULT,
        "bash",
        &["-c", "diff <(echo 1) <(echo 2) || echo differs; kill -0 $$; trap 'echo usr1' USR1; kill -USR1 $$"],
    );
    runs_alike(DEFAULT, "busybox", &["sh", "-c", "echo a | busybox sed s/a/b/; busybox ls / | busybox head -1"]);
}

#[test]
fn python() {
    let script = r#"
import asyncio, hashlib, multiprocessing, mmap, os, random, resource, select, signal, socket, subprocess, tempfile, threading, time

done = []
threads = [threading.Thread(target=lambda n=n: done.append(n)) for n in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
print(sorted(done))
print(subprocess.run(["sh", "-c", "echo child; exit 7"], capture_output=True, text=True).stdout)
a, b = socket.socketpair(); a.sendall(b"pair"); print(b.recv(9))
with tempfile.TemporaryDirectory() as d:
    path = os.path.join(d, "f")
    with open(path, "wb") as f: f.write(b"x" * 4096); f.flush(); os.fsync(f.fileno())
    with open(path, "r+b") as f: print(len(mmap.mmap(f.fileno(), 0)))
    s = socket.socket(socket.AF_UNIX); s.bind(os.path.join(d, "s")); s.close()
    print(sorted(os.listdir(d)))
print(socket.socket().getsockopt(socket.SOL_SOCKET, socket.SO_TYPE))
s = socket.socket(); s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1); s.settimeout(1)
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 0, len(os.sched_getaffinity(0)) > 0, os.getpriority(os.PRIO_PROCESS, 0))
os.sched_setaffinity(0, os.sched_getaffinity(0))
signal.signal(signal.SIGALRM, lambda *_: print("alarm")); signal.setitimer(signal.ITIMER_REAL, 0.01); time.sleep(0.05)
async def main(): return await asyncio.gather(*[asyncio.sleep(0.001, n) for n in range(3)])
print(asyncio.run(main()))
r, w = os.pipe(); e = select.epoll(); e.register(r, select.EPOLLIN); os.write(w, b"1"); print(len(e.poll(1)))
print(os.memfd_create("m") > 2, os.getrandom(4) != b"", os.urandom(4) != b"", os.cpu_count() > 0)
with multiprocessing.get_context("fork").Pool(2) as pool: print(pool.map(abs, [-1, -2]))
print([len(socket.getaddrinfo("127.0.0.1", 80)) > 0, len(socket.if_nameindex()) > 0])
print(hashlib.sha256(b"x").hexdigest())
"#;
    // multiprocessing's queues use semaphores and pipes; no listening socket is needed.
    runs_alike(DEFAULT, "python3", &["-c", script]);
}

#[test]
fn python_is_refused_what_the_platform_refuses() {
    let script = r#"
import ctypes, errno, os, socket
def errno_of(f):
    try: f(); return "allowed"
    except OSError as e: return errno.errorcode[e.errno]
print(errno_of(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)))
print(errno_of(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)))
print(errno_of(lambda: socket.socket().listen()))
print(errno_of(lambda: socket.socket().setsockopt(socket.SOL_SOCKET, 25, b"lo\0")))
print(errno_of(lambda: socket.socket().sendto(b"x", 0x20000000, ("127.0.0.1", 9))))
libc = ctypes.CDLL(None, use_errno=True)
for number in (425, 272, 101, 321): print(libc.syscall(number, 0, 0, 0, 0), errno.errorcode[ctypes.get_errno()])
"#;
    let filter = last_layer(Arch::X86_64, &DEFAULT).expect("a native architecture").insns;
    let Some(output) = run(Some(filter), "python3", &["-c", script]) else { return };
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "EACCES\nEACCES\nEACCES\nEPERM\nEACCES\n-1 ENOSYS\n-1 EPERM\n-1 EPERM\n-1 EPERM\n",
        "{output:?}"
    );
}

#[test]
fn servers_with_the_knob() {
    let script = r#"
import socket, threading
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
threading.Thread(target=lambda: s.accept()[0].sendall(b"served")).start()
print(socket.create_connection(s.getsockname()).recv(9))
"#;
    runs_alike(LastLayer { listen: true, ..DEFAULT }, "python3", &["-c", script]);
}

#[test]
fn node() {
    let script = "const {Worker} = require('worker_threads'); const {execSync} = require('child_process'); const fs = require('fs');\
        new Worker('require(\"worker_threads\").parentPort.postMessage(7)', {eval: true}).on('message', m => { console.log(m);\
        console.log(execSync('echo child').toString()); fs.promises.readFile('/proc/self/comm').then(b => console.log(b.length > 0)); });\
        setTimeout(() => console.log(require('crypto').createHash('sha256').update('x').digest('hex')), 5);";
    runs_alike(DEFAULT, "node", &["-e", script]);
}

#[test]
fn go() {
    // The Go tool is a Go program: goroutines, timers, files, child processes.
    runs_alike(DEFAULT, "go", &["version"]);
    runs_alike(DEFAULT, "go", &["list", "std"]);
}

#[test]
fn java() {
    runs_alike(DEFAULT, "java", &["-XX:-UsePerfData", "-Xshare:auto", "--list-modules"]);
}

/// The filter as the program has to load it by itself, since `model-backend` allows no execve: in hexadecimal.
fn in_hexadecimal(insns: &[Insn]) -> String {
    let bytes = insns.iter().flat_map(|insn| {
        let [a, b] = insn.code.to_ne_bytes();
        let [c, d, e, f] = insn.k.to_ne_bytes();
        [a, b, insn.jt, insn.jf, c, d, e, f]
    });
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

/// The phases of an inference server: initialise, infer, clean up; and what it must not do.
#[test]
fn an_inference_server_under_model_backend() {
    let layer = LastLayer { preset: Preset::ModelBackend, ..DEFAULT };
    let filter = last_layer(Arch::X86_64, &layer).expect("a native architecture").insns;
    let script = r#"
import ctypes, errno, mmap, os, socket, subprocess, sys, tempfile, threading
libc = ctypes.CDLL(None, use_errno=True)
code = bytes.fromhex(sys.argv[1])
class Fprog(ctypes.Structure): _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_char_p)]
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.syscall(317, 1, 0, ctypes.byref(Fprog(len(code) // 8, code))) == 0

# initialise: weights mapped, shared memory, a unix socket for the front end, a pool of threads
d = tempfile.mkdtemp(); path = os.path.join(d, "weights")
with open(path, "wb") as f: f.write(bytes(range(256)) * 64)
with open(path, "rb") as f: weights = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
os.ftruncate(os.memfd_create("scratch"), 4096)
server = socket.socket(socket.AF_UNIX); server.bind(os.path.join(d, "s")); server.listen()
# infer
results = {}
def work(n): results[n] = sum(weights[n::4])
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
def answer():
    c = server.accept()[0]; c.sendall(str(sum(results.values())).encode()); c.close()
t = threading.Thread(target=answer); t.start()
client = socket.socket(socket.AF_UNIX); client.connect(os.path.join(d, "s")); print(client.recv(99)); t.join()
# clean up
server.close(); weights.close(); os.unlink(os.path.join(d, "s")); os.unlink(path); os.rmdir(d)

def errno_of(f):
    try: f(); return "allowed"
    except OSError as e: return errno.errorcode[e.errno]
print(errno_of(os.fork), errno_of(lambda: subprocess.run(["true"])), errno_of(lambda: os.execv("/bin/true", ["true"])))
print(errno_of(socket.socket), errno_of(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)))
"#;
    let Some(output) = run(None, "python3", &["-c", script, &in_hexadecimal(filter)]) else { return };
    assert_eq!(String::from_utf8_lossy(&output.stdout), "b'2088960'\nEPERM EPERM EPERM\nEACCES EACCES\n", "{output:?}");
}

/// A static program from its first instruction on: the filter is loaded, and execve passes by its cookie as the launcher
/// does it. What the program must not do, it is refused.
#[test]
fn a_static_program_under_minimal() {
    const COOKIE: [u64; 3] = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, 0x0f1e_2d3c_4b5a_6978];
    let source = "#include <stdio.h>\n#include <stdlib.h>\n#include <fcntl.h>\n#include <unistd.h>\n#include <time.h>\n\
        int main(void) { char line[64]; char *m = malloc(1 << 20); m[9] = 1; time(0); if (!fgets(line, 64, stdin)) return 2;\
        printf(\"%s%d %d %d\\n\", line, open(\"/etc/passwd\", O_RDONLY), fork(), execl(\"/bin/true\", \"true\", NULL));\
        free(m); return 7; }\n";
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (file, program) = (dir.path().join("m.c"), dir.path().join("m"));
    std::fs::write(&file, source).expect("writable");
    let compile = ["-static", "-O1", "-w", "-o", program.to_str().expect("UTF-8"), file.to_str().expect("UTF-8")];
    match run(None, "cc", &compile) {
        Some(output) if output.status.success() => {}
        Some(output) => return skipped(&format!("cc cannot link static programs: {output:?}")),
        None => return,
    }
    let layer = LastLayer { preset: Preset::Minimal, ..DEFAULT };
    let mut filter = last_layer(Arch::X86_64, &layer).expect("a native architecture").to_program();
    for site in &filter.cookie {
        let word = COOKIE[usize::from(site.word / 2)] >> (32 * u32::from(site.word % 2));
        filter.insns[usize::from(site.insn)].k = word as u32;
    }
    let path = std::ffi::CString::new(program.to_str().expect("UTF-8")).expect("no zero byte");
    let argv = [path.as_ptr().addr() as u64, 0];
    let envp = [0u64];
    let [a, b, c] = COOKIE;
    let args = [argv[0], argv.as_ptr().addr() as u64, envp.as_ptr().addr() as u64, a, b, c];
    let mut command = Command::new(&program);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let insns = filter.insns;
    // SAFETY: three system calls on memory that lives until `output` returns; no lock, no allocation.
    unsafe {
        command.pre_exec(move || {
            raw::load(&insns).map_err(|errno| io::Error::from_raw_os_error(-errno as i32))?;
            let errno = raw::raw(&raw::Call { number: 59, args });
            Err(io::Error::from_raw_os_error(-errno as i32))
        })
    };
    let mut child = command.spawn().expect("the gate opens to the cookie");
    io::Write::write_all(&mut child.stdin.take().expect("piped"), b"input\n").expect("it reads");
    let output = child.wait_with_output().expect("a child");
    assert_eq!(
        (String::from_utf8_lossy(&output.stdout).as_ref(), output.status.code()),
        ("input\n-1 -1 -1\n", Some(7))
    );
}
