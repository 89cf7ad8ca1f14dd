#!/usr/bin/env bash
# gotest.sh MODULE FLAGS... PACKAGES...: go test in one module, without the lines of packages that
# have no test files.
set -euo pipefail
cd "$(dirname "$0")/../.."
cd "$1"
shift
echo "go test $* (module $(go list -m))"
go test "$@" | { grep -v --line-buffered 'no test files' || true; }
