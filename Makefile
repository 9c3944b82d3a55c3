# What a person types. Everything runs from .venv in this folder, which the first call makes;
# `python3` (3.11 or newer, with venv) and `make` are all it needs.
.DEFAULT_GOAL := help
PYTHON ?= python3
PORT ?= 3000
BIN := .venv/bin
READY := .venv/ready
# Other versions of DuckDB than the project's own: the tests read the published file with each. A file with the
# hashes of a version is its place in the list.
PINS := wolkvox_assets_tests/store/duckdb
# And tools that read it, in an environment of their own.
TOOLS := wolkvox_assets_tests/examples/sql_tools
# What the image has, and tools that check deploy/.
IMAGE := wolkvox_assets_tests/deploy/tools
DUCKDBS := $(patsubst $(PINS)-%.txt,.duckdb/%/ready,$(wildcard $(PINS)-*.txt))

# Bytecode is kept whatever the environment says: every process would compile our modules, in 0.15 s of CPU.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup demo dev test lint bench screenshots lock

help:
	@echo "make demo | test | setup | dev | lint | bench | screenshots   (docs/contributing.md says what each does)"

# Made anew only when what is to be installed has changed, so that a second call starts at once.
$(READY): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "wolkvox_assets needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12 …")'
	@echo "setting up .venv; this takes a minute or two …"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q wolkvox_assets # pip compiles what it installs, but for what stays where it is
	@touch $(READY)

setup: $(READY)

demo: $(READY)
	@$(BIN)/wolkvox-assets demo

# DAGSTER_HOME is this folder, so that this dagster.yaml is in force; what Dagster keeps goes to .dagster/.
# Dagster would take any other port where this one is in use, and say so once in a long log.
dev: $(READY)
	@$(BIN)/python -c 'import socket; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", $(PORT)))' 2>/dev/null \
		|| { echo "Port $(PORT) is in use, or cannot be used. Choose another: make dev PORT=3001" >&2; exit 1; }
	@echo "The Dagster UI comes up at http://127.0.0.1:$(PORT)"
	DAGSTER_HOME="$(CURDIR)" $(BIN)/dg dev --port $(PORT)

test: $(READY) $(DUCKDBS) .sqltools/ready .image/ready
	@$(BIN)/python -m pytest

.duckdb/%/ready: $(PINS)-%.txt $(READY)
	@echo "installing DuckDB $* in .duckdb/$*, for the tests …"
	@rm -rf .duckdb/$*
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
		--only-binary :all: --target .duckdb/$* -r $<
	@touch $@

.sqltools/ready: $(TOOLS).txt $(READY)
	@echo "installing what reads the published file in .sqltools, for the tests …"
	@rm -rf .sqltools
	@$(PYTHON) -m venv --without-pip .sqltools
	@$(BIN)/uv pip install --quiet --python .sqltools/bin/python --require-hashes -r $<
	@touch $@

.image/ready: deploy/requirements.lock $(IMAGE).txt $(READY)
	@echo "installing what the image has in .image, for the tests …"
	@rm -rf .image
	@$(PYTHON) -m venv --without-pip .image
	@$(BIN)/uv pip install --quiet --python .image/bin/python --require-hashes -r deploy/requirements.lock -r $(IMAGE).txt
	@touch $@

lint: $(READY)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

bench: $(READY)
	@$(BIN)/python -m wolkvox_assets_tests.bench $(if $(STORE),--store $(STORE)) $(if $(HISTORY),--history) $(if $(TICKS),--ticks $(TICKS)) $(if $(LAKE),--lake $(LAKE))

# To look at, page by page, and for README: into screenshots/, which git ignores.
screenshots: $(READY)
	@$(BIN)/python -m wolkvox_assets_tests.ui.screenshots

# Every platform and Python version in one file, with hashes.
lock: $(READY)
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-strip-extras \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --quiet -o requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra scale --group image --constraint requirements.lock --python-platform linux \
		--python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --no-emit-find-links --no-annotate \
		--custom-compile-command "make lock" --quiet -o deploy/requirements.lock
	$(BIN)/uv pip compile $(IMAGE).in --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-emit-find-links --no-annotate --custom-compile-command "make lock" --quiet -o $(IMAGE).txt
	for version in $(patsubst $(PINS)-%.txt,%,$(wildcard $(PINS)-*.txt)); do \
		echo "duckdb==$$version" | $(BIN)/uv pip compile - --universal --python-version 3.11 --no-deps --generate-hashes \
			--no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock" --quiet \
			-o $(PINS)-$$version.txt || exit; \
	done
	$(BIN)/uv pip compile $(TOOLS).in --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-emit-find-links --no-annotate --custom-compile-command "make lock" --quiet -o $(TOOLS).txt
