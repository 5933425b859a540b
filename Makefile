# Everything a person or a machine does with this repository is a target here: `make` lists them.
# A target does its own set-up, once: a virtual environment from the locks, then the package, editable.

VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --no-input --disable-pip-version-check
UV := .cache/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --custom-compile-command "make lock"
FAST := -n auto --maxprocesses 4 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help demo test quick check format bench docs lock clean
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ': .*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/runtime ## run the example organisation; BILL=PATH: your own bill
	@$(BIN)/python examples/demo.py $(if $(BILL),"$(BILL)")

test: check .cache/azurite/installed ## everything: checks, all tests, coverage
	@.ci/programs chromium hledger
	@echo "test: all"
	@$(BIN)/python -m pytest $(FAST) --cov --cov-report=term

quick: $(VENV)/dev ## the inner loop: tests that are not slow
	@.ci/programs hledger
	@$(BIN)/python -m pytest -q $(FAST) -m "not slow"

check: $(VENV)/dev ## format, lint, types, import law, generated docs
	@echo "check: format"; $(BIN)/ruff format --check --quiet .
	@echo "check: lint"; $(BIN)/ruff check --quiet .
	@echo "check: types"; $(BIN)/mypy --no-error-summary
	@echo "check: import law"; law=$$($(BIN)/lint-imports --no-logo 2>&1) || { echo "$$law"; exit 1; }
	@echo "check: generated docs"; test ! -f docs/generate.py || $(BIN)/python docs/generate.py --check

format: $(VENV)/dev ## format the code and mend what ruff can
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .

bench: $(VENV)/bench ## measure speed and memory, write docs/benchmarks.md
	@$(BIN)/python bench/run.py

docs: $(VENV)/dev ## write the generated docs anew
	@$(BIN)/python docs/generate.py

lock: .cache/uv/bin/uv ## resolve the dependencies anew; UPGRADE=1: to their newest versions
	@for set in runtime build dev bench; do \
	  echo "lock: $$set"; \
	  case $$set in \
	    runtime) from="pyproject.toml";; \
	    bench) from="--group bench --constraint locks/runtime.lock --constraint locks/dev.lock";; \
	    *) from="--group $$set --constraint locks/runtime.lock";; \
	  esac; \
	  $(UV) $(if $(UPGRADE),--upgrade) $$from --output-file locks/$$set.lock || exit 1; \
	done >/dev/null

clean: ## remove what the targets made
	@rm -rf $(VENV) .cache build dist out htmlcov .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- set-up: a stamp for each lock, so that nothing is installed twice ------------------------------------------------

$(VENV)/created:
	@.ci/python $(VENV)
	@touch $@

$(VENV)/runtime: $(VENV)/created locks/build.lock locks/runtime.lock pyproject.toml
	@echo "set-up: locked dependencies"
	@$(PIP) --require-hashes -r locks/build.lock -r locks/runtime.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev: $(VENV)/runtime locks/dev.lock
	@echo "set-up: tools for tests and checks"
	@$(PIP) --require-hashes -r locks/dev.lock
	@touch $@

$(VENV)/bench: $(VENV)/dev locks/bench.lock
	@echo "set-up: what the benchmarks compare with"
	@$(PIP) --require-hashes -r locks/bench.lock
	@touch $@

# The Azure Blob server of the tests. Its lock has hashes and no package host; no package's install script is run.
.cache/azurite/installed: locks/azurite/package.json locks/azurite/package-lock.json
	@.ci/programs nodejs npm
	@echo "set-up: azurite"
	@mkdir -p .cache/azurite && cp locks/azurite/*.json .cache/azurite
	@npm ci --prefix .cache/azurite --ignore-scripts --no-audit --no-fund --loglevel error
	@touch $@

.cache/uv/bin/uv:
	@.ci/python .cache/uv
	@.cache/uv/bin/python -m pip install -qq --disable-pip-version-check uv==0.13.9
