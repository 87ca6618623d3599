"""What the groups of the `penstock` command share."""

from collections.abc import Callable
from pathlib import Path

import click

from service.config import Settings

LoadSettings = Callable[[Path | None], Settings]
"""Reads the configuration, from the file that was named if one was."""

config_option = click.option(
    "--config", "config_path", type=click.Path(path_type=Path), help="The configuration file."
)
