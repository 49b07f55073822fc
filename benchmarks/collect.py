"""Events over HTTP, acknowledged when they are on disk, beside the same server discarding the
body, and beside PostgreSQL and Redis on the same disk with the same durability.

The server takes what it acknowledges into the live sessions, as every server of a project does;
``stateless`` is the same one without them. Every event is of another visitor and session, which
is the most that the live sessions can have to do.

    python benchmarks/collect.py [--rounds 3] [--events 200000] [--requests 20000]

Each server is a process of its own and the load comes from this one (from psql for PostgreSQL).
Every request is answered before its connection sends the next. PostgreSQL takes COPY and INSERT
into a table without an index, every statement a transaction; Redis XADD, with
``appendfsync always``. A peer that is not installed is passed over. Figures are medians over
the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from serve import constant_app, cpu_seconds, part_cores, run
from wherry.live.sessions import LiveSessions
from wherry.project import Project
from wherry.serve import serve

BATCH = 100
CONNECTIONS = {BATCH: 16, 1: 128}
SERVERS = ("discard", "collect", "stateless")
Event = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", type=int, default=200_000, help="in batches, a round")
    parser.add_argument("--requests", type=int, default=20_000, help="of one event, a round")
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to be measured")
    parser.add_argument("--serve", choices=SERVERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        answer_requests(options.serve, options.folder)
        return
    with tempfile.TemporaryDirectory(prefix="wherry-", dir=options.folder) as folder:
        path = Path(folder)
        path.chmod(0o755)  # PostgreSQL has a user of its own
        print(f"one fsync of 8 kB: {fsync_ms(path):.2f} ms")
        for size, count in ((BATCH, options.events // BATCH), (1, options.requests)):
            measure(path, size, count, options.rounds)


def measure(folder: Path, size: int, count: int, rounds: int) -> None:
    """Rates of every server, for requests of so many events."""
    what = f"batches of {size}" if size > 1 else "single events"
    n_connections = CONNECTIONS[size]
    print(f"\n{what}, {n_connections} connections, {count:,} requests a round, events/s:")
    rates: dict[str, list[float]] = {}
    costs: dict[str, list[float]] = {}
    for number in range(rounds):
        for kind in SERVERS:
            events = made_up(size * count, seed=number)
            requests = [http_request(chunk) for chunk in chunks(events, size)]
            with running(kind, folder / f"{kind}-{size}-{number}") as (port, pid):
                before = cpu_seconds(pid)
                rate = run(closed_loop(port, requests, n_connections, http_done))
                costs.setdefault(kind, []).append((cpu_seconds(pid) - before) / count * 1e6)
            rates.setdefault(kind, []).append(rate * size)
        for kind, peer in (("PostgreSQL", postgres), ("Redis", redis)):
            events = made_up(size * count, seed=number)
            rate = peer(folder / f"{kind}-{size}-{number}", events, size, n_connections)
            if rate is not None:
                rates.setdefault(kind, []).append(rate)
    for kind, found in rates.items():
        cost = ""
        if kind in costs:
            cost = f"; {statistics.median(costs[kind]):.0f} µs of a core a request"
        spread = f"{min(found):,.0f} to {max(found):,.0f}"
        print(f"  {kind:10} {statistics.median(found):>10,.0f}  ({spread}){cost}")
    for kind in ("PostgreSQL", "Redis"):
        if kind not in rates:
            print(f"  {kind:10} is not installed here")
    for kind, what in (("collect", "collecting"), ("stateless", "without the live sessions it")):
        share = statistics.median(rates[kind]) / statistics.median(rates["discard"])
        print(f"  {what} reaches {share:.0%} of the rate of discarding")


def fsync_ms(folder: Path, times: int = 100) -> float:
    """What the disk takes to make one small write durable."""
    with (folder / "fsync").open("wb", buffering=0) as file:
        started = time.perf_counter()
        for _ in range(times):
            file.write(b"x" * 8_192)
            os.fsync(file.fileno())
        return (time.perf_counter() - started) / times * 1e3


# What is sent


def made_up(count: int, seed: int) -> list[Event]:
    rng = random.Random(seed)
    now = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    return [
        {
            "event_id": f"{rng.getrandbits(128):032x}",
            "event_type": "view",
            "visitor_id": f"v{rng.getrandbits(40):010x}",
            "session_id": f"s{rng.getrandbits(40):010x}",
            "occurred_at": f"{now}.{rng.randrange(1000):03}",
            "items": [{"id": f"item-{rng.randrange(40_000)}", "price": 49.5, "quantity": 1}],
            "properties": {"page": f"/products/{rng.randrange(40_000)}"},
        }
        for _ in range(count)
    ]


def chunks(events: list[Event], size: int) -> list[list[Event]]:
    return [events[at : at + size] for at in range(0, len(events), size)]


def http_request(events: list[Event]) -> bytes:
    body = json.dumps(events if len(events) > 1 else events[0], separators=(",", ":")).encode()
    return (
        b"POST /v1/events HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )


def http_done(answer: bytes, size: int) -> bool:
    """Whether an answer is whole; anything but 200 ends the benchmark."""
    head = answer.find(b"\r\n\r\n")
    if head < 0:
        return False
    if not answer.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"The server answered: {answer[:500]!r}")
    at = answer.index(b"content-length: ") + 16
    return len(answer) >= head + 4 + int(answer[at : answer.index(b"\r\n", at)])


# Our servers


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
        process.communicate(timeout=60)
        os.sched_setaffinity(0, range(os.cpu_count() or 1))


class KeptNowhere(LiveSessions):
    """Live sessions that take nothing in."""

    def take(self, events: Sequence[Event]) -> None:
        """Let go of what came."""


class Stateless(Project):
    """A project that keeps no live sessions."""

    @property
    def live_sessions(self) -> LiveSessions:
        """Live sessions that stay empty."""
        return KeptNowhere(self.live_store)


def answer_requests(kind: str, folder: Path) -> None:
    def tell(address: str) -> None:
        print(address, flush=True)

    kinds = {"collect": Project, "stateless": Stateless}
    if kind in kinds:
        kinds[kind].create(folder).collect(port=0, on_ready=tell)
    else:
        serve(constant_app(b'{"taken":100,"known":0,"refused":[]}'), port=0, on_ready=tell)


# The load


class Connection(asyncio.Protocol):
    """One connection that is kept; asks for the next request as soon as it is answered."""

    def __init__(
        self, next_request: Callable[[], bytes | None], is_done: Callable[[bytes, int], bool]
    ) -> None:
        self._next = next_request
        self._is_done = is_done
        self._answer = b""
        self._size = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def ask(self) -> None:
        request = self._next()
        if request is not None:
            self._size = request.count(b"XADD")
            self._answer = b""
            self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if self._is_done(self._answer, self._size):
            self.ask()


async def closed_loop(
    address: int | str,
    requests: list[bytes],
    n_connections: int,
    is_done: Callable[[bytes, int], bool],
) -> float:
    """Requests answered in a second."""
    loop = asyncio.get_running_loop()
    over = loop.create_future()
    left, asked = iter(requests), 0

    def next_request() -> bytes | None:
        nonlocal asked
        request = next(left, None)
        asked += 1
        if asked == len(requests) + n_connections:  # every connection found nothing more
            over.set_result(None)
        return request

    def protocol() -> Connection:
        return Connection(next_request, is_done)

    made = [
        await (
            loop.create_connection(protocol, "127.0.0.1", address)
            if isinstance(address, int)
            else loop.create_unix_connection(protocol, address)
        )
        for _ in range(n_connections)
    ]
    started = time.perf_counter()
    for _, connection in made:
        connection.ask()
    await asyncio.wait_for(over, 300)
    taken = time.perf_counter() - started
    for transport, _ in made:
        transport.close()
    return len(requests) / taken


# The peers


def redis(folder: Path, events: list[Event], size: int, n_connections: int) -> float | None:
    """Events a second into a stream, in pipelines of ``size``."""
    program = shutil.which("redis-server")
    if program is None:
        return None
    folder.mkdir()
    place = folder / "socket"
    command = [program, "--port", "0", "--unixsocket", str(place), "--dir", str(folder)]
    command += ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_for(place)
        part_cores(process.pid)
        requests = [b"".join(map(xadd, chunk)) for chunk in chunks(events, size)]
        return run(closed_loop(str(place), requests, n_connections, redis_done)) * size
    finally:
        process.terminate()
        process.wait(60)
        os.sched_setaffinity(0, range(os.cpu_count() or 1))


def xadd(event: Event) -> bytes:
    words = [b"XADD", b"events", b"*", b"event", json.dumps(event, separators=(",", ":")).encode()]
    return b"*5\r\n" + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def redis_done(answer: bytes, size: int) -> bool:
    if answer.startswith(b"-"):
        raise SystemExit(f"Redis answered: {answer[:500]!r}")
    return answer.count(b"\r\n") >= 2 * size


def postgres(folder: Path, events: list[Event], size: int, n_connections: int) -> float | None:
    """Events a second by COPY (batches) or INSERT, each client a psql with a script."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not programs:
        return None
    home, as_user = programs[-1].parent, as_postgres()
    folder.mkdir()
    if as_user:
        shutil.chown(folder, "postgres", "postgres")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    data = folder / "data"
    initdb = [*as_user, str(home / "initdb"), "-D", str(data), "-A", "trust", "-U", "bench"]
    subprocess.run(initdb, check=True, **quiet)
    command = [*as_user, str(home / "postgres"), "-D", str(data), "-k", str(folder)]
    command += ["-c", "listen_addresses=", "-c", f"max_connections={n_connections + 10}"]
    process = subprocess.Popen(command, **quiet)
    psql = [*as_user, str(home / "psql"), "-h", str(folder), "-U", "bench", "-q", "-d", "postgres"]
    try:
        wait_for(folder / ".s.PGSQL.5432")
        table = "CREATE TABLE events (id text, kind text, visitor text, at timestamp, event jsonb)"
        subprocess.run([*psql, "-c", table], check=True, **quiet)
        scripts = write_scripts(folder, chunks(events, size), n_connections)
        started = time.perf_counter()
        clients = [subprocess.Popen([*psql, "-f", str(each)], **quiet) for each in scripts]
        codes = [client.wait(300) for client in clients]
        taken = time.perf_counter() - started
        assert not any(codes)
        return len(events) / taken
    finally:
        process.terminate()
        process.wait(60)


def as_postgres() -> list[str]:
    """What makes a command run as PostgreSQL's own user: it refuses to be root."""
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] * (
        os.getuid() == 0
    )


def write_scripts(folder: Path, parts: list[list[Event]], n_clients: int) -> list[Path]:
    paths = []
    for number in range(n_clients):
        path = folder / f"{number}.sql"
        path.write_text("".join(statement(part) for part in parts[number::n_clients]))
        paths.append(path)
    return paths


def statement(events: list[Event]) -> str:
    rows = [
        (each["event_id"], each["event_type"], each["visitor_id"], each["occurred_at"],
         json.dumps(each, separators=(",", ":")))
        for each in events
    ]  # fmt: skip
    if len(rows) == 1:
        return f"INSERT INTO events VALUES {rows[0]!r};\n"  # a tuple of plain texts, as in SQL
    lines = "".join("\t".join(row) + "\n" for row in rows)
    return f"COPY events FROM STDIN;\n{lines}\\.\n"


def wait_for(place: Path) -> None:
    """Until a server listens on its socket."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.connect(str(place))
            time.sleep(0.5)  # PostgreSQL listens a moment before it answers
            return
        time.sleep(0.05)
    raise SystemExit(f"Nothing listens on {place}.")


if __name__ == "__main__":
    main()
