#!/usr/bin/env bash
# What tests/browser needs beyond .venv: Chromium and its driver, Node and npm. What is there is left alone.
# Where something can't be had it says so and goes on: the tests then fail, and name what to install.
set -euo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT

quietly() {
    "$@" >"$log" 2>&1
}

apt() {
    DEBIAN_FRONTEND=noninteractive quietly timeout 300 apt-get --quiet --yes -o DPkg::Lock::Timeout=120 \
        -o Acquire::http::Timeout=30 "$@"
}

# Lists that are missing or out of date are fetched once more.
apt_install() {
    apt install --no-install-recommends "$@" || { apt update && apt install --no-install-recommends "$@"; }
}

if ! { command -v chromium && command -v chromedriver; } >/dev/null; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "tests/browser needs Chromium and its driver: as root, apt-get install chromium chromium-driver" >&2
    elif ! apt_install chromium chromium-driver; then
        cat "$log" >&2
        echo "Chromium and its driver could not be installed (above)." >&2
    fi
fi

# The wheel has npm, too; it stays out of .venv, which is the same on every machine.
if ! node --eval 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null ||
    ! command -v npm >/dev/null; then
    if [ "$(cat .node/.stamp 2>/dev/null)" != "$(git hash-object requirements/node.txt)" ]; then
        rm -rf .node
        if quietly .venv/bin/uv pip install --quiet --python .venv/bin/python --require-hashes --target .node \
            --requirement requirements/node.txt; then
            git hash-object requirements/node.txt >.node/.stamp
        else
            cat "$log" >&2
            echo "Node could not be installed (above); tests/browser needs Node 20 or newer, and npm." >&2
        fi
    fi
fi
