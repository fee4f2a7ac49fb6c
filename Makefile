# The short commands. Each is one verb of sealift or one door of noxfile.py.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: help venv release test lint unit doctor clean
.PHONY: docker-build docker-build-base docker-build-multi docker-build-multi-base
.PHONY: docker-run docker-run-base docker-scan docker-debug check-static
.DEFAULT_GOAL := help

help: ## show the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 26

$(VENV)/.locked: ci/requirements-test.txt pyproject.toml
	@echo "sealift: making $(VENV) from ci/requirements-test.txt (about a minute the first time)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "sealift needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12" >&2; exit 5; }
	@$(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed. On Debian: sudo apt-get install -y python3-venv" >&2; exit 5; }
	@$(BIN)/python -I -m pip install --quiet --disable-pip-version-check --require-hashes -r ci/requirements-test.txt
	@$(BIN)/python -I -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/python -I -m sealift.provision.venv
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

# SUITE=debian13, VERSION=1.2.3, STAND_INS=1 (ask no registry), and for multi PUSH=registry/name:tag.
BUILD = $(BIN)/sealift docker build $(if $(SUITE),--suite $(SUITE)) $(if $(VERSION),--version $(VERSION)) \
	$(if $(STAND_INS),--stand-ins)
MULTI = --multi $(if $(PUSH),--push $(PUSH))

docker-build: venv ## build the static image for this machine, into its engine
	@$(BUILD) static $(ARGS)

docker-build-base: venv ## the same of the base image
	@$(BUILD) base $(ARGS)

docker-build-multi: venv ## build it for every platform, kept in build/docker/static (PUSH=registry/name:tag)
	@$(BUILD) static $(MULTI) $(ARGS)

docker-build-multi-base: venv ## the same of the base image, in build/docker/base
	@$(BUILD) base $(MULTI) $(ARGS)

docker-run: venv ## run it: read-only, no capabilities, 8080 and 9091 open; Ctrl-C ends it
	@$(BUILD) static
	@$(BIN)/sealift docker run static $(ARGS)

docker-run-base: venv ## the same of the base image
	@$(BUILD) base
	@$(BIN)/sealift docker run base $(ARGS)

docker-scan: venv ## look for known weaknesses with Trivy, which gets ARGS
	@$(BUILD) static
	@$(BIN)/sealift docker scan static $(if $(STAND_INS),--stand-ins) $(ARGS)

docker-debug: venv ## the same image with a busybox shell beside it, never released
	@$(BUILD) static
	@$(BIN)/sealift docker debug static

check-static: venv ## what file and ldd say of the binary in the image; no engine is needed
	@$(BUILD) static --else-layout
	@$(BIN)/sealift docker check static

clean: ## remove what was built here
	rm -rf build dist .nox
