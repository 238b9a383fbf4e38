# make demo   sets up everything, detects on an example picture, says where the annotated copy lies
# make test   sets up everything, runs lint, type checks and all tests

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find src -name '*.py' -o -name '*.pyx' -o -name '*.pyi' -o -path '*/models/*' -o -name '*.cfg') \
	pyproject.toml setup.py MANIFEST.in

.PHONY: demo test lint types unit lock clean

demo: $(VENV)/installed
	$(BIN)/fastyolo detect --output fastyolo-out \
		"$$($(BIN)/python -c 'import matplotlib; print(matplotlib.get_data_path())')/sample_data/grace_hopper.jpg"

test: lint types unit

lint: $(VENV)/tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cython-lint src

types: $(VENV)/installed
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest fastyolo._postprocess fastyolo._preprocess --allowlist tests/typing/stubtest_allowlist.txt

# The installed package is tested, not the source tree.
unit: $(VENV)/installed
	$(BIN)/python -m pytest

# Versions and hashes of every development tool, for all supported Pythons at once.
lock: $(VENV)/tools
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --universal --python-version 3.10 --generate-hashes --upgrade --quiet \
		--custom-compile-command 'make lock' --output-file requirements-dev.txt requirements-dev.in

clean:
	rm -rf $(VENV) build dist src/*.egg-info fastyolo-out

$(VENV)/tools: requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "fastyolo needs Python 3.10 or later; set PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.txt
	@touch $@

$(VENV)/installed: $(VENV)/tools $(SOURCES)
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --force-reinstall .
	@touch $@
