#!/usr/bin/env bash
# setup.sh: installs what the tests need beyond Go, git, make and a C compiler: a browser,
# PostgreSQL's server programs, the payloads of tools/foreign/package.json. As root on a system
# with apt it installs what is missing; elsewhere, and for what cannot be installed, it prints one
# line for each missing thing, the tests that need it are skipped and say so, and with CI=true
# that is a failure. With everything there it takes no network and a second.
set -euo pipefail
cd "$(dirname "$0")/../.."

foreign=tools/foreign
fixtures=@octokit/webhooks-examples

# Each thing is a function that succeeds when the thing is there. The Go tests look in the same
# places (testneed.Tool).
have_compiler() { command -v "$(go env CC)" >/dev/null; }
have_browser() { command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null; }
have_postgres() { compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || { command -v initdb && command -v postgres; } >/dev/null; }
have_npm() { have_payloads || command -v npm >/dev/null; }
have_payloads() {
	local want
	want=$(sed -n "s|.*\"$fixtures\": \"\([^\"]*\)\".*|\1|p" "$foreign/package.json")
	[ -n "$want" ] && grep -qs "\"version\": \"$want\"" "$foreign/node_modules/$fixtures/package.json" &&
		[ ! "$foreign/package-lock.json" -nt "$foreign/node_modules/.package-lock.json" ]
}

# What apt calls them, and what is skipped without them.
declare -A package=(
	[compiler]='gcc libc6-dev'
	[browser]=chromium
	[postgres]=postgresql
	[npm]=npm
)
declare -A skipped=(
	[compiler]='SQLite does not compile, so nothing runs; install a C compiler (gcc, or set CC)'
	[browser]='the dashboard is not looked at in a browser; install chromium'
	[postgres]='the PostgreSQL store is not tested; install the server programs of PostgreSQL (initdb, postgres)'
	[payloads]="the GitHub payloads are not sent; install npm, then: cd $foreign && npm ci"
)

# The linter takes minutes to compile the first time, and apt mostly waits: both at once.
tools_log=$(mktemp)
trap 'rm -f "$tools_log"' EXIT
{
	go tool -modfile=tools/dev.mod golangci-lint version &&
		go tool -modfile=tools/dev.mod gofumpt -version
} >"$tools_log" 2>&1 &
tools=$!

wanted=()
for thing in compiler browser postgres npm; do
	"have_$thing" || wanted+=("$thing")
done

if [ "${#wanted[@]}" -gt 0 ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
	packages=()
	for thing in "${wanted[@]}"; do
		read -ra names <<<"${package[$thing]}"
		packages+=("${names[@]}")
	done
	echo "setup: installing ${packages[*]} with apt"
	export DEBIAN_FRONTEND=noninteractive
	log=$(mktemp)
	# Tests start servers of their own: the package shall neither make a cluster nor start one.
	drop=/etc/postgresql-common/createcluster.d
	mkdir -p "$drop"
	echo 'create_main_cluster = false' >"$drop/weir-setup.conf"
	# One that cannot be had must not keep the others away: on failure each is tried alone.
	get() { apt-get install -y --no-install-recommends -o Acquire::Retries=3 -o DPkg::Lock::Timeout=120 "$@" >>"$log" 2>&1; }
	if ! apt-get update -o Acquire::Retries=3 >>"$log" 2>&1; then
		echo "setup: apt-get update failed; trying with the lists that are here" >&2
	fi
	if ! get "${packages[@]}"; then
		for name in "${packages[@]}"; do
			get "$name" || echo "setup: apt cannot install $name: $(grep -E '^E:' "$log" | tail -n 1)" >&2
		done
	fi
	rm -f "$drop/weir-setup.conf" "$log"
fi

if ! have_payloads && command -v npm >/dev/null; then
	echo "setup: fetching the payloads of $foreign/package.json with npm"
	if ! output=$(cd "$foreign" && npm ci --ignore-scripts --no-audit --no-fund 2>&1); then
		echo "setup: npm ci failed: $(grep -E 'ERR!|error' <<<"$output" | head -n 3 | tr '\n' ' ')" >&2
	fi
fi

if ! wait "$tools"; then
	echo "setup: the tools of tools/dev.mod cannot be built:" >&2
	tail -n 20 "$tools_log" >&2
	exit 1
fi

missing=0
for thing in compiler browser postgres payloads; do
	if ! "have_$thing"; then
		echo "setup: MISSING $thing: ${skipped[$thing]}" >&2
		missing=$((missing + 1))
	fi
done
if [ "$missing" -gt 0 ]; then
	case "${CI:-}" in
	1 | t | T | true | TRUE | True)
		echo "setup: CI=$CI, so $missing missing things are a failure" >&2
		exit 1
		;;
	esac
fi
