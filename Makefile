# Everything a fresh machine needs: `make demo` and `make test` set up by themselves.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-$(shell cat setup.py Makefile | cksum | cut -d' ' -f1)

.PHONY: demo train-demo browser test test-fast bench lint setup clean help

help:
	@echo "make demo       record and check episodes of simulated robots, run the shipped policy, write a report"
	@echo "make train-demo train the shipped policy again from nothing (hours on two cores)"
	@echo "make test       lint, types and every test"
	@echo "make test-fast  the tests that need neither ROS nor torch, in a few minutes"
	@echo "make bench      the benchmarks, with their figures"
	@echo "make clean      remove the virtual environment and build folders"

demo: setup
	$(BIN)/vgil demo

train-demo: setup
	$(BIN)/vgil train-demo

test: setup lint browser
	PYTEST=$(BIN)/pytest sh scripts/test.sh

test-fast: setup
	$(BIN)/pytest -m "not bench and not slow" test/core test/episodes test/robots test/cli

bench: setup
	$(BIN)/pytest -s -m bench test/bench/bench_*.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

browser:
	@sh scripts/browser.sh

setup: $(STAMP)

$(STAMP):
	@PYTHON="$(PYTHON)" VENV="$(VENV)" sh scripts/setup.sh
	@touch $@

clean:
	rm -rf $(VENV) build install log *.egg-info
