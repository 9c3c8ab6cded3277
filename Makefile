# What a person types here. Everything is installed into .venv; nothing outside this folder is changed.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

LAKE ?= data/demo
PORT ?= 3000
TESTS ?= tests
# More than two cores have: a good part of the tests waits for programs that they started.
TEST_PROCESSES ?= 4
PYTEST_ARGS ?=

BIN := .venv/bin
STAMP := .venv/.haetae-installed
UV := bash infra/uv.sh

.PHONY: help setup demo test check dev bench lock format clean distclean

help:  ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  Variables: LAKE=$(LAKE) PORT=$(PORT) TESTS=$(TESTS) TEST_PROCESSES=$(TEST_PROCESSES) PYTEST_ARGS="

setup: $(STAMP)  ## Install everything that is needed into .venv (Python 3.11 or 3.12)

$(STAMP): requirements.lock pyproject.toml infra/setup.sh infra/uv.sh
	@bash infra/setup.sh
	@touch $@

demo: $(STAMP)  ## Run the whole graph on the embedded sample, from sources to champion
	$(BIN)/haetae --lake $(LAKE) run

test: $(STAMP)  ## Run every test, the slow ones too
	@bash infra/install-test-packages.sh --report
	$(BIN)/python -m pytest $(TESTS) -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder -m "" $(PYTEST_ARGS)

check: $(STAMP)  ## Lint, format, types, layers, and that the Dagster definitions load
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/dagster definitions validate -m dagster_project.definitions --log-level warning

dev: $(STAMP)  ## Open the Dagster UI on the demo lake, at http://127.0.0.1:3000
	@mkdir -p $(LAKE)/dagster
	@test -f $(LAKE)/dagster/dagster.yaml || cp infra/dagster.local.yaml $(LAKE)/dagster/dagster.yaml
	HAETAE_LAKE=$(abspath $(LAKE)) DAGSTER_HOME=$(abspath $(LAKE))/dagster \
	  $(BIN)/dagster dev -m dagster_project.definitions -h 127.0.0.1 -p $(PORT)

bench: $(STAMP)  ## Measure the pipeline's speed and memory
	$(BIN)/python -m benchmarks

lock:  ## Resolve pyproject.toml again into requirements.lock (UPGRADE=1: to the newest versions)
	$(UV) pip compile pyproject.toml --all-extras --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade) \
	  -o requirements.lock --quiet

format: $(STAMP)  ## Rewrite the code in the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove caches and build products; keeps .venv and the lakes
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage
	rm -rf .tmp_dagster_home_*
	find . -name __pycache__ -type d -not -path './.venv*' -prune -exec rm -rf {} +

distclean: clean  ## Also remove .venv and the demo lake
	rm -rf .venv .venv-tools data/demo
