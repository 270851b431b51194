# `make help` lists the targets.
# PYTHON names an interpreter >= 3.11, e.g. make run PYTHON=python3.12

PYTHON ?= python3
CORES ?= all
ARGS ?=
WORKERS ?= 2
VENV ?= .venv
BIN := $(VENV)/bin
RESULTS ?= results
REPORT ?= results/report.html
PROFILE := --workflow-profile workflow/profiles/default
MLFLOW_HOST ?= 127.0.0.1
MLFLOW_PORT ?= 5000
MLFLOW_DIR ?= results/mlflow/server
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

export MLFLOW_DISABLE_TELEMETRY := true
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION := false
# Waiting threads soon sleep; see the Snakefile.
export OMP_WAIT_POLICY := PASSIVE
export GOMP_SPINCOUNT := 3000

.PHONY: gpu run resume test test-unit test-studies soak test-server test-browser test-cluster test-docs screenshots install install-dev install-ui
.PHONY: install-browser install-docs docs tables record lint format schema lock audit ui mlflow-server clean bench help
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

run: install ## the default study from scratch: tables, figures, results/report.html
	$(BIN)/snakemake --cores $(CORES) $(PROFILE) --report $(REPORT) --report-after-run $(ARGS)
	@echo; echo "Tables:   $$(ls results/tables/*/comparison.md 2>/dev/null | tr '\n' ' ')"
	@echo "Report:   $(REPORT)"
	@echo "MLflow:   make ui, then http://127.0.0.1:5000"

resume: install ## after a crash: unlock, then continue from the checkpoints
	$(BIN)/snakemake --unlock $(ARGS)
	$(MAKE) run

# --dist loadfile: the tests of a file share fixtures. --no-loadscope-reorder: in the order of testpaths.
test: install-dev ## all tests except those of the other test targets
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

test-unit: install-dev ## the fast tests, without workflows; prints the slowest ones
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/unit -n $(WORKERS) --dist loadfile --durations 15 $(ARGS)

test-studies: install-dev ## every shipped study on all its cases and rows, in small; needs the mirror
	CYCLEMIX_ALL_STUDIES=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/workflow/test_shipped_studies.py $(ARGS)

soak: install-dev ## an hour of random kills, deletions and flipped bits; shorter: ARGS='--minutes 10'
	$(BIN)/python tests/faults/soak.py $(ARGS)

test-browser: install-browser ## MLflow, report and tables in headless Chromium (installed with apt if missing)
	CYCLEMIX_NEED_BROWSER=1 $(BIN)/python -m pytest tests/browser $(ARGS)

screenshots: install-browser ## renew docs/img from the finished default study
	@test -f results/report.html || $(MAKE) run
	CYCLEMIX_NEED_BROWSER=1 CYCLEMIX_STUDY=results CYCLEMIX_PICTURES=docs/img $(BIN)/python -m pytest tests/browser
	cp results/figures/phantom/overlays_median.png docs/img/overlays.png

install-browser: $(VENV)/.installed-browser
	@command -v chromium || command -v chromium-browser || command -v google-chrome || { \
	    $(SUDO) apt-get update && $(SUDO) apt-get install -y --no-install-recommends chromium fonts-liberation; }

$(VENV)/.installed-browser: envs/requirements-browser.lock $(VENV)/.installed
	$(PIP) -r envs/requirements-browser.lock
	@touch $@

# With root (or passwordless sudo) and apt the cluster tests are required; otherwise they are skipped with a reason.
AS_ROOT = $(shell if ! command -v apt-get > /dev/null; then :; elif [ "$$(id -u)" = 0 ]; then echo env; elif sudo -n true 2> /dev/null; then echo sudo env; fi)

test-cluster: install-dev ## studies on a real SLURM on this host
	$(if $(AS_ROOT),[ -x /usr/sbin/slurmctld ] || { $(AS_ROOT) apt-get update -qq && $(AS_ROOT) DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends slurm-wlm munge; })
	$(if $(AS_ROOT),$(AS_ROOT) CYCLEMIX_REQUIRE_CLUSTER=1) $(BIN)/python -m pytest tests/cluster $(ARGS)

install: $(VENV)/.installed ## .venv with the package and the locked dependencies

test-server: install-dev install-ui ## the mirror against a real MLflow server
	$(BIN)/python -m pytest tests/server $(ARGS)

test-docs: install-dev install-docs ## every command of the pages, the tutorials in small, the site
	$(BIN)/python -m pytest tests/docs -n $(WORKERS) --dist loadfile $(ARGS)

docs: install-docs ## the documentation, into site/index.html, which needs no network
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "Documentation: site/index.html"

tables: install ## rewrite the tables of README.md and docs/ and draw their figure from benchmarks/studies
	$(BIN)/python docs/tables.py

record: install ## record a study's finished runs, then `make tables`: ARGS='RESULTS --study FILE'
	$(BIN)/python docs/record.py $(or $(ARGS),results)
	$(MAKE) tables

install-dev: $(VENV)/.installed-dev ## ... and what tests and checks need

install-docs: $(VENV)/.installed-docs

install-ui: $(VENV)/.installed-ui

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python >= 3.11 is needed, this is " + sys.version.split()[0] + "; try make PYTHON=python3.12 ..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: envs/requirements.lock pyproject.toml | $(BIN)/python
	$(PIP) -r envs/requirements.lock
	$(PIP) --no-deps --editable .
	@touch $@

$(VENV)/.installed-dev: envs/requirements-dev.lock $(VENV)/.installed
	$(PIP) -r envs/requirements-dev.lock
	@touch $@

$(VENV)/.installed-ui: envs/requirements-ui.lock $(VENV)/.installed
	$(PIP) -r envs/requirements-ui.lock
	@touch $@

$(VENV)/.installed-docs: envs/requirements-docs.lock $(VENV)/.installed
	$(PIP) -r envs/requirements-docs.lock
	@touch $@

lint: install-dev ## ruff, snakefmt, mypy, import-linter, schemas, spelling, wording
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m cyclemix schema --check
	$(BIN)/codespell
	$(BIN)/python docs/wording.py

format: install-dev ## ruff and snakefmt rewrite the files
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile rules

schema: install ## rewrite workflow/schemas after an edit of a model
	$(BIN)/python -m cyclemix schema

lock: install ## renew the locks after an edit of dependencies
	$(PIP) uv
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python envs/lock.py $(UPGRADE)

# A report: findings are no failure.
audit: $(VENV)/.installed-audit ## known vulnerabilities of the locked packages
	$(BIN)/python envs/audit.py $(VENV)/audit/bin/pip-audit

# A separate environment, so that the auditor's own packages are not audited.
$(VENV)/.installed-audit: | $(BIN)/python
	$(BIN)/python -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	@touch $@

ui: install-ui ## the MLflow interface on http://127.0.0.1:5000; of another study: RESULTS=FOLDER
	$(BIN)/mlflow ui --host 127.0.0.1 --backend-store-uri sqlite:///$(RESULTS)/mlflow/mlflow.db

# For clusters: clients use HTTP only, also for artifacts, and need no access to these folders. Anyone who reaches the
# port can read and write: docs/how-to/mlflow.md. One worker: sqlite has one writer, and the supervisor of several
# workers kills those that do not answer for 5 s on a busy machine.
mlflow-server: install-ui ## an MLflow server for several machines
	@mkdir -p $(MLFLOW_DIR)
	$(BIN)/mlflow server --host $(MLFLOW_HOST) --port $(MLFLOW_PORT) --workers 1 \
	    --backend-store-uri sqlite:///$(abspath $(MLFLOW_DIR))/mlflow.db \
	    --serve-artifacts --artifacts-destination $(abspath $(MLFLOW_DIR))/artifacts

gpu: install-dev ## 25 minutes on a GPU machine: its tests, speeds and trainings, into gpu/
	$(BIN)/python benchmarks/gpu.py $(ARGS)

bench: install-dev ## the benchmarks, into benchmarks/results
	@set -e; for script in $(filter-out benchmarks/gpu.py,$(wildcard benchmarks/*.py)); do echo "== $$script"; PYTHONPATH=. $(BIN)/python $$script; done

clean: ## delete results, site and caches
	rm -rf results .snakemake site
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
