# Two commands do all set-up on a fresh machine: `make demo` runs the main job, `make test` passes the tests.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# The share of the examples of each property that are tried; 1 in a long run.
export ATS_MAG_EXAMPLES ?= 0.2
# Tests run on every core already: threads of their own would only get into each other's way.
ONE_THREAD = TF_NUM_INTRAOP_THREADS=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
SOURCES = pyproject.toml setup.py $(wildcard ats_mag/slides/op/*.cc ats_mag/slides/op/*.h)

MATHEMATICS = tests/layers tests/sampling tests/geometry/test_lattice.py tests/model/adaptive/test_betting.py

.PHONY: demo test test-all test-browser test-jax fuzz lint bench clean

demo: $(VENV)/.installed
	$(BIN)/ats-mag demo --out demo-run

test: $(VENV)/.installed
	$(ONE_THREAD) $(BIN)/python -m pytest -q -n 2 --dist worksteal

# What takes long, too: kills, damaged slides, load, all examples of every property, and the mathematics on JAX.
test-all: $(VENV)/.installed
	ATS_MAG_EXAMPLES=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal --long
	$(MAKE) test-jax ATS_MAG_EXAMPLES=1

# The viewer's and the report's pages in Chromium, where it is installed.
test-browser: $(VENV)/.installed
	$(ONE_THREAD) $(BIN)/python -m pytest -q --long tests/viewer/test_browser.py

# The mathematics on Keras' JAX backend, compiled in haste; that the model trains there, too, is among the tests above.
test-jax: $(VENV)/.installed
	KERAS_BACKEND=jax JAX_DISABLE_MOST_OPTIMIZATIONS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal $(MATHEMATICS)

# Damaged slides by the thousand, read by the op as built with sanitizers. Goes on where it was stopped.
fuzz: $(VENV)/.installed
	PYTHONPATH=tests $(BIN)/python -m fuzz.run

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

# One after the other, on an idle machine; cuCIM's dependencies are for GPUs. `gpu` is for a machine with a GPU. The last
# two compare with attention-sampling 0.2 in an environment of its own, see experiments/megapixel/reference/__init__.py.
bench: $(VENV)/.installed-bench
	$(BIN)/python -m experiments.benchmarks.reading
	$(BIN)/python -m experiments.benchmarks.scaling
	$(BIN)/python -m experiments.benchmarks.overlap
ifdef ATS_REFERENCE_PYTHON
	$(BIN)/python -m experiments.benchmarks.step
	$(BIN)/python -m experiments.benchmarks.in_memory
endif

$(VENV)/.installed: $(SOURCES)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ats_mag needs Python 3.11 or newer: make PYTHON=python3.11")'
	@printf '%s\n' '#include <stdio.h>' '#include <jpeglib.h>' | $${CXX:-g++} -fsyntax-only -xc++ - 2>/dev/null || \
	  { [ "$$(id -u)" = 0 ] && apt-get install -y -qq libjpeg-dev >/dev/null 2>&1; } || \
	  echo "libjpeg-turbo's headers are missing: JPEG tiles will go through OpenSlide (Debian: apt install libjpeg-dev)"
	$(PYTHON) -m venv $(VENV) || { echo "Python's venv is missing (Debian: apt install python3-venv)"; rm -rf $(VENV); exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

$(VENV)/.installed-bench: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	$(BIN)/python -m pip install --quiet --no-deps cucim-cu12 click || echo "cuCIM is left out: no wheel for this machine"
	touch $@

clean:
	rm -rf $(VENV) demo-run build *.egg-info ats_mag/slides/op/*.so ats_mag/viewer/static/vendor
