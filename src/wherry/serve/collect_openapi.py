"""What the OpenAPI document says of the routes by which events come in."""

from __future__ import annotations

from typing import Any

import msgspec

from wherry.collect.protocols.native import NativeEvent
from wherry.serve.endpoints import ENDPOINTS, EVENTS, PIXEL, Success, Taken
from wherry.serve.problem import ErrorBody

REFERENCE = "#/components/schemas/{name}"
"""Where a schema stands in the document, by its name."""

COLLECT_TYPES: list[type[msgspec.Struct]] = [NativeEvent, Taken, Success]
"""The structs that these routes read and answer."""

SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "basic": {"type": "http", "scheme": "basic"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "link": {"type": "apiKey", "in": "query", "name": "key"},
}
"""The places for a write key. Where the server has no keys none is asked for."""

_SUMMARIES = {
    "native": "Take events in Wherry's own form",
    "segment": "Take events in the form of Segment and RudderStack",
    "ga4": "Take events of GA4's Measurement Protocol",
    "snowplow": "Take events of a Snowplow tracker",
    "pixel": "Take one event as a picture's address",
}
_PROBLEMS = {
    "400": "The body can't be read as a whole, or can't be unpacked.",
    "401": "The write key is missing or wrong.",
    "408": "The body did not come in time.",
    "413": "The body is too long, or holds too many events.",
    "415": "The body is of a type or an encoding that isn't known.",
    "429": "Too many events came with this key; Retry-After says when to go on.",
    "503": "The events can't be kept just now; Retry-After says when to send them again.",
}
_WITHOUT_BODY = ("401", "413", "429", "503")


def collect_paths() -> dict[str, Any]:
    """The paths of the collecting routes."""
    return {
        path: {method.lower(): _operation(path, method) for method in endpoint.methods}
        for path, endpoint in ENDPOINTS.items()
    }


def content(
    description: str, answer: type[msgspec.Struct], kind: str = "application/json"
) -> dict[str, Any]:
    """An answer whose body is a struct as JSON."""
    return {"description": description, "content": {kind: {"schema": reference(answer)}}}


def reference(struct: type[msgspec.Struct]) -> dict[str, str]:
    """The place of a struct's schema."""
    return {"$ref": REFERENCE.format(name=struct.__name__)}


def _operation(path: str, method: str) -> dict[str, Any]:
    protocol = ENDPOINTS[path].protocol
    has_body = method == "POST"
    problems = {
        status: content(text, ErrorBody)
        for status, text in _PROBLEMS.items()
        if has_body or status in _WITHOUT_BODY
    }
    operation: dict[str, Any] = {
        "summary": _SUMMARIES[protocol],
        "security": [{}, *({name: []} for name in SECURITY_SCHEMES)],
        "responses": {**_answers(protocol, method), **problems},
    }
    if has_body:
        operation["requestBody"] = {"required": True, "content": _bodies(path)}
    elif path == PIXEL:
        operation["parameters"] = [
            {"name": name, "in": "query", "schema": {"type": "string"}}
            for name in NativeEvent.__struct_fields__
            if name not in ("items", "properties")
        ]
    else:
        operation["parameters"] = [
            {"name": name, "in": "query", "schema": {"type": "string"}}
            for name in ("e", "eid", "aid", "uid", "duid", "sid", "dtm", "stm", "ue_px", "cx")
        ]
    return operation


def _bodies(path: str) -> dict[str, Any]:
    if path != EVENTS:
        return {"application/json": {"schema": {"type": "object"}}}
    event = reference(NativeEvent)
    return {
        "application/json": {"schema": {"anyOf": [event, {"type": "array", "items": event}]}},
        "application/x-ndjson": {"schema": {"type": "string"}},
    }


def _answers(protocol: str, method: str) -> dict[str, Any]:
    picture = {"content": {"image/gif": {"schema": {"type": "string", "format": "binary"}}}}
    if protocol == "native":
        return {
            "200": content("What became of the events.", Taken),
            "422": content("None of the events can be taken; the answer says why.", Taken),
        }
    if protocol == "segment":
        return {"200": content("The events are kept.", Success)}
    if protocol == "ga4":
        return {"204": {"description": "The events are kept."}}
    if method == "POST":
        text = {"text/plain": {"schema": {"type": "string", "const": "ok"}}}
        return {"200": {"description": "The events are kept.", "content": text}}
    answers: dict[str, Any] = {"200": {"description": "A picture of one point.", **picture}}
    if protocol == "pixel":
        answers["422"] = {"description": "The event can't be taken.", **picture}
    return answers
