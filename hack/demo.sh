#!/usr/bin/env bash
# Shows the main job on a real cluster: campaigns run only for customers who
# said yes. "demo.sh down" takes down what it brought up.
set -euo pipefail
cd "$(dirname "$0")/.."

state=${XDG_STATE_HOME:-$HOME/.local/state}/codb/demo
name=${CODB_DEMO_NAME:-codb-demo}
customers=${CODB_DEMO_CUSTOMERS:-2000}
gate='' # empty: where it says that it is
bold='' dim='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; fi

say() { printf '\n%s► %s%s\n' "$bold" "$*" "$plain"; }
show() { # runs kubectl, and shows how
	printf '%s$ kubectl%s%s\n' "$dim" "$(printf ' %s' "$@")" "$plain"
	kubectl "$@"
}
stop_codb() {
	if [ -f "$state/pid" ] && kill "$(cat "$state/pid")" 2>/dev/null; then
		while kill -0 "$(cat "$state/pid")" 2>/dev/null; do sleep 0.1; done
	fi
	rm -f "$state/pid"
}
codb_log() {
	if [ -f "$state/pid" ]; then
		tail -n 20 "$state/codb.log"
	else
		kubectl -n codb-system get pods
		kubectl -n codb-system logs --tail=20 --prefix -l app.kubernetes.io/part-of=codb
	fi
}
install_as_pods() {
	go -C hack/image run . >/dev/null
	go run ./hack/up load "$name" dist/codb.tar 2>"$state/load.log" || { cat "$state/load.log" >&2; return 1; }
	printf '%s$ kubectl apply -k config/trial%s\n' "$dim" "$plain"
	kubectl apply -k config/trial >"$state/apply.log" 2>"$state/apply.err" || { cat "$state/apply.err" >&2; return 1; }
	echo "$(wc -l <"$state/apply.log") objects are in place"
	for each in sts/codb-gate deploy/codb-operator; do
		kubectl -n codb-system rollout status --timeout=180s "$each" >/dev/null || { codb_log >&2; return 1; }
	done
	show -n codb-system get pods
	until_true 60 "the operator to make its baseline policy" kubectl get campol/baseline
	# The import runs here, where Services are not to be reached.
	kubectl -n codb-system port-forward svc/codb-gate :443 >"$state/forward.log" 2>&1 &
	trap "kill $! 2>/dev/null || true" EXIT
	until_true 30 "kubectl to forward the gate's port" grep -q '^Forwarding from 127' "$state/forward.log"
	gate=$(sed -n 's|^Forwarding from \(127.0.0.1:[0-9]*\) .*|https://\1|p' "$state/forward.log")
}
install_beside() {
	rm -rf "$state/ledger" # what an earlier demo sent would count under the caps of this one
	bin/codb install
	nohup bin/codb standalone --webhook-host "$CODB_HOST" --webhook-port 0 --metrics-address 0 --probe-address 127.0.0.1:0 \
		--data "$state/ledger" >"$state/codb.log" 2>&1 &
	echo $! >"$state/pid"
	until_true 60 "codb to admit its baseline policy" bin/codb install --policy
}
until_true() { # seconds, what is waited for, command
	local limit=$1 what=$2 started=$SECONDS
	shift 2
	until "$@" >/dev/null 2>&1; do
		if [ $((SECONDS - started)) -ge "$limit" ]; then
			echo "gave up after $limit s waiting for $what; codb's log ends so:" >&2
			codb_log >&2
			exit 1
		fi
		sleep 0.2
	done
}
mailbox() { kubectl -n mail logs smtp --tail=-1 | grep -c "^$1" || true; } # messages in mailboxes whose name begins so
drawn() { [ "$(kubectl -n acme-marketing get camp "$1" -o 'jsonpath={.status.permits.drawn}')" -gt 0 ]; }
letter() { # a campaign whose sender draws permits, and a mail server that it sends to
	local boxes late
	go -C hack/image run . --root ../mail --programs mail --tag localhost/codb-mail:dev >/dev/null
	go run ./hack/up load "$name" dist/mail.tar 2>"$state/load.log" || { cat "$state/load.log" >&2; return 1; }
	boxes=$(kubectl -n codb-customers get cc -l import.consent.codb.dev/segment -o 'jsonpath={range .items[*]}{.metadata.name},{.metadata.name}@mail.example{"\n"}{end}')
	for each in mail acme-marketing; do
		kubectl create namespace $each --dry-run=client -o yaml | kubectl apply -f - >/dev/null 2>&1
		kubectl -n $each create configmap mailboxes --from-file=mailboxes.csv=/dev/stdin --dry-run=client -o yaml <<<"$boxes" | kubectl apply --server-side -f - >/dev/null
	done
	kubectl delete --ignore-not-found -f hack/demo/letter.yaml -f hack/demo/smtp.yaml >/dev/null
	kubectl apply -f hack/demo/smtp.yaml >/dev/null
	kubectl -n mail wait --for=condition=Ready --timeout=60s pod/smtp >/dev/null
	show apply -f hack/demo/letter.yaml
	until_true 90 "permits to be drawn" drawn club-letter
	show -n acme-marketing get job club-letter -o 'jsonpath={.spec.template.spec.containers[0].command}{"\n"}'
	late=$(kubectl -n codb-customers get cc -l import.consent.codb.dev/segment=newsletter -o 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}' | grep -v "$someone" | tail -n 1)
	say "While the first letter is under way, somebody else withdraws"
	show -n codb-customers patch cc "$late" --type=merge -p '{"spec":{"optOut":{"since":"'"$(date -u +%FT%TZ)"'"}}}'
	echo "$late" >>"$state/opted-out"
	until_true 120 "the letter to be complete" verdict club-letter PartlyAllowed/Complete
	show -n acme-marketing get camp club-letter
	echo "letters that came to $late: $(mailbox "$late@"), to all: $(mailbox c-)"
}
verdict() { [ "$(kubectl -n acme-marketing get camp "$1" -o 'jsonpath={.status.verdict}/{.status.workload}')" = "$2" ]; }

# What a demo brought up is taken down by the next one and by "down", also when
# Docker has come or gone since.
if [ -f "$state/cluster" ]; then
	was=$(cat "$state/cluster")
	if [ "${CODB_CLUSTER:-$was}" != "$was" ]; then
		echo "the demo is on its $was cluster, not on $CODB_CLUSTER: run make demo-down first, without CODB_CLUSTER" >&2
		exit 1
	fi
	export CODB_CLUSTER=$was
fi

if [ "${1:-}" = down ]; then
	stop_codb
	go run ./hack/up down "$name"
	rm -rf "$state"
	exit
fi

hack/need.sh go gzip
stop_codb
if [ -f "$state/cluster" ] && [ "$CODB_CLUSTER" != current ]; then
	say "The earlier demo goes: what it sent would count under the caps of this one"
	go run ./hack/up down "$name"
	rm -rf "$state"
fi
mkdir -p "$state"

say "A cluster: the best that this machine allows"
where=$(go run ./hack/up up "$name") # on a line of its own: eval would hide that it failed
eval "$(sed 's/^/export /' <<<"$where")"
echo "$CODB_CLUSTER" >"$state/cluster"
tools=$(go -C hack/cluster run . assets --only kubectl)
export PATH=$tools:$PATH
until_true 120 "the cluster to answer" kubectl get --raw /readyz # its node may just have been started again
show version -o json | awk -F'"' '/"gitVersion"/ {v=$4} END {print "Kubernetes " v}'
nodes=$(kubectl get nodes -o name | wc -l)
[ "$nodes" -gt 0 ] || echo "There is no node here: workloads are held and released all the same, their pods stay Pending."

make --no-print-directory -s build
export PATH=$PWD/bin:$PATH
if [ "$nodes" -gt 0 ] && [ "${CODB_CLUSTER:-}" != current ]; then
	say "codb, as pods: two operators, one of which decides, and the gate"
	install_as_pods
else
	say "codb, beside the cluster in one process (log: $state/codb.log)"
	install_beside
fi
show apply -f config/samples/acme-marketing.yaml -f config/samples/brand-acme.yaml
show wait --for=condition=Ready --timeout=60s campol/baseline brand/acme
show get campol,brand

# What an earlier demo did is taken back, or its newsletter would never run again.
kubectl delete --ignore-not-found -f hack/demo/campaigns.yaml >/dev/null
[ ! -f "$state/opted-out" ] || xargs kubectl -n codb-customers delete cc --ignore-not-found <"$state/opted-out" >/dev/null

say "$customers customers of a real bank's campaign, with the calls they had (test/data/README.md)"
[ -f "$state/as-of" ] || date -u +%F >"$state/as-of" # a second import must say the same of the past
bin/codb import bank --limit "$customers" --profile demo --brand acme --as-of "$(cat "$state/as-of")" --gate "$gate"
show -n codb-customers get cc | sed -n 1,7p # head would close the pipe

say "A marketer submits four campaigns"
show apply -f hack/demo/campaigns.yaml
until_true 120 "newsletter to run" verdict newsletter Allowed/Running
until_true 60 "club-offer" verdict club-offer PartlyAllowed/Suspended
until_true 60 "summer-sale" verdict summer-sale Held/Suspended
until_true 60 "cold-calls" verdict cold-calls Blocked/Suspended
show -n acme-marketing get camp
show -n acme-marketing get jobs,pods

say "The marketer tries to start a held campaign without codb"
show -n acme-marketing patch job cold-calls -p '{"spec":{"suspend":false}}' 2>&1 || true
show -n acme-marketing run sender --image=localhost/codb-busy:dev -- sleep 1m 2>&1 || true

someone=$(kubectl -n codb-customers get cc -l import.consent.codb.dev/segment=newsletter -o 'jsonpath={.items[0].metadata.name}')
echo "$someone" >"$state/opted-out"
say "One customer of the newsletter opts out"
show -n codb-customers patch cc "$someone" --type=merge -p '{"spec":{"optOut":{"since":"'"$(date -u +%FT%TZ)"'"}}}'
until_true 60 "the newsletter to stop" verdict newsletter PartlyAllowed/Suspended
show -n acme-marketing get camp newsletter
show -n acme-marketing get jobs,pods -l consent.codb.dev/campaign=newsletter

say "An auditor asks why"
show -n acme-marketing get cdec --sort-by=.spec.decidedAt
kubectl -n codb-customers delete crev demo --ignore-not-found >/dev/null
cat <<YAML | show create -f -
apiVersion: consent.codb.dev/v1alpha1
kind: ConsentReview
metadata: {name: demo, namespace: codb-customers}
spec: {campaign: {namespace: acme-marketing, name: newsletter}, customer: $someone}
YAML
show -n codb-customers wait --for=condition=Ready --timeout=30s crev/demo
show -n codb-customers get crev demo

if [ "$nodes" -gt 0 ] && [ "$CODB_CLUSTER" != current ]; then
	say "The people of club-offer again, by a sender that holds no list: it draws a permit for each of them"
	letter
fi

say "What next"
cat <<TXT
codb keeps running. To look around:
  export KUBECONFIG=$KUBECONFIG
  kubectl get camp -A -w
  kubectl explain campaign.spec
  make demo-down        takes all of it down
TXT
