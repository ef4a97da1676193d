# Everything a person or CI does with the project; `make` alone lists it.
#
# Targets set up what they need: Debian packages, asked for only when one is missing, and a virtual
# environment in .venv with the project in editable form, so that what runs is always this tree.
# Only a change of native sources or of pyproject.toml makes a new build necessary.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# The lab counts packets: nothing else may run beside it. `test` knows what may.
ifndef SIDE_BY_SIDE
.NOTPARALLEL:
endif

# The Python of .venv, when it is 3.11 or newer; else the newest that is here.
PYTHON ?= python3
VENV ?= .venv
# More words for the command of `make run`, as typed: make run ARGS="-i lo -c 100"
ARGS ?=
FUZZ_SECONDS ?= 600
# The versions that `make pythons` tries; by default all that are here: make pythons PYTHONS=3.13
PYTHONS ?= $(shell .ci/pythons)

# mkfs, fsfreeze and netsniff-ng live where a user's PATH, and that of `su`, does not look.
export PATH := $(PATH):/usr/sbin:/sbin
# As root, leave nothing behind in the tree that its owner cannot remove.
AS_ROOT := $(if $(filter-out 0,$(shell id -u)),sudo) env PYTHONDONTWRITEBYTECODE=1

LAB := $(AS_ROOT) $(VENV)/bin/pytest -p no:cacheprovider tests/lab
# One more than there are cores: tests wait now and then.
WORKERS := $(shell echo $$(($$(nproc) + 1)))

PROJECT := pyproject.toml daemonlogger_py/__init__.py
NATIVE := $(shell find daemonlogger_py -name '*.pyx' -o -name '*.pxd')
NATIVE_MODULES := $(subst /,.,$(basename $(filter %.pyx,$(NATIVE))))
SOURCES := $(PROJECT) $(NATIVE) $(shell find daemonlogger_py -name '*.py' -o -name '*.pyi')
BUILT := $(VENV)/.built
TEST := $(BUILT) $(VENV)/.extras-test
BENCH := $(BUILT) $(VENV)/.extras-bench
# Of PYTHONS those that .venv has not; to be asked for when it is there.
OTHER_PYTHONS = $(filter-out \
	$(shell $(VENV)/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])'),$(PYTHONS))
# The requirements of extras, without building the project once more for them.
EXTRAS := $(VENV)/bin/python -c 'import sys, tomllib; \
	extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]; \
	print(*(line for extra in sys.argv[1:] for line in extras[extra]), sep="\n")'

##@ Use

help: ## list the targets
	@awk -F ':.*## ' '/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(BUILT) | root ## record from the default interface into ./pcap until Ctrl-C; ARGS="..." adds options
	@mkdir -p pcap
	@echo "Recording into ./pcap: a ring of savefiles of 64 MiB, together at most 1 GiB. Ctrl-C ends it."
	@command=($(AS_ROOT) $(VENV)/bin/daemonlogger -r --max-bytes 1g -s 64m -l pcap $(ARGS)); \
		echo "$${command[*]}"; exec "$${command[@]}"

build: $(BUILT) ## set up .venv and build the native engine

##@ Test

# First what has one thread most of the time, side by side; the lab has the machine to itself. All
# parts run even when one fails.
test: $(TEST) | root test-packages fuzz-packages ## everything CI runs
	@failed=0; \
		$(MAKE) --no-print-directory --keep-going --output-sync=target --jobs=$(shell nproc) \
			SIDE_BY_SIDE=1 fuzz-short types lint contracts installed || failed=$$?; \
		$(MAKE) --no-print-directory --keep-going unit pythons lab || failed=$$?; \
		exit $$failed

check: lint types contracts ## linters, types, stubs, import contracts

lint: $(TEST)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	PATH="$(abspath $(VENV))/bin:$$PATH" cython-lint daemonlogger_py

types: $(TEST)
	$(VENV)/bin/mypy
	$(VENV)/bin/stubtest --concise --ignore-disjoint-bases --ignore-unused-allowlist \
		--allowlist .ci/stubtest-allow $(NATIVE_MODULES)

contracts: $(TEST)
	$(VENV)/bin/lint-imports

unit: $(TEST) ## the tests that need no root, on the Python of .venv
	$(VENV)/bin/pytest -m "not lab" -n $(WORKERS)

# Most of its tests wait most of the time: they run side by side, and those after them one by one
# that need the machine to themselves.
lab: $(TEST) | root test-packages ## real packets in network namespaces; needs root
	@mkdir -p .pytest_cache
	@failed=0; \
		$(LAB) -m "not alone" -n $(WORKERS) --dist loadfile --no-loadscope-reorder || failed=$$?; \
		$(LAB) -m alone || failed=$$?; \
		exit $$failed

pythons: $(TEST) ## the unit tests on each other supported Python found here
	@read -ra others <<<"$(OTHER_PYTHONS)"; [ $${#others[@]} = 0 ] || \
		$(MAKE) --no-print-directory --keep-going "$${others[@]/#/unit-}"

installed: $(TEST)
	@read -ra others <<<"$(OTHER_PYTHONS)"; others=("$${others[@]/#/$(VENV)-}"); \
		[ $${#others[@]} = 0 ] || $(MAKE) --no-print-directory --keep-going "$${others[@]/%/\/.installed}"

# Safe path: no test, nor a command that a test starts, may import this tree in place of what is
# installed. What is left out reads sources or tests the tests, which are the same.
unit-3.%: $(VENV)-3.%/.installed
	PYTHONSAFEPATH=1 DAEMONLOGGER_BRIEF=1 $(VENV)-3.$*/bin/pytest -m "not lab and not peers" \
		-n $(WORKERS) -p no:cacheprovider $(addprefix --ignore tests/test_,house.py imports.py conftest.py)

fuzz: $(TEST) | fuzz-packages ## fuzz what parses under AddressSanitizer, FUZZ_SECONDS long
	PYTHON=$(VENV)/bin/python tests/fuzz/run $(FUZZ_SECONDS)

fuzz-short: ## the same, half a minute
	@$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=30

bench: $(BENCH) | root test-packages ## measure beside the peers and write docs/bench; needs root
	$(AS_ROOT) $(VENV)/bin/python -m bench

##@ Keep

man: $(BUILT) ## write the man pages from what the command lines are made of
	for page in $$($(VENV)/bin/python -m daemonlogger_py.cli.man --list); do \
		$(VENV)/bin/python -m daemonlogger_py.cli.man $$page \
			>man/$$page.$$([ $$page = daemonlogger ] && echo 8 || echo 1); \
	done

format: $(TEST) ## let ruff format the sources and put right what it can
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

clean: ## remove what was built and set up; recordings in ./pcap stay
	rm -rf $(VENV) $(VENV)-3.* build dist *.egg-info .*_cache .hypothesis
	find daemonlogger_py tests bench -name __pycache__ -prune -exec rm -rf {} +
	find daemonlogger_py \( -name '*.so' -o -name '*.c' \) -delete

.PHONY: help run build test check lint types contracts unit lab pythons installed fuzz fuzz-short bench \
	man format clean
.PHONY: root build-packages test-packages fuzz-packages

root:
	@[ "$$(id -u)" = 0 ] || command -v sudo >/dev/null || \
		{ echo "Capturing packets needs root: become root (su), or install sudo, and run again" >&2; exit 1; }

build-packages:
	@.ci/packages build

test-packages:
	@.ci/packages build test

fuzz-packages:
	@.ci/packages build fuzz

$(VENV)/bin/python: | build-packages
	@for python in $(PYTHON) python3.13 python3.12 python3.11; do \
		if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "Setting up $(VENV) with $$($$python --version) ($$python)"; \
			exec $$python -m venv $(VENV); \
		fi; \
	done; echo "Python 3.11 or newer is needed; PYTHON=... names one" >&2; exit 1

# Editable, in every target alike: a plain installation here would shadow the tree for the others.
$(BUILT): $(PROJECT) $(NATIVE) | build-packages $(VENV)/bin/python
	@echo "Building the native engine and installing daemonlogger into $(VENV) (about a minute at first)"
	@touch $@.new # as old as the build's beginning: what changes meanwhile is built next time
	$(VENV)/bin/pip install --quiet --editable '.[read]'
	@# Compiled here, as root leaves nothing behind in the tree: a start takes half the time.
	env -u PYTHONDONTWRITEBYTECODE $(VENV)/bin/python -m compileall -q daemonlogger_py
	@mv $@.new $@

$(VENV)/.extras-test: pyproject.toml | test-packages $(BUILT)
	@$(VENV)/bin/pip install --quiet --requirement <($(EXTRAS) test check)
	@touch $@

$(VENV)/.extras-bench: pyproject.toml | $(BUILT)
	@$(VENV)/bin/pip install --quiet --requirement <($(EXTRAS) bench)
	@touch $@

.PRECIOUS: $(VENV)-3.%/.installed
$(VENV)-3.%/.installed: $(SOURCES) | build-packages
	@touch $(@D).new
	.ci/install "$$(.ci/pythons 3.$*)" $(@D)
	@mv $(@D).new $@

##@ Package

deb: | package-packages ## build dist/daemonlogger-py_VERSION_ARCH.deb; needs no root
	packaging/deb/build dist

rpm: ## build dist/ARCH/daemonlogger-py-VERSION.ARCH.rpm, where rpmbuild is
	rpmbuild -bb --quiet --build-in-place --define "_rpmdir $(CURDIR)/dist" packaging/daemonlogger-py.spec

# The first of the two that is here.
container: ## build the container image daemonlogger-py with podman or docker
	$(firstword $(shell command -v podman docker) podman) build --tag daemonlogger-py \
		--file packaging/Containerfile .

completion: $(BUILT) ## write the shell completions from what the command lines are made of
	for shell in bash zsh fish; do for program in daemonlogger dlctl; do \
		$(VENV)/bin/python -m daemonlogger_py.cli.completion $$shell $$program \
			>packaging/completion/$$program.$$shell; \
	done; done

.PHONY: deb rpm container completion package-packages

package-packages:
	@.ci/packages build package
