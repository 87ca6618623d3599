"""`penstock db`: the database's schema from the shell."""

import sys
from pathlib import Path

import click

from service import migrations
from service.command_line import LoadSettings, config_option
from service.config.urls import without_password
from service.errors import StoreUnavailable


def database_commands(load: LoadSettings) -> click.Group:
    """The group `db`. load: reads the configuration, from the file that was named if one was."""

    @click.group("db")
    def db() -> None:
        """The database."""

    @db.command("upgrade")
    @config_option
    def upgrade_command(config_path: Path | None) -> None:
        """Bring the database's schema up to date; it may be run at any time, by several at once."""
        url = load(config_path).store.database
        try:
            migrations.upgrade(url)
        except StoreUnavailable as error:
            click.echo(f"penstock: {without_password(url)}: {error.__cause__ or error}", err=True)
            sys.exit(1)
        click.echo(f"{without_password(url)} is at revision {migrations.HEAD}.")

    return db
