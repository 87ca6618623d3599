"""A stand-in for what a single worker doesn't have: others."""


class Alone:
    """The `Siblings` of a worker without Redis: there are none, so claims of other tags are dead."""

    alone = True

    def __init__(self, tag: str) -> None:
        self.tag = tag

    async def wait_for(self, tag: str, claim_id: str) -> bool:
        """Nobody hears."""
        return False
