"""A server that answers as each test wants, and says what it was asked."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import msgspec


class Asked(NamedTuple):
    """One request that came in, and when."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def ids(self) -> list[str]:
        events = json.loads(self.body)
        return [each["event_id"] for each in (events if isinstance(events, list) else [events])]


class Reply(NamedTuple):
    status: int = 200
    body: object = None
    headers: dict[str, str] = {}  # noqa: RUF012  nobody changes it


Behaviour = Callable[[Asked, int], Reply | None]
"""Answers a request, given how many came before it; None drops the connection."""


def take_all(asked: Asked, before: int) -> Reply:
    return Reply(200, {"taken": len(asked.ids), "known": 0, "refused": []})


class Shop:
    """A server with a behaviour."""

    def __init__(self, behave: Behaviour) -> None:
        self.asked: list[Asked] = []
        shop, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1  # a head and its body in one piece

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                asked = Asked(
                    self.command, self.path, dict(self.headers), body, time.perf_counter()
                )
                with lock:
                    before = len(shop.asked)
                    shop.asked.append(asked)
                reply = behave(asked, before)
                if reply is None:
                    self.close_connection = True
                    return
                content = msgspec.json.encode(reply.body)
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = answer

            def log_message(self, *words: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    @property
    def ids(self) -> list[str]:
        return [event_id for asked in self.asked for event_id in asked.ids]


@contextmanager
def serving(behave: Behaviour = take_all) -> Iterator[Shop]:
    shop = Shop(behave)
    thread = threading.Thread(target=shop.server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield shop
    finally:
        shop.server.shutdown()
        shop.server.server_close()
        thread.join()
