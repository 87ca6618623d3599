"""A ledger in memory."""

from service.usage.row import LedgerRow, Started


class FakeLedger:
    """Remembers what it was told; `full` may be set."""

    def __init__(self) -> None:
        self.full = False
        self.begun: list[Started] = []
        self.noted: list[tuple[str, int]] = []
        self.rows: list[LedgerRow] = []

    def begin(self, started: Started) -> None:
        """Remember it."""
        self.begun.append(started)

    def progress(self, id: str, output_tokens: int) -> None:
        """Remember it."""
        self.noted.append((id, output_tokens))

    def end(self, row: LedgerRow) -> None:
        """Remember it."""
        self.rows.append(row)
