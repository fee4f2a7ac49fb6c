# The short commands. Each is one verb of sealift or one door of noxfile.py.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: help venv release test lint unit doctor clean
.DEFAULT_GOAL := help

help: ## show the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 22

$(VENV)/.locked: ci/requirements-test.txt pyproject.toml
	@echo "sealift: making $(VENV) from ci/requirements-test.txt (about a minute the first time)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "sealift needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12" >&2; exit 5; }
	@$(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed. On Debian: sudo apt-get install -y python3-venv" >&2; exit 5; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r ci/requirements-test.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

venv: $(VENV)/.locked ## make .venv with everything locked

release: venv ## rehearse the release of HEAD (ARGS=--keep leaves its services up)
	@$(BIN)/sealift release $(ARGS)

test: venv ## run every test
	@$(BIN)/nox $(ARGS)

lint: venv ## ruff, mypy, go vet and the other linters
	@$(BIN)/nox -s lint types

unit: venv ## the tests that need no programs
	@$(BIN)/nox -s unit

doctor: venv ## say what is missing, and how to get it
	@$(BIN)/sealift doctor

clean: ## remove what was built here
	rm -rf build dist .nox
