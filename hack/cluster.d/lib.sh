# Shared by hack/cluster and its parts.
# shellcheck shell=bash
HERE=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../node.d/lib.sh
. "$HERE/../node.d/lib.sh"

GO_VERSION=1.26
# kube/go.mod pins the same.
KUBE_VERSION=v1.36.3
HELM_VERSION=v4.2.4
HELM_3_VERSION=v3.21.4
# Raise the number when what is built changes: old sets are left alone.
KUBE_DIR=$CACHE_DIR/kube-1

say() { printf 'cluster: %s\n' "$*" >&2; }

NODE_NAME=zerocap-node
# Addresses that exist inside the node's network namespace only.
NODE_IP=10.89.0.1
SERVICES=10.90.0.0/16
API_SERVICE_IP=10.90.0.1

# Whether Go is here and new enough.
has_go() {
  local own
  own=$(go env GOVERSION 2>/dev/null) && [ "$(printf '%s\n%s\n' "$GO_VERSION" "${own#go}" | sort -V | head -n1)" = "$GO_VERSION" ]
}
