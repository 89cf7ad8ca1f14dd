#!/usr/bin/env bash
# soak.sh MINUTES FLAGS...: the long tests again and again, each time in another order, until the
# minutes are over or one fails.
set -euo pipefail
cd "$(dirname "$0")/../.."
minutes=$1
shift
rounds=0
while [ "$SECONDS" -lt $((minutes * 60)) ]; do
	LONG_ONLY=1 tools/setup/long.sh "$@" -count=1
	rounds=$((rounds + 1))
	echo "soak: round $rounds passed, ${SECONDS} s of $((minutes * 60)) s"
done
