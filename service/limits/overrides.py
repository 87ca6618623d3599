"""The limits of single tenants and users, as every worker knows them: all of them, in memory.

News comes by polling, so that a change holds everywhere within a second. While the database is away
the last known ones hold; until they were read once nobody can tell what a tenant may use, and to let
it pass without its budget would overspend.
"""

from typing import Final, NamedTuple, Protocol

import structlog

from service.config.limits import Limits
from service.errors import StoreUnavailable
from service.limits.base import Subject

POLL_SECONDS: Final = 0.5
"""How often whoever owns them should call `poll_once`."""

OVERLAP_SECONDS: Final = 10.0
"""Each poll looks that far behind the one before: a change is seen only at its commit, which is later than
its time by at most the limit on a statement, 5 s."""

RELOAD_AFTER_SECONDS: Final = 3600.0
"""Who heard nothing for so long reads all anew: the store keeps what was deleted a day."""

PAGE_ROWS: Final = 1000
"""Read at one time; more would hold up requests."""

_log = structlog.get_logger()


class SubjectLimits(NamedTuple):
    """What was set for one tenant or user.

    subject_id: a tenant's name, or what `service.limits.policy.user_subject` makes of a user's.
    limits: None: deleted. changed_at: the store's own time, later with each change of a subject.
    """

    subject: Subject
    subject_id: str
    limits: Limits | None
    changed_at: float


class Changes(NamedTuple):
    """What was set or deleted of late, and the store's own time of the answer."""

    now: float
    rows: tuple[SubjectLimits, ...]


class SubjectSource(Protocol):
    """What is read of the store. Both methods raise StoreUnavailable."""

    async def page(self, subject: Subject, *, after: str | None, limit: int) -> list[SubjectLimits]:
        """Those that have limits, ordered by id, at most `limit`; those behind `after`, if it is given."""

    async def changed_since(self, since: float | None) -> Changes:
        """What was set or deleted at `since` or later, by the store's clock; None: only its time."""


class SubjectOverrides:
    """The `Overrides` of `service.limits.service`. One per worker."""

    def __init__(self, source: SubjectSource) -> None:
        self._source = source
        self._rows: dict[tuple[Subject, str], SubjectLimits] = {}
        self._gone: dict[tuple[Subject, str], SubjectLimits] = {}
        self._noted: list[SubjectLimits] = []
        self._since: float | None = None
        self._version = 0
        self._away = False

    @property
    def version(self) -> int:
        """Another one after every change."""
        return self._version

    @property
    def state(self) -> str:
        """How the store was when it was last asked: `ok`, or `away`."""
        return "away" if self._away else "ok"

    def of(self, subject: Subject, subject_id: str) -> Limits | None:
        """The subject's own limits; None where it has none. Raises StoreUnavailable until all were read once."""
        if self._since is None:
            raise StoreUnavailable(
                "The database is away, and limits were not read yet; ask again shortly.",
                retry_after_seconds=1,
            )
        row = self._rows.get((subject, subject_id))
        return None if row is None else row.limits

    def note(self, row: SubjectLimits) -> None:
        """Limits were set or deleted in this process: they hold from now on."""
        self._noted.append(row)
        self._apply(row)

    async def poll_once(self) -> None:
        """Hear what changed. Where the database is away, or something else is wrong, the log has it, once."""
        try:
            await self._hear()
        except StoreUnavailable:
            self._note_away(None)
        except Exception as error:  # noqa: BLE001 - without polls no change would ever be heard of
            self._note_away(error)
        else:
            if self._away:
                self._away = False
                _log.info("limits.overrides_back")

    async def _hear(self) -> None:
        since = self._since
        self._noted.clear()
        now, rows = await self._source.changed_since(since)
        # A clock that was set back may have given changes times that were asked for before.
        if since is None or not since <= now <= since + RELOAD_AFTER_SECONDS:
            await self._load()
        for row in rows:
            self._apply(row)
        self._since = now - OVERLAP_SECONDS
        # Polls before this one have ended, so none can bring what was there before it was deleted.
        self._gone = {place: row for place, row in self._gone.items() if row.changed_at >= self._since}

    async def _load(self) -> None:
        found: dict[tuple[Subject, str], SubjectLimits] = {}
        for subject in (Subject.TENANT, Subject.USER):
            after: str | None = None
            while page := await self._source.page(subject, after=after, limit=PAGE_ROWS):
                found.update({(row.subject, row.subject_id): row for row in page})
                after = page[-1].subject_id
        self._rows, self._gone = found, {}
        self._version += 1
        # A page may have been read before they were set.
        for row in self._noted:
            self._apply(row)

    def _apply(self, row: SubjectLimits) -> None:
        place = (row.subject, row.subject_id)
        known = self._rows.get(place) or self._gone.get(place)
        if known is not None and known.changed_at >= row.changed_at:
            return
        if row.limits is None:
            self._rows.pop(place, None)
            self._gone[place] = row
        else:
            self._gone.pop(place, None)
            self._rows[place] = row
        if row.limits != (None if known is None else known.limits):
            self._version += 1

    def _note_away(self, error: Exception | None) -> None:
        if not self._away:
            self._away = True
            _log.error("limits.overrides_away", exc_info=error)
