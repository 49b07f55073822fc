"""Privacy at the door: of an address its network, of a browser its family, and nothing more.

It is done to a request before anything else is, so that neither the log's envelope nor the
original body beside it, nor an event's hash, ever holds the whole of either.
"""

from __future__ import annotations

import re
from functools import lru_cache, partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal
from urllib.parse import quote_plus, unquote_plus

AddressPolicy = Literal["truncated", "dropped", "kept"]
"""What is kept of an address: its network (IPv4 /24, IPv6 /48), nothing, or all of it."""

_IPV4_HOST_BITS = 32 - 24
_IPV6_HOST_BITS = 128 - 48

_FAMILIES = (
    # Who says so by name stands before those whose name it bears as well.
    ("bot", re.compile(r"bot\b|bot/|crawl|spider|slurp|headless|preview|monitor|lighthouse", re.I)),
    ("Edge", re.compile(r"Edge?/|EdgA/|EdgiOS/")),
    ("Opera", re.compile(r"OPR/|OPT/|Opera")),
    ("Samsung Internet", re.compile(r"SamsungBrowser/")),
    ("UC Browser", re.compile(r"UCBrowser/|UBrowser/")),
    ("Yandex", re.compile(r"YaBrowser/")),
    ("DuckDuckGo", re.compile(r"DuckDuckGo/|Ddg/")),
    ("Firefox", re.compile(r"Firefox/|FxiOS/")),
    ("Chrome", re.compile(r"Chrome/|Chromium/|CriOS/")),
    ("Internet Explorer", re.compile(r"MSIE |Trident/")),
    ("Safari", re.compile(r"Version/[\d.]+ .*Safari/|AppleWebKit/.*Mobile/")),
    (
        "library",
        re.compile(r"python|java|okhttp|curl|wget|node|axios|go-http|ruby|php|perl|http", re.I),
    ),
)
_NAMES = frozenset(("other", *(family for family, _ in _FAMILIES)))
_LONGEST_AGENT = 512
_REMEMBERED = 4_096


_ADDRESS_KEYS = ("ip", "ip_override", "ip_address", "ipAddress")
_AGENT_KEYS = ("userAgent", "user_agent", "useragent", "ua")
_IN_JSON = {
    f'"{key}"'.encode(): re.compile(rf'("{key}"\s*:\s*")((?:[^"\\]|\\.)*+)"'.encode())
    for key in (*_ADDRESS_KEYS, *_AGENT_KEYS)
}
_SIGNS = (b"ip", b"gent", b'ua"')
"""One of these is in each of the keys."""

_IN_LINK = re.compile(rf"(^|&)({'|'.join((*_ADDRESS_KEYS, *_AGENT_KEYS))})=([^&]*)")
_IS_ADDRESS_KEY = frozenset((*_ADDRESS_KEYS, *(f'"{key}"'.encode() for key in _ADDRESS_KEYS)))


@lru_cache(maxsize=1_024)
def network_of(address: str, policy: AddressPolicy = "truncated") -> str:
    """What may be kept of an address; an empty text where it is dropped, or is no address.

    An IPv4 address inside an IPv6 one (mapped, or a 6to4 network, whose first 48 bits hold it
    whole) is treated as the IPv4 address that it is. A port and a zone are never kept.

    >>> network_of("203.0.113.77"), network_of("2001:db8:77:1::5"), network_of("unix:")
    ('203.0.113.0', '2001:db8:77::', '')
    """
    if policy == "dropped":
        return ""
    parsed = _parse(address.strip())
    if parsed is None:
        return ""
    if policy == "kept":
        return str(parsed)
    bits = _IPV4_HOST_BITS if parsed.version == 4 else _IPV6_HOST_BITS
    return str(type(parsed)(int(parsed) >> bits << bits))


def browser_family(user_agent: str) -> str:
    """The family of a browser or client: a word such as ``Firefox``, ``bot``, ``other``.

    >>> browser_family("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
    'Firefox'
    """
    return _family(user_agent[:_LONGEST_AGENT])


@lru_cache(maxsize=_REMEMBERED)
def _family(agent: str) -> str:
    if not agent.strip():
        return ""
    if agent in _NAMES:
        return agent
    return next((family for family, sign in _FAMILIES if sign.search(agent)), "other")


def scrub_body(body: bytes, policy: AddressPolicy = "truncated") -> bytes:
    """Reduce the addresses and user agents that a JSON body names, wherever they stand in it.

    Looked for are the names that SDKs use (``ip``, ``userAgent`` and their like) with a text
    as value. A value of ``ip`` that is no address stays as it is: it is the shop's own word.
    The same body always gives the same bytes, so that a request sent again is known again.
    """
    if not any(part in body for part in _SIGNS):  # most bodies name neither
        return body
    for key, pattern in _IN_JSON.items():
        if key in body:  # a plain search costs a hundredth of the pattern's
            reduce = _address_in_json if key in _IS_ADDRESS_KEY else _agent_in_json
            body = pattern.sub(partial(reduce, policy), body)
    return body


def scrub_link(query: str, policy: AddressPolicy = "truncated") -> str:
    """The same for a query string, or a form: the fields ``ip``, ``ua`` and their like.

    >>> scrub_link("e=pv&ip=203.0.113.77&ua=curl%2F8")
    'e=pv&ip=203.0.113.0&ua=library'
    """

    def reduce(found: re.Match[str]) -> str:
        start, key, value = found.groups()
        plain = unquote_plus(value)
        if key in _IS_ADDRESS_KEY:
            kept = value if _parse(plain) is None else network_of(plain, policy)
        else:
            kept = quote_plus(browser_family(plain))
        return f"{start}{key}={kept}"

    return _IN_LINK.sub(reduce, query)


def _address_in_json(policy: AddressPolicy, found: re.Match[bytes]) -> bytes:
    value = found[2][:_LONGEST_AGENT].decode("utf-8", "replace")
    if _parse(value) is None:
        return found[0]
    return found[1] + network_of(value, policy).encode() + b'"'


def _agent_in_json(policy: AddressPolicy, found: re.Match[bytes]) -> bytes:
    return (
        found[1]
        + browser_family(found[2][:_LONGEST_AGENT].decode("utf-8", "replace")).encode()
        + b'"'
    )


@lru_cache(maxsize=_REMEMBERED)
def _parse(address: str) -> IPv4Address | IPv6Address | None:
    """Read an address as servers and proxies write it: in brackets, with a port or a zone."""
    if address.startswith("["):
        address = address[1:].partition("]")[0]
    elif address.count(":") == 1:
        address = address.partition(":")[0]
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address):
        return parsed.ipv4_mapped or parsed.sixtofour or parsed
    return parsed
