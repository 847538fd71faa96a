# Two commands: `make lab` opens the course, `make test` proves it. Both install what they need into .venv.
PYTHON ?= python3
VENV   := .venv
# Windows (Git Bash, MSYS) keeps programs in Scripts/ instead of bin/.
BIN    := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PIP    := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt
MANIFEST := pyproject.toml constraints.txt
NO_BROWSER ?=

.DEFAULT_GOAL := help
.PHONY: help lab test check build bench clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

lab: $(VENV)/.lab ## install, then open the course in JupyterLab (NO_BROWSER=1 only prints the address)
	$(BIN)/course lab $(if $(NO_BROWSER),--no-browser)

test: $(VENV)/.dev ## install, then run every test: lint, types, floors, notebooks, units, browser
	$(BIN)/python -m tests all

check: $(VENV)/.dev ## the inner loop, under two minutes: lint, types, floors, stale notebooks, unit tests
	$(BIN)/python -m tests quick

build: $(VENV)/.dev ## make the notebooks anew from solutions/*.py, where these changed
	$(BIN)/course build

bench: $(VENV)/.dev ## measure every figure that the README states; writes benchmarks/README.md
	$(BIN)/python -m benchmarks

clean: ## remove the environment and the caches; work/ (a learner's own files) stays
	rm -rf $(VENV) artifacts .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# A file in .venv marks what is installed, so that a second run starts at once.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "The course needs Python 3.11 or newer; this is %s. Try: make lab PYTHON=python3.11" % sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.lab: $(VENV)/.made $(MANIFEST)
	$(PIP) -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.made $(MANIFEST)
	$(PIP) -e ".[dev,browser]"
	@touch $@ $(VENV)/.lab
