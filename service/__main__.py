"""The `penstock` command."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import click
from msgspec.structs import replace

from service import __version__
from service.banner import banner, describe_routes
from service.config import ConfigInvalid, Settings, load
from service.config.load import HasKeys
from service.config.source import Source
from service.database_cli import database_commands
from service.keys.cli import key_commands
from service.preparing import has_keys, prepare
from service.server import PortTaken, claim_port, hold_back_reloads, serve
from service.usage.cli import usage_commands

CONFIG_INVALID = 2
"""Exit status for a configuration that can't be used; the shell's own for wrong usage."""

_config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    help="The configuration file; default: PENSTOCK_CONFIG, then ./penstock.toml if there is one.",
)
_insecure_option = click.option(
    "--insecure-no-auth",
    is_flag=True,
    help="Serve anyone who can reach the port. Only behind something that checks who asks.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="penstock")
def main() -> None:
    """One service in front of any model provider, for OpenAI and Anthropic SDKs."""


@main.command("serve")
@_config_option
@click.option("--host", help="The address to listen on; default 127.0.0.1.")
@click.option("--port", type=int, help="The port to listen on; default 8000.")
@click.option("--workers", type=int, help="How many processes serve; more than one needs Redis.")
@_insecure_option
def serve_command(
    config_path: Path | None, host: str | None, port: int | None, workers: int | None, insecure_no_auth: bool
) -> None:
    """Serve until SIGTERM or Ctrl-C; a second one ends at once."""
    given = {"server.host": host, "server.port": port, "server.workers": workers}
    overrides = {key: value for key, value in given.items() if value is not None}
    _fill_standard_streams()
    hold_back_reloads()
    settings = _load(config_path, overrides, insecure_no_auth)
    try:
        port = claim_port(settings.server.host, settings.server.port)
    except PortTaken as error:
        click.echo(f"penstock: {error}", err=True)
        sys.exit(1)
    if not settings.server.port:
        # It stays the one that was found, however often the configuration is read.
        overrides["server.port"] = port
    settings = replace(settings, server=replace(settings.server, port=port))
    _prepare(settings)
    click.echo(banner(settings), err=True)
    source = Source(
        config_path=config_path,
        overrides=overrides,
        insecure_no_auth=insecure_no_auth,
        working_directory=Path.cwd(),
        has_file=settings.source is not None,
    )
    serve(settings, source, readable_logs=sys.stdout.isatty())


@main.command()
@_config_option
@_insecure_option
def check(config_path: Path | None, insecure_no_auth: bool) -> None:
    """Validate the configuration and print what it serves; exit 2 if it can't be used."""
    click.echo(describe_routes(_load(config_path, {}, insecure_no_auth)))


def _load(
    config_path: Path | None,
    overrides: Mapping[str, object],
    insecure_no_auth: bool,
    keys_exist: HasKeys = has_keys,
) -> Settings:
    try:
        return load(
            config_path=config_path,
            environment=os.environ,
            overrides=overrides,
            insecure_no_auth=insecure_no_auth,
            working_directory=Path.cwd(),
            has_keys=keys_exist,
        )
    except ConfigInvalid as error:
        _refuse(error)


def _load_for_shell(config_path: Path | None) -> Settings:
    """For commands that serve nobody: whoever makes the first key must not be asked for one."""
    return _load(config_path, {}, insecure_no_auth=False, keys_exist=lambda store: True)


def _prepare(settings: Settings) -> None:
    try:
        prepare(settings)
    except ConfigInvalid as error:
        _refuse(error)


def _refuse(error: ConfigInvalid) -> NoReturn:
    click.echo(str(error), err=True)
    sys.exit(CONFIG_INVALID)


main.add_command(key_commands(_load_for_shell))
main.add_command(database_commands(_load_for_shell))
main.add_command(usage_commands(_load_for_shell))


def _fill_standard_streams() -> None:
    """A supervisor may have closed them; a socket would then take their numbers, and get the log."""
    for descriptor, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
            os.set_inheritable(descriptor, True)
            setattr(sys, name, os.fdopen(descriptor, mode, closefd=False))


if __name__ == "__main__":
    main()
