from datetime import datetime

from rich.console import Console

from wherry.cli.circle import Circle, circle_report
from wherry.domain import DEFAULT_TENANT, Act, Decision
from wherry.simulate import Visited
from wherry.simulate.latencies import Latency
from wherry.simulate.visitors import Shown

AGAIN = " and again" * 8


def visited(**click_through: int) -> Visited:
    return Visited(
        url="http://127.0.0.1:1", visits=1, events=1, put_off=0, errors={}, seconds=1.0,
        models={
            f"recommender@{name[1:]}": Shown(lists=1_000, clicks=clicks, adds=1, purchases=1)
            for name, clicks in click_through.items()
        },
        latency=Latency(count=1, p50=1.0, p90=1.0, p99=1.0, p999=1.0, max=1.0),
    )  # fmt: skip


def test_the_circle_is_told_in_the_order_in_which_it_happened_with_its_reasons() -> None:
    acts = (Act.STARTED, Act.FOUND_BETTER, Act.PROMOTED, Act.STOPPED)
    decisions = tuple(
        Decision(
            decided_at=datetime(2026, 1, 1, 9, 0, second), tenant=DEFAULT_TENANT, act=act,
            by="guard", release="recommender@2", champion="recommender@1", why=f"why {act}" + AGAIN,
        )
        for second, act in enumerate(acts)
    )  # fmt: skip
    circle = Circle(
        better=visited(v1=20, v2=190), worse=visited(v2=180, v3=30), decisions=decisions,
        seconds=20.0,
    )  # fmt: skip
    console = Console(width=80, record=True)
    for part in circle_report(circle):
        console.print(part)
    text = console.export_text()
    lines = text[text.index("why started") :].splitlines()[:2]
    assert [len(line) - len(line.lstrip()) for line in lines] == [0, 13]
    assert max(len(line) for line in text.splitlines()) <= 80
    places = [text.index(told) for told in ("19.0%", "18.0%", "why started", "why stopped")]
    assert places == sorted(places)
    assert "09:00:01  recommender@2 found better, guard" in text
