# Everything here sets up what it needs by itself: `make run` and `make test` work in a fresh clone.
# PYTHON chooses the interpreter (3.11 or newer) that the virtual environment is made with.

PYTHON ?= python3
UV ?= uv
USE_UNIFIED_SCHEDULER ?= true
DESTDIR ?=
PREFIX ?= /opt/daily-orchestrator

export PYTHON USE_UNIFIED_SCHEDULER

VENV := .venv/bin
UPGRADE ?=
LOCK_FLAGS := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet $(UPGRADE)

.DEFAULT_GOAL := help
.PHONY: help setup setup-brokers setup-learn setup-display setup-dev setup-peers run demo dashboard test test-all \
	coverage lint format ruff types imports rss bench lock check-lock install-service uninstall-service clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile

setup: ## make .venv from the lock (does nothing when it is in place)
	@sh scripts/setup.sh run

setup-brokers: ## add the packages of the real brokers, Alpaca and IBKR (docs/brokers.md)
	@sh scripts/setup.sh brokers

setup-learn: ## add what the learned strategy needs, scikit-learn
	@sh scripts/setup.sh learn

setup-display: ## add what the small OLED display needs, luma.oled
	@sh scripts/setup.sh display

setup-dev:
	@sh scripts/setup.sh dev

setup-peers: ## make .venv-peers: other people's backtest engines, for the slow tests that compare ours with them
	@sh scripts/setup.sh peers

run: setup ## one turn of the real loop: start what may run now, wait, say why the rest waits
	@$(VENV)/python daily_orchestrator.py --once

demo: setup ## a compressed week in a browser: the dashboard over a simulated box (Ctrl-C ends it)
	@$(VENV)/python -m scripts.demo

dashboard: setup ## the dashboard of this checkout's own state, at http://127.0.0.1:8480/
	@$(VENV)/python scripts/dashboard.py

test: setup-dev ## the tests, without those marked slow (under 5 minutes)
	@sh scripts/run_tests.sh -m "not slow"

test-all: setup-dev ## every test, the slow ones too (makes .venv-peers if it can)
	@sh scripts/setup.sh peers || echo "test-all: no .venv-peers; the tests that need it are skipped" >&2
	@sh scripts/run_tests.sh

coverage: setup-dev ## every test, with branch coverage
	@$(VENV)/python -m pytest --cov --cov-report=term-missing:skip-covered

lint: ruff types imports ## ruff, mypy --strict and the import contracts

format: setup-dev ## let ruff rewrite the code
	@$(VENV)/ruff format .
	@$(VENV)/ruff check --fix .

ruff: setup-dev
	@$(VENV)/ruff check .
	@$(VENV)/ruff format --check .

types: setup-dev
	@$(VENV)/mypy .

imports: setup-dev
	@$(VENV)/lint-imports

rss: setup-dev ## resident memory of the daemon's imports and of the daemon after 200 runs; fails above the budget
	@$(VENV)/python -m benchmarks.rss

bench: setup-dev ## every benchmark, each against its target (15 minutes)
	@$(VENV)/python -m benchmarks

lock: ## derive the lock files from pyproject.toml again (needs uv and the network)
	@$(UV) pip compile $(LOCK_FLAGS) pyproject.toml --group build -o requirements.lock
	@$(UV) pip compile $(LOCK_FLAGS) pyproject.toml --extra alpaca --extra ibkr \
		-c requirements.lock -o requirements-brokers.lock
	@$(UV) pip compile $(LOCK_FLAGS) pyproject.toml --extra learn -c requirements.lock -o requirements-learn.lock
	@$(UV) pip compile $(LOCK_FLAGS) pyproject.toml --extra display -c requirements.lock -o requirements-display.lock
	@$(UV) pip compile $(LOCK_FLAGS) pyproject.toml --extra alpaca --extra ibkr --extra learn --extra display \
		--group build --group dev -c requirements.lock -c requirements-brokers.lock -c requirements-learn.lock \
		-c requirements-display.lock -o requirements-dev.lock
	@$(UV) pip compile $(LOCK_FLAGS) --no-deps --group sample -o requirements-sample.lock
	@$(MAKE) --no-print-directory check-lock

check-lock: ## the lock files carry versions and hashes, and no download address
	@sh scripts/check_locks.sh

install-service: ## install, enable and describe the systemd service (as root)
	@DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" sh scripts/install_service.sh install

uninstall-service: ## remove the systemd service, keep its data (as root)
	@DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" sh scripts/install_service.sh uninstall

clean: ## remove the virtual environments and every cache; state and logs stay
	@rm -rf .venv .venv-peers .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage htmlcov build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
