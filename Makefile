# fedmets: `make demo` and `make test` need Python 3.11+, pip and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export FLWR_TELEMETRY_ENABLED := 0
export FLWR_DISABLE_UPDATE_CHECK := 1

.PHONY: help demo deploy-demo test chaos lint study ablation coverage clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

demo: $(STAMP)  ## four unlike sites train one model on embedded phantoms, into runs/demo
	$(BIN)/fedmets-sim run configs/demo.toml --out runs/demo

deploy-demo: $(STAMP)  ## an aggregator and three hospitals as processes of their own, over TLS, into runs/deploy
	$(BIN)/fedmets-sim deploy configs/deploy.toml --out runs/deploy

study: $(STAMP)  ## six sites, calibrated lesion sizes, three seeds, into runs/study
	$(BIN)/fedmets-sim study configs/study.toml --out runs/study --seeds 3

ablation: $(STAMP)  ## what each trick changes on a phantom federation, small lesions apart, into runs/ablation
	$(BIN)/fedmets-sim ablation configs/ablation.toml --out runs/ablation

test: $(STAMP)  ## the whole test suite
	$(BIN)/python -m pytest

chaos: $(STAMP)  ## what befalls real processes: kills, cuts, full disks, wrong clocks; half an hour
	$(BIN)/python -m pytest -m chaos

coverage: $(STAMP)  ## the test suite with line coverage, subprocesses included
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report --fail-under=85

lint: $(STAMP)  ## ruff, mypy strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:  ## remove the virtual environment and every run
	rm -rf $(VENV) runs
