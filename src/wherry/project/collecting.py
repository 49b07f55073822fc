"""How a project takes events and answers in: its keys, its tracking plan and its inbox, as its
settings say."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from time import time_ns

from wherry.collect.inbox import After, Inbox
from wherry.collect.keys import Keys
from wherry.collect.plan import Plan, check
from wherry.collect.protocols import Bounds
from wherry.config import Collect, Serve
from wherry.project.home import Home
from wherry.serve import AnswerLog, CollectLimits, CollectRoutes, Metrics

_EPOCH = datetime(1970, 1, 1)


def collect_routes(
    home: Home,
    settings: Collect,
    keys: Keys,
    metrics: Metrics,
    *,
    name: str,
    after: After | None = None,
) -> CollectRoutes:
    """The routes by which events come in; ``name`` is that of this server's inbox, and ``after``
    is told of what came.

    Raises:
        SettingsError: If a schema of the tracking plan is none.
    """
    plan = Plan.open(home.plan)
    return CollectRoutes(
        partial(
            Inbox.open,
            home.inbox,
            name,
            fsync=settings.fsync,
            max_waiting_bytes=settings.max_held_bytes,
            recent_ids=settings.recent_ids,
            after=after,
        ),
        keys,
        metrics,
        clock=utc_microseconds,
        limits=collect_limits(settings),
        origins=settings.cors_origins,
        address=settings.address,
        is_behind_proxy=settings.behind_proxy,
        check=partial(check, plan=plan) if plan.event_types else None,
    )


def answer_log(settings: Serve, metrics: Metrics) -> AnswerLog:
    """The log of the answers that the settings want logged."""
    return AnswerLog(metrics, clock=utc_microseconds, share=settings.log_answers)


def collect_limits(settings: Collect) -> CollectLimits:
    """What the settings let one request, one key and all of them bring."""
    return CollectLimits(
        bounds=Bounds(
            max_events=settings.max_events,
            max_items=settings.max_items,
            max_depth=settings.max_depth,
        ),
        max_body_bytes=settings.max_body_bytes,
        max_held_bytes=settings.max_held_bytes,
        max_events_per_second=settings.events_per_second,
        burst_seconds=settings.burst_seconds,
    )


def microseconds_now() -> int:
    """The time in microseconds since 1970, UTC."""
    return time_ns() // 1000


def utc_microseconds() -> datetime:
    """The time to the microsecond, UTC, without a zone."""
    # A quarter of the time of datetime.now(UTC).replace(tzinfo=None); each answer asks twice.
    return _EPOCH + timedelta(0, 0, microseconds_now())
