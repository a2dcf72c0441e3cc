# Everything a developer does, by name. `make help` lists it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

UV_VERSION := 0.13.8
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/movie-tasks
OWN_UV := $(CACHE)/uv-$(UV_VERSION)/bin/uv
export UV := $(or $(shell command -v uv),$(OWN_UV))
# A registry that stumbles is asked again, for longer than the tools would by themselves.
export UV_HTTP_TIMEOUT := 120
export UV_HTTP_RETRIES := 10
export npm_config_fetch_retries := 6
PYTHON := .venv/bin/python
PAYLOADCMS := services/payloadcms
PANEL := $(PAYLOADCMS)/dev/admin
export NEXT_TELEMETRY_DISABLED := 1
export MOVIE_TASKS_COMPONENTS := dapr-components/local
# Evaluated where it is used: finding the Dapr runtime may mean building it.
WITH_DAPR = MOVIE_TASKS_DAPR_BIN="$$($(PYTHON) dapr-components/runtime/install.py)"

WITH_CLUSTER = $(WITH_DAPR) MOVIE_TASKS_CLUSTER_PROGRAMS="$$($(PYTHON) dapr-components/runtime/cluster_programs.py)"

WITH_KUBERNETES = MOVIE_TASKS_KUBERNETES_BIN="$$(PYTHONPATH=dapr-components/runtime $(PYTHON) k8s/testbed/install_kubernetes.py)"

WITH_LINTERS = MOVIE_TASKS_LINTERS="$$(PYTHONPATH=dapr-components/runtime:k8s/testbed $(PYTHON) k8s/linters/install_linters.py)"

WITH_KEDA = MOVIE_TASKS_KEDA_BIN="$$(PYTHONPATH=dapr-components/runtime:k8s/testbed $(PYTHON) k8s/testbed/install_keda.py)"

WITH_DAPR_CONTROL_PLANE = MOVIE_TASKS_DAPR_CONTROL_PLANE="$$(PYTHONPATH=dapr-components/runtime $(PYTHON) k8s/testbed/install_dapr.py)"

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-19s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: setup ## Make an image, a video and a sound, and show how
	@$(WITH_DAPR) $(PYTHON) -m embedded demo

.PHONY: demo-movie
demo-movie: setup ## Make a scene of three shots from one request, then change one prompt
	@$(WITH_DAPR) $(PYTHON) -m embedded demo-movie

.PHONY: run
run: setup ## Keep the platform running on this machine
	@$(WITH_DAPR) $(PYTHON) -m embedded run

.PHONY: up
up: setup ## Start the distributed platform on this machine: broker, Postgres, S3, every service with its sidecar
	@$(WITH_CLUSTER) $(PYTHON) -m cluster up

.PHONY: down
down: setup ## Stop it; what it keeps stays
	@$(WITH_CLUSTER) $(PYTHON) -m cluster down

.PHONY: status
status: setup ## Show its processes
	@$(WITH_CLUSTER) $(PYTHON) -m cluster status

.PHONY: logs
logs: setup ## Follow its logs; UNIT=storage-0 for one process
	@$(WITH_CLUSTER) $(PYTHON) -m cluster logs $(UNIT)

# Exported rather than written into the command, where everybody on the machine could read the key.
.PHONY: smoke
smoke: export MOVIE_TASKS_URL := $(or $(URL),$(MOVIE_TASKS_URL))
smoke: export MOVIE_TASKS_KEY := $(or $(KEY),$(MOVIE_TASKS_KEY))
smoke: .venv/.synced ## One tiny image through a deployed platform, with timings: make smoke URL=https://… KEY=mt_…
	@.venv/bin/movie-tasks smoke

.PHONY: minikube
minikube: .venv/.synced ## The platform on a Minikube of its own, from nothing to a stored image; wants minikube, docker, kubectl and helm
	@PATH="$(CURDIR)/.venv/bin:$$PATH" k8s/minikube/install.sh

.PHONY: setup
setup: .venv/.synced dapr ## Install everything: Python packages from the lock, and the Dapr runtime

.PHONY: dapr
dapr: .venv/.synced ## Find an installed Dapr 1.18, or build one (minutes, once per machine)
	@$(PYTHON) dapr-components/runtime/install.py > /dev/null

$(OWN_UV):
	@echo "fetching uv $(UV_VERSION)"
	python3 -m venv $(CACHE)/uv-$(UV_VERSION)
	$(CACHE)/uv-$(UV_VERSION)/bin/pip install --quiet uv==$(UV_VERSION)

.venv/.synced: uv.lock pyproject.toml $(wildcard services/*/pyproject.toml) | $(UV)
	$(UV) sync --frozen --all-packages --compile-bytecode
	@touch $@

$(PAYLOADCMS)/node_modules/.synced: $(PAYLOADCMS)/package-lock.json
	cd $(PAYLOADCMS) && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

# A Payload with its admin panel: 900 MB of packages that nothing else needs. Not `npm ci`, which refuses a lock file
# without Next's optional packages for other systems; all that is locked is installed as locked.
$(PANEL)/node_modules/.synced: $(PANEL)/package-lock.json
	cd $(PANEL) && npm install --no-save --ignore-scripts --no-audit --no-fund
	@touch $@

.PHONY: test
test: check test-fuzz test-payload test-simulation test-integration test-e2e test-postgres test-distributed ## All tests

.PHONY: check
check: lint types layers test-unit ## The inner loop: lint, types, layers, unit and contract tests

.PHONY: lint
lint: .venv/.synced ## Ruff, and the lock file up to date
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(UV) lock --check --quiet

.PHONY: format
format: .venv/.synced ## Let ruff put things right
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

.PHONY: migration
migration: .venv/.synced ## Write down what has changed in a service's tables: make migration SERVICE=submission WHAT="Tasks have a colour"
	$(PYTHON) services/chassis/new_migration.py "$(SERVICE)" "$(WHAT)"
	$(PYTHON) -m ruff format -q services/$(SERVICE)

.PHONY: types
types: .venv/.synced ## mypy, strict, tests too
	$(PYTHON) -m mypy $(filter-out $(PAYLOADCMS)/src,$(wildcard services/*/src)) services/gpu_worker/training services/chassis/new_migration.py tests dapr-components k8s

.PHONY: layers
layers: .venv/.synced ## Who may import whom
	.venv/bin/lint-imports

.PHONY: test-unit
test-unit: .venv/.synced ## Unit and contract tests, over fakes
	$(PYTHON) -m pytest tests/unit tests/contract -q -n auto

# By itself: hundreds of requests for each operation are too many for the inner loop.
.PHONY: test-fuzz
test-fuzz: .venv/.synced ## Requests nobody thought of, made from the OpenAPI description, against all services over HTTP
	$(PYTHON) -m pytest tests/fuzz -q -n auto

.PHONY: search
search: .venv/.synced ## The property tests with thousands of examples, other ones each time
	$(PYTHON) -m pytest tests/unit tests/contract -q -n auto -m hypothesis --hypothesis-profile search --timeout 1800

.PHONY: test-simulation
test-simulation: .venv/.synced ## All services in virtual time, with everything failing; and submission dying at each write
	$(PYTHON) -m pytest tests/simulation tests/deaths -q -n auto

.PHONY: simulate
simulate: .venv/.synced ## The same from any seed: make simulate SEED=1 RUNS=1000 [JOBS=2] [TRACE=1]
	$(PYTHON) -m tests.simulation $(if $(SEED),--seed $(SEED)) --runs $(or $(RUNS),200) --jobs $(or $(JOBS),1) $(if $(TRACE),--trace)

.PHONY: test-integration
test-integration: setup ## On real daprd, real pipelines and real files
	$(WITH_DAPR) $(PYTHON) -m pytest tests/integration -q --timeout=400

.PHONY: test-payload
test-payload: $(PAYLOADCMS)/node_modules/.synced ## The PayloadCMS plugin by itself: lint, types, and a real Payload; needs Node 20
	cd $(PAYLOADCMS) && npm run check

.PHONY: payload-admin
payload-admin: $(PANEL)/node_modules/.synced ## PayloadCMS with its admin panel, beside what `make run` keeps running; PORT=3000
	cd $(PANEL) && npm run dev

.PHONY: payload-admin-build
payload-admin-build: $(PANEL)/node_modules/.synced ## Build that admin panel for the tests in a browser
	cd $(PANEL) && npm run build

.PHONY: test-payload-admin
test-payload-admin: $(PAYLOADCMS)/node_modules/.synced $(PANEL)/node_modules/.synced ## The panel's components: lint and types
	cd $(PANEL) && npm run check

.PHONY: test-e2e
test-e2e: setup $(PAYLOADCMS)/node_modules/.synced ## A real PayloadCMS with the plugin, on the whole embedded platform
	$(WITH_DAPR) $(PYTHON) -m pytest tests/e2e -q --timeout=400

# Pictures of the panel for its README are taken with PICTURES=services/payloadcms/docs.
.PHONY: test-e2e-admin
test-e2e-admin: setup test-payload-admin payload-admin-build ## The admin panel in a real Chromium, on the whole embedded platform
	$(WITH_DAPR) $(PYTHON) -m pytest tests/e2e_admin -q --timeout=400

.PHONY: bench-live-browser
bench-live-browser: setup payload-admin-build ## How long from an event's publishing until a browser shows it
	$(WITH_DAPR) $(PYTHON) -m pytest tests/e2e_admin/test_latency.py -q -s --timeout=400

.PHONY: test-postgres
test-postgres: .venv/.synced ## The unit and contract tests of all that keeps tables, over a real Postgres server
	$(PYTHON) -m pytest tests/postgres -q
	$(PYTHON) -m tests.postgres_server $(PYTHON) -m pytest -q -n auto \
		tests/unit/chassis tests/unit/scheduling tests/unit/submission tests/unit/storage tests/unit/notification tests/contract

.PHONY: test-distributed
test-distributed: setup ## Broker, Postgres, S3, replicas, and everything broken that can break
	$(WITH_CLUSTER) $(PYTHON) -m pytest tests/distributed -q --timeout=400

.PHONY: test-chart
test-chart: .venv/.synced ## The Helm chart: rendered, refused, and on a real control plane whose GPU nodes are played, scaled by a real KEDA
	$(WITH_KUBERNETES) $(WITH_LINTERS) $(WITH_KEDA) $(PYTHON) -m pytest tests/chart -q --timeout=300

.PHONY: lint-chart
lint-chart: .venv/.synced ## Of that the part without a cluster: the chart's values and objects, images' file, workflows, scripts
	$(WITH_KUBERNETES) $(WITH_LINTERS) $(PYTHON) -m pytest -q --timeout=300 \
		tests/chart/test_linters.py tests/chart/test_values.py tests/chart/test_agreement.py tests/chart/test_pods.py tests/chart/test_network.py \
		tests/chart/test_ways.py tests/chart/test_minikube.py

.PHONY: dashboards
dashboards: .venv/.synced ## Write Grafana's dashboards into the chart anew
	$(PYTHON) k8s/monitoring/dashboards.py

.PHONY: dashboards-picture
dashboards-picture: up ## Load on what `make up` started, and a picture of each dashboard; wants Prometheus and Chromium; MINUTES=5
	$(PYTHON) -m tests.monitoring --minutes $(or $(MINUTES),5)

.PHONY: chart-readme
chart-readme: .venv/.synced ## Write the chart's README from its template and the comments of its values
	$(WITH_KUBERNETES) && $(WITH_LINTERS) && "$${MOVIE_TASKS_LINTERS%%:*}/helm-docs" --chart-search-root=charts/movie-tasks \
		--sort-values-order=file --skip-version-footer --log-level=warning

# Refuses before it builds anything, where something is missing.
.PHONY: test-cluster
test-cluster: setup ## The chart on a real node: its images, sidecars and pods, deleted and upgraded while tasks run; needs root
	@$(PYTHON) -m tests.cluster.machine
	$(WITH_CLUSTER) $(WITH_KUBERNETES) $(WITH_DAPR_CONTROL_PLANE) $(PYTHON) -m pytest tests/cluster -q --timeout=600 -o timeout_func_only=true

.PHONY: bench
bench: setup ## Measure what the platform costs, as a table
	$(WITH_DAPR) $(PYTHON) -m tests.benchmarks.bench

.PHONY: bench-live
bench-live: setup ## How long it takes from publishing an event until live watchers have it
	$(WITH_DAPR) $(PYTHON) -m tests.benchmarks.bench_live

.PHONY: bench-estimates
bench-estimates: setup ## How far estimates of when tasks are done are off, over a few hundred tasks; SEED=1 TASKS=300
	$(WITH_DAPR) $(PYTHON) -m tests.benchmarks.bench_estimates --tasks $(or $(TASKS),300) --seed $(or $(SEED),1)

.PHONY: bench-reminders
bench-reminders: setup ## How exact reminders are, on time and after each kind of outage; REMINDERS=1000
	$(WITH_CLUSTER) PYTHONPATH=dapr-components/topics $(PYTHON) -m tests.benchmarks.bench_reminders

.PHONY: bench-gpu
bench-gpu: setup ## What a worker makes of its device, beside a bare loop; THREADS=1 on a CPU, ROUNDS=3
	$(PYTHON) -m tests.benchmarks.bench_gpu

.PHONY: bench-tracing
bench-tracing: .venv/.synced ## What tracing costs, on and off
	$(PYTHON) -m tests.benchmarks.bench_tracing

.PHONY: bench-webhooks
bench-webhooks: .venv/.synced ## What one dead receiver of webhooks costs forty-nine others
	$(PYTHON) -m tests.benchmarks.bench_webhooks

.PHONY: bench-distributed
bench-distributed: setup ## The same of the distributed platform, beside Celery; MINUTES=10 for a long run of events
	@$(UV) sync --frozen --all-packages --group bench --quiet
	$(WITH_CLUSTER) PYTHONPATH=dapr-components/topics $(PYTHON) -m tests.benchmarks.bench_distributed --minutes $(or $(MINUTES),1)

.PHONY: train
train: .venv/.synced ## Train a small model that the package ships, in a quarter of an hour to an hour on two cores: make train MEDIUM=image
	cd services/gpu_worker && ../../$(PYTHON) -m training $(MEDIUM)

.PHONY: grade
grade: .venv/.synced ## Grade it on prompts it has not seen: make grade MEDIUM=image
	cd services/gpu_worker && ../../$(PYTHON) -m training.grade $(MEDIUM)

.PHONY: clean
clean: ## Forget what the platform kept on this machine
	rm -rf .movie-tasks demo-output
