# Two commands do everything on a fresh Debian or Ubuntu machine with Python 3.11 or newer.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

# Bytecode is kept whatever the caller's shell says: hundreds of commands start, each of which would compile anew.
export PYTHONDONTWRITEBYTECODE :=

DRILLS = $(BIN)/python -m pytest -n 2 -m "drill and not long and not staging" $$(grep -rl --include='*.py' 'mark\.drill' tests)

.PHONY: game-day test test-drills gate test-long test-sla test-staging staging-demo staging-gate staging-stop test-ui screenshots sla-demo fresh-machine generations lint setup clean

game-day: setup         ## set up, then run the first drill
	$(BIN)/chaoskit run worker-unhealthy

test: setup lint generations  ## set up, then pass the tests
	$(BIN)/python -m pytest -n 3 --dist loadfile -m "not long and not drill and not sla and not staging"
	$(DRILLS)

test-drills: setup generations  ## whole runs only, the second half of make test
	$(DRILLS)

gate: setup             ## every scenario, one answer
	$(BIN)/chaoskit gate --require-coverage 100

test-long: setup        ## the tests that take minutes each
	$(BIN)/python -m pytest -m "long and not staging"

test-sla: setup generations  ## service levels on PostgreSQL and on each generation of Prometheus
	sh scripts/staging postgresql
	$(BIN)/python -m pip install --quiet --constraint requirements.lock "psycopg[binary]"
	$(BIN)/python -m pytest -m sla

test-staging: setup generations  ## adapters and receivers on real servers, and under kills
	sh scripts/staging
	$(BIN)/python -m pip install --quiet --constraint requirements.lock -r examples/shop/requirements.txt pika docker gunicorn
	$(BIN)/python -m pytest -m staging

# A small shop to be tested: docs/tutorial-staging.md. Root starts it; SHOP is the folder of its data.
SHOP ?= /var/lib/chaoskit-shop

staging-demo: setup     ## start the shop, with its servers of Debian's packages, its Prometheus and its Alertmanager
	sh scripts/staging redis-server postgresql supervisor exim4-daemon-light nftables
	$(BIN)/python -m chaoskit.stack.install --suite sid
	$(BIN)/python -m pip install --quiet --constraint requirements.lock -r examples/shop/requirements.txt
	$(BIN)/python examples/shop/demo.py start --at $(SHOP)

staging-gate:           ## all eight drills on the shop that runs, one answer
	cd $(SHOP) && $(CURDIR)/$(BIN)/chaoskit gate --profile staging --bundle alerts --confirm staging --confirm slice:uploads \
	    --require-coverage 100 --junitxml gate.xml

staging-stop:           ## stop the shop
	$(BIN)/python examples/shop/demo.py stop --at $(SHOP)

sla-demo: setup         ## a month in a small Prometheus, recorded, as a report
	$(BIN)/python scripts/sla_demo.py

test-ui: setup          ## install Chromium where it is missing, then the tests that need it, all of them
	command -v chromium >/dev/null || { apt-get update && apt-get install -y chromium; }
	CHAOSKIT_BROWSER=required $(BIN)/python -m pytest -m browser

screenshots: setup      ## the pictures of README and docs, taken anew
	$(BIN)/python scripts/screenshots.py

# As root, with debootstrap: game-day and tests on a fresh Debian, of which nothing is left afterwards (PARTS=test-drills: whole runs only).
SUITE ?= bookworm
PARTS ?= venv game-day test
fresh-machine: setup
	$(BIN)/python scripts/fresh_machine.py $(SUITE) $(PARTS)

# Tests that must hold on older and newer Prometheus alike run on each that is there; one that cannot be fetched
# here is skipped, and said so.
generations: setup
	-$(BIN)/python -m chaoskit.stack.install --suite bookworm
	-$(BIN)/python -m chaoskit.stack.install --suite trixie
	-$(BIN)/python -m chaoskit.stack.install --suite sid

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

setup: $(READY)

$(READY): pyproject.toml requirements.lock scripts/setup scripts/set_up.py
	@PYTHON=$(PYTHON) sh scripts/setup

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
