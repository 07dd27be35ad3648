#!/usr/bin/env bash
# Prints the folder of PostgreSQL 15's programs; installs Debian's package where
# it can. No server is started: tests start their own.
set -euo pipefail
dir=/usr/lib/postgresql/15/bin
if [ ! -x $dir/postgres ]; then
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "PostgreSQL 15 is missing: install it so that $dir/postgres is there" >&2
		exit 1
	fi
	echo "installing postgresql-15" >&2
	conf=/etc/postgresql-common/createcluster.conf
	[ -e $conf ] || { mkdir -p ${conf%/*}; echo "create_main_cluster = false" >$conf; }
	{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends postgresql-15; } >&2
fi
echo $dir
