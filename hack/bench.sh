#!/usr/bin/env bash
# Measures codb on a control plane of its own whose etcd writes to the disk (no
# node: what is measured ends with the Job's suspension). Arguments go to hack/bench: --customers N
# --campaigns N --trials N --everybody N --permits. CONSENTS=postgres keeps consents in a
# PostgreSQL of its own instead of in the apiserver.
set -euo pipefail
cd "$(dirname "$0")/.."
dir=$(mktemp -d)
trap 'kill "${pid:-}" ${server:-} 2>/dev/null || true; wait; go -C hack/cluster run . down --name codb-bench >&2 || true; rm -rf "$dir"' EXIT
eval "$(go -C hack/cluster run . up --name codb-bench --node no --fsync)"
go build -trimpath -o "$dir/codb" ./cmd/codb
go build -o "$dir/bench" ./hack/bench
consents=() elsewhere=()
if [ "${CONSENTS:-}" = postgres ]; then
	"$dir/bench" --postgres >"$dir/at" &
	server=$!
	until [ -s "$dir/at" ]; do kill -0 $server; sleep 0.1; done
	consents=(--consents "$(cat "$dir/at")") elsewhere=(--consents-in-database)
fi
"$dir/codb" install "${elsewhere[@]}"
"$dir/codb" standalone "${consents[@]}" --webhook-port 0 --metrics-address 127.0.0.1:18082 --probe-address 127.0.0.1:0 --gate-address 127.0.0.1:0 --data "$dir/ledger" >"$dir/codb.log" 2>&1 &
pid=$!
# The baseline without its cap: every campaign of the measurement must run.
policy=$dir/policy.yaml
awk '/- name: frequency-cap/ {skip=1; next} skip && /^ *with:/ {skip=0; next} /^  tests:/ {exit} {print}' config/policy/baseline.yaml >"$policy"
until "$dir/codb" install --policy >/dev/null 2>&1; do sleep 0.2; done
kubectl=$(go -C hack/cluster run . assets)/kubectl
"$kubectl" delete campol baseline >&2
"$kubectl" create -f "$policy" >&2
"$dir/bench" --codb "$pid" --metrics http://127.0.0.1:18082/metrics "${consents[@]}" "$@"
echo "restart with that many customers:"
kill "$pid"; wait "$pid" 2>/dev/null || true
port=18081
start=$(date +%s%N)
"$dir/codb" standalone "${consents[@]}" --webhook-port 0 --metrics-address 0 --probe-address 127.0.0.1:$port --gate-address 127.0.0.1:0 --data "$dir/ledger" >>"$dir/codb.log" 2>&1 &
pid=$!
until curl -sf "http://127.0.0.1:$port/readyz" >/dev/null; do sleep 0.05; done
echo "start -> ready: $((($(date +%s%N) - start) / 1000000)) ms"
