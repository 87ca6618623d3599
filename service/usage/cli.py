"""`penstock usage`: what the ledger can be told from the shell."""

import asyncio
import sys
from pathlib import Path

import click

from service import migrations
from service.command_line import LoadSettings, config_option
from service.config import Settings
from service.errors import GatewayError, StoreUnavailable
from service.usage.asked import selection
from service.usage.report import Selection


def usage_commands(load: LoadSettings) -> click.Group:
    """The group `usage`. load: reads the configuration, from the file that was named if one was."""

    @click.group("usage")
    def usage() -> None:
        """What was used."""

    @usage.command("reprice")
    @config_option
    @click.option("--from", "since", help="From then on: a date (UTC), an ISO instant or Unix seconds.")
    @click.option("--to", "until", help="Until then: a date (that day included), an instant, or seconds.")
    @click.option("--model", help="Only the model with this name.")
    @click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
    def reprice_command(
        config_path: Path | None, since: str | None, until: str | None, model: str | None, dry_run: bool
    ) -> None:
        """Compute what requests cost anew, by the prices that hold now.

        Budgets take no notice until their counters are made from the ledger again.

        Rows don't say how much of what was written to a cache was to be kept for an hour, which costs more:
        in rows that change, all of it is priced as kept for five minutes. Rows priced by the shipped table
        as it is now don't change.
        """
        settings = load(config_path)
        given = {"from": since, "to": until, "model": model}
        try:
            wanted = selection({name: text for name, text in given.items() if text is not None})
            click.echo(asyncio.run(_reprice(settings, wanted, dry_run)))
        except GatewayError as error:
            click.echo(f"penstock: {error.detail}", err=True)
            sys.exit(1)

    return usage


async def _reprice(settings: Settings, wanted: Selection, dry_run: bool) -> str:
    # The database's library takes half a second to load, and `--help` needs none of it.
    from service.database import Database
    from service.pricing.prices import SettingsPrices
    from service.usage.answers import usd
    from service.usage.reprice import Repricer, reprice
    from service.usage.store import LedgerStore

    database = Database(settings.store.database)
    try:
        if not await migrations.is_current(database):
            raise StoreUnavailable("The database's schema is not current; run: penstock db upgrade")
        repricer = Repricer(settings, SettingsPrices())
        done = await reprice(LedgerStore(database), repricer, wanted, dry_run=dry_run)
    finally:
        await database.close()
    changed = f"{done.changed:,} of {done.rows:,} rows {'would change' if dry_run else 'changed'}"
    text = f"{changed}: from {usd(done.before_nano_usd):f} to {usd(done.after_nano_usd):f} USD."
    if done.cache_writes:
        text += f"\n{done.cache_writes:,} of them wrote to a cache: priced as kept for five minutes."
    return text
