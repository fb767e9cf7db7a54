"""Images that get in the way of whoever starts them. Each is harmless under a plain runtime, or fails there in a known way."""

import oci

# mov eax, 1 (exit); mov ebx, 32; int 0x80: a 32-bit program whose exit status says that it ran.
EXIT_32 = oci.elf32(bytes.fromhex("b801000000 bb20000000 cd80"))
FAKE_LAUNCHER = "#!/bin/sh\necho the image's own launcher ran\n"


def images(busybox: bytes):
    def files():
        return oci.busybox(busybox)

    shell = {"command": ["/bin/sh"]}
    # Where our directory is mounted.
    yield oci.Image("fight-link", files().link("/.zerocap", "/etc"), **shell)
    yield oci.Image("fight-dangling", files().link("/.zerocap", "/nowhere/at/all"), **shell)
    yield oci.Image("fight-file", files().add("/.zerocap", "not a directory\n"), **shell)
    yield oci.Image("fight-folder", files().add("/.zerocap/launcher", FAKE_LAUNCHER, 0o755), **shell)
    # What a path list or a volume would lead through.
    yield oci.Image("fight-listed", files().link("/listed", "/"), **shell)
    # What programs expect and images lack.
    yield oci.Image("fight-bare", oci.Files().busybox(busybox), **shell)
    yield oci.Image("fight-nopath", files(), env=["PATH="], command=["/bin/sh"])
    yield oci.Image("fight-preload", files(), env=["PATH=/bin", "LD_PRELOAD=/lib/evil.so", "LD_AUDIT=/lib/evil.so"], **shell)
    # Entry points.
    yield oci.Image("fight-nox", files().add("/app", "#!/bin/sh\necho ran\n", 0o644), entrypoint=["/app"])
    yield oci.Image("fight-script", files().add("/app", '#!/bin/sh -e\necho "script:$0:$*"\n', 0o755), entrypoint=["/app", "one", "two words"])
    yield oci.Image("fight-interpreter", files().add("/app", "#!/no/such/interpreter\n", 0o755), entrypoint=["/app"])
    yield oci.Image("fight-nomagic", files().add("/app", "echo ran\n", 0o755), entrypoint=["/app"])
    yield oci.Image("fight-directory", files().folder("/app"), entrypoint=["/app"])
    yield oci.Image("fight-missing", files(), entrypoint=["/no/such/program"])
    yield oci.Image("fight-32bit", files().add("/app", EXIT_32, 0o755), entrypoint=["/app"])
    # Programs that would give privileges where nothing stopped them.
    yield oci.Image("fight-setuid", files().add("/bin/rootid", busybox, 0o4755), **shell)
