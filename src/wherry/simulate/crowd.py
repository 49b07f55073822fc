"""A crowd: shoppers who visit a server, answer to what it shows, and send what they do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import NamedTuple

import msgspec
import numpy as np
import uvloop

from wherry.domain import DEFAULT_TENANT
from wherry.errors import UsageError, WherryError
from wherry.simulate.catalogue import item_ids
from wherry.simulate.connection import Answer, Connection, Target, parse_target
from wherry.simulate.day import Shop
from wherry.simulate.schedule import message
from wherry.simulate.shopper import Act, Manner, visit
from wherry.simulate.visitors import Visited, Visitors

_PATIENCE_SECONDS = 30.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0

Progress = Callable[[Visited], None]


class Crowd(msgspec.Struct, frozen=True, kw_only=True):
    """Who is sent: ``visits``, ``at_once`` of them in the shop at a time, begun at ``rate`` a
    second (0: as soon as there is room). Each page asks for ``k`` items. ``think_seconds`` is
    how long a visitor looks at a page. The same ``seed`` sends the same visitors; ``first``
    numbers the first visit, so that a later crowd is another one. ``key`` and ``read_key`` are
    the server's keys for events and for recommendations.
    """

    visits: int = 1_000
    at_once: int = 32
    rate: float = 0.0
    think_seconds: float = 0.0
    k: int = 10
    seed: int = 1
    first: int = 0
    liking: float = 0.4
    manner: Manner = Manner()
    key: str = ""
    read_key: str = ""


def send_crowd(
    url: str,
    shop: Shop,
    crowd: Crowd,
    *,
    is_over: Callable[[], bool] = lambda: False,
    on_progress: Progress | None = None,
) -> Visited:
    """Send shoppers to a server of their shop, and count what they did by the model that answered.

    ``is_over`` ends it early, asked before each visit begins.

    Raises:
        UsageError: what is asked for makes no sense.
        WherryError: nothing answers at the address, or it stopped answering.
    """
    for name, least in (("visits", 1), ("at_once", 1), ("k", 1), ("first", 0), ("seed", 0)):
        if getattr(crowd, name) < least:
            raise UsageError(f"{name} is {getattr(crowd, name)}: give {least} or more.")
    work = _Crowd(url, parse_target(url), shop, crowd, is_over, on_progress)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work.run())


class _Shown(msgspec.Struct):
    """The part of an answer that a shopper sees."""

    model: str
    request_id: str
    items: list[_ShownItem]


class _ShownItem(msgspec.Struct):
    item: str


class _List(NamedTuple):
    """A list that a page showed: which answer it was, of which model, with which items."""

    model: str
    request_id: str
    items: list[int]


_NOTHING = _List("", "", [])
_decode = msgspec.json.Decoder(_Shown).decode
_encode = msgspec.json.Encoder().encode


class _Crowd:
    """The visits that are still to be made, and what came of those that were."""

    def __init__(
        self,
        url: str,
        target: Target,
        shop: Shop,
        crowd: Crowd,
        is_over: Callable[[], bool],
        on_progress: Progress | None,
    ) -> None:
        self._url, self._target, self._shop, self._crowd = url, target, shop, crowd
        self._is_over, self._tell = is_over, on_progress
        self._numbers: Iterator[int] = iter(range(crowd.first, crowd.first + crowd.visits))
        self._names = item_ids(range(shop.catalogue.size))
        self._codes = {name: code for code, name in enumerate(self._names)}
        self._visitors = Visitors(url)
        self._started = 0.0

    async def run(self) -> Visited:
        self._started = time.perf_counter()
        reporting = asyncio.ensure_future(self._report())
        places = [asyncio.ensure_future(self._come()) for _ in range(self._crowd.at_once)]
        try:
            await asyncio.gather(*places)
        finally:
            reporting.cancel()
            for place in places:
                place.cancel()
        return self._visitors.summary(time.perf_counter() - self._started)

    async def _report(self) -> None:
        while self._tell is not None:
            await asyncio.sleep(1)
            self._tell(self._visitors.summary(time.perf_counter() - self._started))

    async def _come(self) -> None:
        """One visitor after the other, over one connection."""
        connection = Connection(self._target)
        try:
            while not self._is_over():
                number = next(self._numbers, None)
                if number is None:
                    return
                await self._until(number - self._crowd.first)
                await self._visit(connection, number)
        finally:
            connection.close()

    async def _until(self, before: int) -> None:
        if self._crowd.rate > 0:
            due = self._started + before / self._crowd.rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))

    async def _visit(self, connection: Connection, number: int) -> None:
        """One visit from the first page to the last, every act sent as it happens."""
        rng = np.random.default_rng([self._crowd.seed, number])
        taste = float(self._shop.tastes[int(rng.integers(len(self._shop.tastes)))])
        walk = visit(self._shop.catalogue, self._crowd.manner, taste, self._crowd.liking, rng)
        # The id names the crowd as well: a visitor who comes again is another session's.
        sender = _Sender(f"c{self._crowd.seed}-{number}", self._names, self._shop)
        page, shown = next(walk), _NOTHING
        while True:
            await self._send(connection, sender.events(page.acts, shown))
            self._count(page.acts, shown)
            shown = await self._recommended(connection, sender.visitor)
            if self._crowd.think_seconds:
                await asyncio.sleep(self._crowd.think_seconds)
            try:
                page = walk.send(shown.items)
            except StopIteration as end:
                await self._send(connection, sender.events(end.value, shown))
                self._count(end.value, shown)
                self._visitors.visits += 1
                return

    def _count(self, acts: Sequence[Act], shown: _List) -> None:
        if shown.model:
            self._visitors.page(shown.model, acts)

    async def _recommended(self, connection: Connection, visitor: str) -> _List:
        body: dict[str, object] = {"visitor_id": visitor, "k": self._crowd.k}
        if not self._crowd.read_key and self._shop.tenant != DEFAULT_TENANT:
            body["tenant"] = self._shop.tenant
        since = time.perf_counter()
        answer = await self._ask(connection, "/v1/recommend", body, self._crowd.read_key)
        self._visitors.latencies.add(time.perf_counter() - since)
        if answer.status != 200:
            self._visitors.errors.add(f"recommend: status {answer.status}")
            return _NOTHING
        shown = _decode(answer.body)
        items = [self._codes.get(each.item, -1) for each in shown.items]
        return _List(shown.model, shown.request_id, items)

    async def _send(self, connection: Connection, events: list[dict[str, object]]) -> None:
        if not events:
            return
        answer = await self._ask(connection, "/v1/events", events, self._crowd.key)
        if answer.status == 200:
            self._visitors.events += len(events)
        else:
            excerpt = answer.body[:120].decode("utf-8", "replace")
            self._visitors.errors.add(f"events: status {answer.status} {excerpt}")

    async def _ask(self, connection: Connection, path: str, body: object, key: str) -> Answer:
        """Ask until there is an answer; what was put off or cut is asked again.

        Raises:
            WherryError: nothing answered for half a minute.
        """
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        text = message("POST", self._target, path, headers, _encode(body))
        began, pause = time.perf_counter(), _FIRST_PAUSE
        while True:
            try:
                answer = await connection.ask(text, _PATIENCE_SECONDS)
                if answer.status not in (429, 503):
                    return answer
                self._visitors.put_off += 1
            except OSError as error:
                self._visitors.errors.add(str(error) or "no answer in time")
            if time.perf_counter() - began > _PATIENCE_SECONDS:
                raise WherryError(
                    f"Nothing answered at {self._url} for {_PATIENCE_SECONDS:.0f} s. "
                    "Start the server: wherry serve"
                )
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


class _Sender:
    """Writes one visitor's acts as events, each with an id of its own."""

    def __init__(self, visitor: str, names: Sequence[str], shop: Shop) -> None:
        self.visitor = visitor
        self._names, self._shop = names, shop
        self._numbers = count()

    def events(self, acts: Sequence[Act], shown: _List) -> list[dict[str, object]]:
        """The impression of the list that was shown, then the acts, as the server takes them."""
        events = []
        if shown.request_id:
            items: list[dict[str, object]] = [
                {"id": self._names[item]} for item in shown.items if item >= 0
            ]
            events.append(self._event("impression", items, shown.request_id))
        for act in acts:
            price = float(self._shop.catalogue.price[act.item])
            item: dict[str, object] = {"id": self._names[act.item], "price": price}
            request_id = shown.request_id if act.kind == "click" else ""
            events.append(self._event(act.kind, [item], request_id))
        return events

    def _event(
        self, kind: str, items: list[dict[str, object]], request_id: str
    ) -> dict[str, object]:
        event: dict[str, object] = {
            "event_type": kind,
            "event_id": f"{self.visitor}-{next(self._numbers)}",
            "visitor_id": self.visitor,
            "items": items,
        }
        if request_id:
            event["properties"] = {"request_id": request_id}
        if self._shop.tenant != DEFAULT_TENANT:
            event["tenant"] = self._shop.tenant
        return event
