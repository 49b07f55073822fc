"""The OpenAPI document, generated from the structs that requests and answers are made of."""

from __future__ import annotations

from typing import Any

import msgspec

from wherry.serve.availability_openapi import AVAILABILITY_TYPES, availability_paths
from wherry.serve.collect_openapi import (
    COLLECT_TYPES,
    REFERENCE,
    SECURITY_SCHEMES,
    collect_paths,
    content,
    reference,
)
from wherry.serve.health import Health, Readiness
from wherry.serve.problem import ErrorBody
from wherry.serve.recommender import CarouselRecommendations, Recommendation
from wherry.serve.request import PARAMETERS, Parameter, RecommendRequest

_PROBLEMS = {
    "400": 'The request does not fit; "field" says where.',
    "401": "A read key is asked for, and none was sent that is known.",
    "403": "The key is another tenant's.",
    "404": "There is no such tenant.",
    "413": "The body is too long.",
    "415": "The body isn't JSON.",
    "422": "The request asks for what can't be: too many items, an unknown attribute.",
    "503": "The tenant has no release yet; Retry-After says when to ask again.",
}


def openapi(
    version: str, *, recommends: bool = True, collects: bool = True, is_told: bool = True
) -> dict[str, Any]:
    """Describe every endpoint, as OpenAPI 3.1; ``version`` is that of the package.

    A server may answer recommendations, take events in, or both; one that does both mostly
    ``is_told`` what can be bought.
    """
    paths, types = _operating_paths(), [ErrorBody, Health, Readiness]
    if recommends:
        paths |= _recommend_paths()
        types += [RecommendRequest, Recommendation, CarouselRecommendations]
    if collects:
        paths |= collect_paths()
        types += COLLECT_TYPES
    if is_told:
        paths |= availability_paths()
        types += AVAILABILITY_TYPES
    _, schemas = msgspec.json.schema_components(types, ref_template=REFERENCE)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Wherry",
            "version": version,
            "description": "Recommendations for a shop, and the way in for its events.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            **({"securitySchemes": SECURITY_SCHEMES} if collects else {}),
        },
    }


def _recommend_paths() -> dict[str, Any]:
    answers = {"200": content("The items recommended, best first.", Recommendation)} | {
        status: content(text, ErrorBody) for status, text in _PROBLEMS.items()
    }
    return {
        "/v1/recommend": {
            "get": {
                "operationId": "recommendByLink",
                "summary": "Recommend items, for links and browsers",
                "parameters": [_parameter(each) for each in PARAMETERS],
                "responses": {s: answers[s] for s in answers if s not in ("413", "415")},
            },
            "post": {
                "operationId": "recommend",
                "summary": "Recommend items for a session",
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": reference(RecommendRequest)}},
                },
                "responses": {**answers, "200": _list_or_carousels()},
            },
        },
    }


def _list_or_carousels() -> dict[str, Any]:
    words = "The items recommended, best first; or each carousel with its items."
    schema = {"anyOf": [reference(Recommendation), reference(CarouselRecommendations)]}
    return {"description": words, "content": {"application/json": {"schema": schema}}}


def _operating_paths() -> dict[str, Any]:
    return {
        "/healthz": _plain("Whether the process is up", Health),
        "/readyz": _plain(
            "Whether a release answers, and which for each tenant",
            Readiness,
            {"503": content("Nothing answers yet.", Readiness)},
        ),
        "/metrics": {
            "get": {
                "summary": "Counts and latencies, for Prometheus",
                "responses": {
                    "200": {
                        "description": "Prometheus' text format.",
                        "content": {"text/plain": {"schema": {"type": "string"}}},
                    }
                },
            }
        },
    }


def _parameter(each: Parameter) -> dict[str, Any]:
    return {
        "name": each.name,
        "in": "query",
        "description": each.description,
        "schema": {"type": "array", "items": each.schema} if each.is_list else each.schema,
        **({"explode": False} if each.is_list else {}),
    }


def _plain(
    summary: str, answer: type[msgspec.Struct], others: dict[str, Any] | None = None
) -> dict[str, Any]:
    responses = {"200": content(f"{summary}.", answer), **(others or {})}
    return {"get": {"summary": summary, "responses": responses}}
