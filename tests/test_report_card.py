from html.parser import HTMLParser

import msgspec
import pytest

import report_records as records
from wherry.domain import Check, TenantId, Verdict
from wherry.report import Example, OutcomeLines, render_card, write_card

VOID = {"meta", "br", "link", "img", "input", "hr"}
HOSTILE = "<script>alert('x')</script>\"'&{{ 7*7 }}"


class Page(HTMLParser):
    """A page as a browser reads it: elements, ids and text, and whether its tags match."""

    def __init__(self, page):
        super().__init__()
        self.open, self.elements, self.text = [], [], ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text += data

    def attributes(self, name):
        return [attrs[name] for _, attrs in self.elements if name in attrs]


def full_card():
    return render_card(
        records.record(),
        champion=records.release(),
        item_names=records.NAMES,
        examples=records.examples(),
    )


def two_tenants():
    north, south = TenantId("north"), TenantId("south")
    record = records.record(records.tenant_run(north), records.blocked_run(south))
    return render_card(record, champion=(records.release(4, north), records.release(2, south)))


PAGES = {
    "full": full_card,
    "blocked": lambda: render_card(records.record(records.blocked_run())),
    "two tenants": two_tenants,
    "no tenant": lambda: render_card(msgspec.structs.replace(records.record(), tenants=())),
    "hostile": lambda: render_card(records.hostile(HOSTILE)),
}


@pytest.fixture(params=PAGES)
def page(request):
    return PAGES[request.param]()


def test_the_tags_of_a_page_match(page):
    assert Page(page).open == []


def test_a_page_needs_nothing_beside_itself(page):
    read = Page(page)
    tags = {tag for tag, _ in read.elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "base", "form"}
    assert all(href.startswith("#") for href in read.attributes("href"))
    assert not read.attributes("src")
    assert "url(" not in page
    assert "@import" not in page
    assert "http:" not in page
    assert "default-src 'none'" in page


def test_no_element_of_a_page_reacts_with_code(page):
    names = {name for _, attrs in Page(page).elements for name in attrs}
    assert not {name for name in names if name.startswith("on")}


def test_every_anchor_that_is_linked_exists_once(page):
    read = Page(page)
    ids = read.attributes("id")
    assert len(ids) == len(set(ids))
    assert {href.removeprefix("#") for href in read.attributes("href")} <= set(ids)


def test_hostile_words_are_shown_as_they_are_and_never_run():
    read = Page(PAGES["hostile"]())
    assert read.text.count(HOSTILE) > 20
    assert not [tag for tag, _ in read.elements if tag == "script"]


def test_hostile_item_names_are_shown_as_they_are():
    example = Example(session=("1",), shown=("2",), title=HOSTILE, names={"1": HOSTILE})
    card = render_card(records.record(), item_names={"2": HOSTILE}, examples=(example,))
    assert Page(card).text.count(HOSTILE) == 3


def test_the_headline_tells_shop_run_verdict_champion_and_time():
    text = Page(full_card()).text
    for told in ("Harbour Street", "20261124-093000-7f3a", "Released v4", "knn v4", "27.4 s"):
        assert told in text
    assert "2026-11-24 09:30 UTC" in text


def test_a_failing_check_comes_before_the_passing_ones_with_its_rows_and_sql():
    page = render_card(records.record(records.blocked_run()))
    assert page.index("unknown_type_share") < page.index("min_events")
    for told in ("veiw", "SELECT event_id", "add the word to event_types"):
        assert told in page


def test_a_check_that_blocks_comes_before_one_that_is_only_shown():
    checks = records.blocked_run().audit.checks
    verdict = Verdict(subject="audit", tenant=records.DEFAULT, checks=checks[::-1])
    run = msgspec.structs.replace(records.blocked_run(), audit=verdict)
    audit = render_card(records.record(run)).partition("<h2>Audit")[2]
    assert audit.index("unknown_type_share") < audit.index("freshness") < audit.index("volume")


def test_a_long_sample_is_cut_and_says_so():
    rows = tuple({"line": n, "original": "x" * 5_000} for n in range(33))
    check = Check(name="rejected", passed=False, sample=rows)
    verdict = Verdict(subject="audit", tenant=records.DEFAULT, checks=(check,))
    run = msgspec.structs.replace(records.blocked_run(), audit=verdict)
    page = render_card(records.record(run))
    assert "… and 13 more." in page
    assert "x" * 400 not in page


def test_slices_are_shown_beside_the_champion_and_failing_ones_with_their_words():
    run = msgspec.structs.replace(records.tenant_run(), behave=records.behave(worst=0.2))
    page = render_card(records.record(run))
    assert '<td class="n heat-3">−33.8%</td>' in page
    assert "mrr@20 fell from 0.302 to 0.200." in page


def test_a_lone_tenant_is_never_named_and_several_are_linked():
    assert ">default<" not in full_card()
    assert '<a href="#tenant-2">south</a>' in two_tenants()


def test_one_tenants_examples_are_not_shown_under_another():
    north, south = records.tenant_run(TenantId("north")), records.tenant_run(TenantId("south"))
    only = Example(session=("1",), shown=("2",), title="seen in the north", tenant=north.tenant)
    page = render_card(records.record(north, south), examples=(only,))
    assert page.count("seen in the north") == 1
    assert page.index("seen in the north") < page.index('id="tenant-2"')


def test_an_example_says_where_the_next_item_was_shown():
    assert Example(session=("1",), shown=("2", "3"), next="3").rank == 2
    assert Example(session=("1",), shown=("2", "3"), next="4").rank is None
    assert Example(session=("1",), shown=("2", "3")).rank is None


def test_the_same_run_gives_the_same_page_even_after_a_round_through_json():
    record = records.record()
    again = msgspec.json.decode(msgspec.json.encode(record), type=type(record))
    assert render_card(record) == render_card(again)


def test_a_card_is_written_whole_into_a_folder_that_need_not_exist(tmp_path):
    path = write_card(tmp_path / "runs" / "7" / "card.html", records.record())
    assert path.read_text("utf-8") == render_card(records.record())
    assert [p.name for p in path.parent.iterdir()] == ["card.html"]


def test_what_came_of_the_answers_is_shown_where_there_were_any():
    record = records.record()
    tenant = record.tenants[0].tenant
    lines = OutcomeLines(("model", "answers"), (("<b>@3", "1,200"),))
    page = render_card(record, outcomes={tenant: lines})
    assert "&lt;b&gt;@3" in page
    assert "1,200" in page
    assert "What came of the answers".lower() in page.lower()
    assert "what came of the answers" not in render_card(record).lower()
