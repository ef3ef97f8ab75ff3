# Two commands do everything from a fresh clone: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
OFFLINE := HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1

.PHONY: demo test gates install install-test clean

demo: .venv/installed
	@mkdir -p build
	@cd build && { test -d ticket-routing || $(OFFLINE) ../$(BIN)/freehold init --example ticket-routing; }
	@cd build/ticket-routing && $(OFFLINE) ../../$(BIN)/freehold climb

test: .venv/installed-test gates
	OMP_NUM_THREADS=1 $(OFFLINE) $(BIN)/pytest -q -n 2 --dist loadfile

gates: .venv/installed-test
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/pyright
	$(BIN)/lint-imports

install: .venv/installed
install-test: .venv/installed-test

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Freehold needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml constraints.txt .venv/bin/python
	$(PIP) -c constraints.txt -e .
	@touch $@

.venv/installed-test: pyproject.toml constraints.txt .venv/bin/python
	$(PIP) -c constraints.txt -e '.[test]'
	@touch .venv/installed $@

clean:
	rm -rf .venv build
