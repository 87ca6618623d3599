"""Ask the vulnerability databases about locked requirements: `python scripts/audit.py FILE…`.

Exits 1 on findings. Where no database answers for a package it says so, loudly, and goes on: an
outage of theirs must not stop a build here. Such a package is never counted as free of findings.
"""

import subprocess
import sys
from pathlib import Path

import msgspec

SERVICES = ("pypi", "osv")
LONGEST_SECONDS = 60
"""For one service and one file; a network that drops packets would otherwise hold CI for long."""


class Vulnerability(msgspec.Struct, frozen=True):
    """One advisory."""

    id: str
    fix_versions: tuple[str, ...] = ()


class Dependency(msgspec.Struct, frozen=True):
    """One locked package and what is known against it.

    skip_reason: why nothing could be learned. A registry that mirrors files without their advisories
    answers so for each package, and pip-audit then reports "no known vulnerabilities".
    """

    name: str
    version: str = ""
    vulns: tuple[Vulnerability, ...] = ()
    skip_reason: str = ""


class Report(msgspec.Struct, frozen=True):
    """What pip-audit writes as JSON."""

    dependencies: tuple[Dependency, ...] = ()


def ask(service: str, file: Path) -> tuple[Dependency, ...]:
    """What `service` says about each package of `file`; empty where it can't be reached."""
    command = [sys.executable, "-m", "pip_audit", "--progress-spinner=off", "--format=json", "--timeout=10"]
    command += ["--disable-pip", "--require-hashes", f"--vulnerability-service={service}"]
    try:
        done = subprocess.run(  # noqa: S603 - our own command, no shell
            [*command, f"--requirement={file}"], capture_output=True, check=False, timeout=LONGEST_SECONDS
        )
        return msgspec.json.decode(done.stdout, type=Report).dependencies
    except (subprocess.TimeoutExpired, msgspec.DecodeError):
        return ()


def gather(file: Path) -> dict[str, Dependency]:
    """Each package of `file` by name, with the answer of the first service that knows it."""
    packages: dict[str, Dependency] = {}
    for service in SERVICES:
        if not packages or any(package.skip_reason for package in packages.values()):
            answers = {package.name: package for package in ask(service, file)}
            packages |= {name: each for name, each in answers.items() if not each.skip_reason}
            packages = answers | packages
    return packages


def audit(file: Path) -> bool:
    """Tell what is known about `file`; False if anything is known against it."""
    packages = gather(file).values()
    audited = [package for package in packages if not package.skip_reason]
    if missing := len(packages) - len(audited) or not packages:
        which = f"{missing} of {len(packages)} packages" if packages else "any package"
        print(f"WARNING: NOT AUDITED: {file}: no vulnerability database answers for {which}", file=sys.stderr)
    guilty = [package for package in audited if package.vulns]
    for package in guilty:
        for advisory in package.vulns:
            fixed = ", ".join(advisory.fix_versions) or "none yet"
            print(
                f"{file}: {package.name} {package.version}: {advisory.id}, fixed in: {fixed}", file=sys.stderr
            )
    print(f"{file}: {len(audited)} packages audited, {len(guilty)} with known vulnerabilities")
    return not guilty


if __name__ == "__main__":
    # Every file is told about, also after one with findings.
    results = [audit(Path(name)) for name in sys.argv[1:]]
    sys.exit(0 if all(results) else 1)
