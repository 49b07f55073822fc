"""The write key of a request: where each protocol's clients put it, and how it is kept out of
the log."""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import parse_qsl

import msgspec

_IN_LINK = (b"key", b"api_secret", b"writeKey")
_LINK = re.compile(rb"(?:^|(?<=&))(?:%s)=[^&]*(?:&|$)" % b"|".join(_IN_LINK))
_IN_BODY = re.compile(rb'"(?:writeKey|aid)"\s*:\s*"([A-Za-z0-9_-]{1,128})"')
_SHOWN_LETTERS = 11


class _Keyed(msgspec.Struct):
    writeKey: str | None = None
    aid: str | None = None


class _Batch(_Keyed):
    batch: list[_Keyed] = []
    data: list[_Keyed] = []


_batch = msgspec.json.Decoder(_Batch)


def key_in_head(headers: dict[bytes, bytes], query: bytes) -> str | None:
    """The key that stands outside of a body, None if there is none.

    It is the user of basic authentication (as Segment's clients have it), a bearer's token,
    the header ``X-API-Key``, or of the address ``key``, GA4's ``api_secret``, ``writeKey``.
    """
    scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer":
        return given.strip().decode("latin-1")
    if scheme.lower() == b"basic":
        try:
            return base64.b64decode(given).partition(b":")[0].decode("latin-1")
        except (binascii.Error, ValueError):
            return ""
    named = headers.get(b"x-api-key")
    if named is not None:
        return named.decode("latin-1")
    found = dict(parse_qsl(query.decode("latin-1"))) if b"=" in query else {}
    return next((found[name.decode()] for name in _IN_LINK if name.decode() in found), None)


def key_in_body(protocol: str, body: bytes, query: bytes) -> str | None:
    """The key that stands in a body: Segment's ``writeKey``, Snowplow's application id
    (``aid``), for which a tracker has no other place; of several the first."""
    if protocol == "snowplow" and not body:
        return dict(parse_qsl(query.decode("latin-1"))).get("aid")
    if protocol not in ("segment", "snowplow"):
        return None
    try:
        whole = _batch.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = _IN_BODY.search(body)
        return found[1].decode() if found else None
    rows = [whole, *(whole.batch if protocol == "segment" else whole.data)]
    keys = (row.writeKey if protocol == "segment" else row.aid for row in rows)
    return next((key for key in keys if key), None)


def without_key(text: bytes, key: str | None) -> bytes:
    """A body or a query with the key cut to its beginning, by which ``wherry keys`` lists it."""
    if not key or len(key) <= _SHOWN_LETTERS or not key.isascii():  # no key that was ever made
        return text
    return text.replace(key.encode(), key[:_SHOWN_LETTERS].encode())


def without_key_fields(query: bytes) -> bytes:
    """A query string without the fields that hold a key.

    >>> without_key_fields(b"a=1&key=wk_x&b=2")
    b'a=1&b=2'
    """
    return _LINK.sub(b"", query).rstrip(b"&")
