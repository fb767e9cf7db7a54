#!/usr/bin/python3
"""`containerd --config FILE config dump`, as far as the installer's tests need it."""
import glob
import json
import os
import sys
import tomllib


def merge(to, over):
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(to.get(key), dict):
            merge(to[key], value)
        else:
            to[key] = value


def load(path):
    with open(path, "rb") as file:
        return tomllib.load(file)


def show(table, above):
    for key, value in table.items():
        if not isinstance(value, dict):
            print(f"{json.dumps(key)} = {json.dumps(value)}")
    for key, value in table.items():
        if isinstance(value, dict):
            name = above + [json.dumps(key)]
            print(f"[{'.'.join(name)}]")
            show(value, name)


whole = load(sys.argv[2])
patterns = whole.pop("imports", [])
for pattern in patterns:
    for path in sorted(glob.glob(os.path.join(os.path.dirname(sys.argv[2]), pattern))):
        imported = load(path)
        if whole["version"] < 3:
            whole.setdefault("plugins", {}).update(imported.get("plugins", {}))
        else:
            merge(whole, imported)
show(whole, [])
