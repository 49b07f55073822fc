"""The OpenAPI document, generated from the structs that requests and answers are made of."""

from __future__ import annotations

from typing import Any

import msgspec

from wherry.serve.health import Health, Readiness
from wherry.serve.problem import ErrorBody
from wherry.serve.recommender import Recommendation
from wherry.serve.request import PARAMETERS, Parameter, RecommendRequest

_PROBLEMS = {
    "400": 'The request does not fit; "field" says where.',
    "404": "There is no such tenant.",
    "413": "The body is too long.",
    "415": "The body isn't JSON.",
    "422": "The request asks for what can't be: too many items, an unknown attribute.",
    "503": "The tenant has no release yet; Retry-After says when to ask again.",
}


def openapi(version: str) -> dict[str, Any]:
    """Describe every endpoint, as OpenAPI 3.1; ``version`` is that of the package."""
    types = (RecommendRequest, Recommendation, ErrorBody, Health, Readiness)
    refs, schemas = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    request, answer, problem, health, ready = refs
    answers = {"200": _content("The items recommended, best first.", answer)} | {
        status: _content(text, problem) for status, text in _PROBLEMS.items()
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Wherry",
            "version": version,
            "description": "Recommendations for the sessions of a shop.",
        },
        "paths": {
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
                        "content": {"application/json": {"schema": request}},
                    },
                    "responses": answers,
                },
            },
            "/healthz": _plain("Whether the process is up", health),
            "/readyz": _plain(
                "Whether a release answers, and which for each tenant",
                ready,
                {"503": _content("Nothing answers yet.", ready)},
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
        },
        "components": {"schemas": schemas},
    }


def _parameter(each: Parameter) -> dict[str, Any]:
    return {
        "name": each.name,
        "in": "query",
        "description": each.description,
        "schema": {"type": "array", "items": each.schema} if each.is_list else each.schema,
        **({"explode": False} if each.is_list else {}),
    }


def _content(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _plain(
    summary: str, schema: dict[str, Any], others: dict[str, Any] | None = None
) -> dict[str, Any]:
    responses = {"200": _content(f"{summary}.", schema), **(others or {})}
    return {"get": {"summary": summary, "responses": responses}}
