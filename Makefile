# Two commands do everything: `make run` draws a picture, builds the editor and serves, `make test` runs every gate and test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := main.py engine nodes custom_nodes/example training bench tests web/build.py web/scripts

.PHONY: run editor test gates unit journeys test-slow test-long bench format clean

run: $(VENV)/.run-stamp
	@$(BIN)/python main.py run workflows/text_to_image.json
	@echo "That was drawn from the command line. Change its prompt:"
	@echo "    $(BIN)/python main.py run workflows/text_to_image.json --set 6.text=\"a large red heart on a white background\""
	@$(BIN)/python web/build.py || true
	@echo "Now the server, until you press Ctrl-C. Open the address that it prints in a browser, and press Run."
	@$(BIN)/python main.py

editor: $(VENV)/bin/python
	$(BIN)/python web/build.py

test: gates unit journeys

gates: $(VENV)/.test-stamp
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/gates/file_size.py
	$(BIN)/deptry .
	$(BIN)/python web/build.py check

unit: $(VENV)/.test-stamp tests/clients/node_modules/.stamp
	$(BIN)/python -m pytest -W error -q -n 2 --dist worksteal --ignore tests/reliability
	$(BIN)/python -m pytest -W error -q tests/reliability

# People's ways through the editor, in Chromium, against a real server with the demo model; then how smooth it is.
journeys: $(VENV)/.test-stamp
	$(BIN)/python web/build.py journeys
	$(BIN)/python web/build.py frames

test-slow: $(VENV)/.test-stamp
	$(BIN)/python -m pytest -W error -m slow

# Full counts, half an hour and more; FUZZ=100000 for the longest run.
test-long: $(VENV)/.test-stamp
	EASEL_FUZZ=$(or $(FUZZ),10000) $(BIN)/python -m pytest -W error -m long -s

bench: $(VENV)/.run-stamp
	$(BIN)/python main.py bench

format: $(VENV)/.test-stamp
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run-stamp: requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.test-stamp: requirements.txt requirements-dev.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

# A client of the protocol from npm, for tests/pipeline/test_clients.py; no lock file, since it would name a registry.
tests/clients/node_modules/.stamp: tests/clients/package.json
	npm install --prefix tests/clients --no-package-lock --no-audit --no-fund --silent
	@touch $@

clean:
	rm -rf $(VENV) .node web/dist web/node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
