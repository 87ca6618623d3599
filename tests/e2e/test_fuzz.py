"""The published document held against the running server: whatever it allows is tried, and more.

schemathesis makes the requests from the document alone: its examples, each schema's edges one by
one, and random bodies that fit or just don't. Nothing is drawn by chance, so what failed once fails again.
It runs as a command because that is its public face: its pytest plugin reaches into pytest.
"""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from service.docs.routes import ROUTES
from tests.e2e.admin import ADMIN_KEY, AUTH_TOML
from tests.e2e.conftest import StartGateway
from tests.e2e.gateway import NO_TLS, Gateway, clean_environment, model_toml, provider_toml

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
)
"""Not that all valid data is accepted: no schema can say which tools a model's provider has."""

FUZZ_SECONDS = 100
"""It takes some 15 s; what hangs shall not hold up the others."""


@pytest.fixture(scope="module")
def gateway(start_gateway: StartGateway) -> Gateway:
    """All the names of the document's examples, none of them paced."""
    names = ("sim", "sim-40-50ms", "sim-embed")
    models = "".join(model_toml(name, "sim/sim") for name in names)
    return start_gateway(AUTH_TOML + provider_toml("sim", "sim") + models)


def test_every_answer_is_as_documented(gateway: Gateway, tmp_path: Path) -> None:
    """Status, headers, type and body; bad data and other methods are refused; the server serves on."""
    # From a file, because what it loads from the server it leaves out of its requests.
    document = tmp_path / "openapi.json"
    document.write_bytes(httpx.get(f"{gateway.origin}/openapi.json", trust_env=False, verify=NO_TLS).content)
    command = [sys.executable, "-m", "schemathesis.cli", "run", str(document), "--url", gateway.origin]
    options = ["--phases", "examples,coverage,fuzzing", "--checks", ",".join(CHECKS), "--max-examples", "2"]
    # As the administrator, who is the only one to get into every route.
    options += ["--header", f"Authorization: Bearer {ADMIN_KEY}"]
    found = subprocess.run(
        [*command, *options, "--generation-deterministic", "--continue-on-failure", "--no-color"],
        check=False,
        cwd=tmp_path,
        env=clean_environment({}),
        capture_output=True,
        text=True,
        timeout=FUZZ_SECONDS,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert f"Tested: {len(ROUTES)}" in found.stdout, found.stdout
    assert httpx.get(f"{gateway.origin}/readyz", trust_env=False, verify=NO_TLS).status_code == 200
    assert "internal_error" not in gateway.log
