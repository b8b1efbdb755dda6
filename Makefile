# make run     a synthetic history, served: the address and three things to try are printed; installs requirements.txt alone
# make check   format, lint, types, layers and the fast tests: about a minute
# make test    the same with all tests: what a change has to pass
# make clean   the environment and the caches; data/ stays
#
# PYTHON names the interpreter (3.11 or later) that the environment is made from.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
DEV := $(VENV)/ready-dev
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# Otherwise each of the processes that tests start would compile all sources again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run check test checks warm clean

run: $(READY)
	@$(BIN)/hours run

check: $(DEV)
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target warm checks
	HYPOTHESIS_PROFILE=brief $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow" tests/ledger tests/projections tests/api/importing tests/pages/test_documents.py

test: $(DEV)
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target warm checks
	$(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder

checks: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The kernels are compiled here, once, and never while a request waits.
warm: $(READY)
	@$(BIN)/python -m api.operations.warming

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes --requirement requirements.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): $(READY) requirements-dev.txt
	$(PIP) --require-hashes --requirement requirements-dev.txt --requirement requirements.txt
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
