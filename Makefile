# `make demo` and `make test` need only Python 3.11+ and make; everything else is installed here.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help demo test test-browser lint format bench pictures page clean

help:
	@echo "make demo          the whole product on this machine, no Slack account needed"
	@echo "make test          all tests except those in a browser"
	@echo "make test-browser  the sandbox's page in a real Chromium"
	@echo "make lint          style, types and import contracts"
	@echo "make bench         benchmarks, written to docs/benchmarks.md"
	@echo "make pictures      the pictures in docs/, taken from a running demo"
	@echo "make page          rebuild the sandbox's page (needs Node 20+)"

$(STAMP): pyproject.toml sdk/pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Keyturn needs Python 3.11 or newer; set PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ./sdk -e '.[dev]'
	@touch $@

demo: $(STAMP)
	@$(BIN)/keyturn demo $(ARGS)

test: $(STAMP)
	$(BIN)/python -m pytest -n auto -m "not browser" $(ARGS)

test-browser: $(STAMP)
	$(BIN)/python -m pytest -m browser $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)
	$(BIN)/python -m benchmarks $(ARGS)

pictures: $(STAMP)
	$(BIN)/python docs/pictures.py

page:
	cd bot/sandbox/page && npm ci && npm run build

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
