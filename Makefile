# Everything a person types. Installation is deploy/install.py: quick when there is nothing to do.
PYTHON ?= python3
BIN := .venv/bin
CODE := trading_platform assets sensors quality

.DEFAULT_GOAL := help
.PHONY: help up demo test quick check campaign bench bench-compare docs install install-test lock

help: ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /make \1\t/' | expand -t 16

up: install ## start everything on this machine; Ctrl-C stops all of it
	@exec $(BIN)/trading-platform up

demo: install ## the bounded form: offline, no UI, ends by itself
	@exec $(BIN)/trading-platform demo

test: install-test check ## install what the tests need and run the whole suite
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

quick: install-test ## style, types, imports and the unit tests that start no process: a minute
	$(STYLE)
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not campaign and not process" tests/unit

check: install-test ## style, types, import contracts, doctests (part of test)
	$(STYLE)
	@# Some examples make a folder, which nothing of theirs could remove again.
	@folder=$$(mktemp -d) && TMPDIR=$$folder $(BIN)/python -m pytest -q --doctest-modules \
		--ignore=trading_platform/store/ledger/migrations $(CODE); code=$$?; rm -rf $$folder; exit $$code

campaign: install-test ## the long forms of the fault, soak and simulation suites; evidence goes to docs/evidence/
	HYPOTHESIS_PROFILE=campaign $(BIN)/python -m pytest -m campaign --timeout=3600

bench: install-test ## the benchmarks; numbers go to docs/benchmarks.md
	$(BIN)/python -m tests.bench

bench-compare: install-test ## judge this tree against BASE (a commit or a folder) in alternating rounds
	$(BIN)/python -m tests.bench compare $(or $(BASE),main) $(CASES)

docs: install ## write the generated pages again
	$(BIN)/python -m trading_platform.reference docs
	$(BIN)/python -m trading_platform.analytics.reference > docs/indicators.md
	$(BIN)/python -m trading_platform.analytics.pictures docs/indicators

install:
	@$(PYTHON) deploy/install.py

install-test:
	@$(PYTHON) deploy/install.py --test

lock: install-test ## resolve the dependencies again, with hashes, naming no index
	$(BIN)/uv pip compile $(LOCKED) pyproject.toml --extra test -o requirements-test.lock
	$(BIN)/uv pip compile $(LOCKED) pyproject.toml -c requirements-test.lock -o requirements.lock
	$(BIN)/uv pip compile $(LOCKED) --group bootstrap -o requirements-bootstrap.lock

define STYLE
$(BIN)/ruff check .
$(BIN)/ruff format --check .
$(BIN)/mypy
$(BIN)/lint-imports --no-logo
endef
LOCKED := -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url
