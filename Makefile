# Every target sets up what it needs, on a fresh Debian machine too, and reuses it while pyproject.toml
# stays the same. PYTHON=python3.13 chooses another interpreter, VENV=DIR another place.

PYTHON ?= python3
VENV ?= .venv
IMAGE ?= dockferry:latest
BASE ?=
SECONDS_LONG ?= 600
SEED ?= 1

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help demo test test-engines bench chaos lint docs image clean

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 14

demo: $(VENV)/installed ## run the agent on a simulated shop; needs no Docker
	@$(BIN)/dockferry demo

test: $(VENV)/installed-dev ## run every test, on a real Docker Engine (T="-k spool" selects)
	@$(with-engine); $(BIN)/python -m pytest $(T)

test-engines: $(VENV)/installed-dev ## run the tests that need an Engine on four, as root (ENGINES=podman-trixie T="-k kills")
	@VENV='$(VENV)' .ci/engines test $(ENGINES) -- $(T)

bench: $(VENV)/installed-dev ## measure speed, memory and loss on a real Docker Engine
	@$(with-engine); $(BIN)/python -m tests.bench
	@$(BIN)/python -m tests.bench.sinks

chaos: $(VENV)/installed-dev ## trouble the agent at random; needs no Docker (SECONDS_LONG=600, SEED=7)
	@$(BIN)/python -m tests.chaos --seconds $(SECONDS_LONG) --seed $(SEED)

lint: $(VENV)/installed-dev ## check style, format and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

docs: $(VENV)/installed-dev ## write docs/reference.md and the options in docs/sinks anew from the code
	@$(BIN)/python -m agent.reference docs

image: ## build the container image, with no registry (BASE=python:3.13-slim starts from one's)
	@IMAGE='$(IMAGE)' BASE='$(BASE)' conf/image

clean: ## remove what the other targets made here
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis dist

# Lends the rest of the recipe's shell a real Engine: the running one, else a private one that ends with it.
# Without Engine the tests that need one say so and are skipped; in CI that is a failure.
define with-engine
engine_dir=$$(mktemp -d /tmp/dockferry-engine.XXXXXX); \
	trap '.ci/engine stop "$$engine_dir"; rm -rf --one-file-system "$$engine_dir"' EXIT; trap 'exit 143' TERM HUP; \
	if engine=$$(.ci/engine "$$engine_dir"); then eval "$$engine"; \
	elif [ "$${CI:-}" = true ]; then echo 'make: no Docker Engine to test on' >&2; exit 1; fi
endef

# Debian's python3 comes without venv: `import ensurepip` tells.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "make: Python 3.11 or newer is needed")'
	@if ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then \
		echo 'installing $(notdir $(PYTHON))-venv' >&2; \
		export DEBIAN_FRONTEND=noninteractive; \
		apt-get -qq update; \
		apt-get -qq install --no-install-recommends $(notdir $(PYTHON))-venv >/dev/null; \
	fi
	@$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(BIN)/python
	@$(PIP) install --editable .
	@touch $@

# pip reads dependency groups since 25.1.
$(VENV)/installed-dev: pyproject.toml $(VENV)/installed
	@$(PIP) install --upgrade 'pip>=25.1'
	@$(PIP) install --group dev
	@touch $@
