PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test test-relay test-databases test-processes test-product test-pages test-protocols test-browser check

run: $(VENV)/.run ## Serve on http://localhost:3000
	$(BIN)/python app.py

# The longest parts first; they wait for disks and databases, so that five keep two cores busy.
test: $(VENV)/.dev ## Run everything, five parts at a time
	$(MAKE) --no-print-directory -k -j5 --output-sync=target \
	  test-browser test-relay test-databases test-processes test-product test-pages test-protocols

RELAY := tests/relay tests/models
PROCESSES := $(addprefix tests/databases/test_,fanout.py first_start.py nodes.py redis.py workers.py)
DATABASES := $(filter-out $(PROCESSES),$(wildcard tests/databases/test_*.py))
PAGES := tests/pages tests/login
PROTOCOLS := tests/test_wire.py tests/test_conformance.py tests/oracles tests/vendors tests/catalog

test-relay: $(VENV)/.dev ## Requests and money
	$(BIN)/python -m pytest $(RELAY)

test-databases: $(VENV)/.dev ## The same on SQLite, MariaDB and PostgreSQL
	$(BIN)/python -m pytest $(DATABASES)

test-processes: $(VENV)/.dev ## Several processes on one database; Redis
	$(BIN)/python -m pytest $(PROCESSES)

test-pages: $(VENV)/.dev ## Pages, and sign-in through others
	$(BIN)/python -m pytest $(PAGES)

test-protocols: $(VENV)/.dev ## What vendors are asked and say
	$(BIN)/python -m pytest $(PROTOCOLS)

test-product: $(VENV)/.dev ## All the rest: API, accounts, jobs, servers
	$(BIN)/python -m pytest $(addprefix --ignore=,$(RELAY) tests/databases $(PAGES) $(PROTOCOLS))

test-browser: $(VENV)/.dev ## The pages in a real Chromium
	$(BIN)/python -m pytest -c tests/browser/pytest.ini --confcutdir=tests/browser tests/browser

check: $(VENV)/.dev ## Lint and types
	$(BIN)/ruff check .
	$(BIN)/mypy

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements.txt requirements-dev.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@ $(VENV)/.run
