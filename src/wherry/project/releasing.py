"""Releasing: what answers, what is tried beside it, and a note of every decision about both."""

from __future__ import annotations

import getpass
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from wherry.domain import Act, Decision, Mode, Release, Rollout, TenantId
from wherry.errors import RegistryError, UsageError
from wherry.project.decisions import DecisionLog
from wherry.registry import Challenger, Registry, Rollouts, in_words, label

logger = logging.getLogger("wherry.project")

SHARES = {Mode.SHADOW: 1.0, Mode.CANARY: 0.1, Mode.AB: 0.5}
"""The share of visitors that a release is tried on, unless another is asked for."""

GUARD = "guard"
"""Who decides where a breach is found."""


@dataclass(frozen=True, kw_only=True)
class Releasing:
    """The ways by which what answers changes; ``by`` is who decides.

    ``load`` reads a release's folder, and raises what is wrong with it.
    """

    registry: Registry
    rollouts: Rollouts
    log: DecisionLog
    load: Callable[[Release, Path], object]
    clock: Callable[[], datetime]
    by: str

    def find(self, tenant: TenantId, version: int) -> Release:
        """A tenant's release by its version; UsageError if there is none."""
        known = {release.version: release for release, _ in self.registry.releases(tenant)}
        if version not in known:
            some = ", ".join(str(each) for each in list(known)[:8]) or "none yet; run: wherry run"
            raise UsageError(f"There is no version {version}. There are: {some}.")
        return known[version]

    def start(
        self, release: Release, mode: Mode, share: float | None = None, *, why: str = ""
    ) -> Challenger:
        """Begin to try a release; or go on with it, in another way or on another share.

        A running server follows by itself, as with every other change.

        Raises:
            UsageError: If it is the champion, there is none, another is being tried, or the share
                is none.
            RegistryError: If the release can't be loaded.
        """
        share = SHARES[mode] if share is None else share
        if not 0.0 < share <= 1.0 or (mode is not Mode.SHADOW and share == 1.0):
            raise UsageError(
                f"A share of {share:.4g} can't be tried; give one above 0% and below 100%."
            )
        champion = self.registry.champion(release.tenant)
        if champion is None:
            raise UsageError(
                f"Nothing answers for {release.tenant!r} yet that {label(release)} could be held "
                "against. Run: wherry run"
            )
        if champion.version == release.version:
            raise UsageError(
                f"{label(release)} is the champion already. Try another one: wherry releases"
            )
        tried = self.rollouts.of(release.tenant)
        if tried is not None and tried.release.version == release.version:
            return self._ramp(tried, mode, share, why)
        folder = self.registry.folder(release)
        self.load(release, folder)  # what can't be loaded isn't tried
        now = self.clock()
        rollout = Rollout(
            rollout_id=f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}",
            tenant=release.tenant,
            mode=mode,
            version=release.version,
            share=share,
            started_at=now,
        )
        challenger = Challenger(rollout, release, folder)
        self.rollouts.start(challenger)
        self._name(release.tenant, release.version)
        self._note(Act.STARTED, release, champion, rollout, why or in_words(rollout))
        return challenger

    def _ramp(self, tried: Challenger, mode: Mode, share: float, why: str) -> Challenger:
        before = tried.rollout
        if (before.mode, before.share) == (mode, share):
            raise UsageError(f"{label(tried.release)} is tried so already ({in_words(before)}).")
        changed = self.rollouts.ramp(
            before.tenant, before.rollout_id, mode=mode, share=share, now=self.clock()
        )
        why = why or f"{in_words(before)} → {in_words(changed.rollout)}"
        self._note(Act.RAMPED, tried.release, self._champion(before.tenant), changed.rollout, why)
        return changed

    def register(self, release: Release, tried: Challenger) -> None:
        """Note that a release was registered and waits, since another is being tried."""
        why = f"{label(tried.release)} is being tried ({in_words(tried.rollout)})"
        self._note(Act.REGISTERED, release, self._champion(release.tenant), None, why)

    def take_over(self, release: Release, why: str = "it passed every check") -> None:
        """Note that a release took over at once, and why."""
        self._note(Act.RELEASED, release, release, None, why)

    def promote(self, tenant: TenantId) -> Release:
        """Make what is tried the champion, which ends the rollout.

        Raises:
            UsageError: If nothing is being tried.
        """
        tried = self.require(tenant)
        # The champion moves first: its visitors stay with what they have seen.
        self.registry.promote(tried.release)
        self.rollouts.end(tenant, tried.rollout.rollout_id)
        self._name(tenant, None)
        self._note(Act.PROMOTED, tried.release, tried.release, tried.rollout)
        return tried.release

    def withdraw(self, tenant: TenantId, *, why: str = "") -> Challenger:
        """Try what is tried no more; the champion answers all.

        Raises:
            UsageError: If nothing is being tried.
        """
        tried = self.require(tenant)
        self._end(tried, Act.WITHDRAWN, why, {})
        return tried

    def stop(self, tried: Challenger, why: str, figures: dict[str, float]) -> bool:
        """End a rollout for a breach; False if somebody else has ended it before.

        It needs nothing but the project's own files: MLflow may be away.
        """
        return self._end(tried, Act.STOPPED, why, figures)

    def find_better(self, tried: Challenger, why: str, figures: dict[str, float]) -> None:
        """Note that a release was found better; it is a person who promotes it."""
        champion = self._champion(tried.rollout.tenant)
        self._note(Act.FOUND_BETTER, tried.release, champion, tried.rollout, why, figures)

    def rollback(self, tenant: TenantId, to: int | None = None) -> Release:
        """End what is being tried; where nothing is, make an earlier release the champion again.

        With ``to`` both. Returns what answers now.

        Raises:
            RegistryError: If there is none to go back to.
        """
        if self.rollouts.of(tenant) is not None:
            self.withdraw(tenant)
            champion = self.registry.champion(tenant)
            if to is None and champion is not None:
                return champion
        before = self.registry.champion(tenant)
        release = self.registry.rollback(tenant, to)
        why = f"in place of {label(before)}" if before is not None else ""
        self._note(Act.ROLLED_BACK, release, release, None, why)
        return release

    def require(self, tenant: TenantId) -> Challenger:
        """What is tried; UsageError if nothing is."""
        tried = self.rollouts.of(tenant)
        if tried is None:
            raise UsageError(
                f"Nothing is being tried for {tenant!r}. "
                "To try a release: wherry release VERSION --canary"
            )
        return tried

    def _end(self, tried: Challenger, act: Act, why: str, figures: dict[str, float]) -> bool:
        rollout = tried.rollout
        if self.rollouts.end(rollout.tenant, rollout.rollout_id) is None:
            return False
        self._note(act, tried.release, self._champion(rollout.tenant), rollout, why, figures)
        self._name(rollout.tenant, None)
        return True

    def _champion(self, tenant: TenantId) -> Release | None:
        """The champion for a note, which must not fail where MLflow is away."""
        try:
            return self.registry.champion(tenant)
        except RegistryError as error:
            logger.warning("The champion of %s can't be told just now: %s", tenant, error)
            return None

    def _name(self, tenant: TenantId, version: int | None) -> None:
        try:
            self.registry.name_challenger(tenant, version)
        except RegistryError as error:  # the alias is for others; what is tried is known without
            logger.warning("MLflow's alias challenger of %s could not be moved: %s", tenant, error)

    def _note(
        self,
        act: Act,
        release: Release,
        champion: Release | None,
        rollout: Rollout | None,
        why: str = "",
        figures: dict[str, float] | None = None,
    ) -> None:
        self.log.add(
            Decision(
                decided_at=self.clock(),
                tenant=release.tenant,
                act=act,
                by=self.by,
                release=label(release),
                champion=label(champion) if champion is not None else "",
                rollout=rollout.rollout_id if rollout is not None else "",
                mode=rollout.mode if rollout is not None else None,
                share=rollout.share if rollout is not None else None,
                why=why,
                figures=figures or {},
            )
        )


def person() -> str:
    """Whose account this process runs under, for a decision's ``by``."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        return "a person"


def read_share(word: str) -> float:
    """A share as it is written on the command line.

    >>> read_share("10%"), read_share("0.1")
    (0.1, 0.1)
    """
    try:
        number = float(word.removesuffix("%"))
    except ValueError:
        raise UsageError(f"{word!r} is no share; write 10% or 0.1.") from None
    return number / 100 if word.endswith("%") else number
