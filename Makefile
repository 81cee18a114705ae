# `make demo` and `make test` need only Python 3.11+ and make; everything else is installed here:
# what runs Keyturn for `make demo`, the tools of its developers too for the rest.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
RUNS := $(VENV)/.installed
DEVELOPS := $(VENV)/.installed-dev

.PHONY: help demo test test-browser lint format bench pictures page clean

help:
	@echo "make demo          the whole product on this machine, no Slack account needed"
	@echo "make test          all tests except those in a browser"
	@echo "make test-browser  the sandbox's page in a real Chromium"
	@echo "make lint          style, types and import contracts"
	@echo "make bench         benchmarks, written to docs/benchmarks.md"
	@echo "make pictures      the pictures in docs/, taken from a running demo"
	@echo "make page          rebuild the sandbox's page (needs Node 20+)"

$(RUNS): pyproject.toml sdk/pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Keyturn needs Python 3.11 or newer; set PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e ./sdk -e .
	@touch $@

$(DEVELOPS): $(RUNS)
	$(PIP) -e ./sdk -e '.[dev]'
	@touch $@

demo: $(RUNS)
	@$(BIN)/keyturn demo $(ARGS)

test: $(DEVELOPS)
	$(BIN)/python -m pytest -n auto -m "not browser" $(ARGS)

test-browser: $(DEVELOPS)
	$(BIN)/python -m pytest -m browser $(ARGS)

lint: $(DEVELOPS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEVELOPS)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(DEVELOPS)
	$(BIN)/python -m benchmarks $(ARGS)

pictures: $(DEVELOPS)
	$(BIN)/python docs/pictures.py

page:
	cd bot/sandbox/page && npm ci && npm run build

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
