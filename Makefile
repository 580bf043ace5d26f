# Everything a fresh machine needs: `make demo` and `make test` set up by themselves.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
EXTRAS ?=
MODEL ?= sim_pick_place_act
STAMP := $(VENV)/.installed-$(shell { cat setup.py Makefile; echo "$(EXTRAS)"; } | cksum | cut -d' ' -f1)
JAZZY := .venv-jazzy
FAST := .venv-fast

.PHONY: demo train-demo browser interfaces test test-robots test-fast test-jazzy coverage bench fuzz lint docs setup clean help

help:
	@echo "make demo       record and check episodes of simulated robots, run the shipped policy, write a report"
	@echo "make train-demo train a shipped policy again from nothing (hours on two cores); MODEL=$(MODEL), or another"
	@echo "make test       lint, types, the documentation and every test"
	@echo "make test-robots days of pretended robots in real time, on a machine that does nothing else"
	@echo "make test-fast  the tests that need neither ROS nor torch nor MuJoCo, in a small environment of its own ($(FAST))"
	@echo "make test-jazzy the tests of the nodes on ROS 2 Jazzy, in an environment of its own ($(JAZZY))"
	@echo "make coverage   every test, then the share of lines that they ran, for each package"
	@echo "make bench      the benchmarks, with their figures"
	@echo "make fuzz       a thousand broken inputs to each reader of files and messages"
	@echo "make interfaces  the messages of Interbotix' driver and of gripper actions, where ROS 2 is from PyPI"
	@echo "make docs       the documentation as a site, in site/"
	@echo "make clean      remove the virtual environments and build folders"

demo: setup
	$(BIN)/vgil demo

train-demo: setup
	$(BIN)/vgil train-demo --model $(MODEL)

test: setup interfaces lint docs browser
	PYTEST=$(BIN)/pytest sh scripts/test.sh

test-robots: setup interfaces
	$(BIN)/pytest -m robots test/nodes

test-fast:
	@$(MAKE) --no-print-directory setup VENV=$(FAST) EXTRAS=dev
	$(FAST)/bin/python -m pytest -m "not bench and not slow and not fuzz" test/core test/episodes test/robots test/cli

test-jazzy:
	@$(MAKE) --no-print-directory setup VENV=$(JAZZY) EXTRAS=ros-jazzy,sim,plot,policy,diffusion,feetech,dev
	sh scripts/build_interfaces.sh $(JAZZY)
	PYTHON=$(JAZZY)/bin/python sh scripts/test_jazzy.sh

coverage: setup interfaces browser
	@rm -f .coverage .coverage.*
	@PYTEST=$(BIN)/pytest sh scripts/test.sh --cov --cov-append --cov-report=; code=$$?; \
		$(BIN)/python scripts/coverage_totals.py && exit $$code

bench: setup
	$(BIN)/pytest -s -m bench test/bench/bench_*.py

fuzz: setup
	$(BIN)/pytest -s -m fuzz test/fuzz

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: setup
	@test -f mkdocs.yml || { echo "docs: mkdocs.yml is missing; found: $$(ls *.yml 2>/dev/null || echo none)" >&2; exit 1; }
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --site-dir site

interfaces: setup
	@$(BIN)/python -c 'from importlib.metadata import version; version("ros-rclpy")' 2>/dev/null || exit 0; sh scripts/build_interfaces.sh $(VENV)

browser:
	@sh scripts/browser.sh

setup: $(STAMP)

$(STAMP):
	@PYTHON="$(PYTHON)" VENV="$(VENV)" EXTRAS="$(EXTRAS)" sh scripts/setup.sh
	@touch $@

clean:
	rm -rf $(VENV) $(JAZZY) $(FAST) build install log site .coverage .coverage.* *.egg-info
