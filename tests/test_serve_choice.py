from __future__ import annotations

from datetime import datetime

import msgspec

from serve_shop import answerer
from wherry.domain import DEFAULT_TENANT, Mode, Role, Rollout
from wherry.serve.challengers import Contest
from wherry.serve.choice import choose
from wherry.serve.recommender import Recommender
from wherry.serve.request import RecommendRequest

CHAMPION = Recommender(answerer(), version=1)
CHALLENGER = Recommender(answerer(), version=2)
ROLLOUT = Rollout(
    rollout_id="r1",
    tenant=DEFAULT_TENANT,
    mode=Mode.CANARY,
    version=2,
    share=0.3,
    started_at=datetime(2026, 1, 1),
)
CONTEST = Contest(ROLLOUT, CHALLENGER)


def asked(number: int) -> RecommendRequest:
    return RecommendRequest(visitor_id=f"visitor-{number}")


def test_without_a_rollout_the_champion_answers_and_no_label_is_logged() -> None:
    choice = choose(CHAMPION, None, asked(1), "q1")
    assert (choice.recommender, choice.role, choice.rollout) == (CHAMPION, Role.CHAMPION, "")


def test_a_share_of_visitors_falls_to_the_challenger_each_always_to_the_same() -> None:
    first = [choose(CHAMPION, CONTEST, asked(n), f"a{n}").role for n in range(2_000)]
    again = [choose(CHAMPION, CONTEST, asked(n), f"b{n}").role for n in range(2_000)]
    assert first == again
    assert abs(first.count(Role.CHALLENGER) / 2_000 - 0.3) < 0.05


def test_both_parts_of_a_rollout_are_logged_under_its_label() -> None:
    for n in range(100):
        choice = choose(CHAMPION, CONTEST, asked(n), "q1")
        assert choice.rollout == "r1.1"
        assert (choice.role is Role.CHALLENGER) == (choice.recommender is CHALLENGER)


def test_in_the_shadow_the_champion_answers_and_a_share_is_asked_of_the_other_too() -> None:
    shadow = Contest(msgspec.structs.replace(ROLLOUT, mode=Mode.SHADOW), CHALLENGER)
    choices = [choose(CHAMPION, shadow, asked(n), "q1") for n in range(2_000)]
    assert all(each.recommender is CHAMPION for each in choices)
    shadowed = [each for each in choices if each.shadow is CHALLENGER]
    assert abs(len(shadowed) / 2_000 - 0.3) < 0.05
    assert {each.rollout for each in choices if each.shadow is None} == {""}


def test_a_challenger_that_cannot_be_loaded_leaves_its_visitors_to_the_champion() -> None:
    torn = Contest(ROLLOUT, None, "recommender@2: torn")
    choices = [choose(CHAMPION, torn, asked(n), "q1") for n in range(500)]
    assert all(each.recommender is CHAMPION for each in choices)
    assert {each.error for each in choices} == {"", "recommender@2: torn"}


def test_a_challenger_that_has_become_the_champion_is_tried_no_more() -> None:
    promoted = Recommender(answerer(), version=2)
    assert choose(promoted, CONTEST, asked(1), "q1").rollout == ""
