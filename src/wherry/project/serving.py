"""How a project answers: the application of its server, as its settings say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from wherry.collect.keys import Keys
from wherry.config import Settings
from wherry.domain import Release, Rule, TenantId
from wherry.errors import ModelError, RegistryError
from wherry.lake import Lake, read_published
from wherry.learn.models import load_released_model
from wherry.live.availability import LiveAvailability
from wherry.live.pages import ShownOnPages
from wherry.live.sessions import LiveSessions
from wherry.live.store import LiveStore
from wherry.project.collecting import answer_log, collect_routes, microseconds_now
from wherry.project.home import Home
from wherry.project.live import live_lookup
from wherry.project.sessions import PublishedSessions
from wherry.project.standing import StandingRules
from wherry.registry import Registry, Rollouts
from wherry.serve import Limits, Recommender, Siblings, create_app, load_recommender
from wherry.serve.precomputed import PrecomputedLists

SiblingsOf = Callable[[CollectorRegistry], Siblings]
"""Makes what tells a worker's figures to the others, and asks theirs."""


def serving_app(
    home: Home,
    settings: Settings,
    *,
    lake: Lake,
    registry: Registry,
    keys: Keys,
    live: LiveSessions,
    availability: LiveAvailability,
    pages: ShownOnPages,
    store: LiveStore,
    siblings: SiblingsOf | None = None,
) -> ASGIApp:
    """The application that answers recommendations and takes events in; ``live``,
    ``availability`` and ``pages`` are kept in ``store``."""
    serve = settings.serve
    limits = Limits(
        k=serve.k,
        max_k=serve.max_k,
        max_explained=serve.max_explained,
        max_session_items=serve.max_session_items,
    )
    return create_app(
        champion_source(home, registry),
        load_champion,
        limits=limits,
        sessions=PublishedSessions(lake, home.published),
        refresh_seconds=serve.refresh_seconds,
        live=live_lookup(live, microseconds_now),
        collect=lambda metrics: collect_routes(
            home, settings.collect, keys, metrics, name="serve", after=live.take
        ),
        answers=partial(answer_log, serve),
        keys=keys,
        visitors=PrecomputedLists(home.precomputed),
        siblings=siblings,
        availability=availability,
        pages=pages,
        rollouts=Rollouts(home.rollouts, home.registry).read,
        rules=StandingRules(home.settings, settings),
        live_failures=lambda: store.failures,
    )


def load_champion(release: Release, folder: Path, *, rules: Sequence[Rule] = ()) -> Recommender:
    """Read a release into what answers under standing rules.

    Raises:
        RegistryError: it can't be loaded.
    """
    try:
        return load_recommender(folder, load_released_model, release=release, rules=rules)
    except ModelError as error:
        raise RegistryError(
            f"{release.name}@{release.version} can't be loaded: {error} "
            "To go back to another release: wherry rollback"
        ) from error


def champion_source(
    home: Home, registry: Registry
) -> Callable[[], Mapping[TenantId, tuple[Release, Path] | None]]:
    """Ask the registry for the champions, but only when it has changed."""
    seen: tuple[int, ...] = (-1,)
    known: dict[TenantId, tuple[Release, Path] | None] = {}

    def source() -> dict[TenantId, tuple[Release, Path] | None]:
        nonlocal seen, known
        now = registry.fingerprint()
        if not now or now != seen:
            published = dict.fromkeys(read_published(home.published))
            known = {**published, **registry.champions()}
            seen = now
        return known

    return source
