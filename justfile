# Everything a contributor or an operator types. `just` alone lists it.

set shell := ["bash", "-euo", "pipefail", "-c"]
set positional-arguments

python := ".venv/bin/python"
in_parallel := "--numprocesses=auto --dist=loadfile --no-loadscope-reorder"

# List the recipes
[private]
default:
    @just --list --unsorted

# Make .venv with everything, from Python 3.11+, pip and git; does nothing where it is up to date
setup:
    @scripts/setup.sh

# Run Penstock: `just serve --port 9000`
serve *args: setup
    @exec .venv/bin/penstock serve "$@"

# Run the tests on all cores, all but tests/browser, or those you name: `just test tests/unit -k sse`
test *args: setup
    @{{ python }} -m pytest {{ if args == "" { in_parallel + " --ignore=tests/browser" } else { "" } }} "$@"

# Run every test; installs Chromium by apt where it is missing and you are root, and Node into .node
test-all: setup
    @scripts/browsers.sh
    @{{ python }} -m pytest {{ in_parallel }}

# Measure what the gateway costs: `just bench quick`, `just bench against main`, `just bench --help`
bench *args: setup
    @{{ python }} -m benchmarks "$@"

# Fail where this tree is slower than the last release, or than main (no absolute times)
regression: setup
    @{{ python }} -m benchmarks against --speed quick --if-any --no-page

# All that CI runs, in CI's order; pytest's closing line comes last
check: setup lint types arch audit regression test-all

# Put the code into shape
fmt: setup
    @{{ python }} -m ruff format .
    @{{ python }} -m ruff check --fix --show-fixes .

# Look for mistakes and misspellings; changes nothing
lint: setup
    @{{ python }} -m ruff format --check .
    @{{ python }} -m ruff check .
    @.venv/bin/typos
    @.venv/bin/validate-pyproject pyproject.toml
    @.venv/bin/hadolint Dockerfile

# Check the types, strictly
types: setup
    @{{ python }} -m mypy

# Check that imports point down
arch: setup
    @.venv/bin/lint-imports

# Look for known vulnerabilities in what is locked
audit: setup
    @{{ python }} scripts/audit.py requirements/runtime.txt requirements/dev.txt

# Write docs/configuration.md from the code
docs: setup
    @{{ python }} -m service.config.reference > docs/configuration.md.new
    @mv docs/configuration.md.new docs/configuration.md

# Tests with branch coverage
cover *args: setup
    @{{ python }} -m coverage run -m pytest "$@"
    @{{ python }} -m coverage report

# Lock all requirements anew, with hashes and without addresses: `just lock --upgrade`
lock *args: setup
    @scripts/lock.sh "$@"

# Make the price table anew from genai-prices
prices: setup
    @{{ python }} -m service.pricing.refresh

# Build the container image
image tag="penstock":
    @docker build --tag "{{ tag }}" .

# Have git run the quick checks before each commit
hooks: setup
    @.venv/bin/pre-commit install
