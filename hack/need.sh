#!/usr/bin/env bash
# Makes sure that the commands given are there: installs Debian's packages of
# them where it can, and says what to do where it can't.
set -euo pipefail
declare -A package=([gcc]=gcc [git]=git [curl]=curl [gzip]=gzip [awk]=gawk)
for command in "$@"; do
	command -v "$command" >/dev/null && continue
	if [ "$command" = go ]; then
		echo "go is missing: install Go 1.26 or newer from https://go.dev/dl" >&2
		exit 1
	fi
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		echo "installing ${package[$command]}" >&2
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y "${package[$command]}" libc6-dev >/dev/null
	else
		echo "$command is missing: install it" >&2
		exit 1
	fi
done
