"""TLS to a provider, with a certificate made for the test."""

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from service.providers.base import Fault
from service.providers.transport import HttpUpstream
from tests.fakes.loops import added_time
from tests.fakes.peer import listening
from tests.fakes.sink import RecordingSink
from tests.fakes.site import OK, Site, shut


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost with its key, signed by itself."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl command here to make a certificate with, so TLS is not tested")
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    made = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(
        [openssl, *made, *names, "-keyout", path, "-out", path.with_suffix(".crt")],
        check=True,
        capture_output=True,
    )
    path.write_bytes(path.read_bytes() + path.with_suffix(".crt").read_bytes())
    return path


async def _over_tls(certificate: Path, host: str, *, trusted: bool) -> RecordingSink:
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate)
    context = ssl.create_default_context(cafile=str(certificate) if trusted else None)
    async with listening(serving) as server:
        upstream = HttpUpstream(f"https://{host}:{server.port}/v1", (), context)
        here = Site(server, upstream)
        try:
            sink = await here.ask()
            peer = await server.peer()
            await peer.request()
            peer.send(OK)
            await sink.over()
        finally:
            await shut(server, upstream)
        return sink


@added_time
async def test_tls(certificate: Path) -> None:
    """The certificate is the host's, and trusted."""
    sink = await _over_tls(certificate, "localhost", trusted=True)
    assert sink.said == ([200], b"ok", "end")


@pytest.mark.parametrize(
    ("host", "trusted"),
    [
        pytest.param("127.0.0.1", True, id="another-hosts-certificate"),
        pytest.param("localhost", False, id="one-that-nobody-trusts"),
    ],
)
@added_time
async def test_a_certificate_that_proves_nothing_is_refused(
    certificate: Path, host: str, trusted: bool
) -> None:
    with pytest.raises(Fault) as caught:
        await _over_tls(certificate, host, trusted=trusted)
    assert (caught.value.kind, caught.value.reason) == ("unreachable", "connect")
