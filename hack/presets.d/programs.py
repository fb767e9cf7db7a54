"""The programs that are run under every preset. Commands are given as words: a shell in between would be what fails."""

import dataclasses
import glob
import pathlib
import shutil
import zipfile

HERE = pathlib.Path(__file__).resolve().parent


@dataclasses.dataclass
class Program:
    """`package`: Debian's, where the program is not there. `serves`: it is a server on PORT, and a connection shows that it works.
    `quick`: run by `make test` as well. `traces`: it is a tracer, so that nobody can watch it: its message counts. `needs`: what shows
    that it is there, a program or a pattern of paths, if not the command itself. `user`: not as root, which it refuses."""

    name: str
    command: list
    package: str = ""
    input: str = ""
    serves: bool = False
    quick: bool = False
    traces: bool = False
    needs: str = ""
    user: bool = False

    def here(self):
        needs = self.needs or self.command[0]
        return shutil.which(needs) or glob.glob(needs)


THREADS = "import threading; t = [threading.Thread(target=print) for _ in range(4)]; [x.start() for x in t]; [x.join() for x in t]"
POOL = "import multiprocessing as m; print(m.get_context('fork').Pool(2).map(abs, [-1, 2]))"
SERVER = "import http.server as h; h.ThreadingHTTPServer(('127.0.0.1', PORT), h.SimpleHTTPRequestHandler).serve_forever()"
UNIX = "import socket; s = socket.socket(socket.AF_UNIX); s.bind('s'); s.listen(); c = socket.socket(socket.AF_UNIX); c.connect('s'); s.accept()"
UDP = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))"
# Calls of the C library that Python has no name for. A failure is -1.
LIBC = "import ctypes, sys; c = ctypes.CDLL(None, use_errno=True); "
SHM = LIBC + "i = c.shmget(0, 4096, 0o600); sys.exit(i < 0 or c.shmctl(i, 0, None))"
MQ = LIBC + "n = b'/zerocap-presets'; q = c.mq_open(n, 0o102, 0o600, None); sys.exit(q < 0 or c.mq_unlink(n))"
AIO = LIBC + "x = ctypes.c_ulong(0); sys.exit(c.syscall(206, 1, ctypes.byref(x)))"
SEALED = "import os; os.memfd_create('x', 0x8)"
ASYNC = "import asyncio; asyncio.run(asyncio.sleep(0))"
NODE = "const { Worker } = require('worker_threads'); new Worker('1', { eval: true }).on('exit', c => process.exit(c))"
NODE_CHILD = "require('child_process').execFileSync('true')"
NODE_SERVER = "require('http').createServer((q, r) => r.end('x')).listen(PORT, '127.0.0.1')"
CHROMIUM = ["chromium", "--headless", "--disable-gpu", "--disable-dev-shm-usage", "--user-data-dir=FOLDER/profile", "--dump-dom"]
FIREFOX = ["firefox-esr", "--headless", "--no-remote", "--profile", "FOLDER/folder", "--window-size=200,200", "--screenshot", "FOLDER/page.png", "file://FOLDER/page.html"]

PROGRAMS = [
    # Static and small.
    Program("busybox echo (static)", ["busybox", "echo", "x"], "busybox-static", quick=True),
    Program("busybox head of its input (static)", ["busybox", "head", "-n", "1"], "busybox-static", input="x\n"),
    Program("busybox cat of a file (static)", ["busybox", "cat", "text"], "busybox-static", quick=True),
    Program("busybox sh, a pipeline", ["busybox", "sh", "-c", "echo b a | busybox tr ' ' '\\n' | busybox sort"], "busybox-static", quick=True),
    # Shells and tools.
    Program("cat", ["cat", "text"]),
    Program("bash, process substitution", ["bash", "-c", "diff <(echo 1) <(echo 1)"]),
    Program("tar, create", ["tar", "-cf", "new.tar", "folder"], "tar"),
    Program("tar, extract", ["tar", "-xf", "old.tar"], "tar"),
    Program("cp -a", ["cp", "-a", "folder", "copy"]),
    Program("mkfifo", ["mkfifo", "fifo"], quick=True),
    Program("git commit", ["git", "-C", "repository", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qam", "x"], "git"),
    Program("git log", ["git", "-C", "repository", "log", "-1"], "git"),
    Program("ssh-keygen", ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "key"], "openssh-client"),
    Program("openssl genpkey", ["openssl", "genpkey", "-algorithm", "ed25519"], "openssl"),
    Program("curl on loopback", ["curl", "-sS", "http://127.0.0.1:HTTP/text"], "curl"),
    Program("ping", ["ping", "-c", "1", "-W", "2", "127.0.0.1"], "iputils-ping"),
    Program("taskset", ["taskset", "-c", "0", "true"], quick=True),
    Program("numactl --interleave", ["numactl", "--interleave=all", "true"], "numactl"),
    Program("ionice", ["ionice", "-c", "2", "-n", "4", "true"]),
    Program("setarch -R (no address randomisation)", ["setarch", "-R", "true"], quick=True),
    # Languages.
    Program("gcc", ["gcc", "hello.c", "-o", "hello"], "gcc"),
    Program("perl", ["perl", "-e", "print 6 * 7"]),
    Program("python", ["python3", "-c", "import json, hashlib; print(json.dumps([1]))"], quick=True),
    Program("python, threads", ["python3", "-c", THREADS], quick=True),
    Program("python, asyncio", ["python3", "-c", ASYNC]),
    Program("python, multiprocessing", ["python3", "-c", POOL]),
    Program("python, subprocess", ["python3", "-c", "import subprocess; subprocess.run(['true'], check=True)"], quick=True),
    Program("python, UDP", ["python3", "-c", UDP], quick=True),
    Program("python, memfd_create", ["python3", "-c", "import os; os.memfd_create('x', 0)"], quick=True),
    Program("python, memfd_create with MFD_NOEXEC_SEAL", ["python3", "-c", SEALED], quick=True),
    Program("python, System V shared memory", ["python3", "-c", SHM], quick=True),
    Program("python, POSIX message queue", ["python3", "-c", MQ], quick=True),
    Program("python, io_setup (libaio)", ["python3", "-c", AIO], quick=True),
    Program("python, server on a unix socket", ["python3", "-c", UNIX], quick=True),
    Program("python, HTTP server", ["python3", "-c", SERVER], serves=True),
    Program("pip install of a local wheel", ["python3", "-m", "pip", "install", "-q", "--no-index", "--target", "site", "small-1-py3-none-any.whl"]),
    Program("node, a worker thread", ["node", "-e", NODE]),
    Program("node, child process", ["node", "-e", NODE_CHILD]),
    Program("node, HTTP server", ["node", "-e", NODE_SERVER], serves=True),
    Program("java, a source file (JIT)", ["java", "-XX:-UsePerfData", "Hello.java"], "default-jdk-headless"),
    Program("go list std", ["go", "list", "std"], "golang-go"),
    # Databases.
    Program("sqlite3", ["sqlite3", "database", "create table t (x); insert into t values (1); select * from t"], "sqlite3"),
    Program("redis-server", ["redis-server", "--port", "PORT", "--bind", "127.0.0.1", "--save", "", "--daemonize", "no"], "redis-server", serves=True),
    Program("PostgreSQL: initdb, start, query", ["sh", str(HERE / "postgres.sh")], "postgresql", needs="/usr/lib/postgresql/*/bin/initdb", user=True),
    Program("MariaDB: install, start, query", ["sh", str(HERE / "mariadb.sh")], "mariadb-server-core", needs="mariadbd", user=True),
    # Browsers: a page with a script.
    Program("Chromium, headless", [*CHROMIUM, "file://FOLDER/page.html"], "chromium", user=True),
    Program("Chromium, headless, --no-sandbox", [*CHROMIUM, "--no-sandbox", "file://FOLDER/page.html"], "chromium", user=True),
    Program("Firefox, headless", FIREFOX, "firefox-esr", user=True),
    # What looks into others, and what makes sandboxes.
    Program("strace", ["strace", "-o", "/dev/null", "true"], "strace", traces=True),
    Program("gdb", ["gdb", "-nx", "-batch", "-return-child-result", "-ex", "run", "/bin/true"], "gdb", traces=True),
    Program("perf stat", ["perf", "stat", "-e", "task-clock", "true"], "linux-perf"),
    Program("unshare -r", ["unshare", "-r", "true"], quick=True),
    Program("unshare -m", ["unshare", "-m", "true"]),
    Program("bwrap", ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "true"], "bubblewrap"),
    Program("chroot", ["chroot", "/", "true"]),
    Program("keyctl (session keyring)", ["keyctl", "show"], "keyutils"),
    Program("dmesg", ["dmesg", "-s", "4096"]),
]

NOT_TRIED = "MySQL and Oracle, Docker and Podman, CUDA programs, Wine"

# Modules of Python's own tests.
PYTHON_TESTS = ["test_json", "test_mmap", "test_tempfile", "test_select", "test_threading", "test_posix", "test_subprocess", "test_socket"]


def furnish(folder: pathlib.Path):
    """What the programs work on."""
    (folder / "text").write_text("a\n")
    (folder / "folder").mkdir()
    (folder / "folder/file").write_text("b\n")
    (folder / "page.html").write_text("<p id=x></p><script>document.getElementById('x').textContent = 6 * 7</script>\n")
    (folder / "hello.c").write_text("int main(void) { return 0; }\n")
    (folder / "Hello.java").write_text("class Hello { public static void main(String[] a) { System.out.println(6 * 7); } }\n")
    with zipfile.ZipFile(folder / "small-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("small.py", "x = 1\n")
        wheel.writestr("small-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: small\nVersion: 1\n")
        wheel.writestr("small-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("small-1.dist-info/RECORD", "")
