#!/usr/bin/env bash
# fuzz.sh TIME: every fuzz target of the module for TIME (a Go duration), one after the other.
set -euo pipefail
cd "$(dirname "$0")/../.."
found=0
while read -r package; do
	while read -r target; do
		found=$((found + 1))
		echo "==> $target in $package"
		go test -run '^$' -fuzz "^${target}\$" -fuzztime "$1" "$package"
	done < <(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true)
done < <(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./...)
if [ "$found" -eq 0 ]; then
	echo "fuzz: no fuzz target found" >&2
	exit 1
fi
echo "fuzz: $found targets, $1 each"
