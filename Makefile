# nielsgpt's commands: `make NAME` runs `nielsgpt NAME`, in the pinned image or in a local .venv.
# Written for GNU make 3.81 and BSD tools too, which is what macOS ships.

# -- what you may set on the command line --------------------------------------------------------
RUN ?= auto
CONFIG ?=
DEVICE ?=
NPROC ?=
ARGS ?=
NAME ?=
PYTHON ?=
TORCH_INDEX ?=
DOCKER_ARGS ?=
JOBS ?= 2
HOURS ?= 8
SCENARIO ?=
TEXT ?= data/raw/tinyshakespeare.txt
BACKEND ?=

# -- what follows from the checkout --------------------------------------------------------------
STAGES := pipeline caches tokenizer pretrain sft exam chat sample serve export runs bench plan recommend doctor primer config sources import
TOOLS := new run setup build test test-faults lint format proofs speedrun lock clean help overnight caches-verify caches-show ancients check-sources micro-train micro-sample micro-benchmark audit
TORCH_VERSION := $(shell sed -n 's/.*"torch==\([0-9.]*\)".*/\1/p' pyproject.toml)
UV_VERSION := 0.13.8
AUDIT_VERSION := 2.10.1
PIP := .venv/bin/python -m pip --disable-pip-version-check install
PYTHONS = $(or $(PYTHON),python3.11 python3.12 python3.13 python3 python)
PROBE := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
FLAGS = $(ARGS) $(if $(CONFIG),--config "$(CONFIG)") $(if $(DEVICE),--device "$(DEVICE)")

# Files made in a container belong to you, and never to root.
HOST_UID ?= $(patsubst 0,1000,$(shell id -u))
HOST_GID ?= $(patsubst 0,1000,$(shell id -g))
HOST_UID := $(HOST_UID)
HOST_GID := $(HOST_GID)
NIELSGPT_IMAGE ?= nielsgpt
export HOST_UID HOST_GID NIELSGPT_IMAGE TORCH_INDEX

.DEFAULT_GOAL := help
.PHONY: $(STAGES) $(TOOLS) ready image folders moved

# -- docker or native? Asked only where the answer matters ---------------------------------------
ifneq ($(filter $(STAGES) overnight caches-% ancients check-sources micro-% new run setup build test test-faults proofs clean,$(MAKECMDGOALS)),)
ifeq ($(filter auto docker native,$(RUN)),)
$(error RUN=$(RUN) is unknown; use RUN=docker, RUN=native or leave it out)
endif
SYSTEM := $(shell uname -s)
ifneq ($(filter build,$(MAKECMDGOALS)),)
override RUN := docker
endif
ifeq ($(RUN),native)
WHY := RUN=native
else ifeq ($(RUN)-$(SYSTEM),auto-Darwin)
WHY := macOS, where a container has no access to the GPU
else
# Two words where all is well: the version of the engine, the version of Compose.
ENGINE := $(shell docker version --format '{{.Server.Version}}' 2>/dev/null \
  && docker compose version --short 2>/dev/null)
ifeq ($(words $(ENGINE)),2)
WHY := engine $(word 1,$(ENGINE)), compose $(word 2,$(ENGINE))
IN_DOCKER := yes
else
WHY := $(if $(ENGINE),Docker answers but has no Compose plugin,no Docker engine answers)
endif
endif
ifeq ($(RUN)$(IN_DOCKER),docker)
$(error this needs Docker, but $(subst Docker answers but,its engine,$(WHY)); start or install it, or use RUN=native)
endif
PLACE := $(if $(IN_DOCKER),in the Docker image,in .venv)
$(shell echo "nielsgpt: running $(PLACE) ($(WHY))" >&2)
endif

# -- how a command is run there ------------------------------------------------------------------
ifeq ($(IN_DOCKER),yes)
GPU := $(or $(filter cuda%,$(DEVICE)),$(if $(DEVICE),,$(findstring nvidia,$(shell \
  docker info --format '{{json .Runtimes}}' 2>/dev/null))))
TTY := $(shell test -t 0 || echo -T)
COMPOSE := docker compose run --rm $(TTY) $(DOCKER_ARGS)
NIELSGPT = $(COMPOSE) $(if $(GPU),nielsgpt-gpu,nielsgpt)
PYTEST = $(COMPOSE) test
BUILT = docker image inspect "$(NIELSGPT_IMAGE)" >/dev/null 2>&1
FORGET = ! $(BUILT) || docker compose run --rm -T --entrypoint rm nielsgpt
ready: image folders

# What a run reads and makes lies in the checkout, as it does natively. Paths that compose may not
# take for the name of a volume are absolute.
FOLDERS := data checkpoints runs models bench plans
DATA_DIR ?= $(CURDIR)/data
CHECKPOINTS_DIR ?= $(CURDIR)/checkpoints
RUNS_DIR ?= $(CURDIR)/runs
MODELS_DIR ?= $(CURDIR)/models
BENCH_DIR ?= $(CURDIR)/bench
PLANS_DIR ?= $(CURDIR)/plans
export DATA_DIR CHECKPOINTS_DIR RUNS_DIR MODELS_DIR BENCH_DIR PLANS_DIR
else
NIELSGPT = .venv/bin/nielsgpt
PYTEST = OMP_NUM_THREADS=1 .venv/bin/python -m pytest
FORGET = cd "$${NIELSGPT_ROOT:-.}" && rm
ready: .venv/.installed
endif

##@ Your model
pipeline:  ## all stages, from text to a tested chat model
caches:    ## tokenize the sources
tokenizer: ## train the tokenizer
pretrain:  ## train on text
sft:       ## train on conversations
exam:      ## score the model
chat:      ## talk to the model
sample:    ## continue a text: ARGS='--prompt "Once"'
serve:     ## serve an OpenAI-compatible API and a chat page
export:    ## export the model: ARGS="--to gguf"
runs:      ## list the runs; ARGS='compare A B' compares two
bench:     ## measure which models fit and how fast they train: ARGS=--small
plan:      ## choose the model for a time budget: ARGS="--hours 8"
recommend: ## choose the model by rule, without measuring
doctor:    ## check that this machine trains correctly
primer:    ## write the generated dialogues to a file
config:    ## print the resolved configuration
sources:   ## list the sources of data
import:    ## import books, notes, mails and chats: ARGS="~/Documents"
runs import: override CONFIG :=
runs import: override DEVICE :=
pipeline pretrain sft: FLAGS += $(if $(NPROC),--nproc "$(NPROC)")
ifeq ($(IN_DOCKER),yes)
# In a container the server listens to all of it; on this machine only to this machine.
serve: COMPOSE += -p 127.0.0.1:8000:8000
serve: FLAGS += --host 0.0.0.0 --insecure
# The next image takes what it writes into the checkout.
new: COMPOSE += -v "$(CURDIR):/workspace"
endif
$(STAGES): ready
	@exec $(NIELSGPT) $@ $(FLAGS)

new: ready ## start a model of your own: NAME=vera
	@exec $(NIELSGPT) new "$(NAME)" $(ARGS)

run: ready ## any other command: ARGS="caches show"
	@exec $(NIELSGPT) $(FLAGS)

overnight: ready ## plan, then train overnight: HOURS=8
	@$(NIELSGPT) plan --hours "$(HOURS)" --name overnight-plan $(FLAGS) && \
	  exec $(NIELSGPT) pipeline --config plans/overnight-plan.json $(if $(DEVICE),--device "$(DEVICE)")

caches-verify: ## verify every checksum of the caches
caches-show:   ## print the tokens of each source and the share used
caches-verify caches-show: ready
	@exec $(NIELSGPT) caches $(@:caches-%=%) $(FLAGS)

check-sources: ready ## load two samples of each source: ARGS=wikitext for one
	@exec $(NIELSGPT) sources check $(FLAGS)

ancients: ready ## download ancient texts: ARGS=--count-only
	@exec $(NIELSGPT) ancients download $(FLAGS)

##@ A GPT by hand: SCENARIO= and BACKEND= choose
micro-train:     ## train it: SCENARIO=names BACKEND=numpy_batched
micro-sample:    ## sample from it
micro-benchmark: ## measure its training speed
micro-train micro-sample micro-benchmark: ready
	@exec $(NIELSGPT) micro $(@:micro-%=%) $(if $(SCENARIO),--scenario "$(SCENARIO)") \
	  $(if $(BACKEND),--backend "$(BACKEND)") $(if $(CONFIG),--config "$(CONFIG)") $(ARGS)

##@ The project
setup: ready ## install, in the image or in .venv

build: image ## build the Docker image

test: ready ## run the fast tests, without network
	@exec env $(PYTEST) -n $(JOBS) $(ARGS)

test-faults: ready ## test kills, power cuts, full disks and damaged files
	@exec env $(PYTEST) -n $(JOBS) -vv -m "slow or not slow" --durations 10 $(ARGS) \
	  tests/faults tests/journeys/test_kills.py

speedrun: .venv/.installed ## measure the time to a loss of 1.88 on Tiny Shakespeare: TEXT=FILE
	@exec env GOMP_SPINCOUNT=1000 .venv/bin/python benchmarks/speedrun.py "$(TEXT)" $(ARGS)

proofs: ready ## run the slow tests
	@exec env $(PYTEST) -n $(JOBS) -m slow $(ARGS)

lint: .venv/.installed ## ruff, mypy, shellcheck, hadolint
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/python -m mypy
	@PATH="$(CURDIR)/.venv/bin:$$PATH"; \
	if command -v shellcheck >/dev/null; then shellcheck .ci/run scripts/*; \
	else echo "shellcheck is not installed: scripts not checked" >&2; fi
	@PATH="$(CURDIR)/.venv/bin:$$PATH"; \
	if command -v hadolint >/dev/null; then hadolint Dockerfile; \
	else echo "hadolint is not installed: Dockerfile not checked" >&2; fi

format: .venv/.installed ## format the code
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

lock: .venv/.installed ## resolve all packages again and write requirements.lock (needs the network)
	@[ -x .venv/bin/uv ] || $(PIP) --quiet uv==$(UV_VERSION)
	@.venv/bin/uv pip compile pyproject.toml --quiet --extra dev --upgrade --universal \
	  --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  -o .venv/all.lock >/dev/null
	@awk '/^[a-z]/ {left_out = /^(torch|triton|nvidia-[a-z0-9-]+|cuda-[a-z]+)==/} !left_out' \
	  .venv/all.lock > .venv/lean.lock
	@mv .venv/lean.lock requirements.lock

audit: .venv/.installed ## check the locked packages for known vulnerabilities (needs the network)
	@[ -x .venv/audit/bin/pip-audit ] || { .venv/bin/python -m venv .venv/audit && \
	  .venv/audit/bin/python -m pip --disable-pip-version-check install --quiet pip-audit==$(AUDIT_VERSION); }
	@.venv/audit/bin/pip-audit --strict --requirement requirements.lock --disable-pip --progress-spinner off $(ARGS)

clean: ## remove caches and tokenizers; checkpoints and runs stay
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@$(FORGET) -rf data/cache data/tokenizers

help: ## this list
	@awk -F '## ' ' \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { split($$1, name, ":"); printf "  make %-15s %s\n", name[1], $$2 }' Makefile
	@printf '\n%s\n' 'Settings'
	@printf '  %-15s %s\n' \
	  'RUN=' 'docker or native; else decided for you' \
	  'CONFIG=' 'a file of settings, as in CONFIG=configs/mine.json' \
	  'DEVICE=' 'cpu, mps, cuda or cuda:1; else the best there is' \
	  'HOURS=' 'how long make overnight trains, after planning; 8 where it is not set' \
  'NPROC=' 'processes that train together: one a GPU, or sharing the cores' \
	  'ARGS=' 'anything more for the command, as in ARGS="--help"' \
	  'PYTHON=' 'the interpreter that .venv is made from' \
	  'TORCH_INDEX=' 'another index for torch: CPU only, or another CUDA' \
	  'DOCKER_ARGS=' 'anything more for docker compose run, as in -v'

# -- setting up ----------------------------------------------------------------------------------
# The stamp holds the folder it was made in, so a checkout that was moved is installed again.
ifneq ($(shell cat .venv/.installed 2>/dev/null),$(CURDIR))
.venv/.installed: moved
endif

.venv/.installed: requirements.lock pyproject.toml
	@if ! .venv/bin/python -c 'import pip' 2>/dev/null; then \
	  for python in $(PYTHONS); do "$$python" -c '$(PROBE)' 2>/dev/null && break; python=; done; \
	  if [ -z "$$python" ]; then \
	    echo "nielsgpt: no Python 3.11 or later with venv and pip among: $(PYTHONS);" \
	      "install one (Debian: python3-venv) or name it with PYTHON=" >&2; exit 1; fi; \
	  echo "nielsgpt: making .venv with $$python" >&2; \
	  "$$python" -m venv --clear .venv || exit 1; fi
	@echo "nielsgpt: installing the packages of requirements.lock" >&2
	@$(PIP) --quiet --no-deps --require-hashes -r requirements.lock
	@echo "nielsgpt: installing torch $(TORCH_VERSION)" >&2
	@quiet=; [ -t 2 ] || quiet=--quiet; \
	$(PIP) $$quiet $(if $(TORCH_INDEX),--index-url "$(TORCH_INDEX)") torch==$(TORCH_VERSION)
	@$(PIP) --quiet --no-deps --no-build-isolation -e .
	@printf '%s\n' "$(CURDIR)" > $@

folders:
	@mkdir -p $(FOLDERS); [ "$$(id -u)" != 0 ] || chown "$(HOST_UID):$(HOST_GID)" $(FOLDERS)

image:
	@quiet=--quiet; $(BUILT) || { \
	  quiet=; echo "nielsgpt: building the image, once; this takes minutes" >&2; }; \
	docker compose build $$quiet nielsgpt >&2
