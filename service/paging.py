"""How many rows a page of the admin API's lists has. Pure."""

from typing import Final

from service.errors import InvalidRequest

DEFAULT_PAGE: Final = 20
MAX_PAGE: Final = 100


def page_size(limit: str | None) -> int:
    """What a query string asks for; None: it says nothing. Raises InvalidRequest for what is no number."""
    if limit is None:
        return DEFAULT_PAGE
    if not limit.isdecimal() or not limit.isascii() or len(limit) > 9:
        raise _out_of_bounds()
    return int(limit)


def within_page(limit: int) -> int:
    """`limit`, or MAX_PAGE where that is less. Raises InvalidRequest below 1."""
    if limit < 1:
        raise _out_of_bounds()
    return min(limit, MAX_PAGE)


def _out_of_bounds() -> InvalidRequest:
    return InvalidRequest(f"limit: from 1 to {MAX_PAGE}.", param="limit")
