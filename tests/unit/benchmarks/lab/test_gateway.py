"""The gateway as a subject, with a small program in its place that starts, and fails, as it does."""

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.lab.gateway import ANTHROPIC_MODEL, CACHED, GUARDED, GUARDED_REDIS, Gateway
from benchmarks.lab.lab import Lab, choose_cores
from benchmarks.lab.nginx import Nginx, find_nginx
from benchmarks.lab.processes import StartFailed
from benchmarks.lab.subjects import PLAIN, Inapplicable, Subject, Unavailable, Variant
from tests.fakes.gateway_tree import write_gateway


class Bench:
    """A launcher without a provider behind it: real processes, and a Redis that is only an address."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.upstream_port = 4711
        self.written: list[str] = []

    def launch(
        self,
        name: str,
        command: list[str],
        port: int,
        ready_path: str | None,
        environment: dict[str, str] | None = None,
    ) -> Subject:
        """As a lab does."""
        return self._lab.launch(name, command, port, ready_path, environment)

    def write(self, name: str, text: str) -> str:
        """As a lab does, and noted."""
        self.written.append(text)
        return self._lab.write(name, text)

    def redis_url(self) -> str:
        """Where nobody is."""
        return "redis://127.0.0.1:9/0"

    def end(self) -> None:
        """Stop everything that was launched."""
        for process in self._lab._running:
            process.stop()
        self._lab._running.clear()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A bench whose processes are ended after the test."""
    directory = tmp_path / "lab"
    directory.mkdir()
    bench = Bench(Lab(directory, choose_cores()))
    yield bench
    bench.end()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The tree of a small gateway."""
    return write_gateway(tmp_path / "tree")


def gateway(root: Path, wrong: str = "") -> Gateway:
    return Gateway("gateway", root, sys.executable, "abc1234", {"FAKE_GATEWAY": wrong})


def test_a_plain_gateway_is_one_process_tree_without_a_key(bench: Bench, root: Path) -> None:
    """Ready, at the revision that it was said to be; its model's name is everybody's."""
    way = gateway(root)
    subject = way.start(bench, PLAIN)
    assert (way.identity(), subject.name, subject.headers) == ("abc1234", "gateway", "")
    assert subject.ready_seconds > 0
    assert len(subject.pids) == 1
    config = tomllib.loads(bench.written[0])
    assert config["server"]["port"] == subject.port
    assert {provider["base_url"] for provider in config["providers"]} == {
        "http://127.0.0.1:4711/v1",
        "http://127.0.0.1:4711",
    }
    assert {model["name"] for model in config["models"]} == {subject.model, ANTHROPIC_MODEL}


@pytest.mark.parametrize("variant", [GUARDED, GUARDED_REDIS], ids=lambda variant: variant.name)
def test_a_guarded_one_has_made_a_key_that_each_request_carries(
    variant: Variant, bench: Bench, root: Path
) -> None:
    """Through the admin API, with a budget that no run uses up."""
    subject = gateway(root).start(bench, variant)
    assert subject.headers == "authorization: Bearer sk-bench\r\n"
    config = tomllib.loads(bench.written[0])
    assert config["auth"]["required"] is True
    assert config["store"].get("redis") == ("redis://127.0.0.1:9/0" if variant.needs_redis else None)


@pytest.mark.parametrize("variant", [GUARDED, GUARDED_REDIS, CACHED, PLAIN], ids=lambda variant: variant.name)
def test_every_variants_configuration_is_toml(variant: Variant, bench: Bench, root: Path) -> None:
    """With every place filled in."""
    gateway(root).start(bench, variant)
    filled = bench.written[0].replace("{ provider", "").replace("{ input", "")
    assert "{" not in filled
    assert tomllib.loads(bench.written[0])


def test_a_gateway_that_has_no_such_variant_yet_is_unavailable_in_its_own_words(
    bench: Bench, root: Path
) -> None:
    """Its first complaint, without the path of a file that will be gone; and which revision it was."""
    with pytest.raises(Unavailable) as reason:
        gateway(root, "refuses").start(bench, GUARDED)
    assert not isinstance(reason.value, Inapplicable)
    assert str(reason.value) == "abc1234 has no guarded yet; it says: auth.required: there is no such setting"


@pytest.mark.parametrize(
    ("wrong", "variant", "status", "said"),
    [
        pytest.param("refuses all", PLAIN, 1, "no such option", id="a-mistake-in-the-plain-one"),
        pytest.param("crashes", GUARDED, 3, "out of water", id="a-crash-under-a-variant"),
        pytest.param("forbids", GUARDED, None, "403 .*not with that key", id="a-key-refused"),
        pytest.param("makes nothing", GUARDED, None, "no key could be made", id="no-key-in-the-answer"),
        pytest.param("hangs up", GUARDED, None, "no key could be made", id="no-answer"),
    ],
)
def test_failures(
    wrong: str, variant: Variant, status: int | None, said: str, bench: Bench, root: Path
) -> None:
    """Said with the exit status where there is one, and with the end of the log or of the answer."""
    with pytest.raises(StartFailed, match=said) as failure:
        gateway(root, wrong).start(bench, variant)
    assert failure.value.exit_status == status


def test_refusing_the_plain_configuration_is_no_variant_that_is_missing(bench: Bench, root: Path) -> None:
    """Exit status 2 means that only under a variant."""
    (root / "service" / "__main__.py").write_text("raise SystemExit(2)")
    with pytest.raises(StartFailed) as failure:
        gateway(root).start(bench, PLAIN)
    assert failure.value.exit_status == 2


NGINX = find_nginx()


@pytest.mark.skipif(NGINX is None, reason="no nginx here")
def test_nginx_relays_what_it_is_told_to(bench: Bench) -> None:
    """A real one: ready, with a version, its files in a directory of its own."""
    assert NGINX is not None
    way = Nginx(NGINX)
    subject = way.start(bench, PLAIN)
    assert way.identity()[0].isdigit()
    assert (subject.name, len(subject.pids)) == ("nginx", 1)
    assert "server 127.0.0.1:4711;" in bench.written[0]


@pytest.mark.parametrize(
    ("said", "version"),
    [
        pytest.param("echo 'nginx version: nginx/1.27.3 (Ubuntu)' >&2", "1.27.3", id="as-it-says-it"),
        pytest.param("echo 'nginx version: openresty/1.25.3.2' >&2", "unknown version", id="a-relative"),
        pytest.param("exit 1", "unknown version", id="silence"),
    ],
)
def test_nginx_versions(said: str, version: str, tmp_path: Path) -> None:
    program = tmp_path / "nginx"
    program.write_text(f"#!/bin/sh\n{said}\n")
    program.chmod(0o755)
    assert Nginx(program).identity() == version


def test_nginx_has_no_variants(bench: Bench) -> None:
    """That is no news; nothing is started."""
    with pytest.raises(Inapplicable):
        Nginx(Path("/nowhere")).start(bench, GUARDED)
    assert bench.written == []


def test_an_nginx_that_can_not_be_started_is_an_error(bench: Bench, tmp_path: Path) -> None:
    """With what it says."""
    program = tmp_path / "nginx"
    program.write_text("#!/bin/sh\necho 'bind() failed' >&2\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(StartFailed, match=r"bind\(\) failed"):
        Nginx(program).start(bench, PLAIN)
