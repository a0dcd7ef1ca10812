# Every target works on a fresh clone with Python 3.11 or newer; `test`, `services` and `up` get Kafka and Redis as well.

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)
BIN := .venv/bin
# Test processes side by side; each file's tests stay in one of them, so that they share what is slow to start. One more
# than the cores of a small machine: they wait a lot.
TEST_PROCESSES ?= 3
# In the order of the folders: those with services first, which wait a lot, and then the many that need none.
SIDE_BY_SIDE = -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder
# A test that hangs names itself by its stack and fails the run.
PYTEST_OPTIONS ?= -o faulthandler_timeout=300 -o faulthandler_exit_on_timeout=true
UV_VERSION := 0.13.9

.DEFAULT_GOAL := help
.PHONY: help demo test bench bench-peer up down fmt fmt-check lint types unit soak chaos test-stores test-delivery services build lock clean

help: ## What there is
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name does; do \
		printf '  make %-13s %s\n' "$$name" "$$does"; done

demo: .venv/ready ## A log of generated journeys into sessions, in memory: the result, the ledger, what to try next
	@mkdir -p .work/demo
	$(BIN)/python -m tests.generate --shape demo --seed 1 --sessions 200 --output .work/demo/events.jsonl
	$(BIN)/projector replay .work/demo/events.jsonl --output .work/demo/sessions.jsonl \
		--ledger .work/demo/ledger.json --rejects .work/demo/rejects.jsonl
	@$(BIN)/python -m tests.demo .work/demo

test: fmt-check lint types services ## All checks: format, lint, types, and every test with a real Kafka and a real Redis
	@# Hundreds of processes are started; each would compile all of it anew where Python may not write bytecode.
	$(BIN)/python -m compileall -q projector tests
	$(BIN)/pytest $(SIDE_BY_SIDE) $(PYTEST_OPTIONS)

bench: services ## What it costs, in short: 100,000 events, one round; `python -m tests.bench --help` has the long form
	$(BIN)/python -m tests.bench all --events 100000 --rounds 1

bench-peer: services ## The same work on Kafka Streams, which Maven builds, beside ours
	$(BIN)/python -m tests.bench peer

up: .venv/ready ## The real pipeline on this machine: Kafka, Redis, `projector run` and a feed of journeys
	@$(BIN)/python -m tests.services up

down: .venv/ready ## End what `make up` started
	@$(BIN)/python -m tests.services down

fmt: .venv/ready ## Format the code
	$(BIN)/ruff format
	$(BIN)/ruff check --fix-only --quiet

fmt-check: .venv/ready ## Check that the code is formatted
	$(BIN)/ruff format --check

lint: .venv/ready ## Check the code's habits
	$(BIN)/ruff check

types: .venv/ready ## Check the types
	$(BIN)/mypy

soak: .venv/ready ## Twenty thousand new seeds of the simulation, from where the last soak stopped, on all cores
	$(BIN)/python -m tests.simulation --soak

chaos: services ## Ten minutes on the real stack in which everything is killed, paused, cut and flushed, then the laws
	$(BIN)/python -m tests.chaos $(CHAOS_OPTIONS)

test-stores: services ## The end-to-end suite on a Redis Cluster of three masters, and behind a Sentinel
	PROJECTOR_TEST_STORE=cluster $(BIN)/pytest $(SIDE_BY_SIDE) $(PYTEST_OPTIONS) tests/end_to_end
	PROJECTOR_TEST_STORE=sentinel $(BIN)/pytest $(SIDE_BY_SIDE) $(PYTEST_OPTIONS) tests/end_to_end

test-delivery: services ## The end-to-end suite with delivery at least once
	PROJECTOR_TEST_DELIVERY=at-least-once $(BIN)/pytest $(SIDE_BY_SIDE) $(PYTEST_OPTIONS) tests/end_to_end

unit: .venv/ready ## The tests that need no Kafka and no Redis
	$(BIN)/pytest -m 'not services' $(PYTEST_OPTIONS)

services: .venv/ready ## Get what Kafka and Redis need here: apt as root, Maven; else Docker
	@$(BIN)/python -m tests.services install

build: .venv/ready ## Wheel and sdist into dist/
	$(BIN)/python -m build --no-isolation

lock: ## Lock the newest dependencies by version and hash
	$(PYTHON) -m venv .work/lock
	.work/lock/bin/pip install --quiet uv==$(UV_VERSION)
	$(LOCK) --output-file deploy/requirements.lock pyproject.toml
	$(LOCK) --group test --output-file tests/requirements.lock pyproject.toml

LOCK = .work/lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command 'make lock'

clean: ## Remove what was made here, but not a pipeline that is up
	rm -rf .venv .work/bench .work/chaos .work/demo .work/lock .work/tests dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/ready: tests/requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer is needed: install it, or name it: make PYTHON=...' >&2; exit 1; }
	@# Some systems keep this part of Python in a package of its own.
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { apt-get update -qq && apt-get install -y -qq python3-venv; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes --requirement tests/requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
