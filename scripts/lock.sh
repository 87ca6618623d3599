#!/usr/bin/env bash
# Lock pyproject.toml's dependencies into requirements/, with hashes, for every platform, without addresses.
set -euo pipefail
cd "$(dirname "$0")/.."

compile() {
    local output=$1
    shift
    .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
        --no-annotate --no-emit-index-url --no-emit-find-links --output-file "requirements/$output" "$@"
}

compile dev.txt --group pyproject.toml:dev pyproject.toml "$@"
# What dev.txt chose holds for the others too, so that every environment runs the same code.
compile runtime.txt --constraints requirements/dev.txt pyproject.toml "$@"
compile build.txt --constraints requirements/dev.txt --group pyproject.toml:build "$@"
compile node.txt --group pyproject.toml:node "$@"
compile bootstrap.txt --constraints requirements/dev.txt --group pyproject.toml:bootstrap "$@"

# The benchmark's peers run in environments of their own, and choose for themselves.
for peer in fastapi_relay litellm; do
    compile "../benchmarks/peers/$peer/requirements.txt" "benchmarks/peers/$peer/requirements.in" "$@"
done

if grep -nE '://|^--' requirements/*.txt benchmarks/peers/*/requirements.txt; then
    echo "An address or an option slipped into the locked requirements (above)." >&2
    exit 1
fi
