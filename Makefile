# Everything starts from a bare clone that has python3 (3.10 or newer) and make:
#   make demo   late questions about videos, over a shaped link (about 3 minutes after set-up)
#   make test   all tests        make test-fast  those of two minutes   make check  format, lint, types
#   make docs   the public names as pages in build/docs
#   make setup  only .venv       make clean   remove what these targets made
# JOBS sets how many processes run the tests, PYTHON which interpreter .venv is made with.

PYTHON ?= python3
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-fast check docs setup clean constraints

demo: $(READY)
	$(BIN)/approxbit demo

# One thread per process: two processes with two threads each are slower on two cores.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS)

# Without what exports, trains, or fills an environment of its own.
test-fast: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) -m "not slow"

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(READY)
	$(BIN)/pdoc --docformat google --output-directory build/docs approxbit '!approxbit.__main__'

setup: $(READY)

$(READY): pyproject.toml constraints.txt | $(BIN)/uv
	$(BIN)/uv pip install --python $(BIN)/python -e '.[dev]' -c constraints.txt
	@touch $@

# uv lives inside the environment that it fills, so nothing else on the machine changes.
$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "approxbit's development environment needs Python 3.10 or newer, and '$(PYTHON)' is not: make PYTHON=python3.12 ..." >&2; \
	  exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "'$(PYTHON)' cannot make virtual environments: install its venv package (on Debian and Ubuntu: apt install python3-venv)" >&2; \
	  exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

# Pins what `make setup` installs, for every Python from 3.10 on. CUDA packages follow from torch.
constraints: | $(BIN)/uv
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.10 --upgrade \
	  --no-header --no-annotate --no-emit-index-url --output-file $(VENV)/pins.txt --quiet
	{ echo '# What `make setup` installs; written by `make constraints`. The package itself asks for ranges only.'; \
	  grep -v -E '^(nvidia-|cuda-|triton=)' $(VENV)/pins.txt; } > constraints.txt

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
