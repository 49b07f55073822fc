"""Pages: which items the carousels of one page have shown, so that none of them repeats another.

A page is kept for some minutes after its last answer. Whoever wants to show items says what it
took the page to have shown: if that has changed meanwhile, it is told so and shows others.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from wherry.domain import TenantId
from wherry.live.store import Changes, LiveStore, Noun, live_key

_TIME = struct.Struct(">Q")
_EXPIRING = b"\xff"
"""Before the keys by which pages are found that are over; no tenant begins with it."""

_SWEPT_AT_ONCE = 8

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[str]).decode


class _Claim(NamedTuple):
    """Whether items were noted as shown, and what the page had shown before."""

    is_noted: bool
    shown: list[str]


class ShownOnPages:
    """What pages have shown, in the live store; processes and threads share it.

    Times are milliseconds UTC. A page is kept for ``keep_seconds`` after it was last answered,
    at most ``most_pages`` of them, of each the newest ``most_items``. It never raises for what
    is wrong with the store: a page has then shown nothing.
    """

    def __init__(
        self,
        store: LiveStore,
        *,
        keep_seconds: float = 300.0,
        most_pages: int = 100_000,
        most_items: int = 1_000,
    ) -> None:
        self._store = store
        self._keep = round(keep_seconds * 1000)
        self._most_pages = most_pages
        self._most_items = most_items

    def of(self, tenant: TenantId, page: str, now: int) -> list[str]:
        """What a page has shown, in that order; empty where it is unknown or over."""
        return self._read(self._store.get(Noun.SHOWN, live_key(tenant, page)), now)

    def claim(
        self, tenant: TenantId, page: str, items: Sequence[str], seen: Sequence[str], now: int
    ) -> list[str] | None:
        """Note that a page shows items, if it has shown what was ``seen`` and no more.

        None: it is noted. Else nothing was, and this is what the page has shown by now.
        """
        key = live_key(tenant, page)

        def step(changes: Changes) -> _Claim:
            value = changes.get(Noun.SHOWN, key)
            shown = self._read(value, now)
            if shown != list(seen):
                return _Claim(False, shown)
            if value is not None:
                changes.delete(Noun.SHOWN, _EXPIRING + value[: _TIME.size] + key)
            ends = _TIME.pack(now + self._keep)
            kept = [*shown, *items][-self._most_items :]
            changes.put(Noun.SHOWN, key, ends + _encode(kept))
            changes.put(Noun.SHOWN, _EXPIRING + ends + key, b"")
            self._sweep(changes, now)
            return _Claim(True, shown)

        found = self._store.update(step)
        return None if found is None or found.is_noted else found.shown

    def _sweep(self, changes: Changes, now: int) -> None:
        """Let go of some pages that are over, and of the oldest where there are too many."""
        is_full = changes.count(Noun.SHOWN) // 2 > self._most_pages
        for key, _ in changes.scan(Noun.SHOWN, prefix=_EXPIRING, at_most=_SWEPT_AT_ONCE):
            (ends,) = _TIME.unpack_from(key, len(_EXPIRING))
            if ends > now and not is_full:
                return
            changes.delete(Noun.SHOWN, key)
            changes.delete(Noun.SHOWN, key[len(_EXPIRING) + _TIME.size :])

    def _read(self, value: bytes | None, now: int) -> list[str]:
        if value is None or _TIME.unpack_from(value)[0] <= now:
            return []
        return _decode(value[_TIME.size :])
