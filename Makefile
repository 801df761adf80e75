# Needs only python3 (3.11 or newer) and make: hatch is put into a private environment, all else is hatch's.
.DEFAULT_GOAL := help
PYTHON ?= python3
HATCH := .venvs/hatch/bin/hatch
PHOENIX := .venvs/phoenix/bin/phoenix
ARGS ?=
NAME ?= --all
# hatch's environments get the Python that hatch itself runs on
export HATCH_PYTHON := self

.PHONY: help demo test browser oldest tracers check fmt member clean

help: ## Show these commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

demo: $(HATCH) $(PHOENIX) ## Run the whole loop on four real agents; no key needed
	@$(HATCH) run demo $(ARGS)

test: $(HATCH) $(PHOENIX) ## Run all tests, the end-to-end ones included (ARGS="-k smolagents" for some)
	@KAIZEN_E2E=true $(HATCH) run test $(ARGS)

browser: ## Install Chromium for the tests of the page, where there is none (Debian, as root)
	@command -v chromium >/dev/null || { apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; }

oldest: $(HATCH) ## Test kaizen-auto and kaizen-recall with the oldest versions that they admit
	@$(HATCH) run oldest:test $(ARGS)

tracers: $(HATCH) ## Test kaizen-auto beside logfire and ddtrace
	@$(HATCH) run tracers:test $(ARGS)

check: $(HATCH) ## Lint, format and types
	@$(HATCH) run check

fmt: $(HATCH) ## Mend what ruff can mend
	@$(HATCH) run fmt

member: $(HATCH) ## Build and check one package alone (NAME=kaizen-store), or all
	@$(HATCH) run member $(NAME)

clean: ## Remove environments, build output and caches
	rm -rf .venvs dist packages/*/dist packages.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache

$(HATCH):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "kaizen needs Python 3.11 or newer")'
	@echo "Setting up hatch ..."
	@$(PYTHON) -m venv .venvs/hatch
	@.venvs/hatch/bin/python -m pip install --quiet --disable-pip-version-check 'hatch>=1.18,<2' 'uv>=0.9,<1'

$(PHOENIX): $(HATCH) pyproject.toml
	@echo "Setting up Phoenix, in an environment of its own ..."
	@$(HATCH) run phoenix:python -c ''
	@touch $@
