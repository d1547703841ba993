# Two commands suffice on a machine with Python 3.11+ and make: `make demo` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --no-input

.PHONY: demo up stack test lint docs bench torture lock clean system-servers

# The lock is complete, so nothing is resolved (`--no-deps`); what it misses, `pip check` tells.
# The stamp holds the lock it was installed from: a changed lock installs anew.
$(VENV)/.installed: requirements.lock requirements-dev.lock pyproject.toml
	@echo "installing the pinned packages into $(VENV) (once, about a minute)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(INSTALL) --no-deps --require-hashes -r requirements-dev.lock
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@$(BIN)/pip check --disable-pip-version-check
	@touch $@

demo: $(VENV)/.installed
	@$(BIN)/monitoring-pipeline demo $(ARGS)

up: $(VENV)/.installed
	@$(BIN)/monitoring-pipeline up $(ARGS)

# Everything on servers of its own, where Docker is. Passwords: .env.example.
stack:
	@docker compose version >/dev/null 2>&1 || { echo "make stack needs Docker with its compose plugin; without it: make up" >&2; exit 1; }
	@docker compose --profile example up --build --detach --wait $(ARGS)
	@echo "Dagster http://127.0.0.1:3000   Grafana http://127.0.0.1:3001 (admin)   Prometheus http://127.0.0.1:9090"

# Integration tests use Debian's Postgres 15, Prometheus and Alertmanager where apt can install them; else they skip and say so.
system-servers:
	@sh .ci/install-servers

test: $(VENV)/.installed system-servers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

lint: $(VENV)/.installed docs
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/hadolint Dockerfile

# The site in build/site; a dead link or anchor is an error (not with --quiet, which hides warnings from --strict too).
docs: $(VENV)/.installed
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(VENV)/.installed
	@$(BIN)/python -m benchmarks $(ARGS)

# Bad inputs from a seed and kills at any moment, for some minutes: make torture ARGS="--seed 7 --only kills"
torture: $(VENV)/.installed
	@$(BIN)/python -m benchmarks.torture $(ARGS)

# Needs uv on the PATH. The lock carries names, versions and hashes, no addresses.
lock:
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-header --no-annotate --extra serving --output-file requirements.lock --quiet
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-header --no-annotate --extra serving --extra dev --constraint requirements.lock --output-file requirements-dev.lock --quiet

clean:
	rm -rf $(VENV) .monitoring .pytest_cache .ruff_cache .mypy_cache
