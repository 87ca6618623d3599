"""A worker in a process of its own that wants every key.

    python -m tests.contract.idempotency_worker URL TAG

It says `ready`, begins when it reads a line, claims KEYS keys at once, and says which of them it got.
"""

import asyncio
import sys

from service.database import Database
from service.idempotency.key import scope_of
from service.idempotency.record import Claim
from service.idempotency.store import DatabaseIdempotencyStore

KEYS = 40


async def main(url: str, tag: str) -> None:
    """All at once."""
    database = Database(url)
    store = DatabaseIdempotencyStore(database)
    _say("ready")
    await asyncio.to_thread(sys.stdin.readline)
    claims = [Claim(scope_of("", "", "/v1", str(key)), b"b" * 32, f"{tag}-{key}") for key in range(KEYS)]
    found = await asyncio.gather(*(store.claim(claim, tag, "") for claim in claims))
    _say(" ".join(str(key) for key, record in enumerate(found) if record is None))
    await database.close()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
