"""Problems: what a request that can't be answered gets instead, always JSON, never a page."""

from __future__ import annotations

import msgspec

from wherry.errors import UsageError

Headers = list[tuple[bytes, bytes]]

JSON_HEADERS: Headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wrong, and with which field of the request."""

    message: str
    field: str | None = None
    request_id: str = ""


class ErrorBody(msgspec.Struct, frozen=True):
    """The body of every answer with a status of 400 or above."""

    error: Problem


class RequestError(UsageError):
    """A request can't be answered: its HTTP status, the field at fault, headers to send along."""

    def __init__(
        self, status: int, message: str, *, field: str | None = None, headers: Headers | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.field = field
        self.headers: Headers = headers or []

    def body(self, request_id: str = "") -> bytes:
        """The problem as JSON."""
        return problem_body(str(self), self.field, request_id)


def problem_body(message: str, field: str | None = None, request_id: str = "") -> bytes:
    """A problem as JSON; text that no encoding can carry is replaced, so this never fails."""
    clean = message.encode("utf-8", "replace").decode()
    return msgspec.json.encode(ErrorBody(Problem(clean, field, request_id)))
