"""Recommendations over HTTP, beside the same server answering a constant and the kernel alone.

    python benchmarks/serve.py [--data ../shared/data] [--rounds 3] [--requests 20000]

With ``--data`` the sessions are those of RetailRocket (``retailrocket_srgnn``), else they are
made up in that shape. The load comes from this process and the server is another one, so two
cores are busy. Figures are medians over the rounds.
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
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import uvloop

from wherry.domain import DEFAULT_TENANT, Release, RunId
from wherry.learn.answer import Answerer
from wherry.learn.catalogue import Catalogue
from wherry.learn.knn import SessionKNN
from wherry.learn.popularity import Popularity
from wherry.learn.sessions import Sessions, Vocabulary
from wherry.serve import create_app, load_recommender, save_recommender, serve

CONNECTIONS = 8
OPEN_LOOP_RATE = 1_000
K = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, help="folder that holds retailrocket_srgnn/")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=20_000, help="a round and server")
    parser.add_argument("--seconds", type=float, default=10.0, help="of the open loop")
    parser.add_argument("--serve", choices=("constant", "recommend"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        answer_requests(options.serve, options.folder)
    else:
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), options)


def measure(folder: Path, options: argparse.Namespace) -> None:
    sessions, prefixes, source = made_up() if options.data is None else retailrocket(options.data)
    vocabulary = Vocabulary(f"item-{code}" for code in range(sessions.n_items))
    model = SessionKNN().fit(sessions, seed=1)
    popularity = Popularity().fit(sessions, seed=1).score(prefixes[0])
    catalogue = Catalogue.unknown(sessions.n_items)
    save_recommender(Answerer(model, vocabulary, catalogue, popularity), folder)
    requests = [request([f"item-{code}" for code in prefix]) for prefix in prefixes]
    kernel = time_kernel(folder, prefixes)
    recommender = load_recommender(folder)
    constant_body = json.dumps({"x": "x" * 1_400}).encode()
    (folder / "constant").write_bytes(constant_body)
    print(f"{source}: {len(sessions):,} sessions, {sessions.n_items:,} items; k = {K}")
    print(f"kernel alone: mean {kernel.mean():.0f} µs, p50 {np.median(kernel):.0f} µs, "
          f"p99 {np.quantile(kernel, 0.99):.0f} µs ({recommender.label})")  # fmt: skip
    rates: dict[str, list[float]] = {"constant": [], "recommend": []}
    costs: dict[str, list[float]] = {"constant": [], "recommend": []}
    for _ in range(options.rounds):
        for kind in rates:
            with running(kind, folder) as (port, pid):
                run(closed_loop(port, requests, 2_000))  # warm
                before = cpu_seconds(pid)
                rates[kind].append(run(closed_loop(port, requests, options.requests)))
                costs[kind].append((cpu_seconds(pid) - before) / options.requests * 1e6)
    constant, recommend = (statistics.median(rates[kind]) for kind in rates)
    bound = 1 / (1 / constant + kernel.mean() / 1e6)
    print(f"constant answer: {constant:,.0f} requests/s ({spread(rates['constant'])})")
    print(f"recommend:       {recommend:,.0f} requests/s ({spread(rates['recommend'])})")
    print(f"both together allow {bound:,.0f}/s; recommend reaches {recommend / bound:.0%} of it")
    # The server's processor time says the same where other work shares the machine.
    constant, recommend = (statistics.median(costs[kind]) for kind in costs)
    share = (constant + kernel.mean()) / recommend
    print(f"server's processor time: constant {constant:.0f} µs, recommend {recommend:.0f} µs; "
          f"{share:.0%} of it is the constant answer and the kernel")  # fmt: skip
    with running("recommend", folder) as (port, _):
        run(closed_loop(port, requests, 2_000))
        late = run(open_loop(port, requests, OPEN_LOOP_RATE, options.seconds))
    marks = ", ".join(f"p{q:g} {np.percentile(late, q):.2f}" for q in (50, 90, 99, 99.9, 100))
    print(f"open loop at {OPEN_LOOP_RATE:,} requests/s for {options.seconds:g} s, ms: {marks}")


def spread(rates: list[float]) -> str:
    return f"{min(rates):,.0f} to {max(rates):,.0f}"


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


def made_up() -> tuple[Sessions, list[np.ndarray], str]:
    """126,168 sessions of 5.4 clicks on 36,968 items, most of a session's near each other."""
    rng = np.random.default_rng(1)
    n_sessions, n_items = 126_168, 36_968
    lengths = 2 + rng.geometric(1 / 3.4, n_sessions)
    codes = np.repeat(np.arange(n_sessions), lengths)
    heart = (n_items * rng.random(n_sessions) ** 2)[codes]
    items = (heart + rng.standard_cauchy(len(codes)) * 20).astype(np.int64) % n_items
    sessions = Sessions.from_events(codes, items.astype(np.int32), codes, n_items=n_items)
    chosen = rng.choice(n_sessions, 5_000, replace=False)
    prefixes = [sessions.items[sessions.offsets[s] : sessions.offsets[s + 1] - 1] for s in chosen]
    return sessions, prefixes, "made-up sessions"


def time_kernel(folder: Path, prefixes: list[np.ndarray]) -> np.ndarray:
    """Microseconds of processor time of each answer of the model as the server has it."""
    model = load_recommender(folder).answerer.model
    for prefix in prefixes[:200]:
        model.recommend(prefix, K)
    taken = []
    for prefix in prefixes[:5_000]:
        started = time.thread_time_ns()
        model.recommend(prefix, K)
        taken.append(time.thread_time_ns() - started)
    return np.array(taken) / 1e3


def request(items: list[str]) -> bytes:
    body = json.dumps({"session_items": items, "k": K}).encode()
    return (
        b"POST /v1/recommend HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
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


def answer_requests(kind: str, folder: Path) -> None:
    app: Any = constant_app((folder / "constant").read_bytes())
    if kind == "recommend":
        found = {DEFAULT_TENANT: (release(), folder)}
        app = create_app(
            lambda: found, lambda release, path: load_recommender(path, release=release)
        )
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
        self.planned = 0.0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def ask(self, request: bytes, planned: float = 0.0) -> None:
        self.planned = planned
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


async def open_loop(port: int, requests: list[bytes], rate: int, seconds: float) -> np.ndarray:
    """Milliseconds from when each request was due, not sent, to its answer."""
    clock, late = time.perf_counter, []
    count = int(rate * seconds)
    idle: deque[Connection] = deque()

    def on_answer(connection: Connection) -> None:
        late.append((clock() - connection.planned) * 1e3)
        idle.append(connection)

    connections = await connect(port, 64, on_answer)
    idle.extend(connections)
    started = clock()
    sent = 0
    while len(late) < count:
        due = min(int((clock() - started) * rate), count)
        while sent < due and idle:
            idle.popleft().ask(requests[sent % len(requests)], started + sent / rate)
            sent += 1
        if clock() - started > seconds + 30:
            raise SystemExit(f"The server can't keep up: {len(late)} of {count} answered.")
        await asyncio.sleep(0.0002)
    for connection in connections:
        connection.transport.close()
    return np.array(late)


if __name__ == "__main__":
    main()
