# Everything works from a clean clone with Python 3.11 or newer. `make` lists what there is.
.DEFAULT_GOAL := help
.PHONY: help setup run test test-fast test-long test-gpu gpu-wheels test-vllm check format bench fuzz evidence corpus screenshots test-snapshot-update clean

PYTHON ?= python3
# No GPU here? The CPU build of torch is a tenth of the size:
#   make setup TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-22s %s\n", $$1, $$2}'

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "clusterview needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.12 run" >&2; exit 2; }
	@echo "Making $(VENV)" >&2
	@$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is incomplete. On Debian or Ubuntu: apt install python3-venv" >&2; exit 2; }
	@touch $@

$(VENV)/.run: $(VENV)/.created pyproject.toml
	@echo "Installing clusterview with its engine (torch is large; minutes on a slow line)" >&2
	@$(if $(TORCH_INDEX),$(PIP) --index-url $(TORCH_INDEX) 'torch>=2.6$(comma)<2.14',true)
	@$(PIP) --editable '.[torch]'
	@touch $@

$(VENV)/.test: $(VENV)/.run
	@echo "Installing what the tests need" >&2
	@$(PIP) --editable '.[torch,test]'
	@touch $@

$(VENV)/.check: $(VENV)/.test
	@echo "Installing the checkers" >&2
	@$(PIP) --editable '.[torch,test,check]'
	@touch $@

comma := ,

setup: $(VENV)/.run ## make .venv and install clusterview into it

run: setup ## open clusterview: on this machine's GPUs, else on a simulated cluster
	@$(BIN)/clusterview --demo $(ARGS)

# Meant for two cores: many of the first wait for something. What waits for deadlines wants the machine for itself.
test: $(VENV)/.test ## run the tests
ifeq ($(ARGS),)
	@$(BIN)/python -m pytest -n 4 --dist worksteal -m "not ray" -q
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m "ray and not alone and not long" -q tests/ray tests/e2e tests/cluster/bridge
	@$(BIN)/python -m pytest -m "alone and not long" tests/ray
else
	@$(BIN)/python -m pytest $(ARGS)
endif

test-long: $(VENV)/.test ## the tests that `make test` leaves out to stay under twenty minutes
	@$(BIN)/python -m pytest -m long tests/ray $(ARGS)

test-fast: $(VENV)/.test ## the quick tests, in under a minute: no Ray cluster, no checkpoint, no full screen
	@$(BIN)/python -m pytest -n 2 --dist worksteal --fast -q $(ARGS)

test-gpu: $(VENV)/.test ## the tests that need an NVIDIA GPU
	@$(BIN)/python -m pytest -m gpu -p no:cacheprovider $(ARGS)
	@$(BIN)/python -m tests.gpu.alone.checks

# For a GPU machine without Ray and without a package index: copy the repository and gpu-wheels/ there, and run
#   python3 tests/gpu/alone/start.py gpu-wheels
gpu-wheels: $(VENV)/.test ## a folder of wheels for the GPU checks on a bare machine (tests/gpu/alone)
	@$(BIN)/python tests/gpu/alone/wheels.py gpu-wheels

# vLLM in its build for CPUs, in an environment of its own; CLUSTERVIEW_VLLM_PYTHON names another one that has it.
test-vllm: $(VENV)/.test ## the tests that start the real vLLM, on CPUs (installs it once: 4 GB)
ifdef CLUSTERVIEW_VLLM_PYTHON
	@$(BIN)/python -m pytest -m vllm -p no:cacheprovider tests/vllm $(ARGS)
else
	@$(PYTHON) tests/vllm/install.py .venv-vllm $(if $(TORCH_INDEX),--torch-index $(TORCH_INDEX))
	@CLUSTERVIEW_VLLM_PYTHON=$(CURDIR)/.venv-vllm/bin/python CLUSTERVIEW_SGLANG_PYTHONPATH=$(CURDIR)/.venv-vllm/sglang \
	  $(BIN)/python -m pytest -m vllm -p no:cacheprovider tests/vllm $(ARGS)
endif

check: $(VENV)/.check ## format, lint, types, import rules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: $(VENV)/.check ## fix formatting and what ruff can fix by itself
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(VENV)/.test ## benchmarks: ratios measured in one run
	@$(BIN)/python -m tests.benchmarks $(ARGS)

fuzz: $(VENV)/.test ## 20,000 generated models, clusters and options through the whole command (ARGS='200' for fewer)
	@$(BIN)/python -m tests.fuzz $(ARGS)

evidence: $(VENV)/.test ## the planner against what real engines reported: the accuracy table (and ACCURACY.md)
	@$(BIN)/python -m tests.evidence tests/evidence/data ACCURACY.md

corpus: $(VENV)/.test ## which of the stored planner answers differ now (ARGS=--accept stores today's)
	@$(BIN)/python -m tests.corpus $(ARGS)

screenshots: $(VENV)/.test ## regenerate the pictures in assets/
	@$(BIN)/python -m tests.screenshots $(ARGS)

test-snapshot-update: $(VENV)/.test ## accept the screens as they are now (look at the pictures first)
	@$(BIN)/python -m pytest tests/tui --snapshot-update $(ARGS)

clean: ## remove .venv and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
