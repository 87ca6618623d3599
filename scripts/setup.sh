#!/usr/bin/env bash
# Make .venv with all that development needs, from nothing but Python 3.11+, pip and git.
# The stamp holds a hash of what .venv was made from: where it still fits, nothing is done.
set -euo pipefail
cd "$(dirname "$0")/.."

stamp=.venv/.penstock-setup
wanted=$(cat requirements/*.txt pyproject.toml scripts/setup.sh | git hash-object --stdin)
if [ -x .venv/bin/penstock ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi

find_python() {
    local candidate
    for candidate in python3.11 python3.12 python3.13 python3.14 python3 python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "Penstock needs Python 3.11 or newer on PATH; there is none." >&2
    exit 1
}

if ! .venv/bin/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    python=$(find_python)
    echo "Making .venv with $("$python" --version) …" >&2
    if ! "$python" -m venv --clear .venv; then
        echo "$python can't make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2
        exit 1
    fi
fi

rm -f "$stamp"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
    --requirement requirements/bootstrap.txt
.venv/bin/uv pip sync --quiet --python .venv/bin/python --require-hashes requirements/dev.txt
.venv/bin/uv pip install --quiet --python .venv/bin/python --no-build-isolation --no-deps --editable .
echo "$wanted" >"$stamp"
