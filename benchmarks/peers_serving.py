"""The same model behind what a team would otherwise serve it with, beside Wherry's own server.

    python benchmarks/peers_serving.py [--data ../shared/data] [--only fastapi,litserve]

FastAPI, BentoML, LitServe and MLflow's scoring server each get an environment of their own
(made under ``--envs``, kept for the next time), the released recommender of ``serve.py`` and
the plainest server that their documentation shows. One worker each, on a core of its own, the
same eight connections from the same generator. Figures are medians over the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import uvloop

from environments import environment
from serve import K, made_up, part_cores, release, retailrocket
from wherry.learn.answer import Answerer
from wherry.learn.catalogue import Catalogue
from wherry.learn.knn import SessionKNN
from wherry.learn.popularity import Popularity
from wherry.learn.sessions import Vocabulary
from wherry.serve import save_recommender
from wherry.simulate.connection import Connection, Target

CONNECTIONS = 8
START_SECONDS = 180.0

HEAD = """
import os
from pathlib import Path
from wherry.learn.answer import Query
from wherry.serve import load_recommender
FOLDER = Path(os.environ["RECOMMENDER"])
"""

FASTAPI = f"""{HEAD}
from fastapi import FastAPI
from pydantic import BaseModel
import uvicorn

class Ask(BaseModel):
    session_items: list[str]
    k: int = 10

app, recommender = FastAPI(), load_recommender(FOLDER)

@app.post("/v1/recommend")
async def recommend(ask: Ask):
    answer = recommender.recommend(Query(ask.session_items, ask.k))
    return {{"items": [{{"item": i.item, "score": i.score}} for i in answer.items]}}

uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="error")
"""

LITSERVE = f"""{HEAD}
import litserve

class Api(litserve.LitAPI):
    def setup(self, device):
        self.recommender = load_recommender(FOLDER)
    def decode_request(self, request):
        return Query(request["session_items"], request["k"])
    def predict(self, query):
        return self.recommender.recommend(query)
    def encode_response(self, answer):
        return {{"items": [{{"item": i.item, "score": i.score}} for i in answer.items]}}

if __name__ == "__main__":
    server = litserve.LitServer(Api(api_path="/v1/recommend"), accelerator="cpu")
    server.run(host="127.0.0.1", port=int(os.environ["PORT"]), generate_client_file=False,
               log_level="error")
"""

BENTOML = f"""{HEAD}
import bentoml

@bentoml.service(workers=1)
class Shop:
    def __init__(self):
        self.recommender = load_recommender(FOLDER)
    @bentoml.api(route="/v1/recommend")
    def recommend(self, session_items: list[str], k: int = 10) -> dict:
        answer = self.recommender.recommend(Query(session_items, k))
        return {{"items": [{{"item": i.item, "score": i.score}} for i in answer.items]}}
"""


class Peer(NamedTuple):
    """A framework: what to install, the server's source, how it is started, where it is asked."""

    packages: tuple[str, ...]
    source: str
    command: tuple[str, ...]
    path: str = "/v1/recommend"


PEERS = {
    "fastapi": Peer(("fastapi", "uvicorn", "uvloop", "httptools"), FASTAPI, ("server.py",)),
    "litserve": Peer(("litserve",), LITSERVE, ("server.py",)),
    "bentoml": Peer(
        ("bentoml",), BENTOML,
        ("-m", "bentoml", "serve", "server:Shop", "--host", "127.0.0.1", "--port", "{port}"),
    ),
    "mlflow": Peer(
        ("mlflow==3.17.2",), "",
        ("-m", "mlflow", "models", "serve", "-m", "model", "--env-manager", "local",
         "--host", "127.0.0.1", "--port", "{port}", "--workers", "1"),
        "/invocations",
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, help="folder that holds retailrocket_srgnn/")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=3_000, help="a round and server")
    parser.add_argument("--only", default="", help="peers, with commas")
    parser.add_argument("--envs", type=Path, default=Path(tempfile.gettempdir()) / "wherry-peers")
    options = parser.parse_args()
    wanted = options.only.split(",") if options.only else list(PEERS)
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), wanted, options)


def measure(folder: Path, wanted: list[str], options: argparse.Namespace) -> None:
    data = options.data
    sessions, prefixes, source = made_up(37_000) if data is None else retailrocket(data)
    vocabulary = Vocabulary(f"item-{code}" for code in range(sessions.n_items))
    model = SessionKNN().fit(sessions, seed=1)
    popularity = Popularity().fit(sessions, seed=1).score(prefixes[0])
    recommender = folder / "recommender"
    catalogue = Catalogue.unknown(sessions.n_items)
    save_recommender(Answerer(model, vocabulary, catalogue, popularity), recommender)
    (recommender / "constant").write_bytes(b"{}")
    asked = [[f"item-{code}" for code in prefix] for prefix in prefixes[:2_000]]
    print(f"{source}: {sessions.n_items:,} items; k = {K}; {release().model}")
    ours = Path(__file__).parent.parent / "src", Path(sysconfig.get_path("purelib"))
    ready = {
        name: environment(options.envs / name, PEERS[name].packages, behind=ours) for name in wanted
    }
    rates: dict[str, list[float]] = {name: [] for name in ["wherry", *wanted]}
    lates: dict[str, list[float]] = {name: [] for name in rates}
    for _ in range(options.rounds):
        for name in rates:
            with running(name, ready.get(name), folder) as (port, path):
                bodies = [body_of(name, items) for items in asked]
                run_load(port, path, bodies, 300)
                taken, seconds = run_load(port, path, bodies, options.requests)
            rates[name].append(options.requests / seconds)
            lates[name].append(float(np.percentile(taken, 99)) * 1e3)
    own = statistics.median(rates["wherry"])
    print(f"{'':10}{'requests/s':>12}{'of ours':>9}{'p99 ms':>9}")
    for name, each in rates.items():
        rate = statistics.median(each)
        print(f"{name:10}{rate:12,.0f}{rate / own:9.0%}{statistics.median(lates[name]):9.2f}")


def body_of(name: str, items: list[str]) -> bytes:
    if name == "mlflow":
        return json.dumps({"dataframe_records": [{"items": items, "k": K}]}).encode()
    return json.dumps({"session_items": items, "k": K}).encode()


@contextlib.contextmanager
def running(name: str, python: Path | None, folder: Path) -> Iterator[tuple[int, str]]:
    """A server in processes of its own: its port, and where it is asked."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    place = folder / name
    place.mkdir(exist_ok=True)
    env = {
        **os.environ,
        "RECOMMENDER": str(folder / "recommender"),
        "PORT": str(port),
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_HOME": str(place),
        "LITSERVE_DISABLE_USAGE_STATS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    if python is None:
        command = [sys.executable, str(Path(__file__).parent / "serve.py")]
        command += ["--serve", "recommend", "--folder", str(folder / "recommender")]
        path = "/v1/recommend"
    else:
        env["PATH"] = f"{python.parent}{os.pathsep}{env['PATH']}"  # MLflow calls uvicorn by name
        peer = PEERS[name]
        (place / "server.py").write_text(peer.source)
        if name == "mlflow" and not (place / "model").exists():
            save_mlflow(python, place, folder / "recommender", env)
        command = [str(python), *(word.format(port=port) for word in peer.command)]
        path = peer.path
    log = (place / "log").open("wb")
    process = subprocess.Popen(
        command, cwd=place, env=env, stdout=subprocess.PIPE if python is None else log,
        stderr=log, start_new_session=True,
    )  # fmt: skip
    try:
        if python is None:
            assert process.stdout is not None
            port = int(process.stdout.readline().rsplit(b":", 1)[1])
        await_port(port, process, place / "log")
        part_cores(process.pid)
        for child in children(process.pid):
            os.sched_setaffinity(child, os.sched_getaffinity(process.pid))
        yield port, path
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()
        log.close()
        os.sched_setaffinity(0, range(os.cpu_count() or 1))


def save_mlflow(python: Path, place: Path, recommender: Path, env: dict[str, str]) -> None:
    """Log the release as the registry does: a model from code."""
    code = (
        "import mlflow.pyfunc, wherry.registry.pyfunc as m; "
        f"mlflow.pyfunc.save_model('model', python_model=m.__file__, "
        f"artifacts={{'recommender': {str(recommender)!r}}}, pip_requirements=[])"
    )
    subprocess.run([str(python), "-c", code], cwd=place, env=env, check=True)


def children(pid: int) -> list[int]:
    """The processes below one, from Linux' /proc."""
    found, pending = [], [pid]
    while pending:
        at = Path(f"/proc/{pending.pop()}/task")
        for task in at.glob("*/children") if at.exists() else ():
            pending += (more := [int(word) for word in task.read_text().split()])
            found += more
    return found


def await_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until something listens; a server that ends before that is shown with its log."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            time.sleep(1)
            return
        time.sleep(0.2)
    raise SystemExit(f"The server did not start:\n{log.read_text()[-2_000:]}")


def run_load(port: int, path: str, bodies: list[bytes], count: int) -> tuple[list[float], float]:
    """Ask so often over the connections, each as soon as it is answered: seconds each, and all."""
    heads = f"POST {path} HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
    messages = [f"{heads}Content-Length: {len(b)}\r\n\r\n".encode() + b for b in bodies]
    taken: list[float] = []

    async def work() -> None:
        turns = iter(range(count))

        async def ask() -> None:
            connection = Connection(Target("127.0.0.1", port))
            for turn in turns:
                since = time.perf_counter()
                answer = await connection.ask(messages[turn % len(messages)], 60)
                taken.append(time.perf_counter() - since)
                if answer.status != 200:
                    raise SystemExit(f"The server answered {answer.status}: {answer.body[:500]!r}")
            connection.close()

        await asyncio.gather(*(ask() for _ in range(CONNECTIONS)))

    started = time.perf_counter()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())
    return taken, time.perf_counter() - started


if __name__ == "__main__":
    main()
