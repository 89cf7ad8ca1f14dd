#!/usr/bin/env bash
# format.sh GOFUMPT...: fails and shows the difference where a Go file of the repository is not
# formatted by gofumpt (the command to call). testdata is text to the tests that read it.
set -euo pipefail
cd "$(dirname "$0")/../.."
mapfile -t files < <(git ls-files -co --exclude-standard -- '*.go' | { grep -vE '(^|/)testdata/' || true; } |
	while read -r f; do if [ -f "$f" ]; then echo "$f"; fi; done)
if [ "${#files[@]}" -eq 0 ]; then
	echo "format: no Go file found" >&2
	exit 1
fi
difference=$("$@" -d "${files[@]}") || true
listed=$("$@" -l "${files[@]}")
if [ -n "$listed" ]; then
	printf '%s\n' "$difference"
	echo "not formatted by gofumpt: $(tr '\n' ' ' <<<"$listed")" >&2
	echo "run: go tool -modfile=tools/dev.mod gofumpt -w ." >&2
	exit 1
fi
