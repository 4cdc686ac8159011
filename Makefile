# Every command a person needs; `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Test processes; each may start emulators of its own, so more than cores is of no use.
WORKERS ?= 2
export PYTHONPATH := $(CURDIR)
# An image may ask for no bytecode; here it would be compiled anew in every process of every run.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help install constraints dev test test-fast check lint types bench reset doctor status logs
.PHONY: web keys openapi screenshots seed load clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(STAMP): requirements.txt constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -c constraints.txt
	touch $(STAMP)

install: $(STAMP) ## make .venv with the pinned versions

constraints: ## write constraints.txt anew from requirements.txt
	$(PYTHON) -m venv --clear .cache/constraints
	.cache/constraints/bin/python -m pip install --quiet -r requirements.txt
	.cache/constraints/bin/python -m pip freeze > constraints.txt

web: $(STAMP) ## build the web app (web/dist), when it changed
	@$(BIN)/python -m tools.web build

dev: web ## start the local cloud and the app on http://localhost:3000
	@exec $(BIN)/python -m emulators up

seed: $(STAMP) ## give the running local cloud a demo account with tasks and pictures
	$(BIN)/python -m tools.seed

reset: $(STAMP) ## empty the local cloud's state (.local/)
	$(BIN)/python -m emulators reset

doctor: $(STAMP) ## say what this machine lacks and how to install it
	$(BIN)/python -m emulators doctor

status: $(STAMP) ## what the running local cloud's parts say
	$(BIN)/python -m emulators status

logs: $(STAMP) ## follow the running local cloud's log
	$(BIN)/python -m emulators logs

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

# Reading tests/e2e and a plugin of its own take as long as a fifth of these tests.
test-fast: $(STAMP) ## the tests that need no emulator and are no exhaustive proof, in seconds
	$(BIN)/pytest -n $(WORKERS) -m "not emulated and not proof" -p no:schemathesis --ignore tests/e2e

test: web ## everything that must hold (installs what it needs)
	$(BIN)/python -m tools.web check
	$(BIN)/python -m tools.browser
	$(BIN)/python -m tools.scanner
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup

check: lint types test ## what CI runs

keys: $(STAMP) ## the keys of the running local cloud and their age
	$(BIN)/python -m tools.keys list

openapi: $(STAMP) ## write docs/openapi.json from the route tables
	$(BIN)/python -m tools.openapi

deadletters: $(STAMP) ## what failed too often, in the local cloud (tools.deadletters show, replay, drop)
	$(BIN)/python -m tools.deadletters list

reconcile: $(STAMP) ## what does not fit together in the local cloud (tools.reconcile --repair mends it)
	$(BIN)/python -m tools.reconcile

reprocess: $(STAMP) ## make renditions of an older recipe anew, in the local cloud
	$(BIN)/python -m tools.reprocess

screenshots: $(STAMP) ## take the README's pictures, while `make dev` runs
	$(BIN)/python -m tools.screenshots

bench: $(STAMP) ## measure, side by side, and print ratios
	$(BIN)/python -m tests.bench

load: $(STAMP) ## a hundred uploads at once and fifty requests a second, against what is promised
	$(BIN)/python -m tests.load

clean: ## remove what was installed and made
	rm -rf $(VENV) .local .cache
