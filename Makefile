# make demo    train, evaluate and predict on procedural shapes (runs/demo)
# make test    the tests
# make check   lint, format, types
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-slow check clean

demo: .venv/installed
	./demo.sh

test: .venv/installed-test
	$(BIN)/python -m pytest

# Trainings that take long; needs the data beside the repository.
test-slow: .venv/installed-test
	$(BIN)/python -m pytest -s -o addopts= tests/slow

check: .venv/installed-check
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

.venv/installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@

.venv/installed-test: .venv/installed pyproject.toml
	$(BIN)/python -m pip install --quiet -e '.[test]'
	touch $@

.venv/installed-check: .venv/installed-test
	$(BIN)/python -m pip install --quiet -e '.[check]'
	touch $@

clean:
	rm -rf .venv .jax_cache runs/demo
