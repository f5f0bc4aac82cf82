PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test check

run: $(VENV)/.run ## Serve on http://localhost:3000
	$(BIN)/python app.py

test: $(VENV)/.dev ## Run the whole suite
	$(BIN)/python -m pytest

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
