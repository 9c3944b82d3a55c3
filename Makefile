# What a person types. Everything runs from .venv in this folder, which the first call makes;
# `python3` (3.11 or newer, with venv) and `make` are all it needs.
.DEFAULT_GOAL := help
PYTHON ?= python3
PORT ?= 3000
BIN := .venv/bin
READY := .venv/ready

.PHONY: help setup demo dev test lint bench lock

help:
	@echo "make demo | test | setup | dev | lint | bench   (README.md says what each does)"

# Made anew only when what is to be installed has changed, so that a second call starts at once.
$(READY): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "wolkvox_assets needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12 …")'
	@echo "setting up .venv …"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
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
	DAGSTER_HOME="$(CURDIR)" $(BIN)/dagster dev --port $(PORT)

test: $(READY)
	@$(BIN)/python -m pytest

lint: $(READY)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

bench: $(READY)
	@$(BIN)/python -m wolkvox_assets_tests.bench

# Every platform and Python version in one file, with hashes.
lock: $(READY)
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-strip-extras \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --quiet -o requirements.lock
