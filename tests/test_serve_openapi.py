from __future__ import annotations

import re
from typing import Any

import msgspec

from serve_shop import answerer
from wherry.serve import Query, Recommender
from wherry.serve.app import create_app
from wherry.serve.availability import AVAILABILITY
from wherry.serve.endpoints import ENDPOINTS
from wherry.serve.openapi import openapi
from wherry.serve.request import PARAMETERS, RecommendRequest, read_link

DOCUMENT = openapi("1.2.3")


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        found = {node["$ref"]} if "$ref" in node else set()
        return found.union(*(references(value) for value in node.values()))
    if isinstance(node, list):
        return set().union(*(references(value) for value in node))
    return set()


def test_every_reference_leads_somewhere() -> None:
    schemas = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    assert references(DOCUMENT) == schemas


def test_every_route_but_pages_is_described() -> None:
    app: Any = create_app(lambda: {}, lambda release, folder: Recommender(answerer()))
    routes = {route.path for route in app._rest.routes} - {"/", "/docs", "/openapi.json"}
    assert set(DOCUMENT["paths"]) == {*routes, "/v1/recommend", AVAILABILITY, *ENDPOINTS}
    alone = openapi("1.2.3", recommends=False, is_told=False)
    assert set(alone["paths"]) == {*routes, *ENDPOINTS}
    assert "RecommendRequest" not in alone["components"]["schemas"]


def test_request_and_answer_have_the_fields_that_are_described() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert set(schemas["RecommendRequest"]["properties"]) == {*RecommendRequest.__struct_fields__}
    assert schemas["RecommendRequest"]["additionalProperties"] is False
    answer = msgspec.to_builtins(Recommender(answerer()).recommend(Query(["i1"])))
    assert set(schemas["Recommendation"]["properties"]) == set(answer)


def test_every_parameter_that_is_described_is_taken() -> None:
    described = DOCUMENT["paths"]["/v1/recommend"]["get"]["parameters"]
    assert [each["name"] for each in described] == [each.name for each in PARAMETERS]
    for each in described:
        assert re.fullmatch("[a-z_]+", each["name"])
        value = "true" if each["schema"]["type"] == "boolean" else "5"
        assert read_link(f"{each['name']}={value}".encode()) != RecommendRequest()


def test_every_operation_has_a_summary_and_answers() -> None:
    for path, operations in DOCUMENT["paths"].items():
        assert set(operations) <= {"get", "post"}, path
        for operation in operations.values():
            assert operation["summary"]
            assert {"200", "204"} & set(operation["responses"])
    assert "503" in DOCUMENT["paths"]["/readyz"]["get"]["responses"]
