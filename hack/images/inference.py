"""An inference server of the usual kind, and what an intruder in it would try.

    inference.py serve      initialise, infer, clean up; prints the results
    inference.py attack     tries to break out, and prints for each way whether it was open
"""

import concurrent.futures
import ctypes
import errno
import hashlib
import os
import socket
import sys
import threading

MODEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "model.onnx")
libc = ctypes.CDLL(None, use_errno=True)


def serve():
    import numpy
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    # Initialise: the model, the runtime's own threads, a unix socket for the front end, shared memory.
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 3
    # Threads that wait do not take a processor from those that work.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Exact arithmetic on a GPU as well.
    providers = [("CUDAExecutionProvider", {"use_tf32": "0"})] if os.environ.get("ZEROCAP_ON_GPU") else ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(MODEL, options, providers=providers)
    scratch = os.memfd_create("scratch", 8)  # MFD_NOEXEC_SEAL
    os.ftruncate(scratch, 4096)
    server = socket.socket(socket.AF_UNIX)
    server.bind("\0model-backend")
    server.listen()
    print("initialise", session.get_providers(), flush=True)

    # Infer: a thread for each request, each of which the runtime divides among its own.
    def infer(seed: int) -> bytes:
        cells = numpy.arange(32 * 512)
        x = ((cells * (seed + 3) + cells // 7) % 4).astype(numpy.float32).reshape(32, 512)
        return hashlib.sha256(session.run(None, {"x": x})[0].tobytes()).hexdigest().encode()

    def answer():
        connection = server.accept()[0]
        with connection:
            connection.sendall(infer(connection.recv(1)[0]))

    def ask(seed: int) -> str:
        with socket.socket(socket.AF_UNIX) as front_end:
            front_end.connect("\0model-backend")
            front_end.sendall(bytes([seed]))
            return front_end.recv(99).decode()

    requests = range(8)
    workers = [threading.Thread(target=answer) for _ in requests]
    for worker in workers:
        worker.start()
    with concurrent.futures.ThreadPoolExecutor(4) as front_ends:
        for seed, result in zip(requests, front_ends.map(ask, requests)):
            print("infer", seed, result, flush=True)
    threads = len(os.listdir("/proc/self/task"))
    # This one and the runtime's own two.
    print("threads", threads >= 3, flush=True)

    # Clean up.
    for worker in workers:
        worker.join()
    server.close()
    os.close(scratch)
    del session
    print("clean-up", len(os.listdir("/proc/self/task")) < threads, flush=True)


def system_call(number, *args):
    result = libc.syscall(number, *args)
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result


def written(fd):
    os.write(fd, b"x")
    os.close(fd)


def program(path):
    """Executes something that says that it ran; in a child where that is possible, so that we can go on."""
    arguments = ["sh", "-c", "exit 0"]
    try:
        child = os.fork()
    except OSError:
        os.execv(path, arguments)
    if child == 0:
        os.execv(path, arguments)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise OSError(errno.ENOEXEC, "")


def fork():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def in_memory():
    fd = os.memfd_create("program", 0)
    with open(os.path.realpath("/bin/sh"), "rb") as shell:
        os.write(fd, shell.read())
    program(f"/proc/self/fd/{fd}")


def attack():
    path = os.path.join(sys.argv[2] if len(sys.argv) > 2 else "/tmp", "written").encode()
    write, create = os.O_WRONLY, os.O_CREAT
    how = (ctypes.c_uint64 * 3)(write | create, 0o600, 0)
    for name, way in {
        "shell": lambda: program("/bin/sh"),
        "fork": fork,
        "inet": lambda: socket.socket(socket.AF_INET).close(),
        "inet6": lambda: socket.socket(socket.AF_INET6).close(),
        "open": lambda: written(system_call(2, path, write | create, 0o600)),
        "openat": lambda: written(system_call(257, -100, path, write | create, 0o600)),
        "openat2": lambda: written(system_call(437, -100, path, how, 24)),
        "creat": lambda: written(system_call(85, path, 0o600)),
        "io_uring": lambda: os.close(system_call(425, 1, bytes(120))),
        "memfd": in_memory,
    }.items():
        try:
            way()
            print(name, "open", flush=True)
        except OSError as error:
            print(name, errno.errorcode[error.errno], flush=True)


if __name__ == "__main__":
    {"serve": serve, "attack": attack}[sys.argv[1]]()
