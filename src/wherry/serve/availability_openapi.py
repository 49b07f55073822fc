"""What the OpenAPI document says of the route by which a shop tells what can be bought."""

from __future__ import annotations

from typing import Any

import msgspec

from wherry.serve.availability import (
    AVAILABILITY,
    MOST_ASKED,
    Availability,
    AvailabilityRequest,
    ToldAvailability,
)
from wherry.serve.collect_openapi import SECURITY_SCHEMES, content, reference
from wherry.serve.problem import ErrorBody

AVAILABILITY_TYPES: list[type[msgspec.Struct]] = [
    AvailabilityRequest,
    ToldAvailability,
    Availability,
]
"""The structs that this route reads and answers."""

_PROBLEMS = {
    "400": "The body can't be read, or can't be unpacked.",
    "401": "The write key is missing or wrong.",
    "403": "The key is another tenant's.",
    "408": "The body did not come in time.",
    "413": "The body is too long.",
    "415": "The body is of an encoding that isn't known.",
    "422": "The body doesn't fit, or too many items are asked about.",
    "503": "It can't be kept just now; Retry-After says when to send it again.",
}
_WITHOUT_BODY = ("401", "403", "422")


def availability_paths() -> dict[str, Any]:
    """The path of the route."""
    answers = {status: content(text, ErrorBody) for status, text in _PROBLEMS.items()}
    security: list[dict[str, list[str]]] = [{}]
    security += [{name: []} for name in SECURITY_SCHEMES]
    items = {
        "name": "items",
        "in": "query",
        "required": True,
        "description": "Ids of the items, separated by commas.",
        "schema": {
            "type": "array",
            "items": {"type": "string"},
            "minItems": 1,
            "maxItems": MOST_ASKED,
        },
        "explode": False,
    }
    return {
        AVAILABILITY: {
            "get": {
                "operationId": "availability",
                "summary": "Ask which items can be bought, and who said so",
                "security": security,
                "parameters": [items],
                "responses": {
                    "200": content("What counts now.", Availability),
                    **{status: answers[status] for status in _WITHOUT_BODY},
                },
            },
            "post": {
                "operationId": "tellAvailability",
                "summary": "Tell which items can be bought; it counts from the next answer on",
                "security": security,
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": reference(AvailabilityRequest)}},
                },
                "responses": {
                    "200": content("It is kept, and counts.", ToldAvailability),
                    **answers,
                },
            },
        }
    }
