# Everything a fresh machine needs is Python >= 3.11 and make.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

# Tests run two at a time, and the threads of one would fight those of the other.
test test-slow test-docs: export OMP_NUM_THREADS = 1

.PHONY: help demo test test-slow picture clean

help:
	@echo "make demo       set up, then compare four ways to train a small student on digits"
	@echo "make test       set up, then lint, type-check, check the layers and run the tests"
	@echo "make picture    draw the README's picture and table from the demo's run"
	@echo "make test-slow  several processes, kills, documentation (after make test)"

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "kantor needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv .venv

.venv/.demo: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) -e '.[digits,emd]'
	@touch $@

.venv/.dev: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) -e '.[dev]'
	@touch $@ .venv/.demo

demo: .venv/.demo
	$(BIN)/kantor distill --config examples/demo.yaml --out runs/demo

test: .venv/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/pytest -n 2 -m "not slow"

test-slow: .venv/.dev
	$(BIN)/pytest -n 2 -m slow

picture: .venv/.dev demo
	$(BIN)/python docs/picture.py runs/demo

clean:
	rm -rf .venv
