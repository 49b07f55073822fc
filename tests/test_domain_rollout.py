from __future__ import annotations

import subprocess
import sys
from datetime import datetime

import msgspec
import numpy as np

from wherry.domain import Mode, Rollout, TenantId, draw, unit_of

ROLLOUT = Rollout(
    rollout_id="r1",
    tenant=TenantId("default"),
    mode=Mode.CANARY,
    version=2,
    share=0.1,
    started_at=datetime(2026, 1, 1),
)
VISITORS = [f"v:visitor-{number}" for number in range(20_000)]


def test_the_draw_is_uniform() -> None:
    counts, _ = np.histogram([draw("r1", unit) for unit in VISITORS], bins=50, range=(0, 1))
    expected = len(VISITORS) / 50
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    assert chi_square < 85.4  # of 49 degrees of freedom: one good draw in a thousand is beyond


def test_two_rollouts_draw_their_visitors_independently() -> None:
    first = np.array([draw("r1", unit) for unit in VISITORS])
    second = np.array([draw("r2", unit) for unit in VISITORS])
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(len(VISITORS))


def test_who_is_drawn_stays_drawn_when_the_share_grows() -> None:
    wider = msgspec.structs.replace(ROLLOUT, share=0.25, phase=2)
    before = {unit for unit in VISITORS if ROLLOUT.draws(unit)}
    after = {unit for unit in VISITORS if wider.draws(unit)}
    assert before < after
    assert abs(len(before) / len(VISITORS) - 0.1) < 0.01
    assert abs(len(after) / len(VISITORS) - 0.25) < 0.015


def test_another_process_draws_the_same() -> None:
    program = "from wherry.domain import draw; print(draw('r1', 'v:anna'))"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert told.stdout.strip() == str(draw("r1", "v:anna")), told.stderr


def test_a_share_of_nothing_draws_nobody_and_of_everything_everybody() -> None:
    for share, drawn in ((0.0, 0), (1.0, 1_000)):
        rollout = msgspec.structs.replace(ROLLOUT, share=share)
        assert sum(rollout.draws(unit) for unit in VISITORS[:1_000]) == drawn


def test_the_visitor_is_drawn_before_the_session_and_the_session_before_the_request() -> None:
    assert unit_of("anna", "s1", "q1") == "v:anna"
    assert unit_of(None, "s1", "q1") == unit_of("", "s1", "q2") == "s:s1"
    assert unit_of(None, None, "q1") == "r:q1"


def test_a_phase_has_a_label_of_its_own() -> None:
    wider = msgspec.structs.replace(ROLLOUT, share=0.25, phase=2)
    assert (ROLLOUT.label, wider.label) == ("r1.1", "r1.2")
