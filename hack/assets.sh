#!/usr/bin/env bash
# Prints the folder with the etcd, kube-apiserver, kubectl and
# kube-controller-manager that the tests run against. Takes KUBEBUILDER_ASSETS
# if it is set, downloads with setup-envtest where that can, and else builds
# them from Go modules; kube-controller-manager is always built.
set -euo pipefail
cd "$(dirname "$0")/.."
version=1.37

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
	echo "$KUBEBUILDER_ASSETS"
	exit
fi
cluster() { go -C hack/cluster run . assets "$@"; }
built=${CODB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/codb}/k8s
if ! ls "$built"/v$version.*/kube-apiserver >/dev/null 2>&1; then
	envtest=$(timeout 120 go tool -modfile=hack/tools.mod setup-envtest use "$version.x" -p path 2>/dev/null || true)
	if [ -n "$envtest" ]; then
		dir=$(dirname "$envtest")/codb-$(basename "$envtest")
		mkdir -p "$dir"
		ln -sf "$envtest"/* "$(cluster --only kube-controller-manager)"/kube-controller-manager "$dir"/
		echo "$dir"
		exit
	fi
fi
cluster
