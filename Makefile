# What a developer of Signet runs. `make help` lists it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO       ?= go
BIN      := bin/signet
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
OURS     := ./cmd/... ./internal/... ./migrations/... ./web/... ./examples/... ./bench/... ./docs/... ./test/hygiene/...
# One time per fuzz target in `make fuzz`.
FUZZTIME ?= 30s
# Packages with something that goroutines or instances share: `make test-race` watches these.
RACE     := ./internal/...

export CGO_ENABLED ?= 0

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## the provider and its sample application on SQLite, data in ./signet-data
	$(GO) run ./cmd/signet dev

.PHONY: build
build: ## the binary, static, in bin/
	$(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $(BIN) ./cmd/signet

# Without -trimpath, with which every package would be compiled a second time, and vetted once.
.PHONY: check
check: ## build, vet, format and the Go tests on SQLite: under a minute
	$(GO) build -ldflags '-s -w -X main.version=$(VERSION)' -o $(BIN) ./cmd/signet
	$(GO) vet ./...
	@test/format.sh
	$(GO) test -vet=off $(OURS)

.PHONY: test
test: ## everything: both engines, race, browser, relying parties, examples, README
	@test/run.sh

.PHONY: test-pg
test-pg: ## the Go tests on SQLite and on a throw-away Postgres
	SIGNET_TEST_REQUIRE_POSTGRES=1 test/postgres/run.sh $(GO) test $(OURS)

.PHONY: test-race
test-race: ## the Go tests under the race detector, both engines (needs a C compiler)
	CGO_ENABLED=1 SIGNET_TEST_REQUIRE_POSTGRES=1 test/postgres/run.sh $(GO) test -race $(RACE)

.PHONY: test-browser
test-browser: ## journeys in Chromium, pictures in test/artifacts
	@SIGNET_PICTURES=1 test/run.sh setup build browser

.PHONY: interop
interop: ## every client of docs/interop.md against the real server, those that take long to build as well
	@test/run.sh setup build interop interop-slow

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (30s)
	@FUZZTIME=$(FUZZTIME) test/fuzz.sh

.PHONY: bench
bench: ## ratios to the limits of this machine, on both engines
	@bench/run.sh

.PHONY: lint
lint: ## vet, formatting, and golangci-lint where it is installed
	$(GO) vet ./...
	@test/format.sh
	@if command -v golangci-lint >/dev/null; then golangci-lint run; else echo "golangci-lint is not installed: vet and gofmt only"; fi

.PHONY: fmt
fmt: ## format the Go sources
	@git ls-files -co --exclude-standard -- '*.go' ':!third_party' | xargs gofmt -w

.PHONY: verify
verify: ## fail on any file that is not what its generator or tidy would write
	$(GO) mod verify
	$(GO) mod tidy -diff
	@test/format.sh
	$(GO) test ./test/hygiene ./internal

.PHONY: size
size: build ## how big files, functions, tests and the binary are
	@test/size.sh
