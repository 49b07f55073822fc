from __future__ import annotations

import json
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.collect.privacy import browser_family, network_of, scrub_body, scrub_link

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/141.0.0.0 Safari/537.36"
)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113.0"),
        (" 203.0.113.77 ", "203.0.113.0"),
        ("203.0.113.77:4711", "203.0.113.0"),
        ("2001:db8:77:1:2:3:4:5", "2001:db8:77::"),
        ("[2001:db8:77:1::5]:443", "2001:db8:77::"),
        ("fe80::1:2:3%eth0", "fe80::"),
        ("::ffff:203.0.113.77", "203.0.113.0"),
        ("2002:cb00:714d:1::1", "203.0.113.0"),  # 6to4, which holds 203.0.113.77
        ("", ""),
        ("testclient", ""),
        ("999.1.1.1", ""),
        ("1.2.3.4.5", ""),
    ],
)
def test_an_address_is_cut_to_its_network(address: str, network: str) -> None:
    assert network_of(address) == network


def test_an_address_is_dropped_or_kept_where_the_shop_says_so() -> None:
    assert network_of("203.0.113.77", "dropped") == ""
    assert network_of("203.0.113.77", "kept") == "203.0.113.77"


@given(st.ip_addresses())
def test_no_two_hosts_of_a_network_can_be_told_apart(address: object) -> None:
    kept = network_of(str(address))
    cut = ip_address(kept)
    assert int(cut) % (1 << (8 if cut.version == 4 else 80)) == 0
    assert network_of(kept) == kept


@given(st.text())
def test_no_text_upsets_the_readers(text: str) -> None:
    ip = network_of(text)
    assert ip == "" or ip_address(ip)
    assert browser_family(text) in FAMILIES
    scrub_link(text)
    scrub_body(text.encode("utf-8", "replace"))


FAMILIES = {
    *("", "other", "bot", "library", "Edge", "Opera", "Samsung Internet", "UC Browser"),
    *("Yandex", "DuckDuckGo", "Firefox", "Chrome", "Internet Explorer", "Safari"),
}

SAFARI = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
ANDROID = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 "


@pytest.mark.parametrize(
    ("agent", "family"),
    [
        (CHROME, "Chrome"),
        (CHROME + " Edg/141.0.0.0", "Edge"),
        (CHROME + " OPR/120.0.0.0", "Opera"),
        (ANDROID + "SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36", "Samsung Internet"),
        (SAFARI + "Version/18.1 Safari/605.1.15", "Safari"),
        (SAFARI + "Version/18.1 Safari/605.1.15 Ddg/18.1", "DuckDuckGo"),
        (IPHONE + "(KHTML, like Gecko) CriOS/141.0 Mobile/15E148 Safari/604.1", "Chrome"),
        (IPHONE + "(KHTML, like Gecko) FxiOS/140.0 Mobile/15E148 Safari/605.1.15", "Firefox"),
        (IPHONE + "(KHTML, like Gecko) Mobile/15E148", "Safari"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox"),
        ("Mozilla/5.0 (Windows NT 10.0; Trident/7.0; rv:11.0) like Gecko", "Internet Explorer"),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "bot"),
        ("Mozilla/5.0 (compatible; bingbot/2.0)", "bot"),
        (ANDROID + "Chrome/141.0.0.0 Mobile Safari/537.36 (compatible; Googlebot/2.1)", "bot"),
        ("python-requests/2.32.5", "library"),
        ("analytics-python/2.3.4", "library"),
        ("curl/8.5.0", "library"),
        ("Mozilla/5.0 (Toaster)", "other"),
        ("", ""),
    ],
)
def test_a_user_agent_is_kept_as_its_family_alone(agent: str, family: str) -> None:
    assert browser_family(agent) == family


def test_what_a_sdk_tells_of_the_visitor_is_reduced_in_the_body() -> None:
    context = {"ip": "203.0.113.77", "userAgent": CHROME, "locale": "de"}
    body = json.dumps({"batch": [{"context": context, "properties": {"ip": "rated IP67"}}]})
    scrubbed = json.loads(scrub_body(body.encode()))
    assert scrubbed["batch"][0] == {
        "context": {"ip": "203.0.113.0", "userAgent": "Chrome", "locale": "de"},
        "properties": {"ip": "rated IP67"},
    }


def test_a_dropped_address_leaves_an_empty_text() -> None:
    assert scrub_body(b'{"ip" : "2001:db8::1"}', "dropped") == b'{"ip" : ""}'
    assert scrub_body(b'{"ip": "203.0.113.77"}', "kept") == b'{"ip": "203.0.113.77"}'


def test_a_body_that_tells_nothing_is_left_as_it_is() -> None:
    body = b'{"ship": "ip", "tip": "1.2.3.4", "text": "\\"ip\\": \\"1.2.3.4\\""}'
    assert scrub_body(body) == body


def test_a_user_agent_with_quotes_ends_where_it_ends() -> None:
    body = json.dumps({"userAgent": 'Odd "Firefox/1" \\', "next": "kept"}).encode()
    assert json.loads(scrub_body(body)) == {"userAgent": "Firefox", "next": "kept"}


def test_links_are_scrubbed_field_by_field() -> None:
    link = "e=pv&ip=203.0.113.77&ua=Mozilla%2F5.0+Firefox%2F140&page=ip%3D1.2.3.4&trip=1.2.3.4"
    assert scrub_link(link) == "e=pv&ip=203.0.113.0&ua=Firefox&page=ip%3D1.2.3.4&trip=1.2.3.4"
    assert scrub_link("ip=%5B2001%3Adb8%3A7%3A%3A1%5D", "dropped") == "ip="


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.text()),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.sampled_from(["ip", "ua", "userAgent", "a", 'x"ip"']), inner, max_size=4
            ),
        ),
    )
)
def test_json_stays_json_and_scrubbing_twice_is_scrubbing_once(document: object) -> None:
    once = scrub_body(json.dumps(document).encode())
    json.loads(once)
    assert scrub_body(once) == once
