PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test test-suite test-browser check

run: $(VENV)/.run ## Serve on http://localhost:3000
	$(BIN)/python app.py

test: $(VENV)/.dev ## Run everything: the suite and, beside it, the pages in a real browser
	$(MAKE) --no-print-directory -k -j2 --output-sync=target test-suite test-browser

test-suite: $(VENV)/.dev
	$(BIN)/python -m pytest

test-browser: $(VENV)/.dev
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
