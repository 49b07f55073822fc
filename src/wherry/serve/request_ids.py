"""Request ids: what a client and a log line call one request."""

from __future__ import annotations

import os
import re
from itertools import count

_SANE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


class RequestIds:
    """Names requests: by the client's own id if it is a sane one, else by a new one.

    A new one is a random number of this object's and a count, which takes no system call.
    """

    def __init__(self) -> None:
        self._prefix = os.urandom(5).hex()
        self._count = count(1)

    def of(self, given: bytes | None) -> str:
        """The id of one request, from its header ``x-request-id`` if it has one."""
        if given is not None and _SANE_ID.fullmatch(given):
            return given.decode()
        return f"{self._prefix}{next(self._count):06x}"
