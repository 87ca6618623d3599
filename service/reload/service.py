"""The use case: read the configuration again, and go on with it, or with the old one where it is bad."""

import asyncio
from collections.abc import Callable

import msgspec
import structlog

from service.config import ConfigInvalid, Settings
from service.config.changes import changes
from service.errors import FieldError, InvalidRequest

_log = structlog.get_logger()


class Reloaded(msgspec.Struct, frozen=True):
    """What became of it. changed: keys that hold from now on; needs_restart: those that wait for the next start."""

    changed: tuple[str, ...]
    needs_restart: tuple[str, ...]


class ReloadService:
    """Of one worker. Each of several reads the file itself."""

    def __init__(
        self,
        settings: Settings,
        *,
        read: Callable[[], Settings],
        use: Callable[[Settings], None],
        tell_others: Callable[[], None],
    ) -> None:
        """read: the configuration as it is now; raises ConfigInvalid. use: go on with another one.

        tell_others: have the server's other processes read it, too.
        """
        self._settings = settings
        self._read = read
        self._use = use
        self._tell_others = tell_others
        self._one_at_a_time = asyncio.Lock()
        self._awaits_turn = False

    async def reload(self) -> Reloaded:
        """Read it again, here and in all other workers. Raises InvalidRequest with every mistake; nothing changed then."""
        try:
            found = await self._reload()
        except ConfigInvalid as error:
            raise _refusal(error) from None
        self._tell_others()
        return found

    async def follow(self) -> None:
        """Read it again, as one was told to. A bad one is logged, and the old one stays.

        Of many at a time, those do nothing that would only read what one does that has not begun yet.
        """
        if self._awaits_turn:
            return
        self._awaits_turn = True
        try:
            await self._reload()
        except ConfigInvalid:
            return

    async def _reload(self) -> Reloaded:
        async with self._one_at_a_time:
            # Whoever is told from here on may have seen a later file.
            self._awaits_turn = False
            try:
                read = await asyncio.to_thread(self._read)
            except ConfigInvalid as error:
                _log.error("config.refused", mistakes=[str(mistake) for mistake in error.mistakes])
                raise
            found = changes(self._settings, read)
            self._use(found.settings)
            self._settings = found.settings
        _log.info("config.reloaded", changed=found.taken, needs_restart=found.waiting)
        return Reloaded(found.taken, found.waiting)


def _refusal(error: ConfigInvalid) -> InvalidRequest:
    mistakes = "; ".join(map(str, error.mistakes))
    return InvalidRequest(
        f"The configuration can't be used, so the old one stays. {mistakes}",
        errors=tuple(
            FieldError(mistake.place, f"found {mistake.found}; expected {mistake.expected}")
            for mistake in error.mistakes
        ),
    )
