"""`penstock keys`: keys from the shell, by the rules of the admin API.

It works on the database itself, whether a server runs or not; a running one hears of it within a second.
"""

import asyncio
import secrets
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import msgspec

from service import migrations
from service.clock import SystemClock
from service.command_line import LoadSettings, config_option
from service.config import Settings
from service.config.urls import without_password
from service.errors import GatewayError, StoreUnavailable
from service.keys.bodies import CreateKey, KeyPage, KeyView, NewKeyView, RotateKey
from service.keys.service import KeyService
from service.paging import DEFAULT_PAGE, MAX_PAGE
from service.principal import Scope

T = TypeVar("T")
B = TypeVar("B", bound=msgspec.Struct)

_json_option = click.option("--json", "as_json", is_flag=True, help="Print what the admin API would answer.")

_COLUMNS: Final = "{:16}  {:8}  {:20}  {}"


def key_commands(load: LoadSettings) -> click.Group:
    """The group `keys`. load: reads the configuration, from the file that was named if one was."""
    group = click.Group("keys", help="Callers' keys.", context_settings={"obj": load})
    for command in (_create, _list, _rotate, _revoke):
        group.add_command(command)
    return group


@click.command("create")
@click.option("--name", required=True, help="For people; need not be unique.")
@click.option("--tenant", help="The tenant that it belongs to.")
@click.option("--user", help="The user that it belongs to.")
@click.option(
    "--model", "models", multiple=True, help="A model that it may ask for; repeat it. Default: all."
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="What it may use; repeat it. Default: all but admin.",
)
@click.option("--requests-per-minute", type=int)
@click.option("--burst", type=int, help="Requests at once; default: as many as a minute's.")
@click.option("--tokens-per-minute", type=int)
@click.option("--concurrent-requests", type=int)
@click.option(
    "--budget",
    "budgets",
    multiple=True,
    metavar="AMOUNT/PERIOD",
    help="As 25usd/month or 1000000tokens/day; day, week, month or total; repeat it.",
)
@click.option("--expires-at", help="ISO 8601 with a zone, as 2030-01-01T00:00:00Z, or Unix seconds.")
@_json_option
@config_option
@click.pass_obj
def _create(load: LoadSettings, /, config_path: Path | None, as_json: bool, **given: Any) -> None:
    """Make a key and print it: nothing shows it again."""
    body = _body(CreateKey, _create_body(given))
    _show_new(_run(load(config_path), lambda keys: keys.create(body)), as_json=as_json)


@click.command("list")
@click.option("--limit", type=click.IntRange(1, MAX_PAGE), default=DEFAULT_PAGE, show_default=True)
@click.option("--after", help="The id of the last key seen.")
@_json_option
@config_option
@click.pass_obj
def _list(load: LoadSettings, config_path: Path | None, as_json: bool, limit: int, after: str | None) -> None:
    """List keys, the newest first."""
    page: KeyPage = _run(load(config_path), lambda keys: keys.list(after=after, limit=limit))
    if as_json:
        _print_json(page)
        return
    click.echo(_COLUMNS.format("ID", "STATE", "TENANT", "NAME"))
    for key in page.data:
        click.echo(_COLUMNS.format(key.id, key.state, key.tenant or "", key.name))
    if page.has_more:
        click.echo(f"There are more: --after {page.next_cursor}", err=True)


@click.command("rotate")
@click.argument("key_id")
@click.option("--overlap-seconds", type=float, default=0.0, help="How long the old secret opens too.")
@_json_option
@config_option
@click.pass_obj
def _rotate(
    load: LoadSettings, config_path: Path | None, as_json: bool, key_id: str, overlap_seconds: float
) -> None:
    """Give a key a new secret and print it: nothing shows it again."""
    body = _body(RotateKey, {"overlap_seconds": overlap_seconds})
    _show_new(_run(load(config_path), lambda keys: keys.rotate(key_id, body)), as_json=as_json)


@click.command("revoke")
@click.argument("key_id")
@_json_option
@config_option
@click.pass_obj
def _revoke(load: LoadSettings, config_path: Path | None, as_json: bool, key_id: str) -> None:
    """End a key for good."""
    key: KeyView = _run(load(config_path), lambda keys: keys.revoke(key_id))
    if as_json:
        _print_json(key)
    else:
        click.echo(f"The key {key.id} ({key.name}) is revoked.", err=True)


def _create_body(given: dict[str, Any]) -> dict[str, Any]:
    limits = ("requests_per_minute", "burst", "tokens_per_minute", "concurrent_requests")
    expires_at = given["expires_at"]
    return {
        "name": given["name"],
        "tenant": given["tenant"],
        "user": given["user"],
        "models": list(given["models"]) or None,
        "scopes": list(given["scopes"]) or None,
        "limits": {name: given[name] for name in limits},
        "budgets": [_budget(text) for text in given["budgets"]],
        "expires_at": float(expires_at) if expires_at and expires_at.isdecimal() else expires_at,
    }


def _budget(text: str) -> dict[str, Any]:
    """`25usd/month` as the admin API has it; what it makes of nonsense, the body's types refuse."""
    amount, _, per = text.partition("/")
    for unit, kind in (("usd", float), ("tokens", int)):
        if amount.endswith(unit):
            try:
                return {unit: kind(amount.removesuffix(unit)), "per": per}
            except ValueError:
                break
    raise click.BadParameter(f"{text!r} is none; write it as 25usd/month or 1000000tokens/day.")


def _body(kind: type[B], values: dict[str, Any]) -> B:
    try:
        # A shell hands on bytes that are no UTF-8 as half characters, which no database takes.
        msgspec.json.encode(values)
        return msgspec.convert(values, kind)
    except UnicodeEncodeError:
        raise click.UsageError("An argument is no UTF-8; check the terminal's encoding.") from None
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$.")
        raise click.UsageError(f"{what} ({place.rstrip('`')})" if place else what) from None


def _run(settings: Settings, use: Callable[[KeyService], Awaitable[T]]) -> T:
    url = settings.store.database
    try:
        migrations.upgrade(url)
        return asyncio.run(_with_keys(url, use))
    except (StoreUnavailable, OSError) as error:
        click.echo(f"penstock: {without_password(url)}: {error.__cause__ or error}", err=True)
    except GatewayError as error:
        click.echo(f"penstock: {error}", err=True)
    sys.exit(1)


async def _with_keys(url: str, use: Callable[[KeyService], Awaitable[T]]) -> T:
    # SQLAlchemy is loaded only by what uses it.
    from service.database import Database
    from service.keys.store import DatabaseKeyStore

    database = Database(url)
    try:
        keys = KeyService(
            DatabaseKeyStore(database),
            now=SystemClock().now,
            draw=secrets.token_bytes,
            noted=lambda _: None,
        )
        return await use(keys)
    finally:
        await database.close()


def _show_new(key: NewKeyView, *, as_json: bool) -> None:
    if as_json:
        _print_json(key)
        return
    click.echo(f"The key {key.id} ({key.name}). Keep it now: nothing shows it again.", err=True)
    click.echo(key.key)


def _print_json(answer: msgspec.Struct) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(answer)).decode())
