# Two commands for a newcomer: `make demo` and `make test`. Python 3.11 or newer and make do.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
LOCK   := requirements.lock
DATA   ?= ../shared/data

.PHONY: demo test lint acceptance bench docs lock clean
.DELETE_ON_ERROR:

demo: $(VENV)/ready  ## the main job, from raw events to an answer over HTTP
	$(BIN)/wherry demo

test: $(VENV)/ready  ## every test
	$(BIN)/python -m pytest -n 2 --dist worksteal -q

lint: $(VENV)/ready  ## style, types and the floors of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

acceptance: $(VENV)/ready  ## real data and published results; passed over where $(DATA) is absent
	$(BIN)/python -m acceptance --data $(DATA)

bench: $(VENV)/ready  ## speeds, as ratios to references in the same run (docs/performance.md)
	$(BIN)/python -m benchmarks

docs: $(VENV)/ready  ## write the generated pages again
	$(BIN)/python docs/generate.py

# The lock holds names, versions and hashes; pip takes them from wherever it is set up to.
$(VENV)/ready: $(LOCK) pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Wherry needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Run: make PYTHON=/path/to/python3.11") if sys.version_info < (3, 11) else 0'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(LOCK)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

lock:  ## resolve the versions again (needs uv)
	uv pip compile pyproject.toml --extra demo --group dev --generate-hashes --no-emit-index-url \
	    --no-header --python-version 3.11 --output-file $(LOCK)

clean:
	rm -rf $(VENV) demo-shop
