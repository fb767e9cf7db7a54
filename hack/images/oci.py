"""OCI image layouts, written by hand: a tar with one manifest, one config, one layer. The same input gives the same bytes."""

import hashlib
import io
import json
import pathlib
import platform
import stat
import struct
import tarfile

REPOSITORY = "zerocap.test"
APPLETS = """[ ash awk base64 basename cat chmod chown cp cut date dd dirname echo env expr false find getent grep
 head hostname id ifconfig install ip kill ln ls md5sum mkdir mkfifo mknod mktemp mount mv nc netstat nproc od ping printf
 ps pwd readlink realpath rm rmdir sed seq setsid sh sleep sort stat stty sync tail tar tee test timeout top touch tr true truncate tty
 ulimit umount uname uniq usleep vi wc wget which whoami xargs yes""".split()


# The programs in test images are this machine's: GOARCH, and its number in ELF headers.
ARCHITECTURE, E_MACHINE = {"x86_64": ("amd64", 62), "aarch64": ("arm64", 183)}[platform.machine()]


def elf64(code: bytes) -> bytes:
    """The smallest static program: one header, one segment, code."""
    start, size = 0x400000, 64 + 56 + len(code)
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, E_MACHINE, 1, start + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return header + struct.pack("<IIQQQQQQ", 1, 5, 0, start, start, size, size, 4096) + code


def elf32(code: bytes) -> bytes:
    """The same for i386."""
    start, size = 0x8048000, 52 + 32 + len(code)
    header = struct.pack("<16sHHIIIIIHHHHHH", b"\x7fELF\x01\x01\x01", 2, 3, 1, start + 84, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    return header + struct.pack("<IIIIIIII", 1, 0, start, start, size, size, 5, 4096) + code


# Sleeps for ever, as the pod's sandbox should: SYS_pause, or SYS_ppoll of nothing, again after each signal.
PAUSE = elf64({
    # mov eax, 34; syscall; jmp back
    "amd64": bytes.fromhex("b822000000 0f05 ebf7"),
    # mov x0 to x3, 0; mov x8, 73; svc 0; b back
    "arm64": bytes.fromhex("000080d2 010080d2 020080d2 030080d2 280980d2 010000d4 faffff17"),
}[ARCHITECTURE])


class Files:
    """One layer: path → what lies there."""

    def __init__(self):
        self.entries = {}

    def _entry(self, path: str, kind: bytes, mode: int, data: bytes = b"", target: str = "", owner=(0, 0)):
        name = path.strip("/")
        for parent in reversed(pathlib.PurePosixPath(name).parents):
            if str(parent) != "." and str(parent) not in self.entries:
                self._entry(str(parent), tarfile.DIRTYPE, 0o755)
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.size, info.linkname = kind, mode, len(data), target
        info.uid, info.gid = owner
        self.entries[name] = (info, data)
        return self

    def add(self, path, data, mode=0o644, owner=(0, 0), capability=None):
        self._entry(path, tarfile.REGTYPE, mode, data if isinstance(data, bytes) else data.encode(), owner=owner)
        if capability:
            # Extended attributes travel in PAX headers; Python wants them as text.
            header = {"SCHILY.xattr.security.capability": capability.decode("utf-8", "surrogateescape")}
            self.entries[path.strip("/")][0].pax_headers = header
        return self

    def folder(self, path, mode=0o755, owner=(0, 0)):
        return self._entry(path, tarfile.DIRTYPE, mode, owner=owner)

    def link(self, path, target):
        return self._entry(path, tarfile.SYMTYPE, 0o777, target=target)

    def users(self):
        """What most images have: names for ids, and a world-writable /tmp."""
        self.add("/etc/passwd", "root:x:0:0:root:/:/bin/sh\nnonroot:x:65532:65532::/home:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n")
        self.add("/etc/group", "root:x:0:\nnonroot:x:65532:\nnogroup:x:65534:\n")
        self.add("/etc/nsswitch.conf", "hosts: files dns\n")
        self.folder("/tmp", 0o1777)
        self.folder("/home", 0o755, (65532, 65532))
        return self

    def busybox(self, program, where="/bin"):
        self.add(f"{where}/busybox", program, 0o755)
        for applet in APPLETS:
            self.link(f"{where}/{applet}", "busybox")
        return self

    def tree(self, root: pathlib.Path, leave_out=(), where=""):
        """Everything below a folder of this machine, owned by root, put into the folder `where`."""
        for path in sorted(root.rglob("*")):
            name = path.relative_to(root).as_posix()
            if name.startswith(tuple(leave_out)):
                continue
            name = where + name
            if path.is_symlink():
                self.link(name, str(path.readlink()))
            elif path.is_dir():
                self.folder(name)
            else:
                self.add(name, path.read_bytes(), stat.S_IMODE(path.stat().st_mode))

    def unpack(self, folder: pathlib.Path):
        """The layer as a folder of this machine."""
        with tarfile.open(fileobj=io.BytesIO(self.layer())) as tar:
            # Debian 12's Python has no filters yet; what is in here we have put in ourselves.
            tar.extractall(folder, **({"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}))

    def layer(self) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for info, data in self.entries.values():
                tar.addfile(info, io.BytesIO(data))
        return out.getvalue()


def busybox(program: bytes) -> Files:
    """An image that a shell feels at home in."""
    return Files().busybox(program).users()


class Image:
    """A layer with a name and a command; `entrypoint`, `command`, `env` as in a Dockerfile."""

    def __init__(self, name, files, entrypoint=(), command=(), env=("PATH=/usr/local/bin:/usr/bin:/bin",)):
        self.name, self.files = name, files
        self.config = {"Entrypoint": list(entrypoint), "Cmd": list(command), "Env": list(env), "WorkingDir": "/"}

    def write(self, path: pathlib.Path):
        blobs = {}

        def blob(data: bytes, media_type: str) -> dict:
            digest = hashlib.sha256(data).hexdigest()
            blobs[digest] = data
            return {"mediaType": f"application/vnd.oci.image.{media_type}", "digest": f"sha256:{digest}", "size": len(data)}

        def document(value) -> bytes:
            return json.dumps(value, sort_keys=True).encode()

        layer = blob(self.files.layer(), "layer.v1.tar")
        config = blob(document({
            "architecture": ARCHITECTURE, "os": "linux", "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
        }), "config.v1+json")
        manifest = blob(document({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": [layer],
        }), "manifest.v1+json")
        manifest["annotations"] = {"io.containerd.image.name": f"{REPOSITORY}/{self.name}:1"}
        index = document({"schemaVersion": 2, "manifests": [manifest]})
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
            for name, data in [("oci-layout", document({"imageLayoutVersion": "1.0.0"})), ("index.json", index)] + [
                (f"blobs/sha256/{digest}", data) for digest, data in blobs.items()
            ]:
                info = tarfile.TarInfo(name)
                info.size, info.mode = len(data), 0o644
                tar.addfile(info, io.BytesIO(data))
