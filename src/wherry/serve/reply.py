"""The reply: an answer as every way out sends it."""

from __future__ import annotations

import msgspec

from wherry.serve.problem import Headers, RequestError, problem_body


class Reply(msgspec.Struct, frozen=True, gc=False):
    """JSON, its status, and headers beside those that every answer has."""

    request_id: str
    body: bytes
    status: int = 200
    headers: Headers = []


def refusal(error: RequestError, request_id: str) -> Reply:
    """What a request gets that can't be answered as it is."""
    return Reply(request_id, error.body(request_id), error.status, error.headers)


def failure(request_id: str) -> Reply:
    """What a request gets where the server is at fault."""
    return Reply(request_id, problem_body("The server failed.", None, request_id), 500)
