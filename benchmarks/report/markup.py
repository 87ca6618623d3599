"""HTML elements as values: text is escaped unless it is one of them, so none can be forgotten."""

import html
from collections.abc import Iterable

_VOID = {"meta", "br"}


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: str) -> Html:
    """One element; children that are no Html are escaped, and so is every attribute.

    A name that is a word of Python ends in `_` (`class_`); `_` within one stands for `-`.
    """
    said = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(value)}"' for name, value in attributes.items()
    )
    return Html(f"<{tag}{said}>" if tag in _VOID else f"<{tag}{said}>{joined(children)}</{tag}>")


def joined(children: Iterable[str]) -> Html:
    """Elements and texts in a row, texts escaped."""
    return Html(
        "".join(child if isinstance(child, Html) else html.escape(child, quote=False) for child in children)
    )
