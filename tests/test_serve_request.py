from __future__ import annotations

from typing import Any

import pytest

from wherry.domain import Range
from wherry.serve.problem import RequestError
from wherry.serve.request import Limits, RecommendRequest, how_many, read_json, read_link, rules_of


def test_json_and_link_ask_for_the_same() -> None:
    body = (
        b'{"session_items":["a","b"],"k":5,"filter":{"category":["x"],"brand":["y","z"],'
        b'"price":{"min":1,"max":2.5}},"exclude":["c"],"tenant":"north","session_id":"s",'
        b'"visitor_id":"v","explain":true}'
    )
    link = (
        b"items=a,b&k=5&category=x&filter.brand=y,z&price_min=1&price_max=2.5"
        b"&exclude=c&tenant=north&session_id=s&visitor_id=v&explain=true"
    )
    assert read_json(body) == read_link(link)
    assert read_link(b"items=a&items=b") == RecommendRequest(session_items=["a", "b"])
    assert read_link(b"price_min=3").filter == {"price": Range(3, None)}
    assert read_json(b"{}") == read_link(b"") == RecommendRequest()


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        (b'{"sesion_items":[]}', "sesion_items", "Did you mean 'session_items'"),
        (b'{"k":"five"}', "k", "Expected `int"),
        (b'{"k":0}', "k", ">= 1"),
        (b'{"k":1e400}', "k", "out of range"),
        (b'{"session_items":["a",1]}', "session_items[1]", "Expected `str`"),
        (b'{"filter":{"price":{"mn":1}}}', "filter.mn", "Did you mean 'min'"),
        (b'{"filter":{"brand":null}}', "filter", "got `null`"),
        (b"[]", None, "Expected `object`"),
        (b"", None, "no JSON"),
        (b'{"k":NaN}', None, "no JSON"),
        (b'{"tenant":"\xff"}', None, "no JSON"),
        (b'{"tenant":"\\ud800"}', None, "no JSON"),
        (b'{"x":' + b"[" * 100_000, "x", "Unknown field"),
        (b'{"filter":{"a":' * 100_000, "filter.filter", "Unknown field"),
    ],
)
def test_a_body_that_does_not_fit_names_its_field(
    body: bytes, field: str | None, words: str
) -> None:
    with pytest.raises(RequestError) as caught:
        read_json(body)
    assert (caught.value.status, caught.value.field) == (400, field)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("link", "field"),
    [
        (b"itmes=a", "itmes"),
        (b"k=five", "k"),
        (b"k=0", "k"),
        (b"k=1&k=2", "k"),
        (b"explain=perhaps", "explain"),
        (b"price_min=nan", "price_min"),
        (b"price_max=1e999", "price_max"),
        (b"tenant=a&tenant=b", "tenant"),
        (b"items=%ff", None),
        (b"items=\xff", None),
        (b"&".join(b"items=a" for _ in range(1001)), None),
    ],
)
def test_a_link_that_does_not_fit_names_its_parameter(link: bytes, field: str | None) -> None:
    with pytest.raises(RequestError) as caught:
        read_link(link)
    assert (caught.value.status, caught.value.field) == (400, field)


def test_an_unknown_parameter_may_be_meant_as_a_filter() -> None:
    with pytest.raises(RequestError, match=r"write filter\.brand=VALUE"):
        read_link(b"brand=x")


@pytest.mark.parametrize(("asked", "given"), [(None, 10), (1, 1), (100, 100)])
def test_k_has_a_default(asked: Any, given: int) -> None:
    assert how_many(RecommendRequest(k=asked), Limits()) == given


def test_k_has_an_upper_bound() -> None:
    with pytest.raises(RequestError, match="at most 100") as caught:
        how_many(RecommendRequest(k=101), Limits())
    assert (caught.value.status, caught.value.field) == (422, "k")


@pytest.mark.parametrize(
    ("rule", "field", "says"),
    [
        ('{"action": "blok"}', "rules[0].action", "Invalid value 'blok'"),
        ('{"action": "pin", "itmes": ["a"]}', "rules[0].itmes", "Did you mean 'items'"),
        ('{"action": "block"}', "rules[0]", "selects nothing"),
        ('{"action": "boost", "items": ["a"], "factor": 0}', "rules[0].factor", ">= 0.1"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(rule: str, field: str, says: str) -> None:
    with pytest.raises(RequestError, match=says) as caught:
        read_json(f'{{"rules": [{rule}]}}'.encode())
    assert (caught.value.status, caught.value.field) == (400, field)


def test_a_request_brings_rules_of_its_own_tenant_only() -> None:
    body = b'{"rules": [{"action": "block", "items": ["a"], "tenant": "%b"}]}'
    assert len(rules_of(read_json(body % b"default"))) == 1
    with pytest.raises(RequestError, match="A rule of 'north' came with a request of 'default'"):
        rules_of(read_json(body % b"north"))
