SHELL := /bin/bash
.DEFAULT_GOAL := help

# Version control is asked for nothing, so that a checkout of another user builds too.
export GOFLAGS += -buildvcs=false

packages ?= ./...
linter := .cache/bin/golangci-lint
REPOSITORY ?= file
# The kind of repository of the tests on real PostgreSQL: file, s3 or gcs, and 1 for a sealed and signed one.
STORE ?= $(LIFEBOAT_TEST_STORE)
SEALED ?= $(LIFEBOAT_TEST_SEALED)
store_s3 := versitygw
store_gcs := fake-gcs-server
sources := $(wildcard archive cmd drill internal restore storage verify)

.PHONY: help
help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: build ## Back up, lose and recover a throwaway PostgreSQL; REPOSITORY=s3 or gcs, DEMO_FLAGS=--keep
	@postgres=$$(.ci/postgres demo) && $(if $(store_$(REPOSITORY)),servers=$$(.ci/servers.sh $(store_$(REPOSITORY))) &&) \
		PATH="$$postgres$${servers:+:$$servers}:$$PATH" bin/lifeboat demo --repository $(REPOSITORY) $(DEMO_FLAGS)

.PHONY: build
# Storage in Google's cloud speaks HTTP here: without gRPC the program is half as large and starts faster.
build: ## Build the programs into bin/
	@.ci/modules . -tags disable_grpc_modules ./cmd/lifeboat ./cmd/lifeboat-wal
	@go build -tags disable_grpc_modules -trimpath -o bin/ ./cmd/lifeboat ./cmd/lifeboat-wal

# What can fail fast comes first; go test comes last, so that its summary is the end of the output.
.PHONY: test
test: fmt-check vet lint ## Check format, vet, lint, and test against real PostgreSQL; STORE=s3 or gcs, SEALED=1
	@LIFEBOAT_TEST_STORE=$(STORE) LIFEBOAT_TEST_SEALED=$(SEALED) .ci/gotest $(packages)

# A run beside this one, in another clone, is no reason to fail.
.PHONY: lint
lint: modules $(linter) ## Run the linters of .golangci.yml
	@GOLANGCI_LINT_CACHE=$(CURDIR)/.cache/lint $(linter) run --allow-parallel-runners $(packages)

.PHONY: vet
vet: modules ## Run go vet
	@go vet $(packages)

.PHONY: modules
modules:
	@.ci/modules

.PHONY: fmt
fmt: ## Format the sources
	@gofmt -l -w $(sources)

.PHONY: fmt-check
fmt-check:
	@unformatted=$$(gofmt -l $(sources)); \
	if [ -n "$$unformatted" ]; then printf 'not formatted, run make fmt:\n%s\n' "$$unformatted"; exit 1; fi

.PHONY: soak
soak: ## Seed defects by chance and drill, beside as many sound drills; ROUNDS=100, SEED=1
	@.ci/soak

.PHONY: bench
bench: ## Measure in turn with pg_basebackup, cp and pgBackRest; SCALE=100 ROUNDS=3 SEGMENTS=16, WAL=push, CENSUS=1
	@.ci/bench

.PHONY: sample
sample: ## Write the frozen samples of the repository format anew, after a change of the format
	@go test ./storage/catalog ./cmd/lifeboat -run Frozen -count=1 -args -update

.PHONY: clean
clean: ## Remove what was built; make clean-cache removes what was fetched, too
	rm -rf bin lifeboat-demo-report.html

.PHONY: clean-cache
clean-cache: clean
	rm -rf .cache

$(linter): .ci/tools/go.mod .ci/tools/go.sum
	@.ci/linter $@
