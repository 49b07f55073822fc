"""Live sessions: what keeping and finding one costs, and how soon an event changes an answer.

    python benchmarks/state.py [--rounds 5] [--events 1000]

The costs are processor time beside bare LMDB doing the same gets and puts. The delay is that of
two servers of one project: an event goes to one, and from its acknowledgement on the other is
asked until it answers as if the event's items had come with the request. Beside it stands the
same request with its items, which needs no state. Figures are medians over the rounds.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import lmdb
import numpy as np

from wherry.domain import (
    DEFAULT_TENANT,
    Event,
    EventId,
    EventItem,
    ItemId,
    Release,
    RunId,
    VisitorId,
)
from wherry.learn.answer import Answerer
from wherry.learn.catalogue import Catalogue
from wherry.learn.knn import SessionKNN
from wherry.learn.popularity import Popularity
from wherry.learn.sessions import Sessions, Vocabulary
from wherry.live.sessions import LiveSessions
from wherry.live.store import LiveStore
from wherry.project import Project
from wherry.project.collecting import collect_routes, microseconds_now
from wherry.project.live import live_lookup
from wherry.serve import create_app, load_recommender, save_recommender, serve

N_ITEMS = 2_000
NOW = datetime(2026, 1, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=1_000, help="whose effect is waited for")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        answer_requests(options.serve)
        return
    with tempfile.TemporaryDirectory() as folder:
        measure_costs(Path(folder), options.rounds)
        measure_delay(Path(folder), options.events)


# What it costs


def measure_costs(folder: Path, rounds: int) -> None:
    live = LiveSessions(LiveStore(folder / "live"))
    numbers = iter(range(1_000_000_000))

    def view(visitor: str) -> Event:
        number = next(numbers)
        return Event(
            tenant=DEFAULT_TENANT,
            event_id=EventId(f"event-{number:012}"),
            event_type="view",
            occurred_at=NOW,
            received_at=NOW,
            visitor_id=VisitorId(visitor),
            items=(EventItem(ItemId(f"item-{number % N_ITEMS}")),),
        )

    live.take([view("ten") for _ in range(10)])
    live.take([view("two hundred") for _ in range(200)])
    singles = [[view(f"visitor-{number % 500}")] for number in range(2_000)]
    batches = [[view(f"other-{n}-{number}") for n in range(100)] for number in range(20)]
    full = [[view("two hundred")] for _ in range(500)]
    env = lmdb.open(str(folder / "bare"), map_size=1 << 28, sync=False, metasync=False)
    value = b"x" * 200
    print("processor time, µs (median of the rounds; × what bare LMDB takes for a get or a put):")
    get = timed(lambda key: bare_get(env, key), [b"a"] * 5_000, rounds)
    put = timed(lambda key: bare_put(env, key, value), [b"%d" % n for n in range(2_000)], rounds)
    print(f"  bare LMDB: a get {get:.1f}, a put in a transaction of its own {put:.1f}")
    for name, size, work, per, bare in (
        ("find a session of 10 items", 1, lambda v: find(live, v), ["ten"] * 5_000, get),
        ("find one of 200 items", 1, lambda v: find(live, v), ["two hundred"] * 1_000, get),
        ("find nobody", 1, lambda v: find(live, v), ["nobody"] * 5_000, get),
        ("take an event", 1, live.take, singles, put),
        ("take an event into 200 items", 1, live.take, full, put),
        ("an event of 100 that come at once", 100, live.take, batches, put),
    ):
        spent = timed(work, per, rounds) / size
        print(f"  {name}: {spent:.1f} ({spent / bare:.1f} ×)")
    env.close()


def timed(work: Callable[..., object], parts: list[object], rounds: int) -> float:
    """Microseconds of processor time a part, the median of the rounds."""
    taken = []
    for _ in range(rounds):
        started = time.process_time_ns()
        for part in parts:
            work(part)
        taken.append((time.process_time_ns() - started) / len(parts) / 1e3)
    return statistics.median(taken)


def find(live: LiveSessions, visitor: str) -> object:
    return live.of_visitor(DEFAULT_TENANT, VisitorId(visitor), NOW)


def bare_get(env: lmdb.Environment, key: bytes) -> None:
    with env.begin() as transaction:
        transaction.get(key)


def bare_put(env: lmdb.Environment, key: bytes, value: bytes) -> None:
    with env.begin(write=True) as transaction:
        transaction.put(key, value)


# How soon it counts


def measure_delay(folder: Path, count: int) -> None:
    write_release(folder / "release")
    Project.create(folder / "shop")
    with ExitStack() as stack:
        one, other = (stack.enter_context(running(folder)) for _ in range(2))
        for number in range(100):
            change(one, other, number)
        delays, plain, late = [], [], 0
        for number in range(100, 100 + count):
            here, there = (one, other) if number % 2 else (other, one)
            delay, tries, reference = change(here, there, number)
            delays.append(delay)
            plain.append(reference)
            late += tries > 1
    for name, taken in (("the changed answer", delays), ("one with its items", plain)):
        marks = ", ".join(f"p{q:g} {np.percentile(taken, q):.2f}" for q in (50, 90, 99, 100))
        print(f"{name}, ms: {marks}")
    print(
        f"{late} of {count} events did not change the first answer after their acknowledgement; "
        f"the changed answer takes {np.median(delays) / np.median(plain):.2f} × the other (p50)"
    )


def change(here: Client, there: Client, number: int) -> tuple[float, int, float]:
    """Milliseconds from an event's acknowledgement to an answer that knows it, how often that
    was asked for, and milliseconds of the same request with its items."""
    visitor, item = f"visitor-{number}", f"item-{number * 7 % N_ITEMS}"
    wanted, plain = there.recommend({"session_items": [item]})
    here.post("/v1/events", {"event_type": "view", "visitor_id": visitor, "items": [{"id": item}]})
    started = time.perf_counter()
    tries, items = 0, None
    while items != wanted:
        items, _ = there.recommend({"visitor_id": visitor})
        tries += 1
    return (time.perf_counter() - started) * 1e3, tries, plain


class Client:
    """One connection to a server."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def post(self, path: str, body: object) -> bytes:
        headers = {"Content-Type": "application/json"}
        self._connection.request("POST", path, json.dumps(body), headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise SystemExit(f"The server answered {answer.status}: {content[:500]!r}")
        return content

    def recommend(self, body: object) -> tuple[object, float]:
        started = time.perf_counter()
        content = self.post("/v1/recommend", body)
        taken = (time.perf_counter() - started) * 1e3
        return json.loads(content)["items"], taken


@contextmanager
def running(folder: Path) -> Iterator[Client]:
    command = [sys.executable, __file__, "--serve", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield Client(int(process.stdout.readline().rsplit(":", 1)[1]))
    finally:
        process.terminate()
        process.communicate(timeout=30)


def answer_requests(folder: Path) -> None:
    project = Project.open(folder / "shop")
    live, home, settings = project.live_sessions, project.home, project.settings
    release = Release(
        tenant=DEFAULT_TENANT, name="recommender", version=1, model="knn", params={}, seed=1,
        snapshot=1, run_id=RunId("benchmark"), code="", packages={}, metrics={},
        released_at=datetime.now(UTC),
    )  # fmt: skip
    app = create_app(
        lambda: {DEFAULT_TENANT: (release, folder / "release")},
        lambda release, path: load_recommender(path, release=release),
        live=live_lookup(live, microseconds_now),
        collect=lambda metrics: collect_routes(
            home, settings.collect, project.keys, metrics, name="serve", after=live.take
        ),
    )
    serve(app, port=0, on_ready=lambda address: print(address, flush=True))


def write_release(folder: Path) -> None:
    """A recommender fitted on made-up sessions of neighbouring items."""
    rng = np.random.default_rng(1)
    codes = np.repeat(np.arange(10_000), 5)
    hearts = rng.integers(N_ITEMS, size=10_000)[codes]
    items = ((hearts + rng.integers(-10, 10, len(codes))) % N_ITEMS).astype(np.int32)
    sessions = Sessions.from_events(codes, items, codes, n_items=N_ITEMS)
    model = SessionKNN().fit(sessions, seed=1)
    popularity = Popularity().fit(sessions, seed=1).score(sessions.items[:1])
    vocabulary = Vocabulary(f"item-{code}" for code in range(N_ITEMS))
    save_recommender(Answerer(model, vocabulary, Catalogue.unknown(N_ITEMS), popularity), folder)


if __name__ == "__main__":
    main()
