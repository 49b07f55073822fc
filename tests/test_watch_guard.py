from __future__ import annotations

from datetime import datetime

import msgspec
import pytest

from wherry.domain import DEFAULT_TENANT, Mode, Rollout
from wherry.watch import Bounds, Part, Parts, Ruling, judge
from wherry.watch.guard import chance
from wherry.watch.sequential import Tally

ROLLOUT = Rollout(
    rollout_id="r1",
    tenant=DEFAULT_TENANT,
    mode=Mode.AB,
    version=2,
    share=0.5,
    started_at=datetime(2026, 1, 1),
)


def part(visitors: int, clicks: int, *, slow: int = 0, failed: int = 0, p99: float = 2.0) -> Part:
    """Visitors of one answer each."""
    n, x, s = float(visitors), float(clicks), float(slow)
    return Part(Tally(visitors, n, x, n, x, x), Tally(visitors, n, s, n, s, s), failed, failed, p99)


def ruling(challenger: Part, champion: Part, rollout: Rollout = ROLLOUT) -> tuple[Ruling, str]:
    found = judge(Parts(challenger, champion, {}), rollout, Bounds())
    return found.ruling, found.why


def test_nothing_is_said_before_there_is_something_to_say() -> None:
    assert ruling(Part(), Part()) == (
        Ruling.GO_ON,
        "there is too little to say anything of clicks yet",
    )


def test_a_release_goes_on_is_stopped_or_found_better_by_its_clicks() -> None:
    champion = part(20_000, 1_000)
    assert ruling(part(20_000, 1_000), champion)[0] is Ruling.GO_ON
    assert ruling(part(20_000, 1_300), champion)[0] is Ruling.BETTER
    stopped, why = ruling(part(20_000, 700), champion)
    assert stopped is Ruling.STOP
    assert why.startswith("its click-through is 3.50%, the champion's 5.00%: -30.0%, between -")


def test_a_margin_lets_a_release_be_somewhat_worse() -> None:
    parts = Parts(part(40_000, 1_700), part(40_000, 2_000), {})
    assert judge(parts, ROLLOUT, Bounds()).ruling is Ruling.STOP
    assert judge(parts, ROLLOUT, Bounds(margin=0.2)).ruling is Ruling.GO_ON


def test_errors_stop_a_release_before_there_are_clicks() -> None:
    stopped, why = ruling(part(60, 3, failed=20), part(500, 25))
    assert stopped is Ruling.STOP
    assert why.startswith("33.3% of its visitors met an error")
    assert ruling(part(1_000, 50, failed=8), part(1_000, 50))[0] is Ruling.GO_ON


def test_a_release_is_slow_only_beside_a_champion_that_is_not() -> None:
    slow, fast = part(5_000, 250, slow=500, p99=80.0), part(5_000, 250, slow=20)
    stopped, why = ruling(slow, fast)
    assert stopped is Ruling.STOP
    assert why == "its p99 is 80 ms, above 50 ms, and the champion's 2 ms"
    assert ruling(slow, slow)[0] is Ruling.GO_ON  # it is the machine


def test_in_the_shadow_clicks_say_nothing() -> None:
    shadow = msgspec.structs.replace(ROLLOUT, mode=Mode.SHADOW, share=1.0)
    assert ruling(part(20_000, 0), part(20_000, 1_000), shadow)[0] is Ruling.GO_ON
    assert ruling(part(60, 0, failed=20), part(60, 0), shadow)[0] is Ruling.STOP


def test_the_phases_of_a_rollout_share_one_chance_of_a_false_stop() -> None:
    chances = [chance(0.05, phase) for phase in range(1, 5_000)]
    assert chances == sorted(chances, reverse=True)
    assert sum(chances) == pytest.approx(0.05, rel=1e-3)
    assert sum(chances) < 0.05
    parts = Parts(part(12_000, 510), part(12_000, 600), {})
    first = judge(parts, ROLLOUT, Bounds())
    later = judge(parts, msgspec.structs.replace(ROLLOUT, phase=9), Bounds())
    assert first.clicks is not None
    assert later.clicks is not None
    assert first.clicks.high < later.clicks.high


def test_the_figures_for_the_log_of_decisions_are_all_numbers() -> None:
    found = judge(Parts(part(20_000, 700), part(20_000, 1_000), {}), ROLLOUT, Bounds())
    assert found.figures["difference"] == pytest.approx(-0.3)
    assert msgspec.json.decode(msgspec.json.encode(found.figures)) == found.figures
    early = judge(Parts(Part(), Part(), {}), ROLLOUT, Bounds())
    assert "difference" not in early.figures
