# `make study` runs a first study and `make test` the tests, on a machine with Python 3.11+ and make.
# `make up` starts hpo for a team, on a machine with Docker.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STUDY  ?= quickstart
WORKERS ?= 1
PYTEST := $(BIN)/pytest --numprocesses auto --maxprocesses 8 --dist worksteal $(PYTEST_OPTIONS)
# Compiled modules are kept: the processes of a test run would compile each of them anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help study up test test-unit test-all test-slow coverage bench lint types format docs site screenshots clean

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

study: $(VENV)/installed ## install what is needed and run a study (STUDY=quickstart)
	@$(BIN)/hpo run $(STUDY)

up: ## start PostgreSQL, the dashboard and workers in containers (WORKERS=1)
	@WORKERS=$(WORKERS) deploy/up.sh

test: $(VENV)/installed-dev ## install what is needed and run the test suite (some 5 minutes)
	@$(PYTEST) -m "not slow"

test-unit: $(VENV)/installed-dev ## only the unit tests (under a minute)
	@$(PYTEST) -m "not slow" tests/unit

test-slow: $(VENV)/installed-dev ## only the long tests
	@$(PYTEST) -m slow

coverage: $(VENV)/installed-dev ## which part of hpo the unit tests run
	@COVERAGE_CORE=$$($(BIN)/python -c 'import sys; print("sysmon" if sys.version_info >= (3, 12) else "ctrace")') \
		$(PYTEST) -m "not slow" tests/unit --cov --cov-report=
	@echo "Unit tests run $$($(BIN)/coverage report --format=total) % of the lines of hpo"

test-all: test test-slow ## every test, the long ones too

bench: $(VENV)/installed-dev ## the short benchmarks (benchmarks/README.md)
	@cd benchmarks && for each in "engine.py --widths 16 32" overhead.py "memory.py --trials 30" "accuracy.py --parts precision"; do \
		echo "== $$each"; ../$(BIN)/python $$each || exit 1; done

lint: $(VENV)/installed-dev types ## ruff (lint and format), codespell, mypy --strict, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/codespell
	@$(BIN)/pre-commit validate-config
	@$(BIN)/lint-imports

types: $(VENV)/installed-dev ## mypy --strict
	@$(BIN)/mypy hpo models tests

format: $(VENV)/installed-dev ## apply the fixes of ruff
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(VENV)/installed-dev ## regenerate the schema and tables of study files
	@$(BIN)/python docs/generate.py

site: $(VENV)/installed-dev ## build the documentation site into build/site; a broken link fails
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

screenshots: $(VENV)/installed-dev ## take the screenshots in docs/pictures again (minutes)
	@$(BIN)/python docs/pictures/make_screenshots.py

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else f"hpo needs Python 3.11 or newer; $(PYTHON) is {v[0]}.{v[1]}. Try: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	@$(PYTHON) -m venv $(VENV)

# Without an NVIDIA GPU: PyTorch's CPU build, a tenth of the size of the default one, where pip can find it
# (PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu lets it). Else the default build is installed.
define cpu_build
	@[ -e /dev/nvidiactl ] || ! build=$$($(BIN)/python -m pip index versions torch 2>/dev/null | grep -om1 '[0-9.]*+cpu' | head -1) \
		|| [ -z "$$build" ] || $(BIN)/python -m pip install --quiet --disable-pip-version-check "torch==$$build" torchvision
endef

# The package was called hpo, which is another project's name on PyPI: what is left of it would own the command.
define old_name
	@rm -rf hpo.egg-info; $(BIN)/python -m pip uninstall -qq --yes --disable-pip-version-check hpo
endef

$(VENV)/installed: pyproject.toml | $(VENV)/bin/python
	@echo "Installing hpo into $(VENV) (once; PyTorch is large)"
	$(cpu_build)
	$(old_name)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/installed-dev: pyproject.toml | $(VENV)/bin/python
	@echo "Installing hpo and its development tools into $(VENV) (once)"
	$(cpu_build)
	$(old_name)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/installed
