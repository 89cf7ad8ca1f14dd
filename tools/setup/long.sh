#!/usr/bin/env bash
# long.sh FLAGS...: the tests of both modules with WEIR_TEST_ALL=1. With LONG_ONLY=1 only those
# packages whose tests ask for it (testneed.Long, need.Long, WEIR_TEST_ALL), since the others
# would do the same as without.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
export WEIR_TEST_ALL=1

for module in . tools/foreign; do
	cd "$root/$module"
	packages=(./...)
	if [ "${LONG_ONLY:-}" = 1 ]; then
		mapfile -t packages < <(
			go list -f '{{$d := .Dir}}{{range .TestGoFiles}}{{$d}}/{{.}} {{end}}{{range .XTestGoFiles}}{{$d}}/{{.}} {{end}}' ./... |
				tr ' ' '\n' | { xargs -r grep -lE '(testneed|need)\.Long\(|WEIR_TEST_ALL' || true; } |
				xargs -r -n1 dirname | sort -u
		)
		if [ "${#packages[@]}" -eq 0 ]; then
			echo "no long tests in $(go list -m)"
			continue
		fi
	fi
	"$root/tools/setup/gotest.sh" "$module" "$@" "${packages[@]}"
done
