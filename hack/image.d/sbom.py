"""The bill of materials of our programs, in SPDX 2.3: every crate that is linked into them, by what cargo resolved from Cargo.lock."""

import datetime
import hashlib
import json
import pathlib
import subprocess
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# The crates whose programs are in the image.
SHIPPED = ("zerocap-shim", "zerocap-engine", "zerocap-cli")
TRIPLES = {"amd64": "x86_64-unknown-linux-gnu", "arm64": "aarch64-unknown-linux-gnu"}


def run(*command):
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def version():
    return tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]


def linked(machines):
    """id → cargo's description, of each crate that a program of ours contains: reached without build and test dependencies."""
    found = {}
    for machine in machines:
        told = json.loads(run("cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", TRIPLES[machine]))
        packages = {package["id"]: package for package in told["packages"]}
        nodes = {node["id"]: node for node in told["resolve"]["nodes"]}
        todo = [i for i, package in packages.items() if package["name"] in SHIPPED]
        while todo:
            i = todo.pop()
            if i in found:
                continue
            found[i] = packages[i]
            for dependency in nodes[i]["deps"]:
                macro = any("proc-macro" in target["kind"] for target in packages[dependency["pkg"]]["targets"])
                if not macro and any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                    todo.append(dependency["pkg"])
    return found


# What the compiler and the linker add, as `hack/build` names it in the file `linked` beside the programs.
LICENCES = {"rust-std": "MIT OR Apache-2.0", "glibc": "LGPL-2.1-or-later", "libseccomp": "LGPL-2.1-only",
            "libelf": "GPL-2.0-or-later OR LGPL-3.0-or-later", "zlib": "Zlib"}


def libraries(folders):
    """(name, version) → the architectures whose programs have it."""
    found = {}
    for machine, folder in folders.items():
        for line in (folder / "linked").read_text().splitlines():
            found.setdefault(tuple(line.split()), []).append(machine)
    return found


def spdx(digest, folders):
    """The document about the programs in `folders`, one for each architecture. Its time is the last commit's, so that it says the same
    whenever it is made."""
    sums = {(p["name"], p["version"]): p.get("checksum") for p in tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]}
    crates = linked(folders)

    def reference(package):
        return "SPDXRef-" + "".join(c if c.isalnum() or c in ".-" else "-" for c in f"crate-{package['name']}-{package['version']}")

    packages, relations = [], [("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-image")]
    packages.append({
        "SPDXID": "SPDXRef-image", "name": "zerocap", "versionInfo": version(), "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
        "licenseDeclared": "Apache-2.0", "licenseConcluded": "NOASSERTION", "copyrightText": "NOASSERTION",
        "checksums": [{"algorithm": "SHA256", "checksumValue": digest.removeprefix("sha256:")}],
    })
    for (name, told), machines in sorted(libraries(folders).items()):
        packages.append({
            "SPDXID": f"SPDXRef-{name}-{told}", "name": name, "versionInfo": told, "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
            "licenseDeclared": LICENCES[name], "licenseConcluded": "NOASSERTION", "copyrightText": "NOASSERTION",
            "comment": f"in the programs for {', '.join(sorted(machines))}",
        })
        relations.append(("SPDXRef-image", "STATIC_LINK", f"SPDXRef-{name}-{told}"))
    for package in sorted(crates.values(), key=lambda p: (p["name"], p["version"])):
        checksum = sums.get((package["name"], package["version"]))
        entry = {
            "SPDXID": reference(package), "name": package["name"], "versionInfo": package["version"], "filesAnalyzed": False,
            # Which package it is, the purl below says; where it came from is the builder's own configuration.
            "downloadLocation": "NOASSERTION",
            # Old crates write `MIT/Apache-2.0`.
            "licenseDeclared": (package["license"] or "NOASSERTION").replace("/", " OR "),
            "licenseConcluded": "NOASSERTION", "copyrightText": "NOASSERTION",
            "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                              "referenceLocator": f"pkg:cargo/{package['name']}@{package['version']}"}],
        }
        if checksum:
            entry["checksums"] = [{"algorithm": "SHA256", "checksumValue": checksum}]
        packages.append(entry)
        relations.append(("SPDXRef-image", "STATIC_LINK", reference(package)))
    names = hashlib.sha256(json.dumps(packages, sort_keys=True).encode()).hexdigest()
    seconds = int(run("git", "log", "-1", "--format=%ct"))
    return {
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"zerocap-{version()}",
        "documentNamespace": f"urn:zerocap:spdx:{names}",
        "creationInfo": {
            "created": datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": ["Tool: zerocap-hack-image"],
        },
        "packages": packages,
        "relationships": [{"spdxElementId": a, "relationshipType": kind, "relatedSpdxElement": b} for a, kind, b in relations],
    }
