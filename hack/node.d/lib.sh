# Shared by hack/node and its parts: where things lie, and how they speak.
# shellcheck shell=bash

HACK_DIR=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
REPO_DIR=$(dirname -- "$HACK_DIR")
CACHE_DIR=${ZEROCAP_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/zerocap}
# Raise the number when the set of tools changes: old sets are left alone, a new one is made beside them.
TOOLS_DIR=$CACHE_DIR/tools-2
# The containerds that a node can have; the first is in the set of tools.
CONTAINERD_VERSIONS=(2.1 1.7 2.4)
CONTAINERD_PROGRAMS=(containerd containerd-shim-runc-v2 ctr)
# Debian has no youki: `make youki` builds this version here, and a node has a handler for it from then on.
YOUKI_VERSION=0.7.0
YOUKI_DIR=$CACHE_DIR/youki-$YOUKI_VERSION

say() { printf 'node: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# The folder with our own release binaries: what the caller says, else dist/, else cargo's.
bin_dir() {
  local dir
  for dir in "${ZEROCAP_BIN_DIR:-}" "$REPO_DIR/dist" "${CARGO_TARGET_DIR:-$REPO_DIR/target}/release"; do
    if [ -n "$dir" ] && [ -x "$dir/containerd-shim-zerocap-v2" ]; then
      (cd -- "$dir" && pwd)
      return
    fi
  done
  # Nothing is built yet: name the place where `make build` will put it.
  echo "${ZEROCAP_BIN_DIR:-$REPO_DIR/dist}"
}

# have COMMAND=PACKAGE…: installs the packages whose command is missing, where apt-get can.
have() {
  local pair missing=()
  for pair; do command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}"); done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || die "please install: ${missing[*]}"
  say "installing ${missing[*]}"
  apt-get -qq update >/dev/null
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
}

# Everything that stops a node from working here, one sentence each. Nothing printed: it can run.
obstacles() {
  [ "$(id -u)" = 0 ] || { echo "a node needs root"; return; }
  case $(uname -m) in
  x86_64 | aarch64) ;;
  *) echo "the private node is only put together for x86_64 and aarch64, this is $(uname -m)" ;;
  esac
  unshare --mount --net --pid --fork --uts --ipc --cgroup true 2>/dev/null ||
    echo "this machine does not allow new mount, network, PID and cgroup namespaces"
  [ -d /sys/fs/cgroup ] || echo "no cgroup tree is mounted at /sys/fs/cgroup"
}
