# `make demo` and `make test` need Python and make alone; everything lives in .venv.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test test-fast coverage test-slow test-faults test-fuzz fuzz-result lower-bounds lint types wheel site release-check docs clean

# torch comes first, at the pinned version: a wheel of it that pip finds on this machine (a CPU build, say) is taken.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) torch
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(INSTALL) --editable ".[test]"
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed-test
	$(INSTALL) --editable ".[test,dev,docs]"
	@touch $@

demo: $(VENV)/.installed
	HF_HUB_OFFLINE=1 $(BIN)/tdbs prepare
	HF_HUB_OFFLINE=1 $(BIN)/tdbs estimate-speedup
	HF_HUB_OFFLINE=1 $(BIN)/tdbs train --epochs 1
	HF_HUB_OFFLINE=1 $(BIN)/tdbs report

# Compiled modules are kept, whatever the environment says: each process that a test starts would compile them again.
PYTEST = PYTHONDONTWRITEBYTECODE= HF_HUB_OFFLINE=1 $(BIN)/python -m pytest
# Tests that share what is dear to make run on one worker: loadgroup.
EVERY_DAY = -n auto --dist loadgroup -m "not slow and not fault and not fuzz"

test: $(VENV)/.installed-test
	$(PYTEST) $(EVERY_DAY)

# While you work: tests that neither train nor start a process, in less than a minute.
test-fast: $(VENV)/.installed-test
	$(PYTEST) -n auto --dist loadgroup -m "fast and not slow and not fault and not fuzz"

# Every random example of a property; every day a fifth of them (tests/examples.py).
IN_FULL = --hypothesis-profile full

# The same as test in full, and the lines that it runs: fewer than pyproject.toml says fail.
coverage: $(VENV)/.installed-test
	$(PYTEST) $(EVERY_DAY) $(IN_FULL) --cov --cov-report=term:skip-covered

test-slow: $(VENV)/.installed-dev
	$(PYTEST) -m slow $(IN_FULL)

test-faults: $(VENV)/.installed-test
	$(PYTEST) -m fault

# A hundred thousand random inputs; TDBS_FUZZ_SCALE=0.01 runs a hundredth of them.
test-fuzz: $(VENV)/.installed-test
	$(PYTEST) tests/fuzz -n 2 --dist loadfile -m fuzz

# The same, and its counts as a dated file.
fuzz-result:
	TDBS_FUZZ_RESULT=benchmarks/results/fuzz_cpu_$$(date -u +%F).md $(MAKE) test-fuzz

# Every dependency at the lowest version that pyproject.toml allows, and every stage once. torch is the exception: its
# wheel for Linux in the registry is the CUDA build, so the pinned one is taken; elsewhere pass TORCH=torch==2.6.0.
TORCH ?= --constraint constraints.txt torch
lower-bounds:
	rm -rf .venv-lower
	$(PYTHON) -m venv .venv-lower
	.venv-lower/bin/python -m pip install --quiet --disable-pip-version-check --no-compile $(TORCH)
	$(PYTHON) tests/lowest_versions.py > .venv-lower/lowest.txt
	.venv-lower/bin/python -m pip install --quiet --disable-pip-version-check --no-compile -r .venv-lower/lowest.txt
	.venv-lower/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	.venv-lower/bin/python -m pip check
	sh tests/smoke.sh $(CURDIR)/.venv-lower/bin/tdbs
	rm -rf .venv-lower

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m docs.check_words

types: $(VENV)/.installed-dev
	$(BIN)/mypy

# Build the wheel, install it where nothing else is, call it, and check calls of it for types: what users install is what is tested.
wheel: $(VENV)/.installed-dev
	rm -rf dist .venv-wheel
	$(BIN)/python -m build --wheel --quiet
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt torch
	.venv-wheel/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt dist/*.whl
	cd /tmp && $(CURDIR)/.venv-wheel/bin/tdbs --help > /dev/null
	cd /tmp && $(CURDIR)/.venv-wheel/bin/python -c "import tdbs.data.sample as s; assert s.TOKENIZER_FOLDER.is_dir()"
	cp tests/typing/api.py .venv-wheel/
	cd .venv-wheel && $(CURDIR)/$(BIN)/mypy --strict --config-file= --python-executable bin/python api.py
	rm -rf .venv-wheel

# What a release uploads: metadata as the index reads it, less than 1 MB each, and both files in environments of their own
# with the newest and the lowest versions, where the README's first commands run. dist/ is then what was checked.
release-check: $(VENV)/.installed-dev
	rm -rf dist
	$(BIN)/python -m build --quiet
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/python -m tests.release dist $(TORCH)

docs: $(VENV)/.installed-test
	$(BIN)/python -m docs.generate

# The documentation as a site, in site/. A link that leads nowhere, a page outside of the menu and a broken docstring fail.
# Not with --quiet: --strict counts the warnings that are printed.
site: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

clean:
	rm -rf $(VENV) .venv-wheel .venv-lower .venv-release dist site
