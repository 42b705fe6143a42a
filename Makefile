# Each target prepares .venv by itself; all it needs is Python 3.11 or newer, git and make.
.DEFAULT_GOAL := help
.PHONY: help setup demo lab test test-old-ipython bench check chaos conformance lock clean test-pythons
SHELL := /bin/bash
# Without cached byte code every process of the fabric compiles its imports anew.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
PINS := pyproject.toml requirements/dev.txt scripts/setup
TEST_PROCESSES ?= 2

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1 \t/' | expand -t 26

.venv/.notebooks: $(PINS)
	@scripts/setup .venv notebooks
	@touch $@

.venv/.dev: $(PINS)
	@scripts/setup .venv dev
	@touch .venv/.notebooks $@

.venv-bench/.ready: requirements/bench.txt scripts/setup
	@scripts/setup .venv-bench bench
	@touch $@

setup: .venv/.notebooks ## Prepare .venv and do nothing else

demo: .venv/.notebooks ## Start a fabric, run the quickstart notebook on it, stop it again
	@$(BIN)/funcx demo

lab: .venv/.notebooks ## Open JupyterLab on the tutorials, with the fabric running
	@$(BIN)/funcx lab

test: .venv/.dev ## Run all tests
	@scripts/install-servers
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadgroup $(PYTEST_ARGS)

.venv-old/.ready: $(PINS) requirements/old-ipython.txt
	@scripts/setup .venv-old old-ipython
	@touch $@

.venv-3.%/.ready: $(PINS)
	@PYTHON=python3.$* scripts/setup .venv-3.$* notebooks
	@touch $@

test-pythons: .venv/.dev .venv-3.12/.ready .venv-3.13/.ready ## Run functions, values and notebooks across Python versions (3.12, 3.13)
	$(BIN)/python -m pytest tests/unit/serialize/test_corpus.py tests/notebooks/test_pythons_on_fabric.py $(PYTEST_ARGS)

test-old-ipython: .venv-old/.ready ## Run the tests of the magics on the oldest IPython and ipykernel we take
	.venv-old/bin/python -m pytest -n $(TEST_PROCESSES) --dist loadgroup tests/unit/jupyter tests/notebooks $(PYTEST_ARGS)

chaos: .venv/.dev ## Kill and freeze real processes, many rounds (ROUNDS=20, SEED=...)
	CHAOS_ROUNDS=$(or $(ROUNDS),20) CHAOS_SEED=$(SEED) $(BIN)/python -m pytest -m chaos --timeout 1800 tests/chaos $(PYTEST_ARGS)

conformance: .venv/.dev ## Run published clients, each in an environment of its own, and print what works with which
	CONFORMANCE_CLIENTS=all $(BIN)/python -m pytest -m conformance --timeout 600 tests/conformance $(PYTEST_ARGS)

bench: .venv/.dev .venv-bench/.ready ## Measure ours beside ProcessPoolExecutor and Parsl (BENCH_ARGS=--quick)
	$(BIN)/python -m bench $(BENCH_ARGS)

check: .venv/.dev ## Lint, types, import contracts, generated docs, wheel
	@scripts/check

lock: .venv/.dev ## Renew the pinned versions in requirements/
	@scripts/lock

clean: ## Remove environments, caches and build products
	rm -rf .venv .venv-bench .venv-conformance .venv-old build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache bench/results.json .venv-3.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
