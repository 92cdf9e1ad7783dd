# Two commands: `make reproduce` and `make test`. Both make the environment first, from constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Threads that wait by spinning ruin each other's timing on a shared core.
export OMP_WAIT_POLICY ?= PASSIVE
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: reproduce quick test lint constraints check-constraints environment data clean help

help:            ## shows this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 20

reproduce: data  ## environment, data, then every experiment of the default configuration
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakemake reproduce-all

quick: data      ## the same in a few minutes: every figure and table, with hardly trained networks
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakemake reproduce-all --configfile workflow/presets/quick.yaml

test: environment  ## runs the test suite
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest -q -n 2 --dist loadfile --no-loadscope-reorder

lint: environment  ## installs and runs ruff, mypy and snakefmt
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow

PYTHONS := 3.11 3.12 3.13 3.14
UV_COMPILE := $(BIN)/uv pip compile -q --no-config --no-header --no-annotate pyproject.toml --all-extras

constraints: environment  ## writes constraints.txt again from pyproject.toml, for every Python and platform at once
	$(BIN)/python -m pip install -q uv
	$(UV_COMPILE) --universal --python-version $(firstword $(PYTHONS)) --no-emit-package rnngen --output-file constraints.txt

check-constraints: environment  ## checks that the constraints resolve on every Python, from the package index alone
	$(BIN)/python -m pip install -q uv
	for version in $(PYTHONS); do \
	    echo "Python $$version"; \
	    $(UV_COMPILE) --constraint constraints.txt --python-version $$version \
	        --python-platform x86_64-manylinux_2_28 > /dev/null || exit 1; \
	done

environment: $(VENV)/installed  ## makes .venv with the versions of constraints.txt

# PyTorch's wheel on PyPI brings CUDA along, 2.9 GB. Without a card the build for CPUs from PyTorch's own index does, where
# that index can be reached.
GPU ?= $(shell command -v nvidia-smi)
CPU_INDEX ?= https://download.pytorch.org/whl/cpu

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; try make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip
ifeq ($(GPU)$(filter-out Linux,$(shell uname -s)),)
	$(BIN)/python -m pip install -q --no-deps --retries 0 --timeout 20 --index-url $(CPU_INDEX) -c constraints.txt torch || \
	    echo "No build of PyTorch for CPUs from $(CPU_INDEX); the build with CUDA is taken, 2.9 GB."
endif
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[test]'
	touch $@

data: environment  ## downloads the small Wikipedia dump of the default run and checks its SHA-256
	$(BIN)/python -m pipeline.fetch enwiki-sample --folder data/raw

clean:           ## removes the results of every preset but `paper`; keeps downloads
	find results -mindepth 1 -maxdepth 1 ! -name published ! -name paper -exec rm -rf {} +
	rm -rf .snakemake
