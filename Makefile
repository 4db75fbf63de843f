# Everything a checkout needs. The first call of a target sets the checkout up; later ones find it ready.
#
#   PYTHON=python3.13   use that Python, in an environment of its own (.venvs/3.13)
#   ARGS="-k words"     more arguments for pytest, the demo or the benchmarks

SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
# Every start of an engine or a zygote would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help setup demo test lint types docs docs-serve picture bench sim crash-points storm constraints clean distclean

RECENT := import sys; sys.exit(sys.version_info < (3, 11))
VERSION := import sys; print("%d.%d" % sys.version_info[:2])

ifdef PYTHON
BASE := $(PYTHON)
VENV = .venvs/$(shell $(BASE) -c '$(VERSION)')
else
BASE = $(shell for p in python3 python3.13 python3.12 python3.11 .venv/bin/python; do \
	$$p -c '$(RECENT)' 2>/dev/null && echo $$p && break; done)
VENV := .venv
endif
RUN = $(VENV)/bin/python

help:  ## show this list
	@echo "make demo         run the example in examples/flights on 336,776 real flights"
	@echo "make test         lint, import contracts, strict types, documentation and every test"
	@echo "make test-3.13    the same with another Python, in an environment of its own"
	@echo "make lint         ruff and the import contracts"
	@echo "make types        pyright and mypy, both strict"
	@echo "make docs         build the documentation, warnings are errors; 'make docs-serve' shows it"
	@echo "make picture      draw the run in README and docs again, as it looks now"
	@echo "make sim          simulate engines that crash, on a virtual clock (SEEDS=10000, or SEED=7 to see one)"
	@echo "make crash-points die before and after every commit, send, spawn and rename, each in a run of its own"
	@echo "make bench        speed beside peers, memory, going on after kill -9 (ONLY=P2,P5,P7 REPS=3)"
	@echo "make storm        kill everything at random while a large run goes on (ROUNDS=20 DATABASE=postgres SIZE=2000 SEED=1)"
	@echo "make constraints  let constraints.txt name the newest versions"
	@echo "make clean        remove caches and results; 'make distclean' also the environments"
	@echo
	@echo "Each sets up what it needs. ARGS=\"...\" is passed on; PYTHON=... picks the Python."

setup:
	@base="$(BASE)"; $${base:-false} -c '$(RECENT)' 2>/dev/null || { \
		echo "error: found no Python 3.11 or newer$(if $(PYTHON), under the name '$(PYTHON)')" >&2; exit 1; }
	@$(BASE) tools/setup.py $(VENV)

demo: setup
	@echo "demo: running examples/flights/pipeline.py on every flight that left New York in 2013"
	@$(RUN) examples/flights/pipeline.py $(ARGS)

test: setup
	@echo "test: static checks, then every test"
	@$(RUN) tools/check.py lint types docs
	@$(RUN) -m pytest $(ARGS)

# PYENV_VERSION means something only where pyenv keeps the Pythons; elsewhere it is ignored.
test-%:
	@found=$$(PYENV_VERSION=$* python$* -c 'import sys; print(sys.executable)' 2>/dev/null) || { \
		echo "error: found no Python under the name 'python$*'" >&2; exit 1; }; \
	$(MAKE) test PYTHON="$$found"

lint: setup
	@$(RUN) tools/check.py lint

types: setup
	@$(RUN) tools/check.py types

docs: setup
	@$(RUN) tools/docs.py

docs-serve: setup
	@$(RUN) tools/docs.py --serve $(ARGS)

picture: setup
	@$(RUN) tools/picture.py $(ARGS)

bench: setup
	@$(RUN) -m benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(REPS),--reps $(REPS)) $(ARGS)

storm: setup
	@$(RUN) -m tests.crash.storm $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(FIRST),--first $(FIRST)) \
		$(if $(DATABASE),--database $(DATABASE)) $(if $(SIZE),--size $(SIZE)) $(if $(SEED),--seed $(SEED)) $(ARGS)

sim: setup
	@$(RUN) -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),1000)) $(ARGS)

crash-points: setup
	@$(RUN) -m tests.crash.sweep $(ARGS)

constraints: setup
	@$(VENV)/bin/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --upgrade --quiet \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links --output-file constraints.txt

clean:
	rm -rf .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache .cache dist build benchmarks/results
	find . -name .git -prune -o -name '.venv*' -prune -o -name __pycache__ -type d -exec rm -rf {} +

distclean: clean
	rm -rf .venv .venvs .venv.lock
