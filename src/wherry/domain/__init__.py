"""The nouns: frozen structs that every other floor speaks in."""

from wherry.domain.answer import LoggedAnswer, Role
from wherry.domain.candidate import Candidate, Epoch, Estimate, Params, Trial
from wherry.domain.decision import Act, Decision
from wherry.domain.event import (
    CLICK_TYPES,
    EVENT_TYPES,
    INTERACTION_TYPES,
    PROTOCOL_TYPES,
    Event,
    EventItem,
)
from wherry.domain.ids import (
    DEFAULT_TENANT,
    EventId,
    ItemId,
    RunId,
    SessionId,
    TenantId,
    VisitorId,
    tenant_id,
)
from wherry.domain.release import ContentRecipe, LearnedWith, Release
from wherry.domain.rollout import Mode, Rollout, draw, unit_of
from wherry.domain.rule import Filter, Range, Rule, Word
from wherry.domain.run import STAGES, Outcome, RunRecord, Stage, TenantRun
from wherry.domain.verdict import Check, Severity, Verdict
from wherry.domain.why import Why, WhyNeighbour, WhyPart, WhyThrough

__all__ = [
    "CLICK_TYPES",
    "DEFAULT_TENANT",
    "EVENT_TYPES",
    "INTERACTION_TYPES",
    "PROTOCOL_TYPES",
    "STAGES",
    "Act",
    "Candidate",
    "Check",
    "ContentRecipe",
    "Decision",
    "Epoch",
    "Estimate",
    "Event",
    "EventId",
    "EventItem",
    "Filter",
    "ItemId",
    "LearnedWith",
    "LoggedAnswer",
    "Mode",
    "Outcome",
    "Params",
    "Range",
    "Release",
    "Role",
    "Rollout",
    "Rule",
    "RunId",
    "RunRecord",
    "SessionId",
    "Severity",
    "Stage",
    "TenantId",
    "TenantRun",
    "Trial",
    "Verdict",
    "VisitorId",
    "Why",
    "WhyNeighbour",
    "WhyPart",
    "WhyThrough",
    "Word",
    "draw",
    "tenant_id",
    "unit_of",
]
