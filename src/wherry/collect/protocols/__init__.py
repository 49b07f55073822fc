"""The protocols that events come in over HTTP, each a pure function from bytes to events.

A parser reads the delivery's ``body`` and of its ``context``

=============== ========================================================
``path``        the path that was asked for
``query``       the query string, without the key
``content_type``  what the client says that the body is
``keyless``     there, if the server has no keys: events name their tenant
=============== ========================================================
"""

from wherry.collect.delivery import Parser
from wherry.collect.protocols import ga4, native, pixel, segment, snowplow
from wherry.collect.protocols.body import BodyError, Bounds

PROTOCOLS: dict[str, Parser] = {
    "native": native.parse,
    "segment": segment.parse,
    "ga4": ga4.parse,
    "snowplow": snowplow.parse,
    "pixel": pixel.parse,
}
"""The parsers by the name of their protocol, as a delivery names it."""

__all__ = ["PROTOCOLS", "BodyError", "Bounds"]
