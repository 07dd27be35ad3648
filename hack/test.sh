#!/usr/bin/env bash
# Runs every test of all modules, with the race detector, against a real
# kube-apiserver that it gets itself. Arguments go to go test.
set -euo pipefail
cd "$(dirname "$0")/.."
hack/need.sh go gcc
hack/postgres.sh >/dev/null
KUBEBUILDER_ASSETS=$(hack/assets.sh)
export KUBEBUILDER_ASSETS
for module in hack/cluster hack/image hack/chart/helm hack/alerts hack/mail hack/bench/engine; do go -C $module test ./...; done
go test -run NoFaultOf ./internal/policy
go test -run NothingComesBetween ./internal/permit -rapid.checks=20000
FUZZTIME=${FUZZTIME:-3s} hack/fuzz.sh
CGO_ENABLED=1 go test -race -timeout 20m "$@" ./...
