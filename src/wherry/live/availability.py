"""Live availability: what a shop told of its items since the catalogues that releases know.

Of each item the newest telling is kept. Every change has a number of its own, counted for each
tenant, so that a process which knows the changes up to one reads those after it alone.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial

import msgspec

from wherry.domain import TenantId
from wherry.domain.availability import Telling
from wherry.live.store import Changes, LiveStore, Noun, live_key

_EPOCH = datetime(1970, 1, 1)
_ENTRY = struct.Struct(">?qQ")
"""Of an item: whether it is available, when that was told, and the number of the change."""

_NUMBER = struct.Struct(">Q")
_AT_ONCE = 256
_READ_AT_ONCE = 100_000
_MARK = b"availability"
_COMPLETE = b"1"


class ToldItem(msgspec.Struct, frozen=True, gc=False):
    """What was told of an item; ``told_at`` is in microseconds since 1970, UTC."""

    item: str
    available: bool
    told_at: int


class LiveAvailability:
    """What was told of all tenants' items, in the live store; processes and threads share it.

    At most ``most_items`` are kept; beyond that those go first that were told longest ago. It
    never raises for what is wrong with the store: nothing is then known.
    """

    def __init__(self, store: LiveStore, *, most_items: int = 500_000) -> None:
        self._store = store
        self._most_items = most_items
        self._keys: dict[TenantId, bytes] = {}

    def tell(
        self,
        tellings: Sequence[Telling],
        *,
        is_so: Callable[[Telling], bool] = lambda telling: False,
    ) -> bool:
        """Keep tellings; False if the store could not.

        An older telling never takes the place of a newer one. Where ``is_so`` says that all
        processes have it so already, they are not made to look again.
        """
        for start in range(0, len(tellings), _AT_ONCE):  # others write in between
            some = tellings[start : start + _AT_ONCE]
            if self._store.update(partial(self._tell, some, is_so)) is None:
                return False
        return True

    def version(self, tenant: TenantId) -> int:
        """The number of a tenant's newest change; 0 if there is none."""
        key = self._keys.get(tenant)
        if key is None:
            key = self._keys[tenant] = _version_key(tenant)
        found = self._store.get(Noun.AVAILABILITY, key)
        return 0 if found is None else int(_NUMBER.unpack(found)[0])

    def since(self, tenant: TenantId, version: int) -> list[ToldItem]:
        """What was told after a change, the newest telling of each item, oldest change first."""

        def step(changes: Changes) -> list[ToldItem]:
            prefix = _change_key(tenant)
            rows = changes.scan(
                Noun.AVAILABILITY,
                start=prefix + _NUMBER.pack(version + 1),
                prefix=prefix,
                at_most=_READ_AT_ONCE,
            )
            return [_read(value) for _, value in rows]

        found: list[ToldItem] = []
        while some := self._store.update(step) or []:
            found += some
            if len(some) < _READ_AT_ONCE:
                break
            last = self.of(tenant, [some[-1].item])[0]
            version = 0 if last is None else last[1]
        return found

    def of(self, tenant: TenantId, items: Sequence[str]) -> list[tuple[ToldItem, int] | None]:
        """What was told of some items, each with the number of its change."""
        keys = [_item_key(tenant, item) for item in items]
        values = self._store.get_many(Noun.AVAILABILITY, keys)
        found: list[tuple[ToldItem, int] | None] = []
        for item, value in zip(items, values, strict=True):
            if value is None:
                found.append(None)
                continue
            available, told_at, version = _ENTRY.unpack(value)
            found.append((ToldItem(item, available, told_at), version))
        return found

    def drop(self, tenant: TenantId, items: Iterable[ToldItem]) -> int:
        """Let go of what was told of items, unless it was told anew; returns of how many."""
        some = list(items)

        def step(changes: Changes) -> int:
            count = 0
            for each in some:
                key = _item_key(tenant, each.item)
                value = changes.get(Noun.AVAILABILITY, key)
                if value is not None and _ENTRY.unpack(value)[1] == each.told_at:
                    changes.delete(Noun.AVAILABILITY, key)
                    number = _NUMBER.pack(_ENTRY.unpack(value)[2])
                    changes.delete(Noun.AVAILABILITY, _change_key(tenant) + number)
                    count += 1
            return count

        return self._store.update(step) or 0 if some else 0

    @property
    def is_complete(self) -> bool:
        """Whether it holds all that the log does: so marked, until the store is replaced."""
        return self._store.get(Noun.MARKS, _MARK) == _COMPLETE

    def mark_complete(self) -> None:
        """Say that everything that the log holds has been told."""
        self._store.update(lambda changes: changes.put(Noun.MARKS, _MARK, _COMPLETE))

    def _tell(
        self, tellings: Sequence[Telling], is_so: Callable[[Telling], bool], changes: Changes
    ) -> int:
        versions: dict[TenantId, int] = {}
        for each in tellings:
            tenant, told_at = each.tenant, microseconds(each.told_at)
            key = _item_key(tenant, each.item_id)
            before = changes.get(Noun.AVAILABILITY, key)
            old = None if before is None else _ENTRY.unpack(before)
            if old is not None and old[1] >= told_at:
                continue
            if tenant not in versions:
                told = changes.get(Noun.AVAILABILITY, _version_key(tenant))
                versions[tenant] = 0 if told is None else _NUMBER.unpack(told)[0]
            if old is not None and old[0] == each.available and is_so(each):
                version = old[2]
            else:
                versions[tenant] += 1
                version = versions[tenant]
                if old is not None:
                    number = _NUMBER.pack(old[2])
                    changes.delete(Noun.AVAILABILITY, _change_key(tenant) + number)
            entry = _ENTRY.pack(each.available, told_at, version)
            changes.put(Noun.AVAILABILITY, key, entry)
            change = _change_key(tenant) + _NUMBER.pack(version)
            changes.put(Noun.AVAILABILITY, change, entry + each.item_id.encode())
        for tenant, version in versions.items():
            changes.put(Noun.AVAILABILITY, _version_key(tenant), _NUMBER.pack(version))
            self._bound(changes, tenant)
        return len(tellings)

    def _bound(self, changes: Changes, tenant: TenantId) -> None:
        surplus = changes.count(Noun.AVAILABILITY) // 2 - self._most_items
        if surplus <= 0:
            return
        for key, value in changes.scan(
            Noun.AVAILABILITY, prefix=_change_key(tenant), at_most=min(surplus, _AT_ONCE)
        ):
            changes.delete(Noun.AVAILABILITY, key)
            changes.delete(Noun.AVAILABILITY, _item_key(tenant, _read(value).item))


def microseconds(moment: datetime) -> int:
    """A time, UTC without a zone, in microseconds since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _read(change: bytes) -> ToldItem:
    available, told_at, _ = _ENTRY.unpack_from(change)
    return ToldItem(change[_ENTRY.size :].decode(), available, told_at)


def _version_key(tenant: TenantId) -> bytes:
    return live_key(tenant, "version", "")


def _change_key(tenant: TenantId) -> bytes:
    return live_key(tenant, "change", "")


def _item_key(tenant: TenantId, item: str) -> bytes:
    return live_key(tenant, "item", item)
