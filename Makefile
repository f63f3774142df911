# Two commands on a fresh machine: `make reproduce` (the main job) and `make test`.
# Each sets up .venv from requirements.lock by itself, with uv where it is installed, else with pip.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
MODELS ?= models
OUT    ?= outputs

.PHONY: reproduce test check lint docs bench lock container clean

reproduce: $(VENV)/ready
	$(BIN)/hilum reproduce --models $(MODELS) --out $(OUT)

# Training in a process of its own: after all other tests, in one process with GDCM and OpenVINO, torch has crashed.
# File by file in two processes of one thread each: about two thirds of the time of one process.
TWO := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile
test: $(VENV)/ready
	$(TWO) --ignore tests/training
	$(TWO) tests/training

# What CI runs: style, types, layers, tests.
check: lint test

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit -q -r src -c pyproject.toml

# The documentation as a site, into site/; a broken link or a page without a place ends it.
docs: $(VENV)/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# The quick benchmarks (about ten minutes), their ratios beside those on record. BENCH=--busy where other work runs.
bench: $(VENV)/ready
	$(BIN)/python benchmarks/bench.py $(BENCH)

$(VENV)/ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Hilum needs Python 3.11 or newer; set PYTHON=…")'
	if command -v uv >/dev/null; then \
	    uv venv --quiet --allow-existing --python "$$(command -v $(PYTHON))" $(VENV) && \
	    uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock && \
	    uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e . ; \
	else \
	    $(PYTHON) -m venv $(VENV) && \
	    $(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock && \
	    $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e . ; \
	fi
	touch $@

# Newest versions that fit pyproject.toml: the whole set, and what each image installs. The default one reads Keras
# models, too: the predecessor's is one.
LOCK := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --quiet
lock:
	$(LOCK) --upgrade --extra train --extra remote --extra croissant --extra sweep \
	    --extra mlflow --extra tensorboard --extra serve --extra export --extra keras --group dev -o requirements.lock
	$(LOCK) --constraint requirements.lock --extra keras -o requirements-base.lock
	$(LOCK) --constraint requirements.lock --extra train --extra remote -o requirements-train.lock
	$(LOCK) --constraint requirements.lock --extra serve -o requirements-serve.lock

container:
	docker build -t pneumonia-image-eval .

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache
