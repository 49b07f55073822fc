"""The protocols that events come in over HTTP, each a pure function from bytes to events.

A parser reads the delivery's ``body`` and of its ``context``

=============== ========================================================
``path``        the path that was asked for
``query``       the query string, without the key
``content_type``  what the client says that the body is
``keyed_by``    ``aid``, if that field of a tracker's events was the key
``keyless``     there, if the server has no keys: events name their tenant
=============== ========================================================
"""

from typing import Protocol

from wherry.collect.delivery import Delivery, Parsed
from wherry.collect.protocols import ga4, native, pixel, segment, snowplow
from wherry.collect.protocols.body import BodyError, Bounds


class BoundedParser(Protocol):
    """A parser that is told how much one request may hold; without, the defaults count."""

    def __call__(self, delivery: Delivery, bounds: Bounds | None = None) -> Parsed:
        """Read a delivery.

        Raises:
            BodyError: If its body as a whole can't be read, or holds too many events.
        """


PROTOCOLS: dict[str, BoundedParser] = {
    "native": native.parse,
    "segment": segment.parse,
    "ga4": ga4.parse,
    "snowplow": snowplow.parse,
    "pixel": pixel.parse,
}
"""The parsers by the name of their protocol, as a delivery names it."""

__all__ = ["PROTOCOLS", "BodyError", "BoundedParser", "Bounds"]
