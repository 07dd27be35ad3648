#!/usr/bin/env bash
# Prints the folder with the etcd, kube-apiserver, kubectl and
# kube-controller-manager that the tests run against. Takes KUBEBUILDER_ASSETS
# if it is set, downloads with setup-envtest where that can (from the releases
# that CODB_ENVTEST_INDEX lists, if you have a mirror), and else builds them from
# Go modules; kube-controller-manager is always built.
set -euo pipefail
cd "$(dirname "$0")/.."
version=1.37

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
	echo "$KUBEBUILDER_ASSETS"
	exit
fi
cluster() { go -C hack/cluster run . assets "$@"; }
cache=${CODB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/codb}
index=${CODB_ENVTEST_INDEX:-https://raw.githubusercontent.com/kubernetes-sigs/controller-tools/HEAD/envtest-releases.yaml}
if ! ls "$cache"/k8s/v$version.*/kube-apiserver >/dev/null 2>&1; then
	why=$(mktemp)
	trap 'rm -f "$why"' EXIT
	if setup=$(go tool -modfile=hack/tools.mod -n setup-envtest 2>"$why") && # builds it, outside the time limit
		envtest=$(timeout 120 "$setup" use "$version.x" --bin-dir "$cache/envtest" --index "$index" -p path 2>"$why"); then
		dir=$cache/envtest/$(basename "$envtest")
		mkdir -p "$dir"
		ln -sf "$envtest"/* "$(cluster --only kube-controller-manager)"/kube-controller-manager "$dir"/
		echo "$dir"
		exit
	fi
	echo "setup-envtest gets nothing from $index, so Kubernetes is built here: $(tail -n 1 "$why")" >&2
fi
cluster
