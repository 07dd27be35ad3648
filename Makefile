# codb: make demo shows the main job on a real cluster, make test tests it.
# Both install what they need themselves.

SHELL := /usr/bin/env bash -o pipefail
.DEFAULT_GOAL := help
TOOL := go tool -modfile=hack/tools.mod

.PHONY: help
help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## bring up a cluster, run codb on it, and show a campaign being held and released
	@hack/demo.sh

.PHONY: demo-down
demo-down: ## take down what the demo brought up
	@hack/demo.sh down

.PHONY: test
test: ## all tests: pure, Rego, samples, and on a real apiserver; race detector on
	@hack/test.sh

.PHONY: fuzz
fuzz: ## give every parser and door anything; FUZZTIME=10m for each is longer than 10s
	@FUZZTIME=$(FUZZTIME) hack/fuzz.sh

.PHONY: build
build: ## build bin/codb and bin/kubectl-codb
	go build -trimpath -ldflags='-s -w' -o bin/ ./cmd/codb ./cmd/kubectl-codb

.PHONY: plugin
plugin: ## install kubectl's plugin: kubectl codb consent
	go install -trimpath -ldflags='-s -w' ./cmd/kubectl-codb
	@command -v kubectl-codb >/dev/null || echo "kubectl finds it once $$(go env GOPATH)/bin is on the PATH"

.PHONY: image
image: ## build the image as dist/codb.tar, with its bill of materials, without Docker; prints its digest
	@go -C hack/image run .

.PHONY: install
install: ## put codb into the current context's cluster, as pods
	kubectl apply -k config/default

.PHONY: uninstall
uninstall: ## stop codb there and hold what runs; consents and admission policies stay
	go run ./cmd/codb uninstall

.PHONY: generate
generate: ## write the CRDs, deepcopy functions and reference pages anew
	$(TOOL) controller-gen object paths=./api/... crd:generateEmbeddedObjectMeta=false output:crd:dir=config/crd/bases
	go generate ./...
	gofmt -w api

.PHONY: verify
verify: generate ## generate, format, vet and lint, then fail on what differs from what is committed
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	go vet ./...
	$(TOOL) golangci-lint run ./...
	go -C hack/apilint build -o ../../bin/apilint . && bin/apilint ./api/...
	go test ./internal/arch ./hack/apidocs ./hack/chart ./test/threats
	git diff --exit-code

.PHONY: e2e
e2e: ## stories of codb's users on a real node, as root; KUBERNETES=1.34 is the oldest supported
	@KUBERNETES=$(KUBERNETES) hack/e2e.sh

.PHONY: kueue
kueue: ## campaigns in the queues of a real Kueue, built from its module; some minutes the first time
	@hack/kueue.sh

.PHONY: bench
bench: ## measure the engine and write its tables into docs/benchmarks.md; QUICK=1 only tries it, CUSTOMERS=100000000 is another size
	go -C hack/bench/engine run . -root ../../.. $(if $(QUICK),-quick) $(if $(CUSTOMERS),-customers $(CUSTOMERS))

.PHONY: assets
assets: ## print the folder with the etcd and kube-apiserver that the tests use
	@hack/assets.sh
