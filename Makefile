# make demo   sets up everything, detects on an example picture, says where the annotated copy lies
# make test   sets up everything, runs lint, type checks and all tests
# make bench  times fastyolo beside its peers, into build/bench/
# make counts re-records the kernels' instruction counts that the tests compare with
# make wheels sdist and wheels for x86-64 and for boards (aarch64) in dist/, each looked into
# make test-native   runs this machine's wheels on every CPython it has
# make test-aarch64  runs the boards' wheel on emulated Cortex-A53 and A55
# make abi3   build/abi3/*.whl: one wheel for Python 3.11 and later on this machine

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find src -name '*.py' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' -o -name '*.pyi' -o -name '*.h' -o -path '*/models/*' -o -name '*.cfg') \
	pyproject.toml setup.py MANIFEST.in

.PHONY: demo test lint types unit quick checked fuzz bench counts abi3 lock clean
.PHONY: wheels check-wheels test-native test-aarch64 counts-aarch64 check-counts-aarch64

demo: $(VENV)/installed
	$(BIN)/fastyolo detect --output fastyolo-out \
		"$$($(BIN)/python -c 'import matplotlib; print(matplotlib.get_data_path())')/sample_data/grace_hopper.jpg"

test: lint types checked unit

lint: $(VENV)/tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cython-lint src
	PYTHONPATH=src $(BIN)/lint-imports --no-logo --no-cache

types: $(VENV)/installed
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest fastyolo.kernels.postprocess fastyolo.kernels.preprocess --allowlist tests/typing/stubtest_allowlist.txt

# The installed package is tested, not the source tree.
unit: $(VENV)/installed
	$(BIN)/python -m pytest

# For the minutes while one works.
quick: $(VENV)/installed
	$(BIN)/python -m pytest -q -m "not slow"

# The kernels once more with bounds checks, and once more under the address and undefined-behaviour sanitizers.
KERNEL_TESTS := tests/kernels tests/preprocess
SANITIZERS = $(shell gcc -print-file-name=libasan.so) $(shell gcc -print-file-name=libubsan.so)

checked: build/debug/installed build/asan/installed
	PYTHONPATH=build/debug $(BIN)/python -m pytest -q $(KERNEL_TESTS)
	PYTHONPATH=build/asan LD_PRELOAD="$(SANITIZERS)" ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1 \
		$(BIN)/python -m pytest -q $(KERNEL_TESTS)

# Arbitrary specs, metadata, .cfg files, heads, frames and damaged models, half of the time on each of the two builds.
FUZZ_SECONDS ?= 600
fuzz: build/debug/installed build/asan/installed
	PYTHONPATH=build/debug FUZZ_SECONDS=$$(($(FUZZ_SECONDS) / 2)) $(BIN)/python -m pytest -q tests/fuzz
	PYTHONPATH=build/asan LD_PRELOAD="$(SANITIZERS)" ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1 \
		FUZZ_SECONDS=$$(($(FUZZ_SECONDS) / 2)) $(BIN)/python -m pytest -q tests/fuzz

# The installed stable-ABI wheel, with the build for this Python beside it. BENCH="--images DIR --float-model F32.tflite"
bench: abi3 build/release/installed build/bench/venv/tools
	build/bench/venv/bin/python -m pip install --quiet --no-deps --force-reinstall build/abi3/*.whl
	build/bench/venv/bin/python bench/run.py --full-build build/release --output build/bench $(BENCH)

build/bench/venv/tools: bench/requirements.txt
	$(PYTHON) -m venv --clear build/bench/venv
	build/bench/venv/bin/python -m pip install --quiet --no-deps --require-hashes -r bench/requirements.txt
	@touch $@

# Instructions of fixed inputs under valgrind, into bench/counts/counts.json.
counts: $(VENV)/tools
	$(BIN)/python bench/counts/counts.py --record

build/%/installed: $(VENV)/tools $(SOURCES)
	rm -rf build/$*
	FASTYOLO_BUILD=$* $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --target build/$* .
	@touch $@

abi3: $(VENV)/tools
	rm -rf build/abi3
	FASTYOLO_ABI3=1 $(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir build/abi3 .

wheels: $(VENV)/tools
	$(BIN)/python wheels/build.py
	$(BIN)/python wheels/check.py dist/*.whl

dist:
	$(MAKE) wheels

# That the look into wheels finds what is wrong with broken ones, and that dist/ can be built again to the same bytes.
check-wheels: $(VENV)/tools dist
	$(BIN)/python -m pytest -q wheels/tests

test-native: $(VENV)/installed dist
	$(BIN)/python wheels/native.py

# The emulated Pythons and QEMU are Debian packages, fetched into build/aarch64; the machine's own stay as they are.
test-aarch64: $(VENV)/installed dist
	$(BIN)/python -m pytest -q wheels/aarch64
	$(BIN)/python wheels/aarch64/run.py

# Executed instructions on an emulated Cortex-A53: the gate, and its record in bench/aarch64/counts.json.
check-counts-aarch64: $(VENV)/tools dist
	$(BIN)/python bench/aarch64/counts.py --wheel dist/*-cp311-abi3-*aarch64.whl

counts-aarch64: $(VENV)/tools
	$(BIN)/python bench/aarch64/counts.py --record

# Versions and hashes of every development tool, for all supported Pythons at once.
lock: $(VENV)/tools
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --universal --python-version 3.10 --generate-hashes --upgrade --quiet \
		--custom-compile-command 'make lock' --output-file requirements-dev.txt requirements-dev.in
	$(BIN)/uv pip compile --no-deps --universal --python-version 3.10 --generate-hashes --upgrade --quiet \
		--custom-compile-command 'make lock' --output-file bench/requirements.txt bench/requirements.in

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
