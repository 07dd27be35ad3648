#!/usr/bin/env bash
# Runs every fuzz target of the module for FUZZTIME, ten seconds unless told. What
# one finds is in its package's testdata/fuzz: commit it with the repair.
set -euo pipefail
cd "$(dirname "$0")/.."
hack/need.sh go
git grep -hoE --untracked '^func Fuzz[A-Za-z]+' -- '*_test.go' | sed 's/^func //' | sort | while read -r target; do
	folder=$(dirname "$(git grep -lE --untracked "^func $target\(" -- '*_test.go' | head -1)")
	echo "$target in $folder"
	# Nothing is made smaller that is only interesting: that takes a minute each.
	go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-10s}" -fuzzminimizetime 10x "./$folder" </dev/null |
		grep -vE '^fuzz: elapsed: .*(gathering|execs)|^PASS$' || exit 1
done
