# ragscope: what each target does is said by `make help`.
.DEFAULT_GOAL := build
GO ?= go
export CGO_ENABLED = 0
LINT = $(GO) tool -modfile=.ci/tools/go.mod golangci-lint

.PHONY: build demo demo-up demo-down test bench generate lint clean help

build: ## build bin/agent and bin/loader (needs Go only)
	$(GO) build -trimpath -ldflags='-s -w' -o bin/agent ./cmd/agent
	$(GO) build -trimpath -ldflags='-s -w' -o bin/loader ./cmd/loader

demo: build ## the whole job on a real RAG stack: load, watch, report in results/
	@$(GO) build -o bin/stack ./deploy/demo/stack && exec bin/stack demo

demo-up: ## start the demo stack and leave it running
	@$(GO) build -o bin/stack ./deploy/demo/stack && exec bin/stack up --keep

demo-down: ## stop the demo stack
	@$(GO) build -o bin/stack ./deploy/demo/stack && exec bin/stack down

test: ## set up what the tests need and run them all (as root, to test the kernel side too)
	@.ci/setup
	$(GO) vet ./...
	$(GO) test -timeout 20m ./...

bench: ## paired A/B benchmarks and truth tables; results in internal/truth/RESULTS.md
	@.ci/setup
	.ci/bench/run

generate: ## make the committed bpf2go output again (needs clang and libbpf-dev)
	$(GO) generate ./bpf/...

lint: ## golangci-lint, as the configuration says
	$(LINT) run ./...

clean: ## remove what make built; caches of the demo stay (deploy/demo/README.md)
	rm -rf bin .demo results

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "%-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
