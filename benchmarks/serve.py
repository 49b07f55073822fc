"""Recommendations over HTTP, beside the same server answering a constant and the kernel alone.

    python benchmarks/serve.py [--data ../shared/data] [--items 37000 500000 1000000]
    python benchmarks/serve.py --quick            # does it run?
    python benchmarks/serve.py --by items         # the session's items in the request

The server is a project's own, with its live sessions and the log of answers on: the sessions are
sent as events first, then asked about by their ids. With ``--data`` the smallest shop is
RetailRocket (``retailrocket_srgnn``), else it is made up in that shape, as larger ones are. The
load comes from this process and the server is another one, so two cores are busy. The three are
measured in turns; figures are medians over the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import uvloop

from wherry.config import Settings
from wherry.domain import DEFAULT_TENANT, Release, RunId, TenantId
from wherry.learn.answer import Answerer
from wherry.learn.catalogue import Catalogue
from wherry.learn.knn import SessionKNN
from wherry.learn.popularity import Popularity
from wherry.learn.sessions import Sessions, Vocabulary
from wherry.project import Project
from wherry.project.home import Home
from wherry.serve import load_recommender, save_recommender, serve
from wherry.simulate.connection import Target
from wherry.simulate.volley import Shot, fire

SESSIONS = 2_000
CONNECTIONS = 8
OPEN_LOOP_RATE = 1_000
K = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, help="folder that holds retailrocket_srgnn/")
    parser.add_argument("--items", type=int, nargs="+", default=[37_000, 500_000, 1_000_000])
    parser.add_argument("--by", choices=("session", "items"), default="session")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=10_000, help="a round and server")
    parser.add_argument("--seconds", type=float, default=10.0, help="of the open loop")
    parser.add_argument(
        "--quick", action="store_true", help="a minute for the smallest shop, to see that it runs"
    )
    parser.add_argument("--serve", choices=("constant", "recommend"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.items, options.rounds = options.items[:1], 2
        options.requests, options.seconds = 2_000, 3.0
    if options.serve:
        answer_requests(options.serve, options.folder)
        return
    for n_items in options.items:
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), n_items, options)


def measure(folder: Path, n_items: int, options: argparse.Namespace) -> None:
    """One size of shop: write its release, measure in turns, print."""
    if options.data is None or n_items > 40_000:
        sessions, prefixes, source = made_up(n_items)
    else:
        sessions, prefixes, source = retailrocket(options.data)
    prefixes = prefixes[:SESSIONS]
    release_shop(folder, sessions, prefixes)
    print(f"\n{source}: {len(sessions):,} sessions, {sessions.n_items:,} items; k = {K}, asked "
          f"by {options.by}; load average {os.getloadavg()[0]:.1f}", flush=True)  # fmt: skip
    rounds = [one_round(folder, prefixes, options) for _ in range(options.rounds)]

    def of(name: str) -> tuple[float, str]:
        found = [getattr(each, name) for each in rounds]
        return statistics.median(found), f"{min(found):,.0f} to {max(found):,.0f}"

    kernel, constant, recommend = of("kernel"), of("constant"), of("recommend")
    share = statistics.median(each.share for each in rounds)
    print(f"kernel alone:    mean {kernel[0]:.0f} µs ({kernel[1]}), "
          f"p50 {of('kernel_p50')[0]:.0f} µs")  # fmt: skip
    print(f"constant answer: {constant[0]:,.0f} requests/s ({constant[1]})")
    print(f"recommend:       {recommend[0]:,.0f} requests/s ({recommend[1]})")
    print(f"recommend reaches {share:.0%} of what both together allow")
    # The server's processor time says the same where other work shares the machine.
    costs = of("constant_cost")[0], of("recommend_cost")[0]
    shares = [(r.constant_cost + r.kernel) / r.recommend_cost for r in rounds]
    print(
        f"server's processor time: constant {costs[0]:.0f} µs, recommend {costs[1]:.0f} µs; "
        f"{statistics.median(shares):.0%} of it is the constant answer and the kernel"
    )
    with running("recommend", folder) as (port, pid):
        shots = asked(port, prefixes, options.by)
        run(closed_loop(port, shots, 2_000))
        target = Target("127.0.0.1", port)
        found = run(fire(target, cycle(Shot("recommend", each) for each in shots),
                         rate=OPEN_LOOP_RATE, seconds=options.seconds))  # fmt: skip
        late = found.latencies["recommend"]
        print(f"open loop at {OPEN_LOOP_RATE:,} requests/s for {options.seconds:g} s, ms: "
              f"p50 {late.p50:.2f}, p90 {late.p90:.2f}, p99 {late.p99:.2f}, "
              f"p99.9 {late.p999:.2f}; "
              f"{found.errors + found.unanswered} failed; {memory(pid):,.0f} MiB")  # fmt: skip


class Round(NamedTuple):
    """What was measured in one turn: microseconds, requests/s, microseconds of the server's."""

    kernel: float
    kernel_p50: float
    constant: float
    constant_cost: float
    recommend: float
    recommend_cost: float

    @property
    def share(self) -> float:
        """How much recommend reaches of the rate that a constant and the kernel allow."""
        return self.recommend * (1 / self.constant + self.kernel / 1e6)


def one_round(folder: Path, prefixes: list[np.ndarray], options: argparse.Namespace) -> Round:
    kernel = time_kernel(folder, prefixes)
    found: list[float] = []
    for kind in ("constant", "recommend"):
        with running(kind, folder) as (port, pid):
            by = options.by if kind == "recommend" else "items"
            shots = asked(port, prefixes, by)
            run(closed_loop(port, shots, 2_000))  # warm
            before = cpu_seconds(pid)
            found.append(run(closed_loop(port, shots, options.requests)))
            found.append((cpu_seconds(pid) - before) / options.requests * 1e6)
    return Round(float(kernel.mean()), float(np.median(kernel)), *found)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


# What is asked


def retailrocket(data: Path) -> tuple[Sessions, list[np.ndarray], str]:
    folder = data / "retailrocket_srgnn"
    train = pq.read_table(next(folder.glob("train_sessions*.parquet"))).to_pandas()
    codes, ids = train["item_id"].factorize()
    order = train["session_id"].factorize()[0]
    sessions = Sessions.from_events(order, codes.astype(np.int32), order, n_items=len(ids))
    number = {each: code for code, each in enumerate(ids)}
    test = pq.read_table(next(folder.glob("test_instances*.parquet"))).to_pandas()
    prefixes = [[number[i] for i in prefix if i in number] for prefix in test["prefix"]]
    return sessions, [np.array(each, dtype=np.int32) for each in prefixes if each], "RetailRocket"


def made_up(n_items: int) -> tuple[Sessions, list[np.ndarray], str]:
    """Sessions of 5.4 clicks, as many as a shop of 37,000 items and up to twice its items has,
    most of a session's near each other."""
    rng = np.random.default_rng(1)
    n_sessions = max(126_168, min(2 * n_items, 1_500_000))
    lengths = 2 + rng.geometric(1 / 3.4, n_sessions)
    codes = np.repeat(np.arange(n_sessions), lengths)
    heart = (n_items * rng.random(n_sessions) ** 2)[codes]
    items = (heart + rng.standard_cauchy(len(codes)) * 20).astype(np.int64) % n_items
    sessions = Sessions.from_events(codes, items.astype(np.int32), codes, n_items=n_items)
    chosen = rng.choice(n_sessions, 5_000, replace=False)
    prefixes = [sessions.items[sessions.offsets[s] : sessions.offsets[s + 1] - 1] for s in chosen]
    return sessions, prefixes, "made-up sessions"


def release_shop(folder: Path, sessions: Sessions, prefixes: list[np.ndarray]) -> None:
    """Fit the kNN and write what answers, and the body of the constant answer."""
    vocabulary = Vocabulary(f"item-{code}" for code in range(sessions.n_items))
    model = SessionKNN().fit(sessions, seed=1)
    popularity = Popularity().fit(sessions, seed=1).score(prefixes[0])
    catalogue = Catalogue.unknown(sessions.n_items)
    save_recommender(Answerer(model, vocabulary, catalogue, popularity), folder)
    (folder / "constant").write_bytes(json.dumps({"x": "x" * 1_400}).encode())


def time_kernel(folder: Path, prefixes: list[np.ndarray]) -> np.ndarray:
    """Microseconds of processor time of each answer of the model as the server has it."""
    model = load_recommender(folder).answerer.model
    for prefix in prefixes[:200]:
        model.recommend(prefix, K)
    taken = []
    for prefix in prefixes:
        started = time.thread_time_ns()
        model.recommend(prefix, K)
        taken.append(time.thread_time_ns() - started)
    return np.array(taken) / 1e3


def asked(port: int, prefixes: list[np.ndarray], by: str) -> list[bytes]:
    """The requests; where they name sessions, the server is sent their events first."""
    if by == "items":
        return [post("/v1/recommend", {"session_items": ids(prefix), "k": K})
                for prefix in prefixes]  # fmt: skip
    now = time.time() - 600
    events = [
        {"event_id": f"{s}-{place}", "event_type": "view", "occurred_at": now + place,
         "visitor_id": f"visitor-{s}", "session_id": f"session-{s}", "items": [{"id": item}]}
        for s, prefix in enumerate(prefixes) for place, item in enumerate(ids(prefix))
    ]  # fmt: skip
    batches = [post("/v1/events", events[at : at + 500]) for at in range(0, len(events), 500)]
    run(closed_loop(port, batches, len(batches)))
    return [
        f"GET /v1/recommend?session_id=session-{s}&k={K} HTTP/1.1\r\nHost: shop\r\n\r\n".encode()
        for s in range(len(prefixes))
    ]


def ids(prefix: np.ndarray) -> list[str]:
    return [f"item-{code}" for code in prefix]


def post(path: str, content: object) -> bytes:
    body = json.dumps(content).encode()
    return (
        b"POST %b HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (path.encode(), len(body), body)
    )


# The servers


@contextlib.contextmanager
def running(kind: str, folder: Path) -> Iterator[tuple[int, int]]:
    """A server in a process of its own: its port and the process's id."""
    command = [sys.executable, __file__, "--serve", kind, "--folder", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline().rsplit(":", 1)[1])
        part_cores(process.pid)
        yield port, process.pid
    finally:
        process.terminate()
        process.communicate(timeout=30)
        os.sched_setaffinity(0, range(os.cpu_count() or 1))


def part_cores(pid: int) -> None:
    """One core for the server, another for the load, so that neither runs in the other's way."""
    cores = sorted(os.sched_getaffinity(pid))
    if len(cores) > 1:
        os.sched_setaffinity(pid, cores[:1])
        os.sched_setaffinity(0, cores[1:2])


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used, from Linux' /proc."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> float:
    """MiB that a process holds, those that it shares with files included."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class OneRelease:
    """A registry of one release, in place of MLflow's."""

    def __init__(self, folder: Path) -> None:
        self._champions = {DEFAULT_TENANT: (release(), folder)}

    def fingerprint(self) -> tuple[int, ...]:
        return (1,)

    def champions(self) -> dict[TenantId, tuple[Release, Path]]:
        return self._champions


class Shop(Project):
    """A project that was released by hand."""

    @property
    def registry(self) -> Any:
        return OneRelease(self.home.root)


def answer_requests(kind: str, folder: Path) -> None:
    app: Any = constant_app((folder / "constant").read_bytes())
    if kind == "recommend":
        with tempfile.TemporaryDirectory(dir=folder) as traffic:
            (folder / "wherry.toml").write_text('shop = "shop"\n')
            shop = Shop(Home(folder, Path(traffic)), Settings(shop="shop"))
            serve(shop.serving(), port=0, on_ready=lambda address: print(address, flush=True))
        return
    serve(app, port=0, on_ready=lambda address: print(address, flush=True))


def constant_app(body: bytes) -> Callable[..., Coroutine[Any, Any, None]]:
    """Reads the request's body and says the same thing, as long as a usual answer."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for event in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{event}.complete"})
            return
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def release() -> Release:
    now = datetime.now(UTC)
    return Release(
        tenant=DEFAULT_TENANT, name="recommender", version=1, model="knn", params={}, seed=1,
        snapshot=1, run_id=RunId("benchmark"), code="", packages={}, metrics={}, released_at=now,
    )  # fmt: skip


# The load


class Connection(asyncio.Protocol):
    """One connection that is kept; ``on_answer`` is called with it after each answer."""

    def __init__(self, on_answer: Callable[[Connection], None]) -> None:
        self._on_answer = on_answer
        self._rest = 0  # bytes of the answer that are still to come

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def ask(self, request: bytes) -> None:
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._rest == 0:
            if not data.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"The server answered: {data[:500]!r}")
            head = data.index(b"\r\n\r\n")  # a head always comes in one piece here
            at = data.index(b"content-length: ") + 16
            self._rest = head + 4 + int(data[at : data.index(b"\r\n", at)])
        self._rest -= len(data)
        if self._rest == 0:
            self._on_answer(self)


async def connect(port: int, count: int, on_answer: Callable[[Connection], None]) -> list[Any]:
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: Connection(on_answer), "127.0.0.1", port)
        for _ in range(count)
    ]
    return [protocol for _, protocol in made]


async def closed_loop(port: int, requests: list[bytes], count: int) -> float:
    """Requests answered in a second, each connection asking as soon as it is answered."""
    done = asyncio.get_running_loop().create_future()
    sent = answered = 0

    def ask(connection: Connection) -> None:
        nonlocal sent
        if sent < count:
            connection.ask(requests[sent % len(requests)])
            sent += 1

    def on_answer(connection: Connection) -> None:
        nonlocal answered
        answered += 1
        ask(connection)
        if answered == count:
            done.set_result(None)

    connections = await connect(port, CONNECTIONS, on_answer)
    started = time.perf_counter()
    for connection in connections:
        ask(connection)
    await asyncio.wait_for(done, 120)
    taken = time.perf_counter() - started
    for connection in connections:
        connection.transport.close()
    return count / taken


if __name__ == "__main__":
    main()
