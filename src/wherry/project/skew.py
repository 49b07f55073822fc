"""The skew proof of a project: its releases, and what its settings call a session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from wherry.config import Settings
from wherry.domain import Release, Rule, TenantId
from wherry.domain.session import gap_microseconds
from wherry.errors import RegistryError
from wherry.lake import Lake
from wherry.learn.answer import Answerer
from wherry.project.serving import load_champion
from wherry.registry import Registry
from wherry.watch.skew import Definition, Skew, examine

WINDOW = timedelta(seconds=1)
"""How long before an answer an event may have come in without having counted for it."""

_HOUR = 3_600_000_000
_NEIGHBOURS = 3


class KeptReleases:
    """A tenant's releases, each read once."""

    def __init__(self, registry: Registry, tenant: TenantId, rules: Sequence[Rule]) -> None:
        self._registry = registry
        self._rules = rules
        self._releases: Mapping[int, Release] = {
            release.version: release
            for release, _ in (registry.releases(tenant) if registry.exists() else ())
        }
        self._read: dict[tuple[int, bool], Answerer | str] = {}

    def answerer(self, version: int) -> Answerer | str:
        """A release under the standing rules of today, or why it can't answer any more."""
        return self._find(version, has_rules=True)

    def without_rules(self, version: int) -> Answerer | str:
        """The same without any standing rule."""
        return self._find(version, has_rules=False)

    def others(self, version: int) -> Sequence[int]:
        """The releases before it, the newest first, and the one after it."""
        known = sorted(self._releases, reverse=True)
        before = [each for each in known if each < version][:_NEIGHBOURS]
        return [*before, *[each for each in known if each > version][-1:]]

    def rule_names(self) -> frozenset[str]:
        """The names of the standing rules of today."""
        return frozenset(rule.name for rule in self._rules)

    def _find(self, version: int, *, has_rules: bool) -> Answerer | str:
        has_rules = has_rules and bool(self._rules)
        if (version, has_rules) not in self._read:
            self._read[version, has_rules] = self._load(version, self._rules if has_rules else ())
        return self._read[version, has_rules]

    def _load(self, version: int, rules: Sequence[Rule]) -> Answerer | str:
        release = self._releases.get(version)
        if release is None:
            return f"version {version} is not in the registry any more"
        try:
            folder = self._registry.folder(release)
            return load_champion(release, folder, rules=rules).answerer
        except RegistryError as error:
            return str(error)


def prove(
    lake: Lake,
    registry: Registry,
    settings: Settings,
    tenant: TenantId,
    *,
    count: int,
    days: int,
    seed: int,
) -> Skew:
    """Compute a sample of a tenant's logged answers again; see :mod:`wherry.watch.skew`.

    Raises:
        LakeError: the lake can't be read.
        RegistryError: the registry can't be asked.
    """
    if not lake.exists():
        return Skew(tenant=tenant)
    definition = Definition(
        gap=gap_microseconds(settings.sessions.gap_minutes),
        given=round(settings.live.given_session_hours * _HOUR),
        most=settings.serve.max_session_items,
    )
    releases = KeptReleases(registry, tenant, settings.serve.rules)
    with lake.reader() as con:
        return examine(
            con,
            tenant,
            releases,
            definition,
            count=count,
            days=days,
            seed=seed,
            window=WINDOW,
        )
