# What a contributor runs; `make help` lists it. Needs Python 3.11 or newer, make and sh.

PYTHON ?= python3
VENV := .venv
VENV_OLDEST := .venv-oldest
VENV_INTEGRATION := .venv-integration
VENV_WHEEL := .venv-wheel
BIN := $(VENV)/bin/python
BIN_OLDEST := $(VENV_OLDEST)/bin/python
BIN_INTEGRATION := $(VENV_INTEGRATION)/bin/python
BIN_WHEEL := $(VENV_WHEEL)/bin/python

# Test processes. Each of them runs on one thread: two threads in each of two processes
# on two cores are many times slower than one.
WORKERS ?= 2
# More arguments for pytest, such as PYTEST_ARGS="-k noise -x".
PYTEST_ARGS ?=

# pip reads these for the environment and, by the second name since pip 25.3, for the
# build environments too. Without them pip would take the newest torch, and on Linux
# gigabytes of CUDA with it. Relative, as pip splits the value at spaces.
export PIP_CONSTRAINT := constraints.txt
export PIP_BUILD_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Tests and the package are compiled once: anew in each process, these are ten seconds.
unexport PYTHONDONTWRITEBYTECODE

# Pictures go to files, wherever this runs.
export MPLBACKEND := Agg

ONE_THREAD := OMP_NUM_THREADS=1
PYTEST := -m pytest -n $(WORKERS) --dist worksteal $(PYTEST_ARGS)
# What `make test-wheel` runs: all that `make test` runs, or WHEEL_TESTS=tests/contract.
WHEEL_TESTS ?= sk_autoencoder tests
# The tests of `make test`; the others have targets of their own.
SUITE := not slow and not benchmark and not integration and not gpu
SOURCES := sk_autoencoder tests benchmarks docs

.DELETE_ON_ERROR:
.PHONY: help venv demo test test-benchmarks test-slow test-fuzz test-oldest coverage
.PHONY: test-gpu test-integration test-wheel lint format docs bench bench-history clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' Makefile

# ------------------------------------------------------------------- environments

# A stamp is written last: an installation that broke off is taken up again.
$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	    "expected Python 3.11 or newer, got %s. Use: make PYTHON=python3.11 ..." \
	    % sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/.created
	@echo "installing into $(VENV): torch is large, this may take a few minutes"
	$(BIN) -m pip install --quiet --editable ".[plot,pandas]"
	@touch $@

$(VENV)/.all: pyproject.toml constraints.txt | $(VENV)/.created
	@echo "installing into $(VENV): torch is large, this may take a few minutes"
	$(BIN) -m pip install --quiet --editable ".[all,dev]"
	@touch $@ $(VENV)/.demo

$(VENV_OLDEST)/.created:
	$(PYTHON) -m venv $(VENV_OLDEST)
	@touch $@

$(VENV_OLDEST)/.test: export PIP_CONSTRAINT := constraints-oldest.txt
$(VENV_OLDEST)/.test: export PIP_BUILD_CONSTRAINT := constraints-oldest.txt
$(VENV_OLDEST)/.test: pyproject.toml constraints-oldest.txt | $(VENV_OLDEST)/.created
	$(BIN_OLDEST) -m pip install --quiet --editable ".[plot,pandas,polars,test]"
	@touch $@

$(VENV_INTEGRATION)/.test: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV_INTEGRATION)
	$(BIN_INTEGRATION) -m pip install --quiet --editable ".[all,test,integration,clusters]"
	@touch $@

$(VENV_WHEEL)/.created:
	$(PYTHON) -m venv $(VENV_WHEEL)
	$(BIN_WHEEL) -m pip install --quiet build twine
	@touch $@

venv: $(VENV)/.all  ## make .venv, with all that the other targets need

# --------------------------------------------------------------------------- runs

demo: $(VENV)/.demo  ## compare the transformers with PCA on a real table (minutes)
	$(ONE_THREAD) $(BIN) -m benchmarks.demo --output demo_output
	@echo "table and pictures: demo_output/"

test: $(VENV)/.all  ## run every test but those below, doctests and documentation too
	$(ONE_THREAD) $(BIN) $(PYTEST) -m "$(SUITE)"

test-benchmarks: $(VENV)/.all  ## run the tests of the benchmarks and of the gallery
	$(ONE_THREAD) $(BIN) $(PYTEST) -m "benchmark and not slow" tests/benchmarks

test-slow: $(VENV)/.all  ## run the slow tests
	$(ONE_THREAD) $(BIN) $(PYTEST) -m slow

test-fuzz: $(VENV)/.all  ## load 100,000 files that were tampered with (an hour)
	$(ONE_THREAD) $(BIN) $(PYTEST) -m slow tests/saving/test_hostile_files.py

test-gpu: $(VENV)/.all  ## run the tests that need a CUDA device, and a torch that knows it
	$(ONE_THREAD) $(BIN) -m pytest $(PYTEST_ARGS) -m gpu tests/gpu

test-oldest: $(VENV_OLDEST)/.test  ## run the tests with the oldest supported versions
	$(ONE_THREAD) $(BIN_OLDEST) $(PYTEST) -m "$(SUITE)"

# One process: each cluster of these tests starts several of its own.
test-integration: $(VENV_INTEGRATION)/.test  ## run the tests with other people's tools (needs Java)
	$(ONE_THREAD) $(BIN_INTEGRATION) -m pytest $(PYTEST_ARGS) -m integration tests/integration

# What a user gets: the wheel, made from the sdist and installed beside nothing of the
# checkout. The tests and the pages that they read come from the sdist.
test-wheel: $(VENV_WHEEL)/.created  ## build the sdist and the wheel, and test the wheel
	rm -rf dist
	$(BIN_WHEEL) -m build
	$(BIN_WHEEL) -m twine check --strict dist/*
	$(BIN_WHEEL) -m pip install --quiet --force-reinstall --no-deps dist/*.whl
	$(BIN_WHEEL) -m pip install --quiet "$$(echo dist/*.whl)[all,test]"
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	tar -xzf dist/*.tar.gz -C "$$folder" --strip-components 1 && \
	rm -r "$$folder/sk_autoencoder" && cd "$$folder" && \
	$(ONE_THREAD) $(CURDIR)/$(BIN_WHEEL) $(PYTEST) -m "$(SUITE)" --pyargs $(WHEEL_TESTS)

# Not part of .ci/run: before Python 3.14 the tests take 1.5 to 1.9 times as long with it.
coverage: $(VENV)/.all  ## run the tests, print how much of the package they run, draw it
	$(ONE_THREAD) $(BIN) $(PYTEST) -m "$(SUITE)" --cov --cov-report=term --cov-report=json
	$(BIN) docs/development/draw_badges.py coverage.json

lint: $(VENV)/.all  ## check style, types, spelling and docstrings
	$(BIN) -m ruff check $(SOURCES)
	$(BIN) -m ruff format --check $(SOURCES)
	$(BIN) -m mypy
	$(BIN) -m codespell_lib $(SOURCES) changes .github *.md *.toml Makefile .ci/run
	$(BIN) -m numpydoc lint $$(find sk_autoencoder -name '*.py')

format: $(VENV)/.all  ## put the sources into the house's format
	$(BIN) -m ruff check --fix $(SOURCES)
	$(BIN) -m ruff format $(SOURCES)

# -E reads every page again: a page that Sphinx remembers would hide its warnings.
docs: $(VENV)/.all  ## build the documentation into docs/_build/html, offline
	$(ONE_THREAD) $(BIN) -m sphinx -E -W --keep-going -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

# The scripts start themselves again with one thread.
bench: $(VENV)/.all  ## measure speed, memory and quality (takes its time)
	$(BIN) -m benchmarks.speed.fit
	$(BIN) -m benchmarks.speed.grid
	$(BIN) -m benchmarks.speed.growth --quick
	$(BIN) -m benchmarks.speed.transform
	$(BIN) -m benchmarks.speed.memory
	$(BIN) -m benchmarks.quality.ordered
	$(BIN) -m benchmarks.series.run
	$(BIN) -m benchmarks.tables.impute --rows 1000
	$(BIN) -m benchmarks.density.run
	$(BIN) -m benchmarks.outliers.run
	$(BIN) -m benchmarks.quality.run --quick
	$(BIN) -m benchmarks.images.run
	$(BIN) -m benchmarks.images.user_network --rows 1000
	$(BIN) -m benchmarks.quality.choices --seeds 1

# Not part of any other target: on a busy machine it fails for no reason.
bench-history: $(VENV)/.all  ## append five numbers to the history, and compare them with it
	$(BIN) -m benchmarks.speed.track

clean:  ## remove what the targets made, the environments too
	rm -rf $(VENV) $(VENV_OLDEST) $(VENV_INTEGRATION) $(VENV_WHEEL) build dist .mypy_cache .pytest_cache .ruff_cache
	rm -rf .hypothesis .coverage .coverage.* coverage.json
	rm -rf demo_output docs/_build docs/auto_examples docs/generated docs/sg_execution_times.rst
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
