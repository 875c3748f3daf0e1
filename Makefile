# Two commands for a newcomer: `make demo` and `make test`. Needs Python 3.11, 3.12 or 3.13.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export TF_CPP_MIN_LOG_LEVEL ?= 2
export PIP_DISABLE_PIP_VERSION_CHECK ?= 1

.PHONY: help install demo test test-all test-beam pythons lint docs audit benchmark clean
help:
	@echo "make demo       train on the bundled heartbeats, compare, plot, export"
	@echo "make test       style, types and tests (make test-all adds the long ones)"
	@echo "make test-beam  tests of Apache Beam pipelines, in an environment of their own"
	@echo "make pythons    what is published, on each Python it claims; needs the network"
	@echo "make docs       the documentation as a site in site/; fails on broken links and names"
	@echo "make audit      known vulnerabilities of the pinned versions; needs the network"
	@echo "make benchmark  time score matching against an autoencoder"

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml trainers/pyproject.toml tuning/pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	  || { echo "delvm_tf needs Python 3.11, 3.12 or 3.13; try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all]' --editable ./trainers --editable ./tuning
	@touch $@

demo: install
	$(BIN)/python trainers/anomaly.py

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-all: lint
	$(BIN)/python -m pytest -n 2

# Apache Beam needs older protobuf and grpcio than the rest, so it has an environment of its own.
# Beam and the older packages that it needs warn of what other environments no longer hold.
test-beam: .venv-beam/.installed
	.venv-beam/bin/python -m pytest -W default::DeprecationWarning tests/serving/beam_test.py

.venv-beam/.installed: pyproject.toml trainers/pyproject.toml constraints-beam.txt
	$(PYTHON) -m venv .venv-beam
	.venv-beam/bin/python -m pip install --quiet --constraint constraints-beam.txt --editable '.[beam-dev]' --editable ./trainers
	@touch $@

pythons: install
	$(BIN)/python .ci/pythons.py --extras --tests

# The site asks no other host for anything, and its search works in a page opened as a file.
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

audit: install
	$(BIN)/python .ci/audit.py

benchmark: install
	$(BIN)/python benchmarks/score_matching.py

clean:
	rm -rf $(VENV) .venv-beam build site *.egg-info .pytest_cache .mypy_cache .ruff_cache
