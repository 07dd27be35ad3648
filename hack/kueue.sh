#!/usr/bin/env bash
# Runs the stories with Kueue itself, built from its own module (hack/kueue says
# which version) and kept in the cache. Arguments go to go test.
set -euo pipefail
cd "$(dirname "$0")/.."
hack/need.sh go
KUBEBUILDER_ASSETS=$(hack/assets.sh)
version=$(go -C hack/kueue list -m -f '{{.Version}}' sigs.k8s.io/kueue)
binary=${CODB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/codb}/kueue/$version/kueue
[ -x "$binary" ] || go -C hack/kueue build -trimpath -o "$binary" sigs.k8s.io/kueue/cmd/kueue
CODB_KUEUE=$binary
CODB_KUEUE_MANIFESTS=$(go -C hack/kueue list -m -f '{{.Dir}}' sigs.k8s.io/kueue)/config/default
export KUBEBUILDER_ASSETS CODB_KUEUE CODB_KUEUE_MANIFESTS
go test -count=1 "$@" ./test/kueue
