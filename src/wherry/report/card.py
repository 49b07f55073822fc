"""The card of a run: one HTML page that needs nothing beside itself."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import jinja2
import msgspec
from markupsafe import Markup

from wherry.domain import (
    DEFAULT_TENANT,
    Candidate,
    Check,
    Decision,
    ItemId,
    Release,
    RunRecord,
    Stage,
    TenantId,
    TenantRun,
    Verdict,
)
from wherry.report import leaderboard, numbers
from wherry.report.changes import Change, Previous, changes
from wherry.report.character import Trait, is_character, traits
from wherry.report.conclusion import OUTCOME_SYMBOLS, Conclusion, conclude, conclude_tenant
from wherry.report.curves import Curve, plot_curves
from wherry.report.dag import draw_stages
from wherry.report.decisions import DecisionLines, decision_lines
from wherry.report.outcomes import OutcomeLines
from wherry.report.plot import Bar, Dot, plot_intervals, plot_seconds
from wherry.report.price import Priced, plot_price
from wherry.report.slices import SliceTable, is_comparison, slice_tables
from wherry.report.svg import shorten

FOLDER = Path(__file__).parent
DEFAULT_BASELINE = "popularity"
MAX_SAMPLE_ROWS = 20
MAX_CELL_LENGTH = 300


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """A session with what the champion would show after it, best first.

    ``next`` is the item that the visitor went on to, where it is known; ``names`` are names
    of the tenant's own items, which go before those given for the whole card.
    """

    session: tuple[ItemId, ...]
    shown: tuple[ItemId, ...]
    next: ItemId | None = None
    title: str = ""
    tenant: TenantId = DEFAULT_TENANT
    names: Mapping[str, str] = {}

    @property
    def rank(self) -> int | None:
        """At which place, from 1, the visitor's next item was shown."""
        return self.shown.index(self.next) + 1 if self.next in self.shown else None


class TenantPage(msgspec.Struct, frozen=True, kw_only=True):
    """What the template shows of one tenant, in the order of the page."""

    run: TenantRun
    anchor: str
    conclusion: Conclusion
    champion: Release | None
    audit: tuple[Check, ...]
    candidates: tuple[Candidate, ...]
    winner: Candidate | None
    families: Mapping[str, tuple[str, ...]]
    best: Mapping[str, float]
    baseline: str
    plots: tuple[tuple[str, Markup], ...]
    price: tuple[str, Markup] | None
    curves: Markup | None
    behave: tuple[Check, ...]
    slices: tuple[SliceTable, ...]
    traits: tuple[Trait, ...]
    previous: Release | None
    changes: tuple[Change, ...]
    examples: tuple[Example, ...]
    outcomes: OutcomeLines | None
    decisions: DecisionLines


def render_card(
    record: RunRecord,
    *,
    champion: Release | tuple[Release, ...] | None = None,
    item_names: Mapping[str, str] = {},
    examples: tuple[Example, ...] = (),
    previous: tuple[Previous, ...] = (),
    outcomes: Mapping[TenantId, OutcomeLines] = {},
    decisions: Mapping[TenantId, Sequence[Decision]] = {},
) -> str:
    """Render the card of a run as one HTML page: no script, no resource from elsewhere.

    ``champion`` is the release that answers after the run, one for each tenant where there
    are several. ``item_names`` gives examples their names; an item without one is shown by
    its id. ``previous`` are the releases before, which this run is set against. Everything
    that comes from the record is escaped. The page depends on the arguments alone, so the
    same run gives the same page. ``outcomes`` tells of each tenant what came of its releases'
    answers, ``decisions`` what was decided about them, the newest first.
    """
    champions = {r.tenant: r for r in _releases(champion)}
    before = {each.release.tenant: each for each in previous}
    pages = tuple(
        _tenant_page(
            record,
            tenant,
            f"tenant-{n}",
            champions.get(tenant.tenant),
            examples,
            before.get(tenant.tenant),
            outcomes.get(tenant.tenant),
            decisions.get(tenant.tenant, ()),
        )
        for n, tenant in enumerate(record.tenants, start=1)
    )
    return _environment().get_template("card.html.j2").render(
        record=record,
        pages=pages,
        conclusion=conclude(record, champions),
        dag=draw_stages(record),
        timings=plot_seconds("Seconds of each stage", list(_bars(record))),
        settings=list(_flat(record.settings)),
        item_names=item_names,
        css=Markup((FOLDER / "card.css").read_text("utf-8")),
    )  # fmt: skip


def write_card(
    path: Path,
    record: RunRecord,
    *,
    champion: Release | tuple[Release, ...] | None = None,
    item_names: Mapping[str, str] = {},
    examples: tuple[Example, ...] = (),
    previous: tuple[Previous, ...] = (),
    outcomes: Mapping[TenantId, OutcomeLines] = {},
    decisions: Mapping[TenantId, Sequence[Decision]] = {},
) -> Path:
    """Write what :func:`render_card` renders into a file, whole or not at all; return the path."""
    page = render_card(
        record,
        champion=champion,
        item_names=item_names,
        examples=examples,
        previous=previous,
        outcomes=outcomes,
        decisions=decisions,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_text(page, "utf-8")
    os.replace(unfinished, path)
    return path


def _tenant_page(
    record: RunRecord,
    run: TenantRun,
    anchor: str,
    champion: Release | None,
    examples: tuple[Example, ...],
    previous: Previous | None,
    outcomes: OutcomeLines | None,
    decisions: Sequence[Decision],
) -> TenantPage:
    fitted = leaderboard.ranked(run.candidates, run.winner)
    winner = next((c for c in fitted if c.name == run.winner), None)
    baseline = _baseline(record)
    return TenantPage(
        run=run,
        anchor=anchor,
        conclusion=conclude_tenant(record, run, champion),
        champion=champion,
        audit=_failing_first(run.audit),
        candidates=fitted,
        winner=winner,
        families=leaderboard.families(fitted),
        best=leaderboard.best_values(fitted),
        baseline=baseline if any(c.name == baseline and c.metrics for c in fitted) else "",
        plots=tuple(_interval_plots(fitted, run.winner, baseline)),
        price=_price_plot(fitted, run.winner, _p99_bound(record)),
        curves=_curve_plot(fitted, run.winner),
        behave=tuple(c for c in _failing_first(run.behave) if _stands_alone(c)),
        slices=slice_tables(run.behave) if run.behave is not None else (),
        traits=traits(run.behave) if run.behave is not None else (),
        previous=previous.release if previous is not None else None,
        outcomes=outcomes,
        decisions=decision_lines(decisions),
        changes=changes(previous, record, run, winner) if previous is not None else (),
        examples=tuple(e for e in examples if e.tenant == run.tenant),
    )


def _interval_plots(
    candidates: tuple[Candidate, ...], winner: str, baseline: str
) -> Iterator[tuple[str, Markup]]:
    for metric in leaderboard.PREFERRED:
        dots = [
            Dot(c.name, c.metrics[metric], c.name == winner)
            for c in candidates
            if metric in c.metrics and leaderboard.is_finite(c.metrics[metric])
        ]
        if dots:
            yield metric, plot_intervals(metric, dots, baseline=baseline)


def _price_plot(
    candidates: tuple[Candidate, ...], winner: str, p99_bound: float
) -> tuple[str, Markup] | None:
    """Quality against latency, by the first metric that two candidates or more have."""
    for metric in leaderboard.PREFERRED:
        priced = [
            Priced(
                c.name, c.metrics[metric], c.p99_microseconds, c.name == winner, bool(c.excluded)
            )
            for c in candidates
            if metric in c.metrics
            and leaderboard.is_finite(c.metrics[metric])
            and c.p99_microseconds > 0
        ]
        if len(priced) > 1:
            return metric, plot_price(metric, priced, p99_bound=p99_bound)
    return None


def _curve_plot(candidates: tuple[Candidate, ...], winner: str) -> Markup | None:
    curves = [Curve(c.name, c.curve, c.name == winner) for c in candidates if c.curve]
    return plot_curves(curves) if curves else None


def _bars(record: RunRecord) -> Iterator[Bar]:
    for stage in record.stages:
        yield from _stage_bars(stage, "")
    for tenant in record.tenants:
        prefix = f"{tenant.tenant}: " if len(record.tenants) > 1 else ""
        for stage in tenant.stages:
            yield from _stage_bars(stage, prefix)


def _stage_bars(stage: Stage, prefix: str) -> Iterator[Bar]:
    if stage.seconds > 0:
        yield Bar(prefix + stage.name, stage.seconds)
    for name, took in stage.parts.items():
        yield Bar(name, took, is_part=True)


def _failing_first(verdict: Verdict | None) -> tuple[Check, ...]:
    checks = verdict.checks if verdict is not None else ()
    return tuple(sorted(checks, key=lambda c: (not c.is_blocking, c.passed)))


def _stands_alone(check: Check) -> bool:
    """Whether a check of behaviour is listed: one that passes may stand in a table of its own."""
    in_slices = check.slice != "all" and is_comparison(check)
    return not (check.passed and (in_slices or is_character(check)))


def _baseline(record: RunRecord) -> str:
    behave = record.settings.get("behave")
    name = behave.get("baseline") if isinstance(behave, Mapping) else None
    return name if isinstance(name, str) else DEFAULT_BASELINE


def _p99_bound(record: RunRecord) -> float:
    """``[learn.slo] p99_ms`` in microseconds; 0 where there is no bound."""
    learn = record.settings.get("learn")
    slo = learn.get("slo") if isinstance(learn, Mapping) else None
    bound = slo.get("p99_ms") if isinstance(slo, Mapping) else None
    return float(bound) * 1000 if isinstance(bound, (int, float)) else 0.0


def _flat(settings: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The settings as ``learn.metric`` and a value as TOML writes it, near enough."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, msgspec.json.encode(value, enc_hook=str).decode()


def _releases(champion: Release | tuple[Release, ...] | None) -> tuple[Release, ...]:
    if champion is None:
        return ()
    return champion if isinstance(champion, tuple) else (champion,)


def _cell(value: object) -> str:
    """A value of a sample row; a rejected line may be as long as its file."""
    return shorten(str(value), MAX_CELL_LENGTH)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for form in (
        numbers.count, numbers.seconds, numbers.microseconds, numbers.size, numbers.metric,
        numbers.margin, numbers.figure, numbers.percent, numbers.moment, numbers.words,
    ):  # fmt: skip
        environment.filters[form.__name__] = form
    environment.filters["cell"] = _cell
    environment.globals.update(
        fact=numbers.fact,
        is_comparison=is_comparison,
        outcome_symbols=OUTCOME_SYMBOLS,
        max_sample_rows=MAX_SAMPLE_ROWS,
    )
    return environment
