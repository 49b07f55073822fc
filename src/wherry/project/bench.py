"""A bench: how many recommendations a second a project's own shop gives on this machine.

The server is the project's, with its settings and its champions, but what comes in and what is
live go to a folder of the bench's own: nothing of it reaches the shop's inbox or its lake.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count, cycle
from pathlib import Path
from time import time
from urllib.parse import urlencode

import msgspec
import uvloop

from wherry.domain import DEFAULT_TENANT, ItemId, TenantId, tenant_id
from wherry.errors import UsageError, WherryError
from wherry.lake import read_published
from wherry.project.project import Project
from wherry.project.workers import PROFILE, project_workers, worker_count
from wherry.serve import address_of, listen
from wherry.simulate.connection import Target, parse_target
from wherry.simulate.latencies import Latency
from wherry.simulate.ramp import FIRST_RATE, MOST_STEPS, Ramp
from wherry.simulate.volley import Shot, Volley, fire
from wherry.watch.peaks import read_peak_to_mean

SESSIONS = 2_000
"""The newest sessions are replayed, so many at the most, and again and again."""
AT_ONCE = 200
"""Sessions that are under way at once."""
FULL = 0.9
"""Of its core the load may take so much; beyond, it may be what limits the rate."""

_START_SECONDS = 120.0
_WARM_SECONDS = 2.0
_NONE = Latency(count=0, p50=0.0, p90=0.0, p99=0.0, p999=0.0, max=0.0)


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What a rate came to: ``rate`` recommendations a second, and as many events.

    Latencies are milliseconds from when a request was due. ``load`` is the share of a core that
    asking took.
    """

    rate: float
    recommend: Latency
    events: Latency
    errors: int
    unanswered: int
    load: float
    passed: bool


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """What a bench found.

    ``rate`` is the highest at which the p99 of recommendations stayed below ``p99`` ms, with no
    error, None if there is none. In the shop's log the busiest hour has ``peak_to_mean`` times the
    events of the mean one, so that ``requests_per_day`` come to ``rate`` at their peak.
    ``parts`` are the shares of the server's processor time, ``microseconds`` of it an event and
    a recommendation together. ``is_load_bound`` says that asking took all of a core, so that the
    server may do more.
    """

    model: str
    items: int
    sessions: int
    workers: int
    cores: int
    load_average: float
    p99: float
    steps: tuple[Step, ...]
    rate: float | None
    peak_to_mean: float
    requests_per_day: float | None
    microseconds: float
    parts: dict[str, float]
    is_load_bound: bool


def run_bench(
    project: Project,
    *,
    seconds: float = 60.0,
    p99: float = 5.0,
    workers: int | None = None,
    tenant: str = DEFAULT_TENANT,
    report: Callable[[str], None] = lambda words: None,
) -> Bench:
    """Measure a project's server on loopback, for about so many seconds.

    Raises:
        UsageError: nothing is published for the tenant.
        WherryError: the server does not start.
    """
    owner = tenant_id(tenant)
    sessions = project.newest_sessions(at_most=SESSIONS, tenant=owner)
    if not sessions:
        raise UsageError(f"There is no session of {owner!r} to replay. Run: wherry run")
    recommender = project.recommender(owner)
    many = worker_count(project.settings.serve.workers if workers is None else workers)
    load_average = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="wherry-bench-") as folder:
        with _serving(project, Path(folder), many, report) as address:
            target = parse_target(address)
            steps, visits = _ramp(target, sessions, owner, seconds, p99, report)
        profile = _read_profiles(Path(folder))
    peak = _peak_to_mean(project, owner)
    best = max((step.rate for step in steps if step.passed), default=None)
    total = sum(profile.values())
    return Bench(
        model=f"{recommender.label} ({recommender.answerer.model.name})",
        items=len(recommender.answerer.vocabulary),
        sessions=len(sessions),
        workers=many,
        cores=worker_count(0),
        load_average=round(load_average, 2),
        p99=p99,
        steps=tuple(sorted(steps, key=lambda step: step.rate)),
        rate=best,
        peak_to_mean=round(peak, 2),
        requests_per_day=round(best * 86_400 / peak) if best else None,
        microseconds=round(total / max(1, visits) * 1e6, 1),
        parts={part: round(each / total, 4) for part, each in profile.most_common()},
        is_load_bound=any(step.load > FULL for step in steps if not step.passed),
    )


@contextmanager
def _serving(
    project: Project, folder: Path, many: int, report: Callable[[str], None]
) -> Iterator[str]:
    """The project's server at work, with a folder of its own for all that it writes."""
    report("starting the server")
    with listen("127.0.0.1", 0) as listener:
        workers = project_workers(project.home.root, listener, many, figures=folder, traffic=folder)
        is_ready, ended = threading.Event(), threading.Event()
        failures: list[WherryError] = []

        def run() -> None:
            try:
                workers.run(is_ready.set)
            except WherryError as error:
                failures.append(error)
            ended.set()
            is_ready.set()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            if not is_ready.wait(_START_SECONDS) or failures:
                why = str(failures[0]) if failures else f"not within {_START_SECONDS:.0f} s."
                raise WherryError(f"The server did not start: {why}")
            yield address_of(listener)
        finally:
            workers.stop()
            thread.join()


def _ramp(
    target: Target,
    sessions: Sequence[Sequence[ItemId]],
    tenant: TenantId,
    seconds: float,
    p99: float,
    report: Callable[[str], None],
) -> tuple[list[Step], int]:
    """Try rates until the highest is found; what each came to, and how many steps were asked."""
    shots = visits(target, sessions, tenant)
    length, steps, ramp, asked = seconds / (MOST_STEPS + 1), [], Ramp(), 0
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(fire(target, shots, rate=2 * FIRST_RATE, seconds=_WARM_SECONDS))
        asked += int(FIRST_RATE * _WARM_SECONDS)
        while (rate := ramp.next()) is not None:
            report(f"bench: {rate:,.0f} recommendations a second")
            found = runner.run(fire(target, shots, rate=2 * rate, seconds=length))
            step = _step(rate, found, p99)
            ramp.tell(rate, passed=step.passed)
            steps.append(step)
            asked += found.sent // 2
    return steps, asked


def _step(rate: float, found: Volley, p99: float) -> Step:
    recommend = found.latencies.get("recommend", _NONE)
    is_whole = found.errors == 0 and found.unanswered == 0 and recommend.count > 0
    return Step(
        rate=rate,
        recommend=recommend,
        events=found.latencies.get("events", _NONE),
        errors=found.errors,
        unanswered=found.unanswered,
        load=found.busy,
        passed=is_whole and recommend.p99 < p99,
    )


def visits(
    target: Target, sessions: Sequence[Sequence[ItemId]], tenant: TenantId
) -> Iterator[Shot]:
    """The steps of replayed sessions, for ever: an event, then a recommendation.

    ``AT_ONCE`` sessions are under way, each a step at a time. Asked about is the session whose
    event was sent half a turn ago: by then that event is acknowledged, as it is where a shop asks.
    """
    names, again = count(1), cycle(sessions)
    under_way: list[tuple[str, Iterator[ItemId]]] = [("", iter(()))] * min(AT_ONCE, len(sessions))
    while True:
        for place, (session_id, items) in enumerate(under_way):
            item = next(items, None)
            if item is None:
                session_id, items = f"bench-{next(names)}", iter(next(again))
                under_way[place] = session_id, items
                item = next(items)
            yield Shot("events", _event(target, session_id, item, tenant))
            earlier = under_way[place - len(under_way) // 2][0] or session_id
            yield Shot("recommend", _question(target, earlier, tenant))


def _event(target: Target, session_id: str, item: ItemId, tenant: TenantId) -> bytes:
    body = msgspec.json.encode(
        {
            "event_type": "view",
            "occurred_at": time(),
            "visitor_id": session_id,
            "session_id": session_id,
            "items": [{"id": item}],
            "tenant": tenant,
        }
    )
    return (
        f"POST /v1/events HTTP/1.1\r\nHost: {target.authority}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def _question(target: Target, session_id: str, tenant: TenantId) -> bytes:
    query = urlencode({"session_id": session_id, "visitor_id": session_id, "tenant": tenant})
    return f"GET /v1/recommend?{query} HTTP/1.1\r\nHost: {target.authority}\r\n\r\n".encode()


def _read_profiles(folder: Path) -> Counter[str]:
    """Processor seconds by part, of all workers."""
    total: Counter[str] = Counter()
    for path in folder.glob(PROFILE.format("*")):
        total.update(msgspec.json.decode(path.read_bytes(), type=dict[str, float]))
    return total


def _peak_to_mean(project: Project, tenant: TenantId) -> float:
    published = read_published(project.home.published)[tenant]
    with project.lake.reader(published.snapshot) as con:
        return read_peak_to_mean(con, tenant)
