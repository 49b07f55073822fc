"""The choice of a release for one request: the champion, or by a rollout's draw its challenger."""

from __future__ import annotations

from typing import NamedTuple

from wherry.domain import Mode, Role, Rollout, unit_of
from wherry.serve.challengers import Contest
from wherry.serve.recommender import Recommender
from wherry.serve.request import RecommendRequest


class Choice(NamedTuple):
    """Who answers, and in which part.

    ``rollout`` is the label that the answer is logged under, empty where nothing is tried.
    ``shadow`` is to be asked once the answer was sent. ``error`` says why the challenger
    ``version``, which the request fell to, can't be asked: the champion answers then.
    """

    recommender: Recommender
    role: Role = Role.CHAMPION
    rollout: str = ""
    shadow: Recommender | None = None
    version: int = 0
    error: str = ""


def choose(
    champion: Recommender, contest: Contest | None, request: RecommendRequest, request_id: str
) -> Choice:
    """Choose who answers a request; the same visitor always gets the same release."""
    if contest is None or contest.rollout.version == champion.version:
        return Choice(champion)
    rollout = contest.rollout
    if not rollout.draws(unit_of(request.visitor_id, request.session_id, request_id)):
        return Choice(champion, Role.CHAMPION, _label(rollout))
    if contest.recommender is None:
        return Choice(champion, rollout=rollout.label, version=rollout.version, error=contest.error)
    if rollout.mode is Mode.SHADOW:
        return Choice(champion, Role.CHAMPION, rollout.label, shadow=contest.recommender)
    return Choice(contest.recommender, Role.CHALLENGER, rollout.label)


def _label(rollout: Rollout) -> str:
    """Beside a shadow that was not asked there is nothing to compare an answer with."""
    return rollout.label if rollout.is_shown else ""
