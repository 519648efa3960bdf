# make env    .venv with everything the service needs, from hash-locked requirements
# make demo   env, then a synthetic city through a real broker (DATA=FILE plays real data, SPEED=60 times as fast)
# make demo-cluster  the demo on three machines (network namespaces, as root), one of which is killed before your eyes
# make test   test dependencies, the servers (mosquitto, RTSP, Chromium) where they may be installed, `make check`, every test
# make test-yolo  the extra lucheng[yolo] in an environment of its own: 6 GB, kept in LUCHENG_CACHE_DIR or ~/.cache/lucheng
# make influxd  the InfluxDB server that tests and benchmarks start, built once and kept in LUCHENG_CACHE_DIR or ~/.cache/lucheng
# make nats-server  the nats-server that tests and benchmarks start: the one on the PATH, else built once and kept there too
# make web    the console's pages, built where Node 20.19 or newer is (make demo, test and wheel do it themselves)
# make pictures  the pictures of the console's pages in docs/pictures, out of the demo (NAMES='desk map': these alone)
# make check  ruff, mypy, floors, generated documents
# make bench | soak | lock | wheel | clean

SHELL = /bin/sh
.DEFAULT_GOAL = help

# The first Python that is new enough; PYTHON=… chooses another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN = .venv/bin
# Compiled modules are kept in the environment, whatever the caller's shell says: tests start the command hundreds of times.
export PYTHONPYCACHEPREFIX := $(CURDIR)/.venv/pycache
unexport PYTHONDONTWRITEBYTECODE
PIP = $(BIN)/python -m pip --disable-pip-version-check --quiet

# A stamp carries the hash of what it was made from: same locks, nothing to do; other locks, made again.
RUN_STAMP := .venv/.run-$(shell cat requirements/run.txt requirements/build.txt pyproject.toml | cksum | tr -d ' ')
TEST_STAMP := .venv/.test-$(shell cat requirements/test.txt requirements/build.txt pyproject.toml | cksum | tr -d ' ')

UV_LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header

.PHONY: help env test-env yolo-env test-yolo demo demo-cluster test check bench soak pictures lock wheel clean web web-test servers systemd mosquitto haproxy rtsp-server chromium postgres iproute strace influxd nats-server

help:
	@sed -n 's/^# make /make /p' Makefile

env: $(RUN_STAMP)
test-env: $(TEST_STAMP)

.venv/bin/python:
	@test -n '$(PYTHON)' || { echo 'Python 3.11 or newer is needed: apt-get install python3 python3-venv' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
		v=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
		echo "$(PYTHON) cannot make an environment: apt-get install python$$v-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv

$(RUN_STAMP): .venv/bin/python
	$(PIP) install --require-hashes -r requirements/build.txt
	$(PIP) install --require-hashes --no-build-isolation --use-pep517 -r requirements/run.txt
	$(PIP) install --no-deps --no-build-isolation -e .
	@rm -f .venv/.run-* && touch $@

$(TEST_STAMP): $(RUN_STAMP)
	$(PIP) install --require-hashes --no-build-isolation --use-pep517 -r requirements/test.txt
	@rm -f .venv/.test-* && touch $@

# Without pages the service runs all the same, so neither a missing Node nor a closed network stops the demo.
demo: env
	@$(MAKE) --no-print-directory web || echo 'The console has no pages: what is above must be mended, then `make web`.' >&2
	@$(BIN)/lucheng demo $(if $(DATA),--data-file '$(DATA)') $(if $(FORMAT),--format '$(FORMAT)') $(if $(SPEED),--speed '$(SPEED)') \
		$(if $(filter command line environment,$(origin SECONDS)),--seconds '$(SECONDS)') $(ARGS)

# PostgreSQL and iproute2 come from the packages where they may; the others are built once (nats-server half a minute, influxd 7 minutes).
demo-cluster: env postgres iproute influxd nats-server
	@$(MAKE) --no-print-directory web || echo 'The console has no pages: what is above must be mended, then `make web`.' >&2
	@$(BIN)/lucheng demo --machines 3 $(if $(filter command line environment,$(origin SECONDS)),--seconds '$(SECONDS)') $(ARGS)

# Stamps carry the hash of what they were made from, as those of the environment do; the one of the pages lies among them.
WEB_BUILT = console/web/built
WEB_NODE = command -v npm >/dev/null && node -e 'const [a, b] = process.versions.node.split(".").map(Number); \
	process.exit(a > 22 || (a === 22 && b >= 12) || (a === 20 && b >= 19) ? 0 : 1)' 2>/dev/null
WEB_NO_NODE = 'The console has no pages: they need Node 20.19 or newer (nodejs and npm, from https://nodejs.org or your packages), then `make web`.'
WEB_MODULES := web/node_modules/.made-$(shell cat web/package.json web/package-lock.json 2>/dev/null | cksum | tr -d ' ')
WEB_STAMP := $(WEB_BUILT)/.made-$(shell find web -path web/node_modules -prune -o -type f -print 2>/dev/null | LC_ALL=C sort | \
	xargs -d '\n' cat -- 2>/dev/null | cksum | tr -d ' ')

web:
	@if [ -e '$(WEB_STAMP)' ]; then exit 0; elif ! { $(WEB_NODE); }; then echo $(WEB_NO_NODE) >&2; exit 0; fi; set -e; \
	if [ ! -e '$(WEB_MODULES)' ]; then \
		(cd web && npm ci --no-audit --no-fund --loglevel=error) && touch '$(WEB_MODULES)'; fi; \
	(cd web && npm run --silent build -- --logLevel warn) && touch '$(WEB_STAMP)'

# Types hold that every text is in both languages; these hold the queue, the clocks, the stream and the replay.
web-test: web
	@if [ -e '$(WEB_STAMP)' ]; then cd web && npm test --silent; fi

# Programs that tests and benchmarks start, from the Debian packages. Each is: what shows that it is there, then what to install.
mosquitto: HAVE = PATH="$$PATH:/usr/sbin:/usr/local/sbin"; command -v mosquitto
mosquitto: PACKAGES = mosquitto
haproxy: HAVE = PATH="$$PATH:/usr/sbin:/usr/local/sbin"; command -v haproxy
haproxy: PACKAGES = haproxy
rtsp-server: HAVE = /usr/bin/python3 tests/ingest/video/rtsp_server.py --check
rtsp-server: PACKAGES = gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
	gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav
# With glyphs for the Chinese pages, which are looked at and measured.
chromium: HAVE = command -v chromium-headless-shell && fc-list :lang=zh family | grep -q .
chromium: PACKAGES = chromium-headless-shell fonts-wqy-zenhei
# Debian's package also makes and starts a cluster of its own, which nothing here uses.
postgres: HAVE = PATH="$$PATH:$$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -1)"; command -v postgres
postgres: PACKAGES = postgresql
iproute: HAVE = command -v ip
iproute: PACKAGES = iproute2
strace: HAVE = command -v strace
strace: PACKAGES = strace
# The programs alone, which read our units: nothing is started by it.
systemd: HAVE = command -v systemd-analyze
systemd: PACKAGES = systemd
SERVERS = systemd mosquitto rtsp-server chromium postgres haproxy iproute strace

servers: $(SERVERS)

# Where it may, and without a question: as root, or with sudo that asks for no password.
$(SERVERS):
	@{ $(HAVE); } >/dev/null 2>&1 && exit 0; \
	command -v apt-get >/dev/null || { echo '$@ is not installed and there is no apt-get: its tests are skipped' >&2; exit 0; }; \
	if [ "$$(id -u)" = 0 ]; then as=; elif sudo -n true 2>/dev/null; then as='sudo -n'; \
	else echo '$@ is not installed (apt-get install $(PACKAGES)): its tests are skipped' >&2; exit 0; fi; \
	$$as env DEBIAN_FRONTEND=noninteractive sh -c '{ apt-get install -y -q --no-install-recommends $(PACKAGES) || \
		{ apt-get update -q && apt-get install -y -q --no-install-recommends $(PACKAGES); }; } >/dev/null 2>&1' \
	|| echo '$@ could not be installed from the Debian packages' >&2

# InfluxDB 2 is in no Debian: the one on the PATH, else built once from its source (7 minutes) into the cache.
influxd:
	@command -v influxd >/dev/null || servers/influxd/build.sh >/dev/null || \
		echo 'There is no influxd: tests of the series in InfluxDB are skipped' >&2

# nats-server is in Debian, but older than what is needed of it: the one on the PATH, else built once (half a minute) into the cache.
nats-server:
	@command -v nats-server >/dev/null || servers/nats-server/build.sh >/dev/null || \
		echo 'There is no nats-server: tests of the log past one machine are skipped' >&2

# Most tests wait for processes that they started; four of them at a time keep two cores busy.
TEST_PROCESSES ?= 4

test: test-env servers influxd nats-server check web-test
	$(BIN)/python -m pytest -m 'not soak' -n $(TEST_PROCESSES) --dist worksteal $(ARGS)

# The environment of the extra lies outside the checkout, named after what it is made of, so that every checkout with
# these locks shares it. The stamp comes last: one without it is half made and is made again. Compiled modules stay in it.
CACHE_DIR = $(or $(LUCHENG_CACHE_DIR),$(HOME)/.cache/lucheng)
YOLO_LOCKS = requirements/build.txt requirements/yolo.txt requirements/yolo-test.txt
YOLO_HASH := $(shell { cat $(YOLO_LOCKS); $(PYTHON) -VV; } 2>/dev/null | sha256sum | cut -c 1-16)
YOLO_DIR = $(CACHE_DIR)/yolo-$(YOLO_HASH)
YOLO_PIP = '$(YOLO_DIR)/bin/python' -m pip --disable-pip-version-check --quiet install --require-hashes

yolo-env:
	@mkdir -p '$(CACHE_DIR)' && flock '$(YOLO_DIR).lock' $(MAKE) --no-print-directory .yolo-made

.PHONY: .yolo-made
.yolo-made: export PYTHONPYCACHEPREFIX :=
.yolo-made:
	@if [ -e '$(YOLO_DIR)/.complete' ]; then exit 0; fi; set -e; \
	echo 'Making the environment of lucheng[yolo] in $(YOLO_DIR): minutes, 6 GB' >&2; \
	rm -rf '$(YOLO_DIR)'; $(PYTHON) -m venv '$(YOLO_DIR)'; \
	$(YOLO_PIP) -r requirements/build.txt; \
	$(YOLO_PIP) --no-build-isolation --use-pep517 -r requirements/yolo.txt; \
	$(YOLO_PIP) -r requirements/yolo-test.txt; \
	touch '$(YOLO_DIR)/.complete'; \
	for old in '$(CACHE_DIR)'/yolo-*/; do [ "$$old" = '$(YOLO_DIR)/' ] || echo "No longer needed by this checkout: $$old" >&2; done

test-yolo: yolo-env
	PYTHONPYCACHEPREFIX= PYTHONDONTWRITEBYTECODE=1 '$(YOLO_DIR)/bin/python' -m pytest tests/yolo -p no:cacheprovider $(ARGS)

check: test-env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m lucheng.reference --check

# Every benchmark, or one: make bench BENCH=spine ARGS='--scale 10'
BENCH ?= $(patsubst benchmarks/%.py,%,$(sort $(shell grep -l '^if __name__ == ' benchmarks/*.py)))
bench: test-env servers influxd nats-server
	@for name in $(BENCH); do echo "== $$name"; $(BIN)/python -m "benchmarks.$$name" $(ARGS) || exit 1; done

soak: test-env servers influxd nats-server
	$(BIN)/python -m pytest -m soak $(ARGS)

pictures: test-env chromium web
	$(BIN)/python -m tests.web.e2e.pictures $(NAMES)

# Writes every lock anew within the bounds of pyproject.toml; then commit requirements/.
lock: .venv/bin/python
	$(PIP) install --require-hashes -r requirements/lock.txt
	$(UV_LOCK) --upgrade pyproject.toml -o requirements/run.txt
	$(UV_LOCK) --upgrade pyproject.toml --extra test -c requirements/run.txt -o requirements/test.txt
	$(UV_LOCK) --upgrade requirements/build.in -o requirements/build.txt
	$(UV_LOCK) --upgrade pyproject.toml --extra yolo -c requirements/run.txt -c requirements/build.txt -o requirements/yolo.txt
	$(UV_LOCK) --upgrade requirements/yolo-test.in -c requirements/test.txt -c requirements/yolo.txt -o requirements/yolo-test.txt
	$(UV_LOCK) --upgrade requirements/lock.in -o requirements/lock.txt

wheel: env web
	$(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist .

clean:
	rm -rf .venv dist build $(WEB_BUILT) web/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
