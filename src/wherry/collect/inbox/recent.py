"""Which events came lately: what an acknowledgement says of an event that came before."""

from __future__ import annotations

from collections.abc import Iterable

from wherry.domain import TenantId


class RecentIds:
    """The newest ids, at least ``limit`` and at most twice as many, as 64-bit hashes.

    It decides what an acknowledgement says, never what is kept: the load compares the ids
    themselves with the whole log.

    >>> recent = RecentIds(1000)
    >>> len(recent.add("default", ["a", "b", "a"])), len(recent.add("default", ["b", "c"]))
    (2, 1)
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._young: set[int] = set()
        self._old: set[int] = set()

    def add(self, tenant: TenantId | str, ids: Iterable[str]) -> set[int]:
        """Take in some ids and return the marks of those that were not known."""
        salt = hash(tenant)
        fresh = {hash(each) ^ salt for each in ids} - self._young
        if self._old:
            fresh -= self._old
        if len(self._young) >= self._limit:
            self._old, self._young = self._young, set()
        self._young |= fresh
        return fresh

    def drop(self, marks: set[int]) -> None:
        """Take back what :meth:`add` returned: these events could not be kept."""
        self._young -= marks
        self._old -= marks
