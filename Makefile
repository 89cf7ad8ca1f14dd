# Everything a developer of Weir runs, and everything that CI runs: `make` lists it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# ARGS are handed to the program of `make run`, e.g. make run ARGS='--open'.
ARGS ?=
# FUZZTIME is how long each fuzz target runs, SOAK how many minutes `make soak` goes on.
FUZZTIME ?= 10s
SOAK ?= 10
# PROFILE=1, POSTGRES=URL and POSTGRES2=URL are for `make bench`.
PROFILE ?=
POSTGRES ?=
POSTGRES2 ?=
# LONG_ONLY=1 makes test-all leave out the packages without long tests: what `make test` did just now.
LONG_ONLY ?=
# GOTEST are the flags of every test run.
GOTEST := -race -shuffle=on -timeout 10m

# The tests of providers' own software (stripe-mock, SDKs, a browser) are a module of their own,
# so that the module graph of a connector author stays small.
FOREIGN := tools/foreign

dev := go tool -modfile=$(CURDIR)/tools/dev.mod

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' Makefile

.PHONY: run
run: ## build Weir and start the demo; prints the address of the dashboard (ARGS='--open' opens it)
	@echo "building weir (the first build compiles SQLite and takes a minute or two)"
	@go build -o bin/weir ./cmd/weir
	@exec bin/weir demo $(ARGS)

.PHONY: build
build: ## build the commands into bin/
	@mkdir -p bin
	@go build -o bin/ ./cmd/...

.PHONY: setup
setup: ## install what tests need (browser, PostgreSQL, payloads), where the system allows it
	@tools/setup/setup.sh

.PHONY: test
test: ## what must pass before a change lands: setup, lint, check, verify and the tests, at most 8 minutes
	@tools/setup/phases.sh test setup lint check verify race

.PHONY: test-all
test-all: ## the tests with the long ones (faults, many nodes), and the build and store without cgo
	@tools/setup/phases.sh test-all long pure

.PHONY: race
race: ## the tests of both modules, with the race detector and in random order
	@tools/setup/gotest.sh . $(GOTEST) ./...
	@tools/setup/gotest.sh $(FOREIGN) $(GOTEST) ./...

.PHONY: long
long:
	@LONG_ONLY='$(LONG_ONLY)' tools/setup/long.sh $(GOTEST)

.PHONY: pure
pure:
	@CGO_ENABLED=0 go build ./...
	@CGO_ENABLED=0 go test -shuffle=on -timeout 10m ./framework/store/sqlite

.PHONY: lint
lint: ## golangci-lint over both modules
	@$(dev) golangci-lint run ./...
	@cd $(FOREIGN) && $(dev) golangci-lint run ./...

.PHONY: vet
vet: ## go vet, and the catalog checker as its tool
	@go vet ./...
	@cd $(FOREIGN) && go vet ./...
	@mkdir -p bin && go build -o bin/catalogcheck ./cmd/catalogcheck
	@go vet -vettool=$(CURDIR)/bin/catalogcheck ./...

.PHONY: check
check: vet ## format, vet, catalog rules, tidy modules: changes nothing
	@tools/setup/format.sh $(dev) gofumpt
	@go run ./cmd/weir check ./...
	@go mod tidy -diff
	@cd $(FOREIGN) && go mod tidy -diff

.PHONY: generate
generate: ## write what is generated: catalog_gen.go and what go:generate lines name
	@go generate ./...

.PHONY: verify
verify: ## fail when `make generate` would change a file
	@tools/setup/verify.sh $(MAKE) generate

.PHONY: bench
bench: ## the benchmarks, and Weir beside its floors (PROFILE=1 keeps CPU profiles in bin/profiles, POSTGRES=URL names an empty database, POSTGRES2=URL another one)
	@go test -run '^$$' -bench . -benchmem ./...
	@mkdir -p bin/profiles && go build -o bin/weirbench ./cmd/weirbench
	@bin/weirbench webhooks $(if $(PROFILE),-profile bin/profiles)
	@bin/weirbench mixed -rounds 1 -duration 30s
	@bin/weirbench poll $(if $(PROFILE),-profile bin/profiles)
	@bin/weirbench deliver $(if $(PROFILE),-profile bin/profiles)
	@bin/weirbench latency
	@bin/weirbench sinks -records 2001 -rounds 3 $(if $(PROFILE),-profile bin/profiles)
	@bin/weirbench crowd -rounds 3 $(if $(PROFILE),-profile bin/profiles)
	@$(if $(POSTGRES),bin/weirbench webhooks -postgres '$(POSTGRES)')
	@$(if $(POSTGRES2),bin/weirbench latency -postgres '$(POSTGRES2)' -rounds 1)
	@go run ./tools/catalogbench

.PHONY: soak
soak: ## 1,000 kills under load, then the long tests again and again for SOAK minutes, until one fails
	@tools/setup/soak.sh $(SOAK) $(GOTEST)

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZTIME
	@tools/setup/fuzz.sh $(FUZZTIME)

.PHONY: cover
cover: ## coverage of the tests, into cover.out and coverage.html
	@go test -coverprofile=cover.out ./...
	@go tool cover -html=cover.out -o coverage.html
	@go tool cover -func=cover.out | tail -n 1
