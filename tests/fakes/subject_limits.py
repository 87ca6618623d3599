"""Limits of tenants and users in memory; the same contract as the database's."""

from service.config.limits import Limits
from service.errors import StoreUnavailable
from service.limits.base import Subject
from service.limits.overrides import Changes, SubjectLimits


class MemorySubjectLimits:
    """The `SubjectStore` of `service.limits.admin` and the `SubjectSource` of `service.limits.overrides`.

    time: its clock. away: it answers nothing. at_most: of each kind. pages: how many were read.
    """

    def __init__(self, time: float = 1_700_000_000.0) -> None:
        self.time = time
        self.away = False
        self.at_most = 100
        self.pages = 0
        self._rows: dict[tuple[Subject, str], SubjectLimits] = {}

    async def put(self, subject: Subject, subject_id: str, limits: Limits) -> SubjectLimits | None:
        """Set in place of what was there; None where `at_most` others are there."""
        self._answer()
        others = [row for row in self._live(subject) if row.subject_id != subject_id]
        return None if len(others) >= self.at_most else self._set(subject, subject_id, limits)

    async def find(self, subject: Subject, subject_id: str) -> SubjectLimits | None:
        """What is set; None where nothing is."""
        self._answer()
        return next((row for row in self._live(subject) if row.subject_id == subject_id), None)

    async def page(self, subject: Subject, *, after: str | None, limit: int) -> list[SubjectLimits]:
        """Those that have limits, ordered by id, behind `after`."""
        self._answer()
        self.pages += 1
        return [row for row in self._live(subject) if after is None or row.subject_id > after][:limit]

    async def delete(self, subject: Subject, subject_id: str) -> SubjectLimits | None:
        """Take away what is set, and tell of it; None where nothing is."""
        if await self.find(subject, subject_id) is None:
            return None
        return self._set(subject, subject_id, None)

    async def changed_since(self, since: float | None) -> Changes:
        """What was set or deleted at `since` or later; None: only its time."""
        self._answer()
        if since is None:
            return Changes(self.time, ())
        return Changes(self.time, tuple(row for row in self._rows.values() if row.changed_at >= since))

    def _set(self, subject: Subject, subject_id: str, limits: Limits | None) -> SubjectLimits:
        self.time += 0.001
        before = self._rows.get((subject, subject_id))
        changed_at = self.time if before is None else max(self.time, before.changed_at + 0.001)
        row = self._rows[subject, subject_id] = SubjectLimits(subject, subject_id, limits, changed_at)
        return row

    def _live(self, subject: Subject) -> list[SubjectLimits]:
        rows = [row for row in self._rows.values() if row.subject is subject and row.limits is not None]
        return sorted(rows, key=lambda row: row.subject_id)

    def _answer(self) -> None:
        if self.away:
            raise StoreUnavailable("The database is away.", retry_after_seconds=1)
