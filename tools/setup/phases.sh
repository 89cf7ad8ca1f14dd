#!/usr/bin/env bash
# phases.sh NAME TARGET...: runs targets of the Makefile one after the other, says how long each
# took, and prints at the end what was skipped. The first that fails ends it.
set -euo pipefail
cd "$(dirname "$0")/../.."

name=$1
shift
export WEIR_TEST_SKIPS=${WEIR_TEST_SKIPS:-$PWD/.cache/skips}
mkdir -p "$(dirname "$WEIR_TEST_SKIPS")"
: >"$WEIR_TEST_SKIPS"

timings=()
closing() {
	local status=$?
	printf '%s\n' "${timings[@]}"
	if [ -s "$WEIR_TEST_SKIPS" ]; then
		echo "These tests did NOT run, for want of something on this machine:"
		sort -u "$WEIR_TEST_SKIPS"
	fi
	if [ "$status" -eq 0 ]; then
		echo "make $name: ok after ${SECONDS} s"
	else
		echo "make $name: FAILED in $target after ${SECONDS} s"
	fi
	# For .ci/run, which sums up several of them.
	if [ -n "${WEIR_TIMINGS:-}" ]; then
		printf '%s\n' "${timings[@]}" "make $name: ${SECONDS} s" >>"$WEIR_TIMINGS"
	fi
}
trap closing EXIT

for target in "$@"; do
	echo "==> $target"
	started=$SECONDS
	"${MAKE:-make}" --no-print-directory "$target" || {
		status=$?
		timings+=("$(printf '  %-9s %4d s  failed' "$target" $((SECONDS - started)))")
		exit "$status"
	}
	timings+=("$(printf '  %-9s %4d s' "$target" $((SECONDS - started)))")
	echo "<== $target: $((SECONDS - started)) s"
done
