# Every target makes what it needs in .venv; PYTHON is any Python from 3.11 on.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --constraint constraints.txt
PYTEST := $(BIN)/python -m pytest
KERNEL_TESTS := $(wildcard tests/kernels/test_*.py)

.PHONY: help sim test lint bench clean
help:
	@echo "make sim    the first example: VGG-16 on SCNN"
	@echo "make test   the tests, then the kernel tests without the compiler and with bounds checks"
	@echo "make lint   style and types"
	@echo "make bench  speed, as ratios within one run"
	@echo "make clean  remove what the other targets made"

sim: .venv/.run
	$(BIN)/archmodel sim --arch scnn --net vgg16

test: .venv/.test
	$(PYTEST) tests
ifneq ($(KERNEL_TESTS),)
	NUMBA_DISABLE_JIT=1 $(PYTEST) tests/kernels
	NUMBA_BOUNDSCHECK=1 $(PYTEST) tests/kernels
endif

lint: .venv/.lint
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: .venv/.test
	$(PYTEST) benchmarks -s

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is written when its installation is complete.
.venv/.run: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "archmodel needs Python 3.11 or newer and '$(PYTHON)' is not: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(INSTALL) -e .
	@touch $@

.venv/.test: .venv/.run
	$(INSTALL) -e '.[test]'
	@touch $@

.venv/.lint: .venv/.run
	$(INSTALL) -e '.[dev]'
	@touch $@
