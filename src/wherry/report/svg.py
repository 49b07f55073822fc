"""One element of SVG, with everything that goes into it escaped."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape

Child = str | Markup


def element(name: str, *children: Child, **attributes: str | float | None) -> Markup:
    """Write an element; ``class_`` stands for ``class`` and ``_`` for ``-``.

    Text is escaped unless it is :class:`~markupsafe.Markup`, which only elements are.
    An attribute that is None is left out.

    >>> element("text", "<b>", x=3.14159, class_="name", text_anchor="end")
    Markup('<text x="3.14" class="name" text-anchor="end">&lt;b&gt;</text>')
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_value(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{written}>{join(children)}</{name}>")


def join(children: Iterable[Child]) -> Markup:
    """Put elements and texts one after another, texts escaped.

    >>> join([element("g"), "a & b"])
    Markup('<g></g>a &amp; b')
    """
    return Markup("").join(children)


def shorten(text: str, length: int) -> str:
    """Cut a text that is longer than ``length`` characters, and mark the cut.

    >>> shorten("north-shop", 6)
    'north…'
    """
    return text if len(text) <= length else text[: length - 1] + "…"


def _value(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
