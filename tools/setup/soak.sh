#!/usr/bin/env bash
# soak.sh MINUTES FLAGS...: 1,000 kills under load, then the long tests again and again, each time in
# another order, until the minutes are over or one fails.
set -euo pipefail
cd "$(dirname "$0")/../.."
minutes=$1
shift
if ! git grep -qE '(testneed|need)\.Long\(|WEIR_TEST_ALL' -- '*_test.go'; then
	echo "soak: no long test found" >&2
	exit 1
fi
# First 1,000 processes are killed under load, however long that takes.
WEIR_TEST_ALL=1 WEIR_TEST_KILLS=1000 go test -count=1 -timeout 60m -run '^TestProcessesKilledUnderMixedLoad' -v ./cmd/cli
rounds=0
while [ "$rounds" -eq 0 ] || [ "$SECONDS" -lt $((minutes * 60)) ]; do
	LONG_ONLY=1 tools/setup/long.sh "$@" -count=1
	rounds=$((rounds + 1))
	echo "soak: round $rounds passed, ${SECONDS} s of $((minutes * 60)) s"
done
