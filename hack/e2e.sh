#!/usr/bin/env bash
# Runs the stories that need pods that really run, on clusters of their own, of
# the newest Kubernetes or of the one that KUBERNETES names, such as 1.34. They
# need root on Linux. Arguments go to go test.
set -euo pipefail
cd "$(dirname "$0")/.."
hack/need.sh go git
CODB_E2E=1 go test -count=1 -timeout 60m -v "$@" ./test/e2e/...
