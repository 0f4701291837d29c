# All commands work from a fresh clone: each makes the environment that it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
PIP_FLAGS := --quiet --disable-pip-version-check -c constraints.txt
# what is decided on more than one thread must not depend on how many tests run beside it
TEST_ENV := OMP_NUM_THREADS=1 MPLBACKEND=agg

.PHONY: demo lint format test test-slow bench reproduce docs clean

$(VENV)/.demo: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install $(PIP_FLAGS) torch
	$(BIN)/pip install $(PIP_FLAGS) -e .
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install $(PIP_FLAGS) torch
	$(BIN)/pip install $(PIP_FLAGS) -e '.[dev]'
	touch $(VENV)/.demo $@

$(PEERS)/.ready: pyproject.toml constraints.txt benchmarks/peers/requirements.txt
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install $(PIP_FLAGS) torch
	$(PEERS)/bin/pip install $(PIP_FLAGS) -e . -r benchmarks/peers/requirements.txt
	$(PEERS)/bin/pip install $(PIP_FLAGS) --no-deps pythae==0.1.2
	touch $@

demo: $(VENV)/.demo
	$(BIN)/urbild demo

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/codespell src tests benchmarks docs examples README.md CHANGELOG.md CONTRIBUTING.md

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: lint
	$(TEST_ENV) $(BIN)/python -m pytest -n 2 --dist worksteal -m 'not slow'

test-slow: $(VENV)/.dev
	$(TEST_ENV) $(BIN)/python -m pytest -m slow

bench: $(PEERS)/.ready
	$(PEERS)/bin/python -m benchmarks.peers
	$(PEERS)/bin/python -m benchmarks.cost --install

reproduce: $(VENV)/.dev
	$(BIN)/python -m benchmarks.reproduce

docs: $(VENV)/.dev
	$(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) $(PEERS) build site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
