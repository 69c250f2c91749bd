# Two commands: `make demo` and `make test`. On Windows see "Without make" in CONTRIBUTING.md.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := demo

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
PYTEST := $(BIN)/python -m pytest
# Test processes side by side, each on one thread; a file's tests stay together, for what they share.
JOBS ?= 2
AGAINST := $(if $(REFERENCE),--reference $(REFERENCE)) $(if $(SHIM),--shim $(SHIM))

.PHONY: demo test postgres chromium page check lint types structure package audit bench results soak clean

## demo: cut one object out of a sample photo; the picture's path is the last line
demo: $(VENV)/.run
	@$(BIN)/segany demo

## test: every test but the soak tests
test: $(VENV)/.dev postgres chromium page
	@OMP_NUM_THREADS=1 $(PYTEST) -n $(JOBS) --dist loadfile $(PYTEST_ARGS)

# The store is tested on PostgreSQL too, where its server can be had; its tests start one of their own, and say why if
# they cannot.
postgres:
	@command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { \
	  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo "installing PostgreSQL for the tests" && \
	  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql; } \
	  >/dev/null 2>&1; } || echo "PostgreSQL is not here: the store is tested on SQLite alone"

# The annotation page is tested in a real browser, where one can be had; its tests say why if not.
chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || { \
	  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo "installing Chromium for the tests" && \
	  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium; } \
	  >/dev/null 2>&1; } || echo "Chromium is not here: the annotation page is not tested"

## page: build the annotation page anew where its sources changed; installing builds it, too
page: $(VENV)/.dev
	@$(BIN)/python web/hatch_build.py

## check: lint, types, layers, licences, docs structure, the demo from a freshly built wheel, and known vulnerabilities
check: lint types structure package audit

lint: $(VENV)/.dev
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: $(VENV)/.dev
	@$(BIN)/mypy

structure: $(VENV)/.dev
	@$(PYTEST) -q tests/test_layers.py tests/test_packaging.py tests/test_docs.py -k "not run"

# The wheel is built from the sdist, so this shows that the sdist is whole too.
package: $(VENV)/.dev
	@rm -rf build/check && mkdir -p build/check/elsewhere
	@$(BIN)/python -m build --no-isolation --outdir build/check/dist . > build/check/build.log || { cat build/check/build.log; exit 1; }
	@$(PYTHON) -m venv build/check/venv
	@build/check/venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt build/check/dist/*.whl
	@cd build/check/elsewhere && ../venv/bin/segany demo | tee demo.log && test -s "$$(tail -n 1 demo.log)"
	@echo "wheel and sdist built; the demo runs from the wheel"

## audit: known vulnerabilities in the pinned versions; left out, with the reason, where pypi.org is out of reach
audit:
	@if ! $(PYTHON) -c 'import urllib.request as r; r.urlopen("https://pypi.org/pypi/pip/24.0/json", timeout=5)' 2>/dev/null; then \
	  echo "versions are not audited: pypi.org, which knows their vulnerabilities, cannot be reached"; \
	elif ! { $(PYTHON) -m venv build/audit && build/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit; }; then \
	  echo "versions are not audited: pip-audit cannot be installed"; \
	else build/audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip; fi

## bench: timings against the reference; REFERENCE=folder of its checkout, SHIM=folder of stand-ins that it needs
bench: $(VENV)/.dev
	@$(BIN)/python benchmarks/predict.py $(AGAINST) $(BENCH_ARGS)
	@$(BIN)/python benchmarks/encoders.py $(AGAINST) $(BENCH_ARGS)
	@$(BIN)/python benchmarks/everything.py $(AGAINST) $(BENCH_ARGS)
	@$(BIN)/python benchmarks/everything_costs.py $(BENCH_ARGS)
	@$(BIN)/python benchmarks/everything_costs.py --loop 200 --grid 8 $(BENCH_ARGS)

## results: measure what docs/results.md shows, and write that page; TABLES=some of them; reads SEGANY_DATA
results: $(VENV)/.dev
	@$(BIN)/python tools/make_results.py $(TABLES)

## soak: the long tests; what they measure lands in benchmarks/results/
soak: $(VENV)/.dev postgres
	@mkdir -p benchmarks/results
	@$(PYTEST) -m "hypothesis and not soak" --hypothesis-profile=search --no-header $(PYTEST_ARGS)
	@$(PYTEST) -m soak --no-header -rA --durations=0 $(PYTEST_ARGS) | tee benchmarks/results/soak.txt
	@$(BIN)/python benchmarks/serve.py --folder build/serve --prepare
	@$(BIN)/python benchmarks/serve.py --folder build/serve --soak 20

## clean: what the other targets made, but the virtual environment
clean:
	@rm -rf build dist out .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.run: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("segany needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; name another: make PYTHON=python3.12")'
	@echo "installing segany into $(VENV); the first time takes a minute or two"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@$(PIP) -e '.[dev]'
	@touch $@
