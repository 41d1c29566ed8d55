# The two commands a user needs are `make run` and `make test`; everything lands in .venv.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
DEMO ?= demo
# Drivers before 580 know CUDA 12 only (CUDA=12).
CUDA_EXTRA := $(if $(filter 12,$(CUDA)),cuda12,cuda)
CUDA_MLX := $(if $(filter 12,$(CUDA)),mlx-cuda-12,mlx-cuda-13)
PYTHON_SOURCES := src tests benchmarks scripts examples start_web_interface.py

.PHONY: help setup run test check static unit format bench docs clean

help:
	@echo "make run     set up, make the demo workspace in ./$(DEMO), and open the web interface on it"
	@echo "             (NO_BROWSER=1: only say its address; DEMO=DIR: another workspace)"
	@echo "make test    set up and run everything: format, lint, types, all tests"
	@echo "make check   the quick part of it: format, lint, types, unit tests"
	@echo "make bench   speed against peers and the directions of continued pre-training (long)"
	@echo "             (BEFORE=COMMIT: against that commit, too)"
	@echo "make docs    write docs/api.md and the table of formats"
	@echo "make setup   only create .venv with what 'make run' needs (CUDA=1: for NVIDIA GPUs; CUDA=12: with a driver before 580)"

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) scripts/check_machine.py
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) --editable '.$(if $(CUDA),[$(CUDA_EXTRA)])'
# The CPU and CUDA builds of MLX put their library at the same path, so the one that is wanted
# must come last.
	$(if $(CUDA),$(PIP) --force-reinstall --no-deps $(CUDA_MLX))
	touch $@

.venv/ready-for-tests: .venv/ready
	$(PIP) --editable '.[test]'
	touch $@

# Type checks and axe-core for the pages, and a browser where the machine has none.
.venv/ready-for-pages: .venv/ready-for-tests package.json
	$(BIN)/python -m scripts.setup_page_checks
	touch $@

setup: .venv/ready

run: setup
	$(BIN)/python start_web_interface.py --demo --workspace $(DEMO) $(if $(NO_BROWSER),--no-browser)

# The tests start hundreds of processes, which would each compile the sources anew.
check test: export PYTHONDONTWRITEBYTECODE :=

check: .venv/ready-for-pages
	$(MAKE) --no-print-directory --jobs 2 static unit

static: .venv/ready-for-pages
	$(BIN)/ruff format --check $(PYTHON_SOURCES)
	$(BIN)/ruff check $(PYTHON_SOURCES)
	$(BIN)/mypy
	$(BIN)/python -m scripts.type_check_pages

unit: .venv/ready-for-pages
	$(BIN)/python -m pytest -q -m "not slow and not bench" -n 2

test: check
	$(BIN)/python -m pytest -q -m "slow and not bench" -n 3 --dist loadfile --no-loadscope-reorder

format: .venv/ready-for-tests
	$(BIN)/ruff format $(PYTHON_SOURCES)
	$(BIN)/ruff check --fix $(PYTHON_SOURCES)

bench: .venv/ready-for-tests
	$(BIN)/python -m benchmarks.step_speed
	$(BIN)/python -m benchmarks.loop_share
	$(BIN)/python -m benchmarks.saves memory
	$(if $(BEFORE),$(BIN)/python -m benchmarks.against_commit $(BEFORE))
	$(BIN)/python -m benchmarks.peers.setup
	$(BIN)/python -m pytest -q -m bench
	$(BIN)/python -m benchmarks.plan_real_sizes --page
	$(BIN)/python -m benchmarks.plan_architectures --page
	$(BIN)/python -m benchmarks.plan_fallback --page
	$(BIN)/python -m benchmarks.long_contexts
	$(BIN)/python -m benchmarks.mlx_exports
	$(BIN)/python -m benchmarks.damaged_files --files 2000
	$(BIN)/python -m benchmarks.ranks
	$(BIN)/python -m benchmarks.rank_faults --rounds 3
	$(if $(GGUF),$(MAKE) bench-gguf)
	$(BIN)/python -m benchmarks.against_peers --page
	$(BIN)/python -m benchmarks.science --page
	$(if $(INSTRUCT),$(BIN)/python -m benchmarks.chat_again --model $(INSTRUCT) --work $(KEEP) --page)

# GGUF=WORKSPACE TOKENIZERS=FOLDER; a workspace that is not made yet wants MODEL, TEXTS and CONVERTER, too.
bench-gguf: .venv/ready-for-tests
	$(BIN)/python -m benchmarks.gguf_real $(GGUF) --tokenizers $(TOKENIZERS) $(if $(MODEL),--model $(MODEL)) \
	  $(if $(TEXTS),--texts $(TEXTS)) $(if $(CONVERTER),--converter $(CONVERTER)) --page
	$(BIN)/python -m benchmarks.gguf_architectures $(GGUF)/.cpt-studio/converter $(TOKENIZERS) --page

docs: .venv/ready-for-tests
	$(BIN)/python -m scripts.make_api_docs

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache
