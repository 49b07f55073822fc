"""Sessions as arrays: what every model is fitted on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from wherry.domain import INTERACTION_TYPES, ItemId
from wherry.errors import ModelError
from wherry.learn.arrays import Array, frozen, load_array, save_arrays

DAY_MS = 86_400_000

_DTYPES = {"offsets": np.int64, "items": np.int32, "times": np.int64, "types": np.int8}


class Vocabulary:
    """The items that a model knows: a dense number for each id, from 0 up.

    >>> vocabulary = Vocabulary(["shoe", "sock"])
    >>> vocabulary.codes(["sock", "unheard of", "shoe"]).tolist()
    [1, 0]
    >>> vocabulary.ids[1]
    'sock'
    """

    def __init__(self, ids: Iterable[str]) -> None:
        self.ids: tuple[ItemId, ...] = tuple(ItemId(each) for each in ids)
        self._codes = {each: code for code, each in enumerate(self.ids)}
        if len(self._codes) != len(self.ids):
            twice = next(each for code, each in enumerate(self.ids) if self._codes[each] != code)
            raise ModelError(f"Item {twice!r} stands twice in a vocabulary; list each item once.")

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, item: object) -> bool:
        return item in self._codes

    def code(self, item: str) -> int | None:
        """The number of an item, or None if it is unknown."""
        return self._codes.get(ItemId(item))

    def codes(self, items: Iterable[str]) -> NDArray[np.int32]:
        """The numbers of the items that are known, in order; unknown ones are dropped."""
        return np.array(self.numbers(items), dtype=np.int32)

    def numbers(self, items: Iterable[str]) -> list[int]:
        """The same as a list."""
        codes: dict[str, int] = self._codes  # type: ignore[assignment]
        return [codes[item] for item in items if item in codes]

    def grown(self, more: Iterable[str]) -> Vocabulary:
        """This vocabulary, and behind it the items of ``more`` that it lacks, in their order."""
        return Vocabulary([*self.ids, *(item for item in more if item not in self)])

    def save(self, folder: Path) -> None:
        """Write ``vocabulary.json``, the list of ids, into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "vocabulary.json").write_bytes(msgspec.json.encode(self.ids))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read ``vocabulary.json`` back; ModelError if it is missing or is no list of ids."""
        path = folder / "vocabulary.json"
        try:
            return cls(msgspec.json.decode(path.read_bytes(), type=list[str]))
        except (OSError, msgspec.MsgspecError) as error:
            raise ModelError(
                f"{path} can't be read as a list of item ids ({error}). Fit the model again."
            ) from error


@dataclass(frozen=True, slots=True, eq=False)
class Sessions:
    """Sessions of items, in the order of their last event; the arrays are read-only.

    Session ``s`` holds the events ``offsets[s]:offsets[s + 1]``, in the order of their times.

    * ``offsets`` int64 (S + 1,)
    * ``items`` int32 (N,), each in ``0 .. n_items - 1``
    * ``times`` int64 (N,), milliseconds since 1970, UTC
    * ``types`` int8 (N,), index into ``INTERACTION_TYPES``

    Raises:
        ModelError: the arrays don't fit together, or are out of order.
    """

    offsets: NDArray[np.int64]
    items: NDArray[np.int32]
    times: NDArray[np.int64]
    types: NDArray[np.int8]
    n_items: int

    def __post_init__(self) -> None:
        for name, dtype in _DTYPES.items():
            object.__setattr__(self, name, frozen(getattr(self, name), dtype))
        fault = self._fault()
        if fault:
            raise ModelError(f"These arrays are no sessions: {fault}. Build them with from_events.")

    def _fault(self) -> str:
        offsets, items, times = self.offsets, self.items, self.times
        if len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != len(items):
            return f"offsets must run from 0 to the number of events, {len(items)}"
        if not len(items) == len(times) == len(self.types):
            return f"{len(items)} items, {len(times)} times and {len(self.types)} types"
        if np.any(offsets[1:] <= offsets[:-1]):
            return "a session is empty"
        if len(items) == 0:
            return ""
        if items.min() < 0 or items.max() >= self.n_items:
            return f"an item lies outside 0..{self.n_items - 1}"
        if self.types.min() < 0 or self.types.max() >= len(INTERACTION_TYPES):
            return f"a type lies outside 0..{len(INTERACTION_TYPES) - 1}"
        backwards = times[1:] < times[:-1]
        backwards[offsets[1:-1] - 1] = False  # between two sessions time may go back
        if backwards.any():
            return "time goes back within a session"
        last = self.last_times
        return (
            "they aren't in the order of their last event" if (last[1:] < last[:-1]).any() else ""
        )

    @classmethod
    def from_events(
        cls,
        sessions: Array,
        items: Array,
        times: Array,
        types: Array | None = None,
        *,
        n_items: int,
    ) -> Self:
        """Group flat events, in any order, by the number of their session.

        Events of the same session and time keep the order they come in; so do sessions that
        end at the same time, by their number. ``types`` is 0 (a view) where it is not given.
        """
        if types is None:
            types = np.zeros(len(items), dtype=np.int8)
        order = np.lexsort((times, sessions))
        grouped = np.asarray(sessions)[order]
        starts = np.flatnonzero(np.diff(grouped, prepend=grouped[:1] - 1))
        offsets = np.append(starts, len(grouped))
        whole = np.asarray(times)[order]
        by_end = np.argsort(whole[offsets[1:] - 1], kind="stable")
        order = order[_gather(offsets, by_end)]
        lengths = np.diff(offsets)[by_end]
        return cls(
            offsets=np.concatenate(([0], np.cumsum(lengths))),
            items=np.asarray(items)[order],
            times=np.asarray(times)[order],
            types=np.asarray(types)[order],
            n_items=n_items,
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def n_events(self) -> int:
        """How many events all sessions have together."""
        return len(self.items)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Events of each session, (S,)."""
        return np.diff(self.offsets)

    @property
    def first_times(self) -> NDArray[np.int64]:
        """Time of each session's first event, (S,)."""
        return self.times[self.offsets[:-1]]

    @property
    def last_times(self) -> NDArray[np.int64]:
        """Time of each session's last event, (S,), never falling."""
        return self.times[self.offsets[1:] - 1]

    def recency(self, half_life: float) -> NDArray[np.float32]:
        """A weight of each session, (S,): 1 for the newest, halved for each ``half_life`` days.

        0 days weigh all alike. No weight is 0: sessions of long ago count where no other does.
        """
        last = self.last_times
        if half_life <= 0 or len(last) == 0:
            return np.ones(len(last), dtype=np.float32)
        halvings = (last[-1] - last) / (DAY_MS * half_life)
        return np.asarray(np.exp2(-np.minimum(halvings, 60.0)), dtype=np.float32)

    def item_counts(self) -> NDArray[np.int64]:
        """Events of each item, (n_items,)."""
        return np.bincount(self.items, minlength=self.n_items)

    def take(self, chosen: Array) -> Sessions:
        """The sessions at these indices, or where this mask of (S,) is true, in their order."""
        chosen = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else np.sort(chosen)
        events = _gather(self.offsets, chosen)
        return Sessions(
            offsets=np.concatenate(([0], np.cumsum(self.lengths[chosen]))),
            items=self.items[events],
            times=self.times[events],
            types=self.types[events],
            n_items=self.n_items,
        )

    def save(self, folder: Path) -> None:
        """Write the four arrays as ``.npy`` and ``sessions.json`` into a folder."""
        save_arrays(folder, **{name: getattr(self, name) for name in _DTYPES})
        (folder / "sessions.json").write_bytes(msgspec.json.encode({"n_items": self.n_items}))

    @classmethod
    def load(cls, folder: Path, *, mmap: bool = True) -> Self:
        """Read sessions back, mapped from their files unless told otherwise."""
        path = folder / "sessions.json"
        try:
            n_items = msgspec.json.decode(path.read_bytes(), type=dict[str, int])["n_items"]
        except (OSError, msgspec.MsgspecError, KeyError) as error:
            raise ModelError(
                f"{path} can't be read ({error}). Build the sessions again."
            ) from error
        arrays = {name: load_array(folder, name, mmap=mmap) for name in _DTYPES}
        return cls(**arrays, n_items=n_items)


def _gather(offsets: NDArray[np.int64], chosen: Array) -> NDArray[np.int64]:
    """The indices of all events of the chosen sessions, one session after the other."""
    lengths = (offsets[1:] - offsets[:-1])[chosen]
    ends = np.cumsum(lengths)
    within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)
    return np.asarray(np.repeat(offsets[:-1][chosen], lengths) + within)
