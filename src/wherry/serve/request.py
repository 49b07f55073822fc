"""The request: what may be asked of ``/v1/recommend``, as JSON and as a link."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, get_args
from urllib.parse import parse_qs

import msgspec
from msgspec import Meta

from wherry.domain import DEFAULT_TENANT, Range, Rule, TenantId, Word
from wherry.errors import did_you_mean
from wherry.serve.problem import RequestError


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much one request may ask: ``k`` unless it says otherwise, at most ``max_k``, or
    ``max_explained`` if each is to be explained; the latest ``max_session_items`` of a session
    are looked at."""

    k: int = 10
    max_k: int = 100
    max_explained: int = 20
    max_session_items: int = 200
    max_body_bytes: int = 1_000_000


class Carousel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of a page's lists: what it asks beside what the request asks for all of them."""

    name: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$", description="What the answer calls it.")
    ]
    k: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="How many items; else the request's.")
    ] = None
    filter: Annotated[
        dict[str, Word | list[Word] | Range],
        Meta(description="What its items must have, instead of what the request asks of them."),
    ] = {}
    rules: Annotated[
        list[Rule], Meta(max_length=20, description="Rules for it, after the request's.")
    ] = []


class RecommendRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to recommend, and to whom. All fields may be left out."""

    tenant: Annotated[str, Meta(description="The shop that is asked about.")] = DEFAULT_TENANT
    session_items: Annotated[
        list[str], Meta(description="Ids of the items that the visitor looked at, latest last.")
    ] = []
    session_id: Annotated[
        str | None, Meta(description="A session whose items the server knows itself.")
    ] = None
    visitor_id: Annotated[
        str | None, Meta(description="Who is recommended to, as the shop's events call them.")
    ] = None
    k: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="How many items to recommend.")
    ] = None
    filter: Annotated[
        dict[str, Word | list[Word] | Range],
        Meta(
            description="What an item must have: attribute → a value or several to choose from; "
            '"price" → {"min", "max"}.'
        ),
    ] = {}
    exclude: Annotated[list[str], Meta(description="Ids of items not to show.")] = []
    purchased: Annotated[
        list[str], Meta(description="Ids of items just bought; hidden if the shop hides those.")
    ] = []
    explain: Annotated[
        bool, Meta(description="Whether each item comes with why it is recommended.")
    ] = False
    rules: Annotated[
        list[Rule],
        Meta(
            max_length=20,
            description="Rules for this answer, beside the shop's own; one with the name of one "
            "of those takes its place.",
        ),
    ] = []
    without_rules: Annotated[
        list[str],
        Meta(max_length=20, description="Names of the shop's own boosts, caps and pins to leave."),
    ] = []
    page_id: Annotated[
        Annotated[str, Meta(min_length=1, max_length=200)] | None,
        Meta(description="A page, as the shop calls it: what it has shown is not shown again."),
    ] = None
    carousels: Annotated[
        list[Carousel],
        Meta(
            max_length=20,
            description="Several lists, answered together: none repeats an item of those before.",
        ),
    ] = []


class Parameter(msgspec.Struct, frozen=True):
    """One parameter of a link: its name, the JSON schema of its values, what it means."""

    name: str
    schema: dict[str, Any]
    description: str
    is_list: bool = False


_TEXT = {"type": "string"}
_NUMBER = {"type": "number"}
_COMMAS = " (separated by commas, or given again and again)"

PARAMETERS = (
    Parameter("items", _TEXT, "Items that the visitor looked at, latest last" + _COMMAS, True),
    Parameter("session_id", _TEXT, "A session whose items the server knows itself."),
    Parameter("visitor_id", _TEXT, "Who is recommended to, as the shop's events call them."),
    Parameter("k", {"type": "integer", "minimum": 1}, "How many items to recommend."),
    Parameter("category", _TEXT, "Only items of these categories" + _COMMAS, True),
    Parameter("price_min", _NUMBER, "Only items of at least this price."),
    Parameter("price_max", _NUMBER, "Only items of at most this price."),
    Parameter("exclude", _TEXT, "Items not to show" + _COMMAS, True),
    Parameter("purchased", _TEXT, "Items just bought" + _COMMAS, True),
    Parameter("explain", {"type": "boolean"}, "Whether each item comes with why it is there."),
    Parameter("without_rules", _TEXT, "The shop's boosts, caps and pins to leave" + _COMMAS, True),
    Parameter("page_id", _TEXT, "A page: what it has shown is not shown again."),
    Parameter("tenant", _TEXT, "The shop that is asked about."),
)
"""The parameters of the form for links; ``filter.NAME`` filters by any other attribute."""

_Whole = Annotated[int, Meta(ge=1)]
_Price = Annotated[float, Meta(ge=0, lt=1e300)]  # which keeps NaN and infinity out
_FILTER = "filter."
_LISTS = {each.name for each in PARAMETERS if each.is_list}
_KINDS = {each.name: each.schema["type"] for each in PARAMETERS}
_DECODER = msgspec.json.Decoder(RecommendRequest)
_RULE_FIELDS = {name for rule in get_args(Rule) for name in rule.__struct_fields__} | {"action"}
_UNKNOWN = re.compile(r"unknown field `(.*?)`(?: - at `(.*)`)?$", re.DOTALL)
_PLAIN = re.compile(r"[A-Za-z0-9._~:,=&-]*")
_MOST_PARAMETERS = 1000
_MANY_DIGITS = 10
_AT = re.compile(r" - at `\$\.?(.*)`$")


def read_json(body: bytes) -> RecommendRequest:
    """Read the body of a POST.

    Raises:
        RequestError: 400, naming the field where one is at fault.
    """
    try:
        return _DECODER.decode(body)
    except msgspec.ValidationError as error:
        raise _misfit(str(error), RecommendRequest.__struct_fields__) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(400, f"The body is no JSON: {error}.") from error


def read_link(query_string: bytes) -> RecommendRequest:
    """Read the parameters of a GET.

    Raises:
        RequestError: 400, naming the parameter at fault.
    """
    try:
        text = query_string.decode("ascii")
        given = _plain(text) if _PLAIN.fullmatch(text) else _parsed(text)
    except ValueError as error:
        raise RequestError(400, f"The query can't be read: {error}.") from error
    return RecommendRequest(**_fields(given))


def _parsed(text: str) -> dict[str, list[str]]:
    return parse_qs(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS)


def _plain(text: str) -> dict[str, list[str]]:
    """What :func:`_parsed` finds in a text that holds nothing encoded, in a fifth of the time."""
    given: dict[str, list[str]] = {}
    parts = text.split("&", _MOST_PARAMETERS)
    if len(parts) > _MOST_PARAMETERS:
        return _parsed(text)
    for part in parts:
        if part:
            name, _, value = part.partition("=")
            given.setdefault(name, []).append(value)
    return given


def _fields(given: Mapping[str, list[str]]) -> dict[str, Any]:
    """The fields of a request, from the parameters of a link."""
    fields: dict[str, Any] = {}
    wanted: dict[str, Any] = {}
    for name, values in given.items():
        if name.startswith(_FILTER):
            wanted[name.removeprefix(_FILTER)] = _split(values)
        elif name not in _KINDS:
            close = did_you_mean(name, _KINDS)
            hint = close or f" To filter by an attribute, write {_FILTER}{name}=VALUE."
            raise RequestError(400, f"Unknown parameter {name!r}.{hint}", field=name)
        elif name == "category":
            wanted[name] = _split(values)
        elif name in _LISTS:
            fields["session_items" if name == "items" else name] = _split(values)
        else:
            fields[name] = _single(name, values)
    low, high = fields.pop("price_min", None), fields.pop("price_max", None)
    if low is not None or high is not None:
        wanted["price"] = Range(low, high)
    return {**fields, "filter": wanted}


def _split(values: Iterable[str]) -> list[str]:
    return [part for value in values for part in value.split(",") if part]


def _single(name: str, values: list[str]) -> str | int | float | bool:
    kind = _KINDS[name]
    if len(values) > 1:
        raise RequestError(400, f"{name} is given {len(values)} times; give it once.", field=name)
    if kind == "string":
        return values[0]
    try:
        if kind == "integer":
            return _whole(values[0])
        if kind == "boolean":
            return msgspec.convert(values[0], bool, strict=False)
        if kind == "number":
            price: float = msgspec.convert(values[0], _Price, strict=False)
            return price
    except msgspec.ValidationError as error:
        raise RequestError(400, f"{name} is {values[0]!r}: {error}.", field=name) from error
    return values[0]


def _whole(text: str) -> int:
    if text.isdecimal() and text.isascii() and text[0] != "0" and len(text) < _MANY_DIGITS:
        return int(text)  # a tenth of the time of the next line, which says what is wrong
    whole: int = msgspec.convert(text, _Whole, strict=False)
    return whole


def _misfit(message: str, known: Iterable[str]) -> RequestError:
    """What msgspec says of a misfit, as a problem that names the field."""
    unknown = _UNKNOWN.search(message)
    if unknown:
        name, place = unknown[1], (unknown[2] or "").removeprefix("$.").replace("[...]", "")
        inner = _RULE_FIELDS if "rules" in place else ("min", "max") if place else known
        field = f"{place}.{name}" if place else name
        return RequestError(
            400, f"Unknown field {field!r}.{did_you_mean(name, inner)}", field=field
        )
    at = _AT.search(message)
    if at is None:
        return RequestError(400, f"The body doesn't fit: {message}.")
    field = at[1].replace("[...]", "")
    return RequestError(400, f"{field}: {message[: at.start()]}.", field=field)


def how_many(request: RecommendRequest, limits: Limits) -> int:
    """How many items the request asks for; RequestError 422 if that is too many."""
    if request.k is None:
        return min(limits.k, limits.max_explained) if request.explain else limits.k
    if request.explain and request.k > limits.max_explained:
        raise RequestError(
            422, f"k is {request.k}; at most {limits.max_explained} items are explained.", field="k"
        )
    if request.k > limits.max_k:
        raise RequestError(
            422, f"k is {request.k}; at most {limits.max_k} items are recommended.", field="k"
        )
    return request.k


def rules_of(request: RecommendRequest) -> list[Rule]:
    """The rules that the request brings; RequestError 422 if one is another tenant's."""
    for rule in request.rules:
        if rule.tenant not in (None, request.tenant):
            raise RequestError(
                422,
                f"A rule of {rule.tenant!r} came with a request of {request.tenant!r}; leave the "
                "rule's tenant out.",
                field="rules",
            )
    return request.rules


def of_carousel(request: RecommendRequest, carousel: Carousel) -> RecommendRequest:
    """A request for one of its carousels alone."""
    return msgspec.structs.replace(
        request,
        k=carousel.k or request.k,
        filter={**request.filter, **carousel.filter},
        rules=[*request.rules, *carousel.rules],
        carousels=[],
    )


def tenant_of(request: RecommendRequest) -> TenantId:
    """The tenant that the request is about."""
    return TenantId(request.tenant)
