"""One write an answer: what reaches the socket, and when."""

from __future__ import annotations

import http.client
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from wherry.serve.one_write import HeadWithBody

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"


class Recorder:
    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.is_closed = True

    def is_reading(self) -> bool:
        return True


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def transport(recorder: Recorder) -> HeadWithBody:
    return HeadWithBody(cast(Any, recorder))


def test_head_and_body_go_out_together(transport: HeadWithBody, recorder: Recorder) -> None:
    transport.write(HEAD)
    assert recorder.written == []
    transport.write(b"body")
    transport.write(b"more")
    assert recorder.written == [HEAD + b"body", b"more"]


def test_a_head_alone_goes_out_at_the_end_or_with_the_close(
    transport: HeadWithBody, recorder: Recorder
) -> None:
    transport.write(HEAD)
    transport.flush()
    transport.flush()
    assert recorder.written == [HEAD]
    transport.write(HEAD)
    transport.close()
    assert recorder.written == [HEAD, HEAD]
    assert recorder.is_closed


def test_an_interim_answer_does_not_wait(transport: HeadWithBody, recorder: Recorder) -> None:
    transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert recorder.written == [b"HTTP/1.1 100 Continue\r\n\r\n"]


def test_all_else_is_the_transport_s_own(transport: HeadWithBody) -> None:
    assert transport.is_reading()


async def echo(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        for event in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{event}.complete"})
        return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    status = int(scope["path"].strip("/"))
    length = [] if status == 204 else [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": length})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def host() -> Iterator[str]:
    """Where a server in a process of its own answers."""
    program = """
from test_serve_one_write import echo
from wherry.serve import serve
serve(echo, port=0, on_ready=lambda address: print(address, flush=True))
"""
    command = [sys.executable, "-c", program]
    here = Path(__file__).parent
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=here) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip().removeprefix("http://")
        server.terminate()


def test_every_kind_of_answer_arrives_on_a_connection_that_is_kept(host: str) -> None:
    connection = http.client.HTTPConnection(host, timeout=20)
    asked = [("POST", "/200", b"x" * 100_000), ("HEAD", "/200", None), ("GET", "/204", None),
             ("GET", "/200", None), ("POST", "/404", b"no")]  # fmt: skip
    for method, path, body in asked:
        connection.request(method, path, body)
        answer = connection.getresponse()
        wanted = b"" if method == "HEAD" else body or b""
        assert (answer.status, answer.read()) == (int(path[1:]), wanted)
    connection.close()
