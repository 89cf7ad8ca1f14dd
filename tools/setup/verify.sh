#!/usr/bin/env bash
# verify.sh COMMAND...: runs the command that writes generated files and fails when it changed,
# added or removed a file. It compares the tree before and after, not with a commit, so a
# developer's own edits are no difference.
set -euo pipefail
cd "$(dirname "$0")/../.."

# state prints one line a file: hash and path, of everything that git does not ignore.
state() {
	git ls-files -co --exclude-standard | sort -u | while IFS= read -r f; do
		if [ -f "$f" ]; then printf '%s\n' "$f"; fi
	done >"$1.names"
	paste -d ' ' <(git hash-object --no-filters --stdin-paths <"$1.names") "$1.names" >"$1"
}

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
state "$dir/before"
"$@"
state "$dir/after"
changed=$({ diff "$dir/before" "$dir/after" || true; } | awk '/^[<>]/{ $1 = ""; $2 = ""; sub(/^ +/, ""); print }' | sort -u)
if [ -n "$changed" ]; then
	echo "generated files were out of date:" >&2
	while IFS= read -r f; do
		echo "  $f" >&2
		git --no-pager diff --stat -- "$f" >&2 || true
	done <<<"$changed"
	echo "they are written anew now: look at them and commit them" >&2
	exit 1
fi
