# Every target sets up what it needs, on a fresh Debian machine too, and reuses it while pyproject.toml
# stays the same. PYTHON=python3.13 chooses another interpreter, VENV=DIR another place.

PYTHON ?= python3
VENV ?= .venv
IMAGE ?= dockferry:latest
BASE ?=
SECONDS_LONG ?= 600
SEED ?= 1
ENGINE ?= real

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

# For every Python from 3.11 on, and every kind of machine.
LOCKING := pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-package pywin32 --custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade)

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help demo test test-engines bench bench-check chaos lint docs lock audit image clean

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 14

demo: $(VENV)/installed ## run the agent on a simulated shop; needs no Docker
	@$(BIN)/dockferry demo

test: $(VENV)/installed-dev ## run every test, on a real Docker Engine (T="-k spool" selects)
	@.ci/receivers || [ "$${CI:-}" != true ]
	@$(with-engine); $(if $(T),$(BIN)/python -m pytest $(T),PYTEST='$(BIN)/python -m pytest' .ci/abreast)

test-engines: $(VENV)/installed-dev ## run the tests that need an Engine on four, as root (ENGINES=podman-trixie T="-k kills")
	@VENV='$(VENV)' .ci/engines test $(ENGINES) -- $(T)

bench: $(VENV)/installed-dev ## measure cost, speed, latency, loss on a real Engine (QUICK=1, JSON=FILE, DOCS=1)
	@$(with-engine); $(BIN)/python -m tests.bench $(if $(QUICK),--quick) $(if $(DOCS),--docs) $(if $(JSON),--json '$(JSON)')

bench-check: $(VENV)/installed-dev ## compare with tests/bench/figures.json on a quiet machine: over 15 % worse fails (UPDATE=1 writes it)
	@$(with-engine); $(BIN)/python -m tests.bench.gate $(if $(UPDATE),--update)

chaos: $(VENV)/installed-dev ## trouble the agent at random, as root, on a real Engine of its own, killed too (SECONDS_LONG=600 SEED=7; ENGINE=simulated)
	@$(BIN)/python -m tests.chaos --seconds $(SECONDS_LONG) --seed $(SEED) --engine $(ENGINE)

lint: $(VENV)/installed-dev ## check style, format and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

docs: $(VENV)/installed-dev ## write docs/reference.md and the options in docs/sinks anew from the code
	@$(BIN)/python -m agent.reference docs

# Versions that are there stay unless pyproject.toml forbids them; UPGRADE=1 takes the newest of all.
lock: $(VENV)/installed-dev ## pin what the image is made of, by version and hash (UPGRADE=1 renews all)
	@$(PIP) install --group lock
	@$(BIN)/uv $(LOCKING) --all-extras --output-file conf/requirements.lock pyproject.toml
	@$(BIN)/python -c 'import tomllib as t; print(*t.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' | \
		$(BIN)/uv $(LOCKING) --output-file conf/build.lock -

# The list of parts is written first: it needs nobody. Whether one is vulnerable, PyPI is asked: no answer is a failure.
audit: $(VENV)/audit/installed ## list what the image is made of (dist/, CycloneDX) and ask PyPI for known vulnerabilities
	@mkdir -p dist
	@PYTHONWARNINGS=ignore $(VENV)/audit/bin/cyclonedx-py requirements --pyproject pyproject.toml \
		--output-reproducible --output-file dist/dockferry.cdx.json conf/requirements.lock
	@echo 'written: dist/dockferry.cdx.json' >&2
	@$(VENV)/audit/bin/pip-audit --strict --require-hashes --disable-pip --progress-spinner off \
		--requirement conf/requirements.lock || { \
		echo 'make: not passed: a vulnerability is known, or PyPI did not answer for every package, so that nothing is known' >&2; \
		exit 1; \
	}

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

# Apart from the agent's own packages: what audits is no part of what is audited.
$(VENV)/audit/installed: pyproject.toml | $(BIN)/python
	@$(BIN)/python -m venv $(VENV)/audit
	@$(VENV)/audit/bin/python -m pip --quiet --disable-pip-version-check install --upgrade 'pip>=25.1'
	@$(VENV)/audit/bin/python -m pip --quiet --disable-pip-version-check install --group audit
	@touch $@
