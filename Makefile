# Every task has one door here; CI goes through the same doors.
# `make help` lists them.

SHELL := /bin/bash
.DEFAULT_GOAL := help
CARGO ?= cargo
DIST := dist

.PHONY: help setup build test unit e2e demo bench image youki engines cluster cluster-down soak gpu presets aarch64 matrix critest fuzz mutate fmt lint clean

help: ## what can be made
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## install what is missing (Debian packages), once
	@hack/setup

build: setup ## release binaries into dist/; ARCH=aarch64: for 64-bit ARM, into dist/aarch64/
	@hack/build $(addprefix --arch ,$(ARCH))

test: build ## everything: unit, property and CLI tests, then the node and attack tests (root)
	@hack/test

unit: setup ## only what needs neither root nor a node
	@hack/test unit

e2e: build ## only the node and attack tests (root)
	@hack/test e2e

demo: build ## a restricted pod under zerocap beside the same pod under runc (root)
	@hack/demo

bench: build ## time and memory beside containerd-shim-runc-v2, in one interleaved run (root)
	@hack/bench

image: setup ## the node image as an OCI layout, with its bill of materials, into dist/image/; ARCHES="amd64 arm64": for both
	@folders=(); for arch in $(or $(ARCHES),$(shell uname -m)); do \
	    folder=$$(hack/build --arch $$arch) || exit; folders+=("$$folder"); done; hack/image "$${folders[@]}"

youki: setup ## build the engine youki, once; nodes and tests use it from then on
	@hack/youki

engines: build youki ## every test that runs once for each engine, with youki too; writes docs/engines.md (root)
	@ZEROCAP_ENGINES=1 cargo test --locked -p zerocap-e2e --test node

cluster: build ## a private one-node Kubernetes that runs our shim, with the chart installed (root; ten minutes the first time)
	@hack/cluster up
	@hack/cluster chart

cluster-down: ## take that cluster down; nothing is left
	@hack/cluster down

soak: build ## the long loops: thousands of starts and execs, then the leak check (root)
	@hack/test soak

gpu: build ## an inference server on a GPU under model-backend, where there is one; writes docs/gpu.md
	@hack/gpu

presets: build ## run real programs under every preset; writes docs/presets.md (installs Debian packages; root)
	@hack/presets

aarch64: setup ## the filters for 64-bit ARM on a kernel for it, in an emulated machine; writes docs/aarch64.md
	@hack/aarch64

matrix: build ## the attack corpus on other kernels, in emulated machines; writes docs/matrix.md (root; an hour)
	@hack/matrix

critest: build ## the CRI's own tests under containerd's shim and ours, with runc and crun; writes docs/critest.md (root, Go; ten minutes)
	@hack/critest

fuzz: setup ## every parser under a fuzzer, for a minute each
	@hack/fuzz

mutate: build ## remove one protection at a time and name the tests that notice (root)
	@hack/mutate

fmt: ## format the code
	@$(CARGO) fmt --all

lint: setup ## formatting, clippy, house rules
	@hack/lint

clean: ## remove build output
	@$(CARGO) clean
	@rm -rf $(DIST)
