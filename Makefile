# Two commands: `make reproduce` and `make test`. Both make the environment first, from constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Threads that wait by spinning ruin each other's timing on a shared core.
export OMP_WAIT_POLICY ?= PASSIVE
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: reproduce quick test lint environment data clean help

help:            ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

reproduce: data  ## environment, data, then every experiment of the default configuration; opens nothing
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakemake reproduce-all

quick: data      ## the same in a few minutes: every figure and table, networks hardly trained
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakemake reproduce-all --configfile workflow/presets/quick.yaml

test: environment  ## the test suite
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest -q -n 2 --dist loadfile --no-loadscope-reorder

lint: environment  ## ruff, snakefmt and snakemake's own lint
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m tests.workflow.lint

environment: $(VENV)/installed  ## .venv with the versions of constraints.txt

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; try make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[test]'
	touch $@

data: environment  ## the small real Wikipedia dump of the default run, checked by its sha256
	$(BIN)/python -m pipeline.fetch enwiki-sample --folder data/raw

clean:           ## removes the results of every preset but `paper`, not downloads
	find results -mindepth 1 -maxdepth 1 ! -name published ! -name paper -exec rm -rf {} +
	rm -rf .snakemake
