# `make demo` and `make test` set up everything they need on a fresh machine: Python 3.11+, make, git.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# glibc keeps freed buffers: half the time of what networks do in the tests goes into page faults otherwise.
export MALLOC_MMAP_THRESHOLD_ ?= 1073741824
export MALLOC_TRIM_THRESHOLD_ ?= 536870912

.PHONY: demo test slow check bench setup clean

setup: $(STAMP)

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "augmind needs Python 3.11 or newer; set PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --no-compile "torch>=2.13,<2.14"
	$(BIN)/python -m pip install --quiet --no-compile --editable ".[dev]"
	touch $@

demo: $(STAMP)  ## expand a bundled dataset, print the verdict and the path of the report
	$(BIN)/augmind demo

# A file of tests stays in one process, since what its tests share would be made in each otherwise.
test: $(STAMP)  ## the suite, offline, on a CPU; all but the tests of `make slow`
	$(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder -m "not slow"

slow: $(STAMP)  ## the tests that are left out of `make test`
	$(BIN)/python -m pytest -n 2 -m slow

check: $(STAMP)  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

bench: $(STAMP)  ## speed and accuracy tables; see benchmarks/README.md
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache
